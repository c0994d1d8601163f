"""Broken one way after the other, repaired, and what it was before."""

import shutil

import pytest
from sqlalchemy import text

from forensic.gallery import Gallery
from forensic.gallery.checks.repairing import repair
from forensic.gallery.log import trail
from forensic.gallery.models import Person


@pytest.fixture
def full(gallery, making):
    gallery.enroll([making.record(number) for number in range(6)])
    assert gallery.save_index("i", b"index", space=making.space().digest, revision=1)
    return gallery


def kinds(problems):
    return [problem.kind for problem in problems]


def run(gallery, statement, **values):
    with gallery.engine.begin() as connection:
        connection.execute(text(statement), values)


def test_nothing_is_done_to_a_sound_gallery(full):
    assert repair(full) == []
    assert trail.entries(full, action="repair") == []


def test_permissions_strays_and_indexes(full):
    before = full.digest()
    photo = full.objects.path(full.photos()[0].sha256)
    photo.chmod(0o644)
    full.folder.chmod(0o755)
    stray = photo.parent / "copy.partial"
    stray.write_bytes(b"x")
    stray.chmod(0o600)
    (full.index_folder / "i").write_bytes(b"other")
    unknown = full.index_folder / "unknown"
    unknown.touch(mode=0o600)
    assert sorted(kinds(repair(full))) == ["index", "index", "permissions", "permissions", "stray"]
    assert full.verify() == []
    assert full.digest() == before
    assert not stray.exists()
    assert list(full.index_folder.iterdir()) == []
    (entry,) = trail.entries(full, action="repair")
    assert entry["details"] == {"mended": {"index": 2, "permissions": 2, "stray": 1}, "photos": []}


def test_originals_come_back_from_a_folder_that_has_them(full, tmp_path):
    before = full.digest()
    missing, altered, lost = [*full.photos("P0000"), *full.photos("P0001")][:3]
    data = {photo.sha256: full.photo_bytes(photo) for photo in (missing, altered)}
    full.objects.path(missing.sha256).unlink()
    full.objects.path(lost.sha256).unlink()
    full.objects.path(altered.sha256).write_bytes(b"other")
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "deep" / "a.jpg").write_bytes(data[missing.sha256])
    (tmp_path / "from" / "b").write_bytes(data[altered.sha256])
    (tmp_path / "from" / "c").write_bytes(b"not it")
    assert repair(full) == []
    mended = repair(full, tmp_path / "from")
    assert sorted(problem.subject for problem in mended) == sorted(
        f"photo {photo.id} ({photo.person.label})" for photo in (missing, altered)
    )
    (left,) = full.verify()
    assert (left.kind, left.subject) == ("original", f"photo {lost.id} ({lost.person.label})")
    assert full.objects.path(missing.sha256).stat().st_mode & 0o777 == 0o600
    assert full.digest() == before


@pytest.mark.parametrize("vector", [b"", b"1234", bytes(128)])
def test_faulty_templates_are_dropped_and_can_be_made_anew(full, making, vector):
    before, space = full.digest(), making.space()
    revision = full.revision(space.digest)
    run(full, "UPDATE templates SET vector = :vector WHERE photo_id IN (2, 3)", vector=vector)
    run(full, "DELETE FROM templates WHERE photo_id = 5")
    assert kinds(repair(full)) == ["template"] * 2  # a missing one need not be dropped
    assert full.revision(space.digest) > revision
    lacking = full.missing(space.digest)
    assert sorted(photo.id for photo in lacking) == [2, 3, 5]
    full.add_templates(space, {photo.id: making.template(photo.sha256, space) for photo in lacking})
    assert full.verify() == []
    assert full.digest() == before


def test_what_cannot_be_mended_is_left_as_it_is(full):
    run(full, "UPDATE audit SET entry = replace(entry, 'enroll', 'update') WHERE number = 2")
    with full.writing() as session:
        session.add(Person(label="nobody", extra={}))
    before = full.verify()
    assert {"person", "audit"} <= set(kinds(before))
    assert repair(full) == []
    assert full.verify() == before


def orphan(gallery):
    """The one thing that is wrong with the object store."""
    (problem,) = [problem for problem in gallery.verify() if problem.kind == "stray"]
    return problem


def test_the_only_copy_of_a_photo_whose_row_was_lost_is_left(full):
    photo = full.photos()[2]
    path = full.objects.path(photo.sha256)
    data = path.read_bytes()
    beside = path.with_name(path.name + ".partial")
    beside.write_bytes(b"x")
    beside.chmod(0o600)
    run(full, "DELETE FROM photos WHERE id = :id", id=photo.id)
    assert kinds(repair(full)) == ["stray"]  # the unfinished one
    assert (path.read_bytes(), beside.exists()) == (data, False)
    assert {"stray", "audit"} <= set(kinds(full.verify()))
    assert (orphan(full).subject, "the only copy" in orphan(full).message) == (str(path), True)


def test_an_original_that_another_rows_hash_names_is_left(full):
    """Its row was altered: the log accounts for every photo, and yet no photo has the file."""
    photo = full.photos()[0]
    run(full, "UPDATE photos SET sha256 = :other WHERE id = :id", other="0" * 64, id=photo.id)
    assert "audit" not in kinds(full.verify())
    repair(full)
    assert orphan(full).subject == str(full.objects.path(photo.sha256))


@pytest.mark.sqlite("deletes the database's file")
def test_originals_outlast_a_lost_database_that_was_begun_anew(full, making, tmp_path):
    full.close()
    for end in ("", "-wal", "-shm"):
        (full.home / f"gallery.db{end}").unlink(missing_ok=True)
    aside = full.objects.folder.rename(tmp_path / "aside")  # beside its originals, none is begun
    with Gallery(full.folder, create=True) as anew:
        anew.enroll([making.record(40)])
        shutil.copytree(aside, anew.objects.folder, dirs_exist_ok=True)
        before = set(anew.objects.names())
        assert "audit" not in kinds(anew.verify())
        assert repair(anew) == []
        assert set(anew.objects.names()) == before
        assert len(before) > 1


@pytest.mark.plain
@pytest.mark.sqlite("damages SQLite's file: see test_postgresql.py")
def test_a_damaged_database_is_not_touched(full):
    with full.engine.connect() as connection:
        root = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_photos_person_id'"
        page = connection.exec_driver_sql(root).scalar()
    full.close()
    path = full.folder / "gallery.db"
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : (page - 1) * 4096 + 2000] = bytes(2000)
    path.write_bytes(content)
    with Gallery(full.folder) as opened:
        (opened.objects.folder / "stray").touch(mode=0o600)
        assert repair(opened) == []
        assert "database" in kinds(opened.verify())
        assert (opened.objects.folder / "stray").exists()
