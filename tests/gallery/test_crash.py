"""Nothing is half done: after a failure at any step, after SIGKILL at any moment, with two writers at once."""

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fuses import Crash, Fuse, failing
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from user_keys import KEY

from forensic.errors import GalleryError
from forensic.gallery import Gallery, address, database, journal, originals
from forensic.gallery.backup import backups, restoring
from forensic.gallery.cipher import encrypting
from forensic.gallery.cipher.encryption import SEALED, unlock

KILLS = 20


def steps_of(act: Callable[[Gallery], object], gallery: Gallery) -> int:
    fuse = Fuse(None, Crash)
    with failing(fuse):
        act(gallery)
    return fuse.steps


def acts(making) -> dict[str, Callable[[Gallery], object]]:
    """Acts that change a gallery of the records 0 to 3."""
    return {
        "enroll": lambda gallery: gallery.enroll([making.record(number) for number in range(2, 7)]),
        "expunge": lambda gallery: gallery.expunge("P0000"),
        "expunge photo": lambda gallery: gallery.expunge_photo(1),
        "update": lambda gallery: gallery.update("P0000", {"name": "x"}, rename="Q"),
        "index": lambda gallery: gallery.save_index("i", b"x" * 9, space=making.space().digest, revision=1),
    }


@pytest.fixture
def four(tmp_path, making):
    """The folder of a gallery of the records 0 to 3."""
    with Gallery(tmp_path / "four", create=True) as gallery:
        gallery.enroll([making.record(number) for number in range(4)])
    return gallery.folder


@pytest.mark.parametrize("act", ["enroll", "expunge", "expunge photo", "update", "index"])
def test_a_crash_at_any_step_leaves_all_or_nothing(tmp_path, making, four, copy, act):
    perform = acts(making)[act]
    copy(four, tmp_path / "before")
    with Gallery(four) as gallery:
        before = gallery.digest()
        steps = steps_of(perform, gallery)
        after = gallery.digest()
    assert steps >= {"enroll": 25, "expunge": 8, "expunge photo": 6, "update": 1, "index": 4}[act]
    outcomes = []
    for step in range(steps):
        folder = copy(tmp_path / "before", tmp_path / f"{step}")
        with Gallery(folder) as gallery, pytest.raises(Crash), failing(Fuse(step, Crash)):
            perform(gallery)
        with Gallery(folder) as gallery:
            assert gallery.verify() == []
            outcomes.append(gallery.digest())
            assert outcomes[-1] in (before, after)
            if outcomes[-1] == before:
                perform(gallery)
            assert gallery.digest() == after
            assert gallery.verify() == []
            with gallery.reading() as session:
                assert session.connection().exec_driver_sql("SELECT count(*) FROM loose_objects").scalar() == 0
    first_after = outcomes.index(after) if after in outcomes else len(outcomes)
    assert set(outcomes[first_after:]) <= {after}  # what was done once is not undone by a later crash


@pytest.mark.parametrize("act", ["enroll", "expunge"])
def test_a_full_disk_is_an_error_in_words_and_the_gallery_goes_on(tmp_path, making, four, copy, act):
    perform, last = acts(making)[act], making.record(100)
    copy(four, tmp_path / "before")
    with Gallery(four) as gallery:
        steps = steps_of(perform, gallery)
        gallery.enroll([last])
        expected = gallery.digest()
    for step in range(0, steps, 3):
        with Gallery(copy(tmp_path / "before", tmp_path / f"{step}")) as gallery:
            before = gallery.digest()
            full = Fuse(step, lambda: OSError(28, "No space left on device", "somewhere"))
            with failing(full), pytest.raises(GalleryError, match="No space left on device"):
                perform(gallery)
            undone = gallery.digest() == before
            gallery.enroll([last])  # the next writer settles what was left
            assert gallery.verify() == []
            if undone:
                perform(gallery)
            assert gallery.digest() == expected


@pytest.fixture(scope="module")
def whole(tmp_path_factory, making) -> tuple[str, float]:
    """Digest of an enrollment without interruption, and the seconds that a batch takes in it."""
    folder = tmp_path_factory.mktemp("whole") / "gallery"
    making.enroll_all(folder, range(0))  # the gallery is made, and everything imported, before the clock starts
    start = time.perf_counter()
    making.enroll_all(folder, range(making.COUNT))
    seconds = (time.perf_counter() - start) / making.COUNT * making.BATCH
    with Gallery(folder) as gallery:
        assert gallery.verify() == []
        assert gallery.size().photos == making.COUNT
        return gallery.digest(), seconds


def test_killed_at_random_moments_and_resumed(tmp_path, making, nursery, whole):
    expected, batch = whole
    folder, rng = tmp_path / "killed", random.Random(0)
    ask = nursery(folder)
    half_done, sizes = 0, []
    for kill in range(KILLS):
        when = "ready" if kill % 4 else "now"
        if ask(f"kill {rng.uniform(0, 4 * batch)} {when}") == "ended":  # faster than when a batch was timed
            break
        half_done += journal_length(folder) > 0
        with Gallery(folder, create=True) as gallery:
            assert gallery.verify() == []
            sizes.append(gallery.size().photos)
        if sizes[-1] in (0, *sizes[-2:-1]):  # slower than when a batch was timed
            batch *= 1.2
    print(f"{len(sizes)} kills, {half_done} of them amid a batch; photos after each: {sizes}")
    assert sizes == sorted(sizes)  # what was acknowledged is still there
    assert len(sizes) >= KILLS // 2
    assert any(0 < size < making.COUNT for size in sizes)
    assert half_done
    making.enroll_all(folder, range(making.COUNT))
    with Gallery(folder) as gallery:
        assert gallery.verify() == []
        assert gallery.digest() == expected


def journal_length(folder) -> int:
    """Entries of the journal as the killed process left them: to open the gallery would settle them."""
    sealing = unlock(folder)
    found = address.find(folder, home=folder / SEALED if sealing else None)
    if not found.settled or (found.file and not found.file.exists()):
        return 0
    engine = database.connect(found.url, sealing.database if sealing and found.file else None)
    try:
        with engine.connect() as connection:
            return connection.exec_driver_sql("SELECT count(*) FROM loose_objects").scalar()
    except DBAPIError:  # killed before the tables were made
        return 0
    finally:
        engine.dispose()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to name descriptors")
def test_originals_are_on_the_disk_before_the_row_that_names_them(gallery, making, monkeypatch):
    gallery.enroll([making.record(0)])
    calls: list[tuple[str, str]] = []
    lock, fsync, replace = threading.Lock(), os.fsync, os.replace

    def noted(name, path, act, *arguments):
        result = act(*arguments)
        with lock:
            calls.append((name, path))
        return result

    monkeypatch.setattr(os, "fsync", lambda fd: noted("fsync", os.readlink(f"/proc/self/fd/{fd}"), fsync, fd))
    monkeypatch.setattr(os, "replace", lambda a, b: noted("replace", str(b), replace, a, b))
    event.listen(gallery.engine, "commit", lambda connection: calls.append(("commit", "")))
    record = making.record(1)
    path = gallery.objects.path(record.sha256)
    gallery.enroll([record])
    assert calls == [
        ("commit", ""),  # the journal
        ("fsync", str(gallery.objects.folder)),
        ("fsync", f"{path}.partial"),
        ("replace", str(path)),
        ("fsync", str(path.parent)),
        ("commit", ""),  # the row
    ]


@pytest.mark.plain
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to name descriptors")
@pytest.mark.parametrize("what", ["gallery", "encrypted", "enrolled", "backup", "restored", "elsewhere"])
def test_every_new_folder_outlasts_a_power_cut(tmp_path, making, monkeypatch, request, what):
    """Each folder's entry is synced after it was made, those of missing parents too; what is private stays so."""
    steps: list[tuple[str, str]] = []
    lock, fsync, mkdir, replace = threading.Lock(), os.fsync, os.mkdir, os.replace

    def noted(name, path, act, *arguments):
        result = act(*arguments)
        with lock:
            steps.append((name, os.path.realpath(path)))
        return result

    new = tmp_path / "some" / "where" / "new"
    places = tmp_path / "a" / "backup", tmp_path / "keys.json"
    if what in ("enrolled", "backup", "restored", "elsewhere"):
        made = Gallery(tmp_path / "gallery", create=True)
        request.addfinalizer(made.close)
        made.enroll([making.record(0)])
    if what == "restored":
        backups.make(made, *places)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: noted("fsync", f"/proc/self/fd/{fd}", fsync, fd))
        patch.setattr(os, "mkdir", lambda path, mode=0o777: noted("mkdir", path, mkdir, path, mode))
        patch.setattr(os, "replace", lambda a, b: noted("replace", b, replace, a, b))
        if what == "gallery":
            Gallery(new, create=True).close()
        elif what == "encrypted":
            encrypting.create(new, KEY)
        elif what == "enrolled":
            made.enroll([making.record(n) for n in range(1, 6)])
        elif what == "backup":
            backups.make(made, *places)
        elif what == "restored":
            restoring.restore(*places, new)
        else:
            originals.move(made, f"file://{new}")
    folders = [(at, Path(path)) for at, (name, path) in enumerate(steps) if name == "mkdir" and os.path.isdir(path)]
    assert folders
    for at, folder in folders:
        assert ("fsync", str(folder.parent)) in steps[at:], folder
        assert folder.stat().st_mode & 0o077 == 0, folder
    if what == "restored":  # what lies in it was made under another name
        assert ("fsync", str(new.parent)) in steps[steps.index(("replace", str(new))) :]


def test_two_processes_enroll_at_once(tmp_path, nursery, whole):
    assert nursery(tmp_path / "both")("both") == "0 0"
    with Gallery(tmp_path / "both") as both:
        assert both.verify() == []
        assert both.digest() == whole[0]


def test_two_threads_share_a_gallery(gallery, making):
    from concurrent.futures import ThreadPoolExecutor

    def enroll(number: int) -> str:
        found = gallery.templates(making.space().digest)
        assert len(found.people) == len(found.vectors)
        return gallery.enroll([making.record(number)])[0].status

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(enroll, range(24))) == {"enrolled"}
    assert gallery.size().photos == 24
    assert gallery.verify() == []


def test_a_second_writer_waits_and_then_says_what_to_do(gallery, making):
    with Gallery(gallery.folder, patience=0.1) as other, gallery.writing():
        assert other.size() == (0, 0)  # reading goes on
        with pytest.raises(GalleryError, match=r"Another process has been writing .* for 0.1 seconds: wait"):
            other.enroll([making.record()])
    assert gallery.enroll([making.record()])[0].status == "enrolled"


def test_a_journal_in_use_is_left_to_its_writer(gallery, making):
    record = making.record()
    with gallery._exclusive():
        with gallery._transaction() as session:
            journal.note(session, [record.sha256], expunged=False)
        gallery.objects.write({record.sha256: record.data})
        with Gallery(gallery.folder) as other:  # opened amid a batch
            assert other.verify() == []
        assert gallery.objects.is_sound(record.sha256)
    Gallery(gallery.folder).close()  # opened after the writer's end
    assert gallery.objects.is_sound(record.sha256) is None
