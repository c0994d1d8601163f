"""What a server leaves beside a gallery holds nothing of who is expunged, and is nobody else's to read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text
from user_keys import KEY, OTHER

from forensic.errors import GalleryError
from forensic.gallery import Gallery, serving
from forensic.gallery.backup import backups, restoring
from forensic.gallery.checks import proving
from forensic.gallery.checks.traces import Traces
from forensic.gallery.cipher import encrypting
from forensic.web.engine import Engine
from forensic.web.jobs import File, Jobs, Lane
from forensic.web.settings import Settings
from forensic.web.state import Made, State

SECRET = "Jane Zimmermann"
PICTURE = bytes(range(256)) * 3000
WORDS = (SECRET.encode(), PICTURE[:64])


@pytest.fixture
def state(enrolled: Gallery) -> Iterator[State]:
    """The state of a server that is running."""
    made = State(enrolled)
    yield made
    made.close()


def queue(state: State) -> Jobs:
    """A queue whose jobs fail with somebody's name."""

    def fail(work: Any) -> dict[str, Any]:
        raise GalleryError(f"No person {SECRET!r}.")

    return Jobs(state, state.gallery, {"enroll": (fail, Lane.QUICK)}, workers=1)


def failed(state: State) -> str:
    """Number of a job that came with a picture and failed with a name."""
    jobs = queue(state)
    jobs.start()
    operator = state.gallery.operator
    number = jobs.submit("enroll", {"person": SECRET}, operator, [File(f"{SECRET}.png", PICTURE)]).id
    while jobs.view(number, operator.name).job.error is None:
        pass
    jobs.drain(5)
    return number


def held(folder: Path) -> list[str]:
    """Files below a folder that hold one of the words or the picture."""
    return [path.name for path in folder.rglob("*") if path.is_file() and any(w in path.read_bytes() for w in WORDS)]


@pytest.mark.plain
def test_an_expunge_leaves_nothing_in_the_state(state: State, enrolled: Gallery) -> None:
    failed(state)
    with state.writing() as session:
        session.add(Made(key="k", request="r", status=404, body=SECRET))
        session.add(Made(key="l", request="r", status=201, body='{"id": 4}'))
    assert held(state.path.parent)
    with Gallery(enrolled.folder) as other:  # the command line, while the server runs
        other.expunge("P0001")
    assert held(enrolled.folder) == []
    with state.reading() as session:
        assert session.execute(text("SELECT key FROM made")).scalars().all() == ["l"]
        assert session.execute(text("SELECT count(*) FROM jobs WHERE status = 'failed'")).scalar() == 1


def test_a_proof_looks_at_what_waits_for_the_server(state: State, enrolled: Gallery) -> None:
    def said() -> proving.Check:
        (found,) = (check for check in proving.prove(enrolled, 2) if check.name == "server")
        return found

    enrolled.expunge("P0001")
    assert (said().passed, "it is running" in said().said) == (None, True)
    queue(state).submit("enroll", {}, enrolled.operator, [File("a.png", PICTURE)])
    assert (said().passed, "1 uploaded files wait" in said().said) == (False, True)
    with state.writing() as session:
        session.execute(text("DELETE FROM uploads"))
    state.close()
    assert said().passed is True


@pytest.mark.plain
def test_a_search_over_files_sees_the_state(state: State, enrolled: Gallery) -> None:
    queue(state).submit("enroll", {"person": SECRET}, enrolled.operator)
    checks = proving.prove(enrolled, 2, traces=Traces.of((SECRET,)))
    assert [check.passed for check in checks if check.name == "search"] == [False]


def test_an_expunge_says_when_the_state_could_not_be_wiped(state: State, enrolled: Gallery) -> None:
    state.close()
    state.path.write_bytes(b"no database" * 1000)
    with pytest.raises(GalleryError, match=r"They are out of the gallery, but .*state.db could not be wiped"):
        enrolled.expunge("P0001")
    state.path.unlink()
    enrolled.expunge("P0002")


def test_a_damaged_state_is_told_in_words(state: State, enrolled: Gallery) -> None:
    state.close()
    state.path.write_bytes(b"no database" * 1000)
    with pytest.raises(GalleryError, match="remove the file"):
        State(enrolled)
    assert not serving.is_running(enrolled.home), "the place is given back"
    assert serving.files(enrolled) is None


def test_nothing_is_vouched_for_where_the_state_cannot_be_read(state: State, enrolled: Gallery) -> None:
    state.close()
    (enrolled.home / "server" / "state.db").write_bytes(b"not a database at all" * 99)
    checks = {check.name: check for check in proving.prove(enrolled, 1)}
    assert checks["server"].passed is None
    assert "cannot be read" in checks["server"].said
    with pytest.raises(GalleryError, match=r"cannot be read, so nobody knows what waits in it. Delete the folder"):
        serving.check_idle(enrolled)


def test_one_gallery_has_one_server(state: State, enrolled: Gallery) -> None:
    with pytest.raises(GalleryError, match="one gallery has one server"):
        State(enrolled)
    state.close()
    State(enrolled).close()


# Pictures in a running server's memory


def test_what_a_server_keeps_in_memory_goes_with_whoever_expunges(enrolled: Gallery) -> None:
    engine = Engine(enrolled, Settings(gallery=enrolled.folder), decoder=None)  # type: ignore[arg-type]
    made: list[int] = []

    def keep(during: Callable[[], object] = lambda: None) -> int:
        def make() -> int:
            during()
            made.append(len(made))
            return made[-1]

        return engine.kept("a face", make)

    assert [keep(), keep()] == [0, 0]
    with Gallery(enrolled.folder) as other:
        other.look_through({})
        assert keep() == 0, "not everything in the log is an expunge"
        other.expunge("P0001")
        assert [keep(), keep()] == [1, 1]
        other.expunge("P0002")
        assert keep(lambda: other.expunge("P0000")) == 2
        assert keep() == 3, "what was made while somebody was expunged is not kept"


# Encryption, backups


@pytest.fixture
def plain(sqlite_alone: None, tmp_path: Path, making: ModuleType) -> Path:
    """The folder of a plain gallery with a server's state that holds words."""
    with Gallery(tmp_path / "plain", create=True) as gallery:
        gallery.enroll([making.record(number) for number in range(3)])
        state = State(gallery)
        failed(state)
        state.close()
    return tmp_path / "plain"


@pytest.mark.plain
def test_nothing_of_the_state_stays_plain_where_a_gallery_is_encrypted(plain: Path) -> None:
    assert held(plain)
    with Gallery(plain) as gallery:
        encrypting.encrypt(gallery, KEY)
    assert not (plain / serving.FOLDER).exists()
    with Gallery(plain, key=KEY) as gallery:
        state = State(gallery)
        failed(state)
        assert state.path.parent.parent == plain / "sealed"
        assert held(plain) == []
        state.close()
        encrypting.rotate(gallery, OTHER)
    with Gallery(plain, key=OTHER) as gallery:
        state = State(gallery)
        with state.reading() as session:
            assert session.execute(text("SELECT count(*) FROM jobs")).scalar() == 1, "the state outlasts a rotation"
        state.close()
        assert gallery.verify() == []


@pytest.mark.plain
def test_a_plain_state_beside_an_encrypted_gallery_is_reported(plain: Path) -> None:
    with Gallery(plain) as gallery:
        encrypting.encrypt(gallery, KEY)
    (plain / serving.FOLDER).mkdir(mode=0o700)
    with Gallery(plain, key=KEY) as gallery:  # left by a kill: the gallery was plain before
        assert not (plain / serving.FOLDER).exists()
        (plain / serving.FOLDER).mkdir(mode=0o700)
        assert [problem.subject for problem in gallery.verify()] == [str(plain / serving.FOLDER)]


@pytest.mark.plain
def test_what_waits_is_not_lost_by_an_encryption(plain: Path) -> None:
    with Gallery(plain) as gallery:
        state = State(gallery)
        queue(state).submit("enroll", {}, gallery.operator)
        with pytest.raises(GalleryError, match="end it first"):
            encrypting.encrypt(gallery, KEY)
        state.close()
        with pytest.raises(GalleryError, match="1 jobs wait"):
            encrypting.encrypt(gallery, KEY)
        assert gallery.verify() == []


@pytest.mark.plain
def test_others_cannot_read_the_state_and_verify_looks(plain: Path) -> None:
    with Gallery(plain) as gallery:
        assert gallery.verify() == []
        (plain / serving.FOLDER / serving.FILE).chmod(0o644)
        assert [problem.kind for problem in gallery.verify()] == ["permissions"]


def test_no_backup_has_the_state_and_a_restored_gallery_begins_anew(
    state: State, enrolled: Gallery, places: tuple[Path, Path], tmp_path: Path
) -> None:
    failed(state)
    backups.make(enrolled, *places)
    restoring.restore(*places, tmp_path / "new")
    assert not (tmp_path / "new" / serving.FOLDER).exists()
    with Gallery(tmp_path / "new") as new:
        State(new).close()
        assert new.verify() == []
