"""Backups that are killed, run out of room or find a bad disk: what was there stays whole, what comes next mends it."""

import signal
import subprocess
import sys

import pytest
from sqlalchemy import select

from forensic.errors import GalleryError
from forensic.gallery import Gallery
from forensic.gallery.backup import backups, destination, restoring, snapshots
from forensic.gallery.backup.destination import Destination
from forensic.gallery.backup.keyfiles import KeyFile
from forensic.gallery.cipher.sealing import Key
from forensic.gallery.models import BackupKey

KILLED = """
import os, signal, sys
from pathlib import Path
from forensic.gallery import Gallery
from forensic.gallery.backup import backups, snapshots
snapshots.FILES = 3
gallery, folder = map(Path, sys.argv[1:3])
for step in map(int, sys.argv[3:]):
    child = os.fork()
    if not child:
        def progress(done, total):
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
        with Gallery(gallery) as opened:
            backups.make(opened, folder, progress=progress)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_killed_backup_leaves_the_last_snapshot_whole(enrolled, places, making):
    backups.make(enrolled, *places)
    enrolled.enroll([making.record(number) for number in range(20, 40)])
    enrolled.close()
    script = [sys.executable, "-c", KILLED, enrolled.folder, places[0], *map(str, (1, 17, 50, 79))]
    done = subprocess.run(script, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * 4
    assert [one.number for one in restoring.listed(*places)] == [1]
    assert restoring.check(*places).problems == []
    made = backups.make(enrolled, places[0])
    assert (made.number, made.photos) == (2, 32)
    assert restoring.check(*places).problems == []


@pytest.mark.parametrize("which", range(4))
def test_a_full_disk_leaves_the_last_snapshot_whole(enrolled, places, making, monkeypatch, which):
    backups.make(enrolled, *places)
    enrolled.enroll([making.record(number) for number in range(20, 24)])
    wanted, calls = destination.write_private, []

    def full(paths):
        calls.append(paths)
        if len(calls) > which:
            raise OSError(28, "No space left on device")
        wanted(paths)

    monkeypatch.setattr(snapshots, "FILES", 4)
    with monkeypatch.context() as patch:
        patch.setattr(destination, "write_private", full)
        with pytest.raises(GalleryError, match=r"backup in .*: No space left on device\. What was written is used"):
            backups.make(enrolled, places[0])
    assert restoring.check(*places).problems == []
    assert restoring.check(*places).number == 1
    assert backups.make(enrolled, places[0]).photos == 16
    assert restoring.check(*places).problems == []


def test_a_disk_that_gives_back_something_else_is_no_backup(enrolled, places, monkeypatch):
    monkeypatch.setattr(destination, "_from_disk", lambda path: path.read_bytes()[:-1] + b"?")
    with pytest.raises(GalleryError, match="does not read as it was written"):
        backups.make(enrolled, *places)
    assert restoring.listed(*places) == []


def test_a_first_backup_that_was_cut_off_is_made_again(enrolled, places, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(KeyFile, "write", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            backups.make(enrolled, *places)
    assert places[0].is_dir()
    assert not places[1].exists()
    assert backups.make(enrolled, *places).number == 1
    assert restoring.check(*places).problems == []


def test_a_damaged_original_stops_the_backup(enrolled, places):
    photo = enrolled.photos("P0002")[0]
    enrolled.objects.path(photo.sha256).write_bytes(b"?")
    with pytest.raises(GalleryError, match=rf"original of photo {photo.id} .* was altered"):
        backups.make(enrolled, *places)
    assert restoring.listed(*places) == []


@pytest.mark.parametrize("place", ["key file", "manifest"])
def test_a_backup_that_is_cut_off_at_its_end_is_no_dead_end(enrolled, places, making, monkeypatch, tmp_path, place):
    """Between key file and manifest, the one was of a snapshot that never came to be."""
    backups.make(enrolled, *places)
    enrolled.enroll([making.record(40)])
    wanted = KeyFile.write

    def cut_off(self, *given):
        if place == "key file":
            wanted(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((KeyFile, "write") if place == "key file" else (Destination, "write_manifest")), cut_off)
        with pytest.raises(KeyboardInterrupt):
            backups.make(enrolled, places[0])
    whole = 2 if place == "key file" else 1
    restored = restoring.restore(*places, tmp_path / "new")
    assert (restored.number, restored.photos) == (whole, 11 + whole)
    assert backups.make(enrolled, places[0]).number == whole + 1
    restoring.restore(*places, tmp_path / "newer")
    with Gallery(tmp_path / "newer") as newer:
        newer.expunge("P0000")
        assert backups.remaining(newer) == []
        assert backups.make(newer, places[0]).number == whole + 2


def test_a_blob_that_was_cut_is_written_anew_and_never_all_that_is_kept(enrolled, places, making):
    backups.make(enrolled, *places)
    part = next(part for part in restoring.Snapshot.open(*places).parts() if part.original)
    blob = places[0] / "blobs" / part.original.name[:2] / part.original.name[2:]
    blob.write_bytes(b"")
    before = sorted(places[0].rglob("*"))
    with pytest.raises(GalleryError, match="1 files of the snapshots that are to be kept are missing or cut"):
        backups.prune(enrolled, places[0], 1)
    assert sorted(places[0].rglob("*")) == before
    assert backups.make(enrolled, places[0]).files == 2 + 1
    assert restoring.check(*places).problems == []


def test_what_a_cut_off_backup_left_is_used_if_it_opens(enrolled, places, monkeypatch):
    def interrupt(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Destination, "write_manifest", interrupt)
        with pytest.raises(KeyboardInterrupt):
            backups.make(enrolled, *places)
    with enrolled.reading() as session:
        secrets = session.execute(select(BackupKey.photo_id, BackupKey.secret).where(BackupKey.photo_id.is_not(None)))
        names = [Key(secret).of(bytes.fromhex(enrolled.photo(number).sha256)) for number, secret in secrets]
    originals = [places[0] / "blobs" / name[:2] / name[2:] for name in names]
    data = originals[3].read_bytes()
    originals[3].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # no size tells it
    times = {path: path.stat().st_mtime_ns for path in originals}
    backups.make(enrolled, places[0])
    assert [path for path, time in times.items() if path.stat().st_mtime_ns != time] == [originals[3]]
    assert restoring.check(*places).problems == []
