"""Backups hold a gallery as it was, and of whom was expunged since, nothing that anybody can open."""

import base64
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery
from forensic.gallery.backup import backups, restoring, rows
from forensic.gallery.backup.keyfiles import KeyFile
from forensic.gallery.cipher.sealing import Key
from forensic.gallery.log import trail
from forensic.gallery.models import BackupKey, Base, Person


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def openable(folder: Path, keys: list[Key]) -> dict[str, bytes]:
    """Every blob and manifest of a backup that one of the keys opens: each is tried on each."""
    found = {}
    for name, data in files(folder).items():
        kind, *rest = Path(name).parts
        if kind not in ("blobs", "snapshots"):
            continue
        sealed = ("".join(rest), data) if kind == "blobs" else (data[:32].hex(), data[32:])
        for key in keys:
            try:
                found[name] = key.open(*sealed)
            except Exception:  # noqa: S112 - whatever it is: this key does not open it
                continue
    return found


def secrets_of(gallery: Gallery) -> dict[tuple[int | None, int | None], set[bytes]]:
    """Whose secrets there are: person and photo, one of them None."""
    found: dict[tuple[int | None, int | None], set[bytes]] = {}
    with gallery.reading() as session:
        for key in session.scalars(select(BackupKey)):
            found.setdefault((key.person_id, key.photo_id), set()).add(key.secret)
    return found


def number_of(gallery: Gallery, label: str) -> int:
    with gallery.reading() as session:
        return session.scalars(select(Person.id).where(Person.label == label)).one()


def test_every_table_has_a_place_in_backups():
    personal = {"people", "photos", "templates"}  # each row is sealed with its person's or photo's own key
    assert set(Base.metadata.tables) == personal | rows.GENERAL | rows.LEFT_OUT
    assert not rows.GENERAL & (personal | rows.LEFT_OUT)
    for name in rows.GENERAL:  # such a table is read by its one integer key
        assert len(Base.metadata.tables[name].primary_key) == 1


def test_what_did_not_change_is_not_written_again(enrolled, places, making):
    first = backups.make(enrolled, *places)
    assert (first.number, first.people, first.photos, first.left_out) == (1, 6, 12, 0)
    before = files(places[0])
    second = backups.make(enrolled, places[0])
    assert second.files == 2, "the log, and the record of backups"
    enrolled.update("P0003", {"eyes": "grey"})
    enrolled.enroll([making.record(50)])
    third = backups.make(enrolled, places[0])
    fresh = {"one person's record": 1, "a person, a photo and its original": 3, "catalogue": 2, "log": 1, "backups": 1}
    assert third.files == sum(fresh.values()) + 2, "and the clock, and the space's revision"
    after = files(places[0])
    assert {name: after[name] for name in before} == before


def test_nothing_in_the_folder_tells_of_anybody(enrolled, places, making):
    backups.make(enrolled, *places)
    everything = b"\n".join(name.encode() + b"\n" + data for name, data in files(places[0]).items())
    for number in range(12):
        record = making.record(number)
        for mark in (record.person.encode(), record.sha256.encode(), record.sha256[2:].encode(), record.data[:40]):
            assert mark not in everything
    modes = {path.stat().st_mode & 0o077 for path in [*places[0].rglob("*"), places[0], places[1]]}
    assert modes == {0}


def test_of_the_expunged_nothing_can_be_opened_with_what_is_left(enrolled, places, making):
    """All keys of key file and gallery are tried on all files of the backup."""
    folder, key_file = places
    backups.make(enrolled, *places)
    enrolled.merge("P0001", "P0002")  # P0002's record lies in the backup, and goes with P0001
    alone = enrolled.photos("P0003")[0].id
    lost = enrolled.photo(alone).sha256
    moved = enrolled.photos("P0004")[0].id
    enrolled.split("P0004", [moved], "New")
    backups.make(enrolled, folder)
    there = len([name for name in files(folder) if name.startswith("blobs")])
    doomed = set()
    for person in ("P0001", "New"):
        doomed |= secrets_of(enrolled)[number_of(enrolled, person), None]
        doomed |= {secret for photo in enrolled.photos(person) for secret in secrets_of(enrolled)[None, photo.id]}
    doomed |= secrets_of(enrolled)[None, alone]
    assert len(doomed) == 1 + 1 + 4 + 1 + 1 + 1

    enrolled.expunge("P0001", "New")
    enrolled.expunge_photo(alone)

    found = KeyFile.read(key_file)
    left = [found.master, *found.keys.values()]
    left += [Key(secret) for some in secrets_of(enrolled).values() for secret in some]
    opened = openable(folder, left)
    gone = {"P0001, record and photos": 1 + 4, "P0002": 1, "New, record": 1, "New's photo": 2, "P0003's photo": 2}
    # P0001 was written twice, before and after the merge; its four photos are a record and an original each.
    gone["P0001, record and photos"] = 2 + 8
    assert there - len([name for name in opened if name.startswith("blobs")]) >= sum(gone.values()) - 1
    words = b"\n".join(opened.values())
    hashes = [making.record(number).sha256 for number in (2, 3, 4, 5)] + [lost]
    for mark in ["P0001", "P0002", "Name 1", "Name 2", '"New"', *hashes]:
        assert mark.encode() not in words, mark
    assert b"P0005" in words
    enrolled.close()
    rest = b"\n".join([*files(enrolled.folder).values(), key_file.read_bytes()])
    for secret in doomed:
        assert not [form for form in (secret, secret.hex().encode(), base64.b64encode(secret)) if form in rest]


def test_whoever_is_expunged_meanwhile_is_left_out(enrolled, places, making, monkeypatch, tmp_path):
    """The snapshot was taken with them; that they went is known before it is stored."""
    with Gallery(enrolled.folder) as other:

        def meanwhile(done: int, total: int) -> None:
            if done == 6 + 12 + 1:  # the rows are read, one original is copied
                other.expunge("P0005", "P0000")
                other.enroll([making.record(70)])

        made = backups.make(enrolled, *places, progress=meanwhile)
    assert (made.people, made.photos, made.left_out) == (4, 8, 4)
    restored = restoring.restore(*places, tmp_path / "new")
    assert (restored.people, restored.photos) == (4, 8)
    with Gallery(tmp_path / "new") as new:
        assert [person.label for person in new.people()] == ["P0001", "P0002", "P0003", "P0004"]
        assert new.verify() == []


def test_two_backups_to_one_folder_do_not_mix(enrolled, places):
    def again(done: int, total: int) -> None:
        with Gallery(enrolled.folder) as other, pytest.raises(GalleryError, match=r"Another backup .* under way"):
            backups.make(other, places[0])

    backups.make(enrolled, *places, progress=again)
    assert backups.make(enrolled, places[0]).number == 2


def test_places_that_will_not_do(enrolled, places, tmp_path):
    folder, key_file = places
    file, full = tmp_path / "file", tmp_path / "full"
    file.write_text("x")
    full.mkdir()
    (full / "letter.txt").write_text("x")
    wrong = [
        (folder, None, UsageError, "needs --keys FILE"),
        (file, key_file, GalleryError, "is a file"),
        (full, key_file, GalleryError, r"holds other things \(letter.txt\)"),
        (folder, file, UsageError, "is there already"),
        (folder, tmp_path / "no" / "keys", UsageError, "is no folder"),
        (folder, folder / "keys", UsageError, "at a place apart"),
        (folder, enrolled.folder / "keys", UsageError, "at a place apart"),
        (enrolled.folder / "backup", key_file, UsageError, "lie in one another"),
        (tmp_path, key_file, UsageError, "lie in one another"),
    ]
    for place, keys, error, message in wrong:
        with pytest.raises(error, match=message):
            backups.make(enrolled, place, keys)
    assert (full / "letter.txt").read_text() == "x"
    assert not key_file.exists()
    assert backups.recorded(enrolled) == []


def test_strange_backups_and_keys(enrolled, places, making, tmp_path):
    folder, key_file = places
    backups.make(enrolled, *places)
    other, other_keys = tmp_path / "other", tmp_path / "apart" / "other"
    with Gallery(tmp_path / "second", create=True) as second:
        second.enroll([making.record(90)])
        backups.make(second, other, other_keys)
        with pytest.raises(GalleryError, match="another gallery's backup"):
            backups.make(second, folder, key_file)
        with pytest.raises(GalleryError, match="holds no backup of this gallery"):
            backups.prune(second, folder, 1)
    with pytest.raises(UsageError, match="would outlast an expunge"):
        backups.make(enrolled, folder, other_keys)
    with pytest.raises(GalleryError, match="key file of another backup"):
        restoring.check(folder, other_keys)
    with pytest.raises(GalleryError, match="no backup in"):
        restoring.check(tmp_path / "nowhere", key_file)
    with pytest.raises(GalleryError, match=r"has no snapshot 7: it has \[1\]"):
        restoring.check(folder, key_file, 7)


def test_a_folder_that_is_empty_all_at_once_is_no_new_beginning(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    shutil.rmtree(places[0])
    with pytest.raises(GalleryError, match="is its disk mounted"):
        backups.make(enrolled, places[0], tmp_path / "apart" / "new")
    with pytest.raises(GalleryError, match="Delete the key file"):
        backups.forget(enrolled, places[0])
    places[1].unlink()
    backups.forget(enrolled, places[0])
    assert backups.make(enrolled, places[0], tmp_path / "apart" / "new").number == 1
    with pytest.raises(GalleryError, match="no backup in"):
        backups.forget(enrolled, tmp_path)


def test_prune_keeps_the_newest_whole(enrolled, places, making):
    for number in range(4):
        backups.make(enrolled, places[0], places[1] if number == 0 else None)
        enrolled.update("P0001", {"eyes": "x" * (number + 1)})
    enrolled.expunge("P0000")
    stray = places[0] / "blobs" / "00" / ("0" * 62 + ".partial")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x")
    snapshots, removed, size = backups.prune(enrolled, places[0], 2)
    assert snapshots == 2
    assert removed > 1 + 4 + 1
    assert size > 0
    assert not stray.exists()
    assert [one.number for one in restoring.listed(*places)] == [3, 4]
    for number in (3, 4):
        found = restoring.check(*places, number)
        assert (found.problems, found.destroyed) == ([], 3)
    assert backups.prune(enrolled, places[0], 2) == (0, 0, 0)
    (places[0] / "snapshots" / "000004").write_bytes(b"x" * 100)
    before = files(places[0])
    with pytest.raises(GalleryError, match="cannot be opened"):
        backups.prune(enrolled, places[0], 1)
    with pytest.raises(UsageError, match="0 snapshots cannot be kept"):
        backups.prune(enrolled, places[0], 0)
    assert files(places[0]) == before


def test_every_act_is_in_the_log(enrolled, places):
    backups.make(enrolled, *places)
    backups.prune(enrolled, places[0], 1)
    backups.shred(enrolled)
    places[1].unlink()
    backups.forget(enrolled, places[0])
    acts = [entry["action"] for entry in trail.entries(enrolled, limit=4)]
    assert acts == ["backup-forget", "backup-shred", "backup-prune", "backup"]
    assert enrolled.verify() == []


@pytest.mark.parametrize("kept", ["P0001", "P0020"])
@pytest.mark.parametrize("goes", ["New", "kept"])
def test_records_from_before_a_merge_go_with_whichever_of_the_split_goes_first(enrolled, places, making, kept, goes):
    """P0020 has no key when it inherits the one of P0002."""
    backups.make(enrolled, *places)
    enrolled.enroll([making.record(40)])
    theirs = [photo.id for photo in enrolled.photos("P0002")]
    enrolled.merge(kept, "P0002")
    enrolled.split(kept, theirs, "New")
    backups.make(enrolled, places[0])
    stays = kept if goes == "New" else "New"
    enrolled.expunge("New" if goes == "New" else kept)
    found = KeyFile.read(places[1])
    words = b"\n".join(openable(places[0], [found.master, *found.keys.values()]).values())
    assert b'"P0002"' not in words
    assert b'"P0003"' in words
    assert f'"{stays}"'.encode() in words, "the newest snapshot has it, sealed with a key of its own"
    assert backups.remaining(enrolled) == []


def test_who_was_split_and_merged_again_goes_as_one(enrolled, places):
    backups.make(enrolled, *places)
    theirs = [photo.id for photo in enrolled.photos("P0002")]
    for _ in range(2):
        enrolled.merge("P0001", "P0002")
        enrolled.split("P0001", theirs, "P0002")
    enrolled.merge("P0001", "P0002")
    backups.make(enrolled, places[0])
    enrolled.expunge("P0001")
    assert len(KeyFile.read(places[1]).keys) == 4 + 8
    assert backups.remaining(enrolled) == []
