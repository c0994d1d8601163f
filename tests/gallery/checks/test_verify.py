import errno
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from forensic.gallery.templates import seal


@pytest.fixture
def full(gallery, making):
    gallery.enroll([making.record(number) for number in range(6)])
    assert gallery.verify() == []
    return gallery


def kinds(gallery):
    return [(problem.kind, problem.subject) for problem in gallery.verify()]


def run(gallery, statement, **values):
    with gallery.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.execute(text(statement), values)


def test_an_altered_and_a_missing_original(full):
    first, second = full.photos()[:2]
    path = full.objects.path(first.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    full.objects.path(second.sha256).unlink()
    found = full.verify()
    assert [problem.kind for problem in found] == ["original", "original"]
    assert [problem.subject for problem in found] == [f"photo {p.id} ({p.person.label})" for p in (first, second)]
    assert "was altered" in found[0].message
    assert "is missing" in found[1].message


def test_an_original_that_cannot_be_read(full, monkeypatch):
    photo = full.photos()[0]
    path = full.objects.path(photo.sha256)
    path.unlink()
    path.mkdir(mode=0o700)
    assert kinds(full) == [("original", f"photo {photo.id} ({photo.person.label})")]
    path.rmdir()

    def broken(self: Path, real=Path.read_bytes) -> bytes:
        if full.objects.folder in self.parents:
            raise OSError(errno.EIO, "Input/output error", str(self))
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", broken)
    assert kinds(full) == [("original", f"photo {p.id} ({p.person.label})") for p in full.photos()]
    assert "cannot be read" in full.verify()[0].message


def test_a_folder_in_place_of_an_index_file(full):
    (full.index_folder / "x.safetensors").mkdir(mode=0o700)
    assert full.load_index("x.safetensors") is None
    assert kinds(full) == [("index", "x.safetensors")]


def test_a_stray_file(full):
    (full.objects.folder / "ab").mkdir(mode=0o700, exist_ok=True)
    for stray in (full.objects.folder / "note.txt", full.objects.folder / "ab" / ("c" * 62)):
        stray.touch(mode=0o600)
        assert kinds(full) == [("stray", str(stray))]
        stray.unlink()


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (b"", "of 0 bytes, not 128"),
        (np.ones(31, "<f4").tobytes(), "of 124 bytes"),
        (np.full(32, np.nan, "<f4").tobytes(), "length nan"),
        (np.full(32, np.inf, "<f4").tobytes(), "length inf"),
        (np.ones(32, "<f4").tobytes(), "length 5.65685, not 1"),
        ((np.eye(32, dtype="<f4")[0] * 1.0002).tobytes(), "length 1.0002, not 1"),
        (None, "has no template of route direct"),
    ],
)
def test_a_bad_template(full, vector, message):
    if vector is None:
        run(full, "DELETE FROM templates WHERE photo_id = 3")
    else:
        run(full, "UPDATE templates SET vector = :vector WHERE photo_id = 3", vector=vector)
    (problem,) = full.verify()
    assert problem[:2] == ("template", "photo 3")
    assert message in problem.message
    assert "reindex" in problem.message


def test_a_unit_template_within_rounding(full):
    (photo,) = [photo for photo in full.photos() if photo.id == 3]
    vector = (np.eye(32, dtype="<f4")[0] * 1.00005).tobytes()
    sealed = seal(full.spaces()[0].digest, photo.sha256, vector)
    run(full, "UPDATE templates SET vector = :v, seal = :s WHERE photo_id = 3", v=vector, s=sealed)
    assert full.verify() == []


def test_templates_of_another_length_cannot_be_searched(full, making):
    from forensic.errors import GalleryError

    run(full, "UPDATE templates SET vector = :vector WHERE photo_id = 3", vector=b"1234")
    with pytest.raises(GalleryError, match="were altered or cut"):
        full.templates(making.space().digest)


def test_a_person_without_photos(full):
    run(full, "DELETE FROM photos WHERE person_id = (SELECT id FROM people WHERE label = 'P0001')")
    assert ("person", "P0001") in kinds(full)


@pytest.mark.sqlite("foreign keys are switched off by a pragma: see test_postgresql.py")
def test_a_row_that_names_nothing(full):
    with full.engine.connect() as connection:
        raw = connection.connection.driver_connection
        raw.rollback()
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("DELETE FROM people WHERE label = 'P0001'")
        raw.execute("PRAGMA foreign_keys = ON")
        connection.invalidate()
    found = full.verify()
    assert {problem.kind for problem in found} == {"database"}
    assert "of photos names a row of people that is not there" in found[0].message


@pytest.mark.sqlite("SQLite's own check")
def test_an_index_that_does_not_fit_its_table(full):
    """SQLite's own check is asked: a row taken out of a table's index alone."""
    with full.engine.connect() as connection:
        raw = connection.connection.driver_connection
        raw.rollback()
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'person_id', 'width') WHERE name = 'ix_photos_person_id'"
        )
        connection.invalidate()
    full.engine.dispose()
    assert {problem.kind for problem in full.verify()} == {"database"}


def test_files_that_others_may_read(full):
    path = full.objects.path(full.photos()[0].sha256)
    path.chmod(0o640)
    full.folder.chmod(0o711)
    assert kinds(full) == [("permissions", str(full.folder)), ("permissions", str(path))]
    assert "mode 640" in full.verify()[1].message


def test_a_link_is_as_open_as_what_it_leads_to(full, tmp_path):
    """A folder of originals on another disk: chmod cures what is said of it."""
    elsewhere = tmp_path / "elsewhere"
    inside = sorted((full.home / "objects").iterdir())[0]
    shutil.move(inside, elsewhere)
    inside.symlink_to(elsewhere)
    elsewhere.chmod(0o750)
    assert ("permissions", str(inside)) in kinds(full)
    subprocess.run(["chmod", "go=", inside], check=True)
    assert [found for found in kinds(full) if found[0] == "permissions"] == []


def test_what_is_not_the_gallerys_is_named(full):
    """Such as an export of an earlier version: no expunge reaches it."""
    (full.home / "exp").mkdir(mode=0o700)
    (full.folder / "a.html").touch(mode=0o600)
    assert sorted(kinds(full)) == sorted(("folder", str(path)) for path in (full.home / "exp", full.folder / "a.html"))
