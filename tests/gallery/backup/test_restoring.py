"""A restored gallery is the one that was backed up, to the byte of its tables."""

import errno
import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from spaces import drop

from forensic.errors import GalleryError
from forensic.gallery import Gallery, database, reports, users
from forensic.gallery.backup import backups, restoring
from forensic.gallery.casework import cases
from forensic.gallery.log import audit, trail
from forensic.gallery.rights import Role
from forensic.gallery.storage import OWN_NAMES

PASSWORD = "correct horse battery"
OWN = {"audit", "backups", "backup_keys", "loose_objects", "index_files", "segments"}


def tables(gallery: Gallery) -> dict[str, list[tuple[object, ...]]]:
    """Every table's raw rows, as SQLite has them."""
    with closing(sqlite3.connect(gallery.folder / "gallery.db")) as connection, connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}


@pytest.fixture
def lived(gallery, making, monkeypatch):
    """A gallery in which everything has happened: two spaces, expunged, merged, split and renamed people, casework."""
    from argon2 import PasswordHasher

    monkeypatch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    spaces = (making.space(), making.space("other"))
    quality = {"measures": {"yaw": 3.5}, "verdict": "warn", "reasons": ["ü"], "policy": "0" * 64}
    gallery.enroll([making.record(n, spaces=spaces, quality=quality if n % 3 else None) for n in range(30)])
    gallery.expunge("P0014", "P0003")
    gallery.expunge_photo(gallery.photos("P0004")[0].id)
    gallery.merge("P0005", "P0006")
    gallery.split("P0007", [gallery.photos("P0007")[0].id], "New")
    gallery.update("P0009", {"keep_until": "2999-12-31"})
    gallery.update("P0008", {"birth_year": "1970", "Größe": "1,80"}, rename="Änne")
    gallery.keep("P0000", "P0001")
    gallery.add_templates(making.space("gone"), {1: making.template("", making.space("gone"))})
    drop(gallery, making.space("gone").digest)
    gallery.enroll([making.record(n, spaces=spaces) for n in (60, 61)])
    sketches = [f"{number:064x}" for number in range(5)]
    gallery.add_cohort("k", {sha256: making.template(sha256, making.space()) for sha256 in sketches})
    cases.open_case(gallery, "C 1", purpose="p", legal_basis="l")
    cases.add_sketch(gallery, "C 1", cases.Drawing(bytes(range(256)), "s.png", cases.Kind.FORENSIC))
    cases.record_search(gallery, {"candidates": [{"rank": 1, "photo_id": 1}]}, case="C 1")
    cases.decide(gallery, 1, 1, cases.Verdict.LEAD, "ears")
    reports.save(gallery, "none", None)
    users.add(gallery, "administrator", Role.ADMINISTRATOR, PASSWORD)
    gallery.sign_in("administrator", PASSWORD)
    assert gallery.verify() == []
    return gallery


@pytest.mark.plain
@pytest.mark.sqlite("compares the two databases' raw rows")
def test_a_restored_gallery_is_the_one_that_was_backed_up(lived, places, tmp_path, making):
    backups.make(lived, *places)
    restored = restoring.restore(*places, tmp_path / "new")
    assert (restored.people_left_out, restored.photos_left_out, restored.problems) == (0, 0, [])
    with Gallery(tmp_path / "new") as new:
        new.sign_in("administrator", PASSWORD)
        assert new.digest() == lived.digest()
        assert new.verify(trail.export_head(lived)._replace(number=0)) != []  # a head of another number is no head
        assert new.verify() == []
        before, after = tables(lived), tables(new)
        assert before.keys() == after.keys()
        for name in before.keys() - OWN:
            assert after[name] == before[name], name
        assert [row[1:] for row in after["backup_keys"]] != []
        assert {row[1:] for row in after["backup_keys"]} == {row[1:] for row in before["backup_keys"]}
        entries = {row[0]: row for row in before["audit"]}
        assert all(row in after["audit"] for number, row in entries.items() if number <= restored_head(new))
        for photo in lived.photos():
            assert new.photo_bytes(photo.id) == lived.photo_bytes(photo.id)
        assert (new.folder / audit.KEY_FILE).read_bytes() == (lived.folder / audit.KEY_FILE).read_bytes()


def restored_head(gallery: Gallery) -> int:
    """Number of the last entry that came from the backup."""
    return next(e["details"]["head"] for e in trail.entries(gallery, action="restore"))


def test_ids_are_not_given_out_again(enrolled, places, tmp_path, making):
    enrolled.expunge("P0005")
    backups.make(enrolled, *places)
    restoring.restore(*places, tmp_path / "new")
    with Gallery(tmp_path / "new") as new:
        new.enroll([making.record(80)])
        assert (new.person("P0040").id, new.photos("P0040")[0].id) == (7, 13)
        assert new.verify() == []


def test_the_expunged_are_left_out_and_the_log_accounts_for_them(enrolled, places, tmp_path, making):
    backups.make(enrolled, *places)
    enrolled.expunge("P0001")
    enrolled.expunge_photo(enrolled.photos("P0002")[0].id)
    enrolled.split("P0003", [enrolled.photos("P0003")[0].id], "New")
    enrolled.expunge("P0003")  # whose other photo stays, and whose record in the backup is gone
    restored = restoring.restore(*places, tmp_path / "new")
    assert (restored.people, restored.photos, restored.people_left_out, restored.photos_left_out) == (4, 7, 2, 5)
    with Gallery(tmp_path / "new") as new:
        assert new.verify() == []
        assert [person.label for person in new.people()] == ["P0000", "P0002", "P0004", "P0005"]
        entry = trail.entries(new, limit=1)[0]
        assert (entry["action"], entry["details"]["people"]) == ("restore", [2, 4])
        assert len(entry["details"]["photos"]) == 5


def test_a_person_whose_photos_are_all_destroyed_is_left_out(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    enrolled.merge("P0000", "P0001")
    for photo in [p for p in enrolled.photos("P0000") if p.file_name in ("2.png", "3.png")]:
        enrolled.expunge_photo(photo.id)
    restored = restoring.restore(*places, tmp_path / "new")
    assert (restored.people_left_out, restored.photos_left_out) == (1, 2)
    with Gallery(tmp_path / "new") as new:
        assert "P0001" not in [person.label for person in new.people()]
        assert new.verify() == []


def test_an_expunge_in_the_restored_gallery_reaches_the_keys(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    enrolled.merge("P0000", "P0001")
    backups.make(enrolled, places[0])
    shutil.rmtree(enrolled.folder)
    moved = tmp_path / "moved"
    places[0].rename(moved)
    restoring.restore(moved, places[1], tmp_path / "new")
    with Gallery(tmp_path / "new") as new:
        assert backups.remaining(new) == []
        new.expunge("P0000")
        assert backups.remaining(new) == []
        assert restoring.check(moved, places[1], 1).destroyed == 2 + 4
        assert backups.make(new, moved).number == 3


def test_galleries_that_went_different_ways_do_not_share_a_backup(enrolled, places, tmp_path, making):
    """An older snapshot is restored; the keys of what came later are not its to destroy."""
    backups.make(enrolled, *places)
    enrolled.enroll([making.record(40)])
    backups.make(enrolled, places[0])
    before = places[1].read_bytes()
    restoring.restore(*places, tmp_path / "new", 1)
    with Gallery(tmp_path / "new") as new:
        assert new.verify() == []
        with pytest.raises(GalleryError, match="a state of the gallery that this one never had"):
            backups.make(new, places[0])
        with pytest.raises(GalleryError, match="out of the gallery, but the keys"):
            new.expunge("P0000")
        assert "never had" in backups.remaining(new)[0].message
    assert places[1].read_bytes() == before


def test_an_earlier_key_file_opens_no_later_snapshot(enrolled, places, tmp_path, making):
    backups.make(enrolled, *places)
    shutil.copy(places[1], tmp_path / "copy")
    enrolled.enroll([making.record(40)])
    backups.make(enrolled, places[0])
    with pytest.raises(GalleryError, match="earlier copy of the key file"):
        restoring.check(places[0], tmp_path / "copy")
    assert restoring.check(places[0], tmp_path / "copy", 1).problems == []


def damage(folder: Path, rng: random.Random) -> tuple[str, Path]:
    """Damage one blob in some way."""
    paths = sorted(path for path in (folder / "blobs").rglob("*") if path.is_file())
    path, other = rng.sample(paths, 2)
    data, way = path.read_bytes(), rng.choice(["flip", "cut", "empty", "delete", "swap"])
    if way == "delete":
        path.unlink()
    elif way == "swap":
        path.write_bytes(other.read_bytes())
    else:
        place = rng.randrange(len(data))
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        path.write_bytes({"flip": flipped, "cut": data[:place], "empty": b""}[way])
    return way, path


def test_every_damage_is_found(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    for seed in range(24):
        copy = Path(shutil.copytree(places[0], tmp_path / f"copy{seed}"))
        way, path = damage(copy, random.Random(seed))
        problems = restoring.check(copy, places[1]).problems
        assert str(path) in "".join(problem.message for problem in problems), (seed, way)
        if seed % 8 == 0:
            with pytest.raises(GalleryError, match=r"[rR]estore another --number"):
                restoring.restore(copy, places[1], tmp_path / "new")
        shutil.rmtree(copy)
    assert not list(tmp_path.glob("new*"))


def test_what_can_be_opened_is_restored_if_one_asks_for_it(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    key = restoring.Snapshot.open(*places)
    part = next(part for part in key.parts() if part.kind == "photo")
    (places[0] / "blobs" / part.original.name[:2] / part.original.name[2:]).unlink()
    restored = restoring.restore(*places, tmp_path / "new", incomplete=True)
    assert (restored.photos, restored.photos_left_out) == (11, 1)
    assert [problem.subject for problem in restored.problems] == [f"photo {part.number}"]
    with Gallery(tmp_path / "new") as new:
        assert new.verify() == []


def test_the_next_backup_mends_what_is_deleted(enrolled, places):
    backups.make(enrolled, *places)
    for path in sorted(path for path in (places[0] / "blobs").rglob("*") if path.is_file())[::2]:
        path.unlink()
    assert restoring.listed(*places)[0].fault == ""
    backups.make(enrolled, places[0])
    assert restoring.check(*places).problems == []


def test_manifests_are_not_taken_for_each_other(enrolled, places):
    backups.make(enrolled, *places)
    backups.make(enrolled, places[0])
    first, second = (places[0] / "snapshots" / f"00000{number}" for number in (1, 2))
    shutil.copy(first, second)
    assert "is another one" in restoring.listed(*places)[1].fault
    second.write_bytes(b"short")
    assert "cannot be opened" in restoring.listed(*places)[1].fault
    with pytest.raises(GalleryError, match="Restore another --number"):
        restoring.restore(*places, places[0].with_name("new"))


def test_a_gallery_is_restored_into_a_new_folder_alone(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    before = set(enrolled.folder.rglob("*"))
    for folder in (enrolled.folder, places[0], places[1]):
        with pytest.raises(GalleryError, match="is there already"):
            restoring.restore(*places, folder)
    assert set(enrolled.folder.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    assert restoring.restore(*places, tmp_path / "empty").photos == 12


def test_a_link_to_an_empty_folder_is_followed(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    (tmp_path / "disk").mkdir()
    for name, target in (("there", tmp_path / "disk"), ("new", tmp_path / "none")):
        (tmp_path / name).symlink_to(target)
        assert restoring.restore(*places, tmp_path / name).photos == 12
        assert (tmp_path / name).is_symlink()
        with Gallery(target) as restored:
            assert restored.digest() == enrolled.digest()


def test_a_folder_that_cannot_be_replaced_is_refused_before_the_work(enrolled, places, tmp_path):
    """A mount point, which a rename cannot replace."""
    backups.make(enrolled, *places)
    mounted = tmp_path / "parent" / "mounted"
    mounted.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "none", mounted], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    told: list[int] = []
    try:
        with pytest.raises(GalleryError, match="mounted: name a new folder"):
            restoring.restore(*places, mounted, progress=lambda done, total: told.append(done))
        assert list(mounted.iterdir()) == []
        assert list(mounted.parent.iterdir()) == [mounted]
        assert told == []
        assert restoring.restore(*places, mounted / "gallery").photos == 12
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_what_a_rename_refuses_is_told_before_the_work(enrolled, places, tmp_path, monkeypatch):
    backups.make(enrolled, *places)
    folder, told = tmp_path / "empty", list[int]()
    folder.mkdir()
    replace = os.replace

    def refuse(source, target):
        if Path(target) == folder:
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(GalleryError, match="Device or resource busy"):
        restoring.restore(*places, folder, progress=lambda done, total: told.append(done))
    assert told == []
    assert list(folder.iterdir()) == []
    assert not list(tmp_path.glob("empty.*"))


def test_a_log_key_that_lies_apart_is_asked_for(making, places, tmp_path, monkeypatch):
    monkeypatch.setenv(audit.KEY_VARIABLE, str(tmp_path / "log.key"))
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        gallery.enroll([making.record(0)])
        backups.make(gallery, *places)
    with monkeypatch.context() as patch:
        patch.delenv(audit.KEY_VARIABLE)
        with pytest.raises(GalleryError, match="FORENSIC_AUDIT_KEY"):
            restoring.restore(*places, tmp_path / "new")
    assert restoring.restore(*places, tmp_path / "new").photos == 1


MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", "{head}"


def upgrade():
    op.add_column("accuracy_reports", sa.Column("later", sa.String(), nullable=False, server_default="x"))
"""


def test_an_older_backup_is_brought_to_the_newest_schema(enrolled, places, tmp_path, monkeypatch):
    reports.save(enrolled, "title", {})
    backups.make(enrolled, *places)
    later = Path(shutil.copytree(database.MIGRATIONS, tmp_path / "migrations"))
    (later / "versions" / "later.py").write_text(MIGRATION.format(head=database.HEAD))
    monkeypatch.setattr(database, "MIGRATIONS", later)
    monkeypatch.setattr(database, "HEAD", "9999")
    restoring.restore(*places, tmp_path / "new")
    with closing(sqlite3.connect(tmp_path / "new" / "gallery.db")) as connection, connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
        assert connection.execute("SELECT later FROM accuracy_reports").fetchall() == [("x",)]
    with Gallery(tmp_path / "new") as new:
        assert new.digest() == enrolled.digest()


def test_restoring_touches_no_folder_but_its_own(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    strange = [tmp_path / name for name in ("new.restoring", "new.restoring-mine")]
    killed = tmp_path / "new.restoring-killed"
    for folder in (*strange, killed):
        folder.mkdir()
        (folder / "letter.txt").write_text("x")
    (killed / restoring.MARKER).touch()
    assert restoring.restore(*places, tmp_path / "new").photos == 12
    assert [(folder / "letter.txt").read_text() for folder in strange] == ["x", "x"]
    assert not killed.exists()
    assert {path.name for path in (tmp_path / "new").iterdir()} <= OWN_NAMES


def test_two_restorings_to_one_folder_do_not_spoil_each_other(enrolled, places, tmp_path):
    backups.make(enrolled, *places)

    def meanwhile(done: int, total: int) -> None:
        if done == 9:
            restoring.restore(*places, tmp_path / "new")

    with pytest.raises(GalleryError, match="not empty"):
        restoring.restore(*places, tmp_path / "new", progress=meanwhile)
    with Gallery(tmp_path / "new") as new:
        assert (new.size(), new.verify()) == ((6, 12), [])
    assert [path.name for path in tmp_path.glob("new*")] == ["new"]


def test_a_backup_of_a_newer_version_is_left_to_it(enrolled, places, tmp_path, monkeypatch):
    backups.make(enrolled, *places)
    monkeypatch.setattr(database, "HEAD", "0005")
    with pytest.raises(GalleryError, match=r"newer version \(schema 0009, this one knows 0005\): upgrade"):
        restoring.restore(*places, tmp_path / "new")
