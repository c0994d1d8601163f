"""What can go wrong where originals lie elsewhere: kills, Ctrl-C, outages, places that are not the gallery's."""

import errno
import itertools
import shutil
import time

import pytest
from click.testing import CliRunner
from fuses import Crash, Fuse, failing

from forensic.commands.gallery import gallery as group
from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, buckets, journal, originals
from forensic.gallery.checks import proving, repairing
from forensic.gallery.checks.traces import Traces
from forensic.gallery.objects import OWNER


def subjects(gallery) -> list[tuple[str, str]]:
    return [(problem.kind, problem.subject) for problem in gallery.verify()]


class Death(Fuse):
    """From the step on nothing works any more."""

    def __call__(self, *args: object) -> None:
        with self.lock:
            self.steps += 1
            dead = self.step is not None and self.steps > self.step
        if dead:
            raise self.error()


@pytest.mark.parametrize("back", [False, True])
def test_a_crash_at_any_step_of_a_move_leaves_all_in_one_place(tmp_path, making, s3_server, copy, monkeypatch, back):
    """At every step: the gallery opens, is whole, and nothing is left in the other place."""
    fuse: list[Fuse] = []
    for name in ("_ask", "_put_one"):
        real = getattr(buckets.BucketStore, name)

        def wrapped(store, *args, _real=real, **how):
            if fuse:
                fuse[0]()
            return _real(store, *args, **how)

        monkeypatch.setattr(buckets.BucketStore, name, wrapped)
    with Gallery(tmp_path / "first", create=True) as gallery:
        gallery.enroll([making.record(number) for number in range(4)])
    seen = set()
    for step in itertools.count(0, 9):
        folder = copy(tmp_path / "first", tmp_path / f"{step}")
        bucket = s3_server.bucket(f"crash-{back}-{step}".lower())
        target = f"{bucket.url}/originals"
        with Gallery(folder) as gallery:
            if back:
                originals.move(gallery, target)
            fuse[:] = [Death(step, Crash)]
            try:
                with failing(fuse[0]):
                    originals.move(gallery, None if back else target)
                finished = True
            except Crash:
                finished = False
            fuse.clear()
        with Gallery(folder) as gallery:
            assert gallery.verify() == []
            assert [gallery.photo_bytes(number) for number in (1, 4)] == [making.record(0).data, making.record(3).data]
            there = gallery.objects.place == target
            held = [name for name in bucket.versions() if not name.endswith(OWNER)]
            assert len(held) == (4 if there else 0)
            kept = [path for path in (gallery.home / "objects").rglob("*") if path.is_file()]
            assert len(kept) == (0 if there else 4)
            seen.add(there)
            originals.move(gallery, target)  # goes on as if nothing had been
            assert len(bucket.names()) == 5
        if finished:
            break
    assert step > 15
    assert seen == {True, False}


def test_a_server_that_is_away(far, bucket, s3_server, making, tmp_path, monkeypatch):
    monkeypatch.setitem(buckets.SETTINGS, "retries", {"max_attempts": 0})
    with Gallery(far.folder) as gallery, Gallery(tmp_path / "other", create=True) as other:
        s3_server.stop()
        try:
            with pytest.raises(GalleryError, match="cannot be read"):
                gallery.photo_bytes(1)
            with pytest.raises(GalleryError, match=r"the S3 server: Could not connect"):
                originals.move(other, f"{bucket.url}/others")
            (problem,) = gallery.verify()
            assert problem.message.startswith("Cannot be listed (the S3 server: Could not connect")
            with pytest.raises(GalleryError, match=r"out of the gallery, but the S3 server.*traces may remain"):
                gallery.expunge("P0001")
            with pytest.raises(GalleryError, match=r"the S3 server: Could not connect"):
                gallery.enroll([making.record(40)])
            assert gallery.size() == (5, 10)
            checks = {check.name: check for check in proving.prove(gallery, 2)}
            assert checks["originals"].passed is False
            assert f"{bucket.url}/originals cannot be looked into (the S3 server: " in checks["originals"].said
        finally:
            s3_server.start()
        assert len(bucket.names()) == 13
        gallery.enroll([making.record(41)])  # settles what the expunge left
        assert len(bucket.names()) == 12
        assert gallery.verify() == other.verify() == []


def test_a_move_that_cannot_be_cleaned_up_stays_on_record(enrolled, bucket, monkeypatch):
    def refuse(store, versions):
        raise OSError("the S3 server: Access Denied")

    place = f"{bucket.url}/originals"
    with monkeypatch.context() as patch:
        patch.setattr(buckets.BucketStore, "_delete", refuse)
        patch.setattr(originals, "BATCH", 4)
        five = [enrolled.photo_bytes(photo) for photo in enrolled.photos()[:5]]
        patch.setattr(Gallery, "photo_bytes", lambda gallery, photo: five.pop(0))
        with pytest.raises(IndexError):
            originals.move(enrolled, place)
        assert subjects(enrolled) == [("originals", place)]
        assert originals.status(enrolled).left == place
        enrolled.expunge("P0005")
        checks = {check.name: check for check in proving.prove(enrolled, 6)}
        assert place in checks["moved originals"].said
        assert checks["moved originals"].passed is False
        with pytest.raises(GalleryError, match="may hold some still"):
            originals.move(enrolled, place)
    enrolled.expunge("P0004")
    assert bucket.names() == []
    assert subjects(enrolled) == []


def test_a_disk_that_is_not_mounted_is_not_taken_for_the_place(enrolled, tmp_path, making):
    place, away = tmp_path / "archive", tmp_path / "away"
    originals.move(enrolled, f"file://{place}")
    place.rename(away)
    place.mkdir()
    with pytest.raises(GalleryError, match=f"out of the gallery, but is not this gallery's.*remain in {place}"):
        enrolled.expunge("P0001")
    with pytest.raises(GalleryError, match="not mounted"):
        enrolled.enroll([making.record(12)])
    assert ("originals", str(place)) in subjects(enrolled)
    with Gallery(enrolled.folder) as opened:  # to read it
        assert opened.size() == (5, 10)
        with pytest.raises(GalleryError, match=r"not mounted.*See that it can be reached"):
            opened.photo_bytes(1)
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "0.png").write_bytes(making.record(0).data)
    with pytest.raises(GalleryError, match="not mounted"):
        repairing.repair(enrolled, source=tmp_path / "found")
    assert not list(place.iterdir())
    place.rmdir()
    away.rename(place)
    enrolled.enroll([making.record(13)])
    assert enrolled.verify() == []
    assert len([path for path in place.rglob("*") if path.is_file()]) == 12


@pytest.mark.sqlite("looks into SQLite's files")
@pytest.mark.plain
def test_whoever_reads_while_the_disk_is_away_is_told_what_waits_for_it(enrolled, tmp_path, making, caplog):
    """A look at people is on record, so that it writes: it must not fail over what an expunge could not remove."""
    place, away = tmp_path / "archive", tmp_path / "away"
    originals.move(enrolled, f"file://{place}")
    place.rename(away)
    gone = [making.record(number) for number in range(2, 6)]
    for label in ("P0001", "P0002"):
        with pytest.raises(GalleryError, match="out of the gallery, but is not this gallery's"):
            enrolled.expunge(label)
    enrolled.close()
    files = [path.read_bytes() for path in enrolled.folder.rglob("*") if path.is_file()]
    marks = [vector.tobytes() for record in gone for vector in record.templates.values()]
    assert not [mark for mark in [b"P0001", *marks] for content in files if mark in content]
    for arguments in (["list"], ["show", "P0000"]):
        caplog.clear()
        ran = CliRunner().invoke(group, [*arguments, "--gallery", str(enrolled.folder)])
        assert (ran.exit_code, ran.exception) == (0, None)
        assert "P0000" in ran.output
        (told,) = caplog.messages
        assert told.startswith(f"What no photo has any more may be in {place} still (is not this gallery's place")
    (check,) = [check for check in proving.prove(enrolled, 2) if check.passed is False]
    assert check.name == "originals"
    assert "4 expunged originals wait there to be removed" in check.said
    assert all((away / record.sha256[:2] / record.sha256[2:]).exists() for record in gone)
    away.rename(place)
    assert CliRunner().invoke(group, ["list", "--gallery", str(enrolled.folder)]).exit_code == 0
    assert not [record for record in gone if (place / record.sha256[:2] / record.sha256[2:]).exists()]
    assert all(check.passed for check in proving.prove(enrolled, 2))
    assert enrolled.verify() == []


def test_what_a_killed_enrolling_left_stays_known_while_it_cannot_be_removed(enrolled, making, monkeypatch):
    """The next enrolling takes its own files alone out of the journal."""
    left = making.record(20)
    with enrolled.writing() as session:
        journal.note(session, [left.sha256], expunged=False)
    enrolled.objects.write({left.sha256: left.data})

    def refuse(names):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(enrolled.objects, "discard", refuse)
        enrolled.enroll([making.record(22)])
        assert enrolled.objects.path(left.sha256).exists()
    enrolled.update("P0000", {"eyes": "grey"})
    assert not enrolled.objects.path(left.sha256).exists()
    assert enrolled.verify() == []


def test_a_gallery_opens_while_the_bucket_refuses_to_delete(far, bucket, monkeypatch):
    def refuse(store, versions):
        raise OSError(13, "the S3 server: Access Denied", store.place)

    with monkeypatch.context() as patch:
        patch.setattr(buckets.BucketStore, "_delete", refuse)
        with pytest.raises(GalleryError, match=f"Access Denied, so that traces may remain in {bucket.url}"):
            far.expunge("P0001")
        with Gallery(far.folder) as opened:
            assert opened.size() == (5, 10)
            assert opened.photo_bytes(1)
    far.expunge("P0002")
    assert len(bucket.names()) == 9


def test_a_place_that_takes_requests_and_never_answers_is_left_alone_for_a_while(enrolled, making, monkeypatch):
    """Each try holds the writer's lock for minutes."""
    clock, tries = [1000.0], []

    def hang(names):
        tries.append(clock[0])
        clock[0] += 240
        raise OSError(errno.ETIMEDOUT, "the S3 server: Read timeout", "s3://mugshots")

    with monkeypatch.context() as patch:
        patch.setattr(journal.time, "monotonic", lambda: clock[0])
        patch.setattr(enrolled.objects, "discard", hang)
        with pytest.raises(GalleryError, match=r"Read timeout, so that traces may remain in s3://mugshots"):
            enrolled.expunge("P0000")
        with pytest.raises(GalleryError, match=r"Read timeout, so that traces may remain in s3://mugshots"):
            enrolled.expunge("P0001")
        enrolled.update("P0002", {"eyes": "grey"})
        assert tries == [1000.0]
        clock[0] += journal.REST * 240
        enrolled.update("P0002", {"eyes": "blue"})
        assert len(tries) == 2
        clock[0] += journal.REST * 240 + 1
    gone = [making.record(number) for number in range(4)]
    with monkeypatch.context() as patch:
        patch.setattr(journal.time, "monotonic", lambda: clock[0])
        enrolled.update("P0002", {"eyes": "green"})
    assert not [record for record in gone if enrolled.objects.path(record.sha256).exists()]
    assert enrolled.verify() == []


def test_originals_that_no_photo_has_are_not_left_behind(enrolled, bucket):
    orphan = enrolled.home / "objects" / "ab" / ("c" * 62)
    orphan.parent.mkdir(exist_ok=True, mode=0o700)
    orphan.write_bytes(b"the only copy")
    with pytest.raises(GalleryError, match="an original that no photo has"):
        originals.move(enrolled, bucket.url)
    assert orphan.exists()
    assert bucket.names() == []


def test_what_a_move_left_is_emptied_only_while_it_is_the_gallerys(enrolled, bucket, tmp_path, making, monkeypatch):
    """The old place is free before the database says that it is done with: somebody else may have it by then."""
    originals.move(enrolled, bucket.url)
    real, calls = originals._write, []

    def fail_the_third(*arguments, **settings):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError("the disk is full")
        real(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(originals, "_write", fail_the_third)
        with pytest.raises(GalleryError, match="the disk is full"):
            originals.move(enrolled, None)
    bucket.delete(OWNER)  # as the last step would have
    with Gallery(tmp_path / "second", create=True) as second:
        second.enroll([making.record(20)])
        originals.move(second, bucket.url)
        with Gallery(enrolled.folder) as opened:
            assert originals.status(opened).left == bucket.url
            originals.forget(opened)
            assert opened.verify() == []
            with pytest.raises(UsageError, match="nothing to forget"):
                originals.forget(opened)
        assert second.verify() == []


@pytest.mark.sqlite("copies the folder of an open gallery")
def test_a_copy_that_was_made_amid_a_move_does_not_empty_what_the_move_filled(enrolled, bucket, tmp_path, making):
    def copy_at_the_end(done, total):
        if done == total:
            shutil.copytree(enrolled.folder, tmp_path / "copy")

    originals.move(enrolled, bucket.url, progress=copy_at_the_end)
    with Gallery(tmp_path / "copy") as copy:
        copy.enroll([making.record(30)])
        assert originals.status(copy).left == bucket.url
    assert enrolled.verify() == []


def test_nothing_is_under_way_after_ctrl_c(enrolled, bucket, monkeypatch):
    real = buckets.BucketStore._put_one

    def slow(store, file):
        if file[0] == enrolled.objects.name(enrolled.photos()[3].sha256):
            raise KeyboardInterrupt
        time.sleep(0.3)
        real(store, file)

    with monkeypatch.context() as patch:
        patch.setattr(buckets.BucketStore, "_put_one", slow)
        with pytest.raises(KeyboardInterrupt):
            originals.move(enrolled, bucket.url)
    names = bucket.names()
    time.sleep(0.6)
    assert names == bucket.names() == []
    assert enrolled.verify() == []


def test_marks_of_deletion_and_folders_do_not_end_a_search_for_traces(far, bucket):
    bucket.keep_versions()
    bucket.put("originals/", b"")  # what stands for a folder in Amazon's console
    first, *_, last = sorted(far.objects.names())
    bucket.put(f"originals/{last}", "Änne".encode())
    bucket.delete(f"originals/{first}")
    bucket.delete(f"originals/{last}")
    (check,) = [one for one in proving.prove(far, 1, traces=Traces.of(("Änne",))) if one.name == "search"]
    assert last in check.said
    assert "" not in far.objects.names()


def test_a_server_that_only_says_that_it_deletes(far, making, monkeypatch):
    real = buckets.BucketStore._ask

    def ask(store, what, **how):
        return {} if what == "delete_objects" else real(store, what, **how)

    with monkeypatch.context() as patch:
        patch.setattr(buckets.BucketStore, "_ask", ask)
        originals.move(far, None)
        assert originals.status(far).left is not None
    far.enroll([making.record(99)])
    assert originals.status(far).left is None
