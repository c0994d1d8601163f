"""The queue: order, room, cancelling, faults of every kind, and restarts."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from web.programs import add_jobs

from forensic.errors import FaceError, GalleryError, NotFound
from forensic.gallery import Gallery, serving, users
from forensic.gallery.models import now
from forensic.gallery.rights import Operator, Right, Role, check
from forensic.web import jobs as module
from forensic.web import tending
from forensic.web.jobs import Cancelled, File, Jobs, Lane, Status, View, Work
from forensic.web.problems import Busy, Conflict
from forensic.web.state import Job, State, Upload

ME = Operator("account me", None, "ab12")


class Bench:
    """A queue with handlers that do as the test says, and a way to restart it."""

    def __init__(self, folder: Path) -> None:
        self.gallery = Gallery(folder, create=True)
        self.did: list[str] = []
        self.gate = threading.Event()
        self.jobs = self.fresh()

    def fresh(self, **settings: Any) -> Jobs:
        handlers: dict[str, tuple[Callable[[Work], dict[str, Any]], Lane]] = {
            "note": (self.note, Lane.QUICK),
            "hold": (self.hold, Lane.QUICK),
            "slow": (self.hold, Lane.SLOW),
            "raise": (self.fail, Lane.QUICK),
            "right": (self.right, Lane.QUICK),
        }
        self.state = State(self.gallery)
        self.jobs = Jobs(self.state, self.gallery, handlers, **{"workers": 1, "waiting": 4} | settings)
        return self.jobs

    def note(self, work: Work) -> dict[str, Any]:
        self.did.append(work.asked.get("name", "") + "".join(file.data.decode() for file in work.files))
        return {"search": len(self.did)}

    def hold(self, work: Work) -> dict[str, Any]:
        work.tell("holding", 1, 2)
        while not self.gate.wait(0.01):
            work.tell("holding", 1, 2)
        return self.note(work)

    def fail(self, work: Work) -> dict[str, Any]:
        raise {"face": FaceError("no face"), "value": ValueError("Jane"), "exit": SystemExit(3)}[work.asked["how"]]

    def right(self, work: Work) -> dict[str, Any]:
        check(work.gallery, Right.SEARCH)
        return {"role": work.gallery.operator.role, "request": work.gallery.operator.request}

    def ask(self, kind: str = "note", operator: Operator = ME, files: tuple[File, ...] = (), **asked: Any) -> str:
        return self.jobs.submit(kind, asked, operator, files).id

    def ended(self, number: str, user: str = ME.name) -> View:
        for _ in range(1000):
            if (view := self.jobs.view(number, user)).status in module.ENDED:
                return view
            time.sleep(0.01)
        raise AssertionError(view)

    def until(self, number: str, status: Status) -> None:
        while self.jobs.view(number, ME.name).status != status:
            time.sleep(0.01)

    def count(self, table: type) -> int:
        with self.state.reading() as session:
            return session.scalars(select(func.count()).select_from(table)).one()

    def stop(self, seconds: float = 5) -> None:
        self.jobs.drain(seconds)
        self.state.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "gallery")
    yield made
    made.gate.set()
    made.stop()
    made.gallery.close()


def test_first_come_first_served_and_positions_are_told(bench: Bench) -> None:
    numbers = [bench.ask(name=name) for name in "abcd"]
    assert [bench.jobs.view(number, ME.name).position for number in numbers] == [1, 2, 3, 4]
    bench.jobs.start()
    assert [bench.ended(number).job.answer for number in numbers] == [{"search": place} for place in (1, 2, 3, 4)]
    assert bench.did == ["a", "b", "c", "d"]
    assert [view.job.id for view in bench.jobs.views(ME.name, most=9)] == numbers[::-1]


def test_a_users_jobs_are_listed_part_by_part(bench: Bench) -> None:
    numbers = [bench.ask(name=name) for name in "abcd"]
    bench.jobs.submit("note", {}, ME._replace(name="somebody else"), free=True)
    views = bench.jobs.views(ME.name, most=3)
    views += bench.jobs.views(ME.name, before=views[-1].job.order, most=3)
    assert [view.job.id for view in views] == numbers[::-1]
    assert bench.jobs.views(ME.name, before=views[-1].job.order, most=3) == []


def test_a_job_is_found_by_what_was_asked_however_many_came_after(bench: Bench) -> None:
    asked = {"number": 7, "photo": None}
    first, second = (bench.ask(**asked) for _ in range(2))
    bench.ask("slow", **asked)
    bench.ask(number=7, photo=1)
    bench.jobs.submit("note", asked, ME._replace(name="somebody else"), free=True)
    add_jobs(bench.state, ME.name)

    def latest() -> View:
        found = bench.jobs.latest(ME.name, "note", asked)
        assert found is not None
        return found

    assert (latest().job.id, latest().status) == (second, Status.WAITING)
    bench.jobs.cancel(second, ME.name)
    assert (latest().job.id, latest().status) == (second, Status.CANCELLED)
    assert bench.jobs.latest(ME.name, "note", {"number": 8}) is None
    assert [view.job.asked["photo"] for view in bench.jobs.under_way(ME.name, "note")] == [1, None]
    assert [view.job.id for view in bench.jobs.under_way(ME.name, "note")][-1] == first


def test_a_search_never_waits_for_an_enrollment(bench: Bench) -> None:
    bench.jobs.start()
    slow = bench.ask("slow")
    bench.until(slow, Status.RUNNING)
    assert bench.ended(bench.ask(name="quick")).status == Status.DONE
    view = bench.jobs.view(slow, ME.name)
    assert (view.status, view.position, view.stage, view.done, view.total) == (Status.RUNNING, 0, "holding", 1, 2)


def test_a_full_queue_says_when_to_come_back(bench: Bench) -> None:
    for _ in range(4):
        bench.ask()
    with pytest.raises(Busy, match="4 jobs are waiting") as raised:
        bench.ask()
    assert raised.value.seconds == module.RETRY
    bench.ask("slow")  # another lane
    bench.jobs.submit("note", {}, ME, free=True)
    assert bench.count(Job) == 6


def test_files_that_wait_have_a_bound_on_their_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 10)
    first = bench.ask(files=(File("a", b"12345678"),))
    with pytest.raises(Busy, match="room"):
        bench.ask(files=(File("a", b"123"),))
    bench.jobs.start()
    assert bench.ended(first).status == Status.DONE
    assert bench.ended(bench.ask(files=(File("a", b"123"),))).status == Status.DONE


def test_who_cancels_stops_what_waits_and_what_runs(bench: Bench) -> None:
    bench.jobs.start()
    runs = bench.ask("hold", name="runs")
    bench.until(runs, Status.RUNNING)
    waits = bench.ask(name="waits", files=(File("f", b"x"),))
    assert bench.jobs.cancel(waits, ME.name).status == Status.CANCELLED
    bench.jobs.cancel(runs, ME.name)
    assert bench.ended(runs).status == Status.CANCELLED
    assert (bench.did, bench.count(Upload)) == ([], 0)
    with pytest.raises(Conflict, match="ended already"):
        bench.jobs.cancel(runs, ME.name)


def test_nobody_sees_or_cancels_anothers_job(bench: Bench) -> None:
    number = bench.ask()
    for act in (bench.jobs.view, bench.jobs.cancel):
        with pytest.raises(NotFound):
            act(number, "somebody else")
    assert bench.jobs.views("somebody else", most=9) == []


@pytest.mark.parametrize(("how", "kind"), [("face", "face"), ("value", "internal"), ("exit", "internal")])
def test_whatever_a_handler_raises_the_next_job_is_done(
    bench: Bench, how: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.jobs.start()
    job = bench.ended(bench.ask("raise", how=how)).job
    assert (job.status, job.error_kind) == (Status.FAILED, kind)
    assert bench.ended(bench.ask()).status == Status.DONE
    assert "Jane" not in caplog.text + str(job.error)
    assert ("ValueError" in caplog.text) is (how == "value")


def test_a_job_that_was_done_keeps_numbers_alone(bench: Bench) -> None:
    bench.jobs.start()
    asked = {"case": "C-1", "sketches": [1, 2], "where": ["name=Jane"], "justification": "Jane", "top": 5}
    number = bench.ask(files=(File("Jane.png", b"face"),), **asked)
    assert bench.ended(number).job.asked == {"case": "C-1", "sketches": [1, 2], "top": 5}
    assert bench.count(Upload) == 0


def test_what_waited_and_what_ran_is_done_by_the_next_server(bench: Bench) -> None:
    bench.jobs.start()
    ran, waited = bench.ask("hold", name="ran"), bench.ask(name="waited", files=(File("f", b"!"),))
    bench.until(ran, Status.RUNNING)
    bench.stop(seconds=0.1)
    bench.fresh().start()
    bench.gate.set()
    assert [bench.ended(number).status for number in (ran, waited)] == [Status.DONE] * 2
    assert bench.did == ["ran", "waited!"]
    assert (bench.count(Upload), bench.count(Job)) == (0, 2)


def test_what_ends_the_server_each_time_is_given_up(bench: Bench) -> None:
    number = bench.ask()
    with bench.state.writing() as session:
        session.execute(update(Job).values(status=Status.RUNNING, tries=module.TRIES))
    bench.stop()
    bench.fresh().start()
    view = bench.ended(number)
    assert (view.status, bench.did) == (Status.FAILED, [])
    assert "does not try again" in str(view.job.error)


def test_a_job_of_a_kind_that_is_no_more_does_not_keep_the_server_from_starting(bench: Bench) -> None:
    number = bench.ask()
    with bench.state.writing() as session:
        session.execute(update(Job).values(kind="of old"))
    bench.stop()
    bench.fresh().start()
    assert bench.ended(number).status == Status.FAILED


def test_a_server_that_stops_takes_nothing_and_keeps_a_cancelled_job_cancelled(bench: Bench) -> None:
    bench.jobs.start()
    runs = bench.ask("hold")
    bench.until(runs, Status.RUNNING)
    bench.jobs.stop()
    with pytest.raises(Busy, match="being stopped"):
        bench.ask()
    bench.jobs.cancel(runs, ME.name)
    bench.stop(seconds=2)
    bench.fresh().start()
    assert bench.jobs.view(runs, ME.name).status == Status.CANCELLED


def test_waiting_for_a_job_ends_with_it_or_in_time_or_with_the_server(bench: Bench) -> None:
    bench.jobs.start()
    number = bench.ask("hold")

    async def wait(seconds: float, act: Callable[[], object]) -> View:
        waiting = asyncio.create_task(bench.jobs.wait(number, ME.name, seconds))
        await asyncio.sleep(0.05)
        act()
        return await waiting

    bench.until(number, Status.RUNNING)
    assert asyncio.run(wait(0.1, lambda: None)).status == Status.RUNNING
    assert asyncio.run(wait(60, bench.gate.set)).status == Status.DONE
    assert asyncio.run(wait(60, lambda: None)).status == Status.DONE
    bench.gate.clear()
    number = bench.ask("hold")
    bench.until(number, Status.RUNNING)
    assert asyncio.run(wait(60, bench.jobs.stop)).status == Status.RUNNING


def failing(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the state refuse to be written, as on a full disk; what is returned mends it."""
    with monkeypatch.context():
        whole = jobs.state.writing

    def full() -> Any:
        raise GalleryError("disk full")

    monkeypatch.setattr(jobs.state, "writing", full)
    return lambda: monkeypatch.setattr(jobs.state, "writing", whole)


def test_a_full_disk_under_the_state_kills_no_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.05)
    bench.jobs.start()
    ends = bench.ask("hold", name="ends")
    bench.until(ends, Status.RUNNING)
    begins = bench.ask(name="begins")
    mend = failing(bench.jobs, monkeypatch)
    bench.gate.set()
    assert bench.ended(ends).job.answer == {"search": 1}, "its end is known, though not yet written down"
    with pytest.raises(GalleryError):
        bench.ask()
    time.sleep(0.2)
    assert bench.did == ["ends"], "nothing begins that could not be recorded"
    mend()
    assert bench.ended(begins).status == Status.DONE
    bench.jobs.tidy()
    with bench.state.reading() as session:
        assert set(session.scalars(select(Job.status))) == {Status.DONE}
    assert bench.jobs._unwritten == {}
    bench.jobs.drain(5)  # a worker forgets its job after it has written down its end
    assert bench.jobs._progress == {}
    assert bench.jobs._sizes == {}


def test_a_job_has_the_role_that_its_user_has_when_it_is_done(bench: Bench) -> None:
    gallery = bench.gallery
    users.add(gallery, "boss", Role.ADMINISTRATOR, "a long password")
    boss = gallery.acting_as(Operator("boss", Role.ADMINISTRATOR))
    for name in ("stays", "changes", "goes"):
        users.add(boss, name, Role.EXAMINER, "a long password")
    asked = {name: bench.ask("right", Operator(name, Role.EXAMINER, "r1")) for name in ("stays", "changes", "goes")}
    before = bench.ask("right")  # by the system's account, when there were no users yet
    users.set_role(boss, "changes", Role.AUDITOR)
    users.remove(boss, "goes")
    bench.jobs.start()
    assert bench.ended(asked["stays"], "stays").job.answer == {"role": "examiner", "request": "r1"}
    for number, user in ((asked["changes"], "changes"), (asked["goes"], "goes"), (before, ME.name)):
        assert bench.ended(number, user).job.error_kind == "rights"


def test_ended_jobs_are_forgotten_in_time(bench: Bench) -> None:
    bench.jobs.start()
    old, new = bench.ask(), bench.ask()
    bench.ended(old)
    bench.ended(new)
    with bench.state.writing() as session:
        session.execute(update(Job).where(Job.id == old).values(ended_at=now() - module.KEPT - timedelta(minutes=1)))
        session.add(Upload(job=old, name="left", data=b"by a kill"))
    bench.jobs.tidy()
    with pytest.raises(NotFound, match="more than a day ago"):
        bench.jobs.view(old, ME.name)
    assert (bench.count(Job), bench.count(Upload)) == (1, 0)


def test_what_an_expunge_took_from_an_error_is_said_to_be_gone(bench: Bench) -> None:
    bench.jobs.start()
    assert bench.ended(bench.ask()).error == ""
    number = bench.ask("raise", how="face")
    assert bench.ended(number).error == "no face"
    with bench.state.writing() as session:
        session.execute(text(serving.FORGOTTEN["jobs"]))
    assert "no longer known" in bench.jobs.view(number, ME.name).error


def test_a_cancellation_is_no_fault_that_a_handler_could_catch() -> None:
    assert not issubclass(Cancelled, Exception)


# An enrollment that gets no process to decode with


class Crowded:
    """An engine whose decoder is busy so many times."""

    def __init__(self, times: int) -> None:
        self.decoder, self.left, self.tries = self, times, 0

    def decode(self, data: bytes, name: str) -> str:
        self.tries += 1
        if self.tries <= self.left:
            raise Busy("No process to decode pictures could be started.", 10)
        return f"{name} {len(data)}"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it was waited; nobody waits."""
    clock, pauses = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(tending, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    return pauses


def test_a_photo_waits_for_a_process_and_takes_its_time(slept: list[float]) -> None:
    engine, told = Crowded(3), []
    assert tending._decode(engine, b"data", "a.png", lambda: told.append(engine.tries)) == "a.png 4"
    assert (told, slept) == ([1, 2, 3], [tending.PAUSE] * 3)


def test_a_photo_that_waits_hears_of_a_cancel(slept: list[float]) -> None:
    engine, told = Crowded(10**6), []

    def waiting() -> None:
        told.append(engine.tries)
        if len(told) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        tending._decode(engine, b"", "a.png", waiting)
    assert (engine.tries, len(slept)) == (3, 2)


def test_a_photo_does_not_wait_for_ever(slept: list[float]) -> None:
    engine = Crowded(10**6)
    with pytest.raises(Busy):
        tending._decode(engine, b"", "a.png", lambda: None)
    assert tending.PATIENCE < sum(slept) <= tending.PATIENCE + tending.PAUSE
    assert engine.tries == len(slept) + 1
