"""The queue of long work: first come first served, with progress, cancelled on request, there again after a restart.

Searches and explanations have a lane of their own, so that they never wait for an enrollment. What a job is asked to do
lies in the server's state; a job that was under way when the server was killed begins anew. When the queue is full, the
next one is told when to come back.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, select

from forensic.errors import ForensicError, NotFound
from forensic.gallery import Gallery, serving, users
from forensic.gallery.models import now
from forensic.gallery.rights import Operator
from forensic.web.logs import faults
from forensic.web.problems import Busy, Conflict, kind_of
from forensic.web.state import Job, State, Upload
from forensic.web.tasks import (
    ENDED,
    Cancelled,
    File,
    Handler,
    Interrupted,
    Lane,
    Outcome,
    Progress,
    Status,
    View,
    Work,
)

__all__ = ["ENDED", "Cancelled", "File", "Handler", "Interrupted", "Jobs", "Lane", "Outcome", "Status", "View", "Work"]

log = logging.getLogger("forensic.web")
KEPT = timedelta(days=1)
"""How long an ended job is remembered."""
RETRY = 5
"""Seconds that a full queue asks for."""
TRIES = 3
"""How often a job is begun: what ends the server each time must not do so for ever."""
HELD = 2 << 30
"""Bytes of files that may wait."""
PAUSE = 2.0
"""Seconds before the state is written to again after it could not be, as on a full disk."""


class Jobs:
    """The queue and the threads that work on it.

    ``_changed`` guards what is in memory; the state is never written while it is held, so that a disk which is slow or
    full holds up nobody who only looks.

    Args:
        state: Where jobs lie.
        gallery: Where they work.
        handlers: Kind of job -> what does it, and in which lane.
        workers: Threads of the quick lane; the slow one has one.
        waiting: Jobs that may wait in a lane.
    """

    def __init__(
        self,
        state: State,
        gallery: Gallery,
        handlers: Mapping[str, tuple[Handler, Lane]],
        *,
        workers: int = 2,
        waiting: int = 64,
    ) -> None:
        self.state, self.gallery, self.handlers = state, gallery, handlers
        self.waiting = waiting
        self._threads = [*[Lane.QUICK] * workers, Lane.SLOW]
        self._running: list[threading.Thread] = []
        self._progress: dict[str, Progress] = {}
        self._queues: dict[Lane, list[tuple[int, str]]] = {lane: [] for lane in Lane}
        self._arriving = dict.fromkeys(Lane, 0)  # on their way into the state
        self._sizes: dict[str, int] = {}  # bytes of the files of each job that has not ended
        self._unwritten: dict[str, Outcome] = {}  # ends that the state could not take yet
        self._changed = threading.Condition()
        self._ending = False
        self._order = 0

    # Asking

    @property
    def ending(self) -> bool:
        """Whether no more jobs are taken, since the server is being stopped."""
        return self._ending

    def submit(
        self, kind: str, asked: dict[str, Any], operator: Operator, files: Sequence[File] = (), *, free: bool = False
    ) -> Job:
        """Put a job into the queue; once this returns, it outlasts the server.

        Args:
            kind: Which handler does it.
            asked: What to do, as JSON.
            operator: Who asks.
            files: What it works on; they are removed when it ends.
            free: For a job that the server itself asks for: the queue's length does not count.

        Raises:
            Busy: The queue is full, or the server ends.
            GalleryError: The state cannot be written.
        """
        lane, size = self.handlers[kind][1], sum(len(file.data) for file in files)
        with self._changed:
            self._check_room(lane, size, free=free)
            self._order += 1
            job = Job(
                id=secrets.token_hex(16),
                kind=kind,
                user=operator.name,
                role=operator.role,
                request_id=operator.request,
                asked=asked,
                status=Status.WAITING,
                order=self._order,
                tries=0,
            )
            self._arriving[lane] += 1
            self._sizes[job.id] = size
            self._progress[job.id] = Progress()
        try:
            with self.state.writing() as session:
                session.add(job)
                session.add_all(Upload(job=job.id, name=file.name, data=file.data) for file in files)
        except BaseException:
            with self._changed:
                del self._sizes[job.id], self._progress[job.id]
                self._arriving[lane] -= 1
            raise
        with self._changed:
            self._arriving[lane] -= 1
            insort(self._queues[lane], (job.order, job.id))
            self._changed.notify_all()
        return job

    def check_room(self, kind: str) -> None:
        """Stop who asks for a job that could not wait, before more is done for them; `submit` asks again.

        Raises:
            Busy: The queue is full, or the server ends.
        """
        with self._changed:
            self._check_room(self.handlers[kind][1], 0, free=False)

    def _check_room(self, lane: Lane, size: int, *, free: bool) -> None:
        if self._ending:
            raise Busy("The server is being stopped.", RETRY)
        if not free and len(self._queues[lane]) + self._arriving[lane] >= self.waiting:
            raise Busy(f"{self.waiting} jobs are waiting already.", RETRY)
        if size and size + sum(self._sizes.values()) > HELD:
            raise Busy("The files of the jobs that wait take all the room there is for them.", RETRY)

    def view(self, number: str, user: str) -> View:
        """A job of a user.

        Raises:
            NotFound: There is none, or it is somebody else's.
        """
        with self.state.reading() as session:
            job = session.get(Job, number)
        if job is None or job.user != user:
            raise NotFound("There is no such job, or it ended more than a day ago.")
        return self._view(job)

    def views(self, user: str, *, before: int | None = None, most: int) -> list[View]:
        """A user's jobs, the newest first.

        Args:
            user: Whose.
            before: Only those asked for before the job of this order.
            most: How many.
        """
        query = _newest(user).limit(most)
        return self._views(query if before is None else query.where(Job.order < before))

    def under_way(self, user: str, kind: str) -> list[View]:
        """A user's jobs of a kind that have not ended, the newest first."""
        found = self._views(_newest(user).where(Job.kind == kind, Job.status.not_in(ENDED)))
        return [view for view in found if view.status not in ENDED]  # of some, the end is not written down yet

    def latest(self, user: str, kind: str, asked: Mapping[str, Any]) -> View | None:
        """A user's latest job of a kind that was asked to do just this."""
        found = self._views(_newest(user).where(Job.kind == kind, Job.asked == asked).limit(1))
        return found[0] if found else None

    def _views(self, query: Select[Job]) -> list[View]:
        with self.state.reading() as session:
            jobs = session.scalars(query).all()
        return [self._view(job) for job in jobs]

    def cancel(self, number: str, user: str) -> View:
        """Stop a job: at once if it waits, at its next step if it runs.

        Raises:
            NotFound: As for `view`.
            Conflict: It has ended.
        """
        view = self.view(number, user)
        if view.status in ENDED:
            raise Conflict(f"The job has ended already: {view.status}.")
        with self._changed:
            queue, place = self._queues[self.handlers[view.job.kind][1]], (view.job.order, number)
            waits = place in queue
            if waits:
                queue.remove(place)
            elif (progress := self._progress.get(number)) is not None:
                progress.stop = Cancelled
        if waits:
            self._end(number, Outcome(Status.CANCELLED))
        return self.view(number, user)

    async def wait(self, number: str, user: str, seconds: float) -> View:
        """The job once it has ended, or as it is after so many seconds, or when the server is being stopped."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def told() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(ended.set)

        with self._changed:
            progress = None if self._ending else self._progress.get(number)
            if progress is not None:
                progress.listeners.append(told)
        if progress is not None:
            try:
                await asyncio.wait_for(ended.wait(), seconds)
            except TimeoutError:
                pass
            finally:
                with self._changed:
                    if told in progress.listeners:
                        progress.listeners.remove(told)
        return await asyncio.to_thread(self.view, number, user)

    def _view(self, job: Job) -> View:
        with self._changed:
            if (outcome := self._unwritten.get(job.id)) is not None:
                _write(job, outcome)
            queue = self._queues[self.handlers[job.kind][1]] if job.kind in self.handlers else []
            place = (job.order, job.id)
            position = queue.index(place) + 1 if place in queue else 0
            progress = self._progress.get(job.id) or Progress()
            return View(job, Status(job.status), position, progress.stage, progress.done, progress.total)

    # Working

    def start(self) -> None:
        """Take up what an earlier server left, and begin."""
        self.tidy()
        with self.state.writing() as session:
            self._order = session.scalars(select(func.max(Job.order))).one() or 0
            for job in session.scalars(select(Job).where(Job.status.not_in(ENDED)).order_by(Job.order)):
                if job.id in self._progress:  # asked of this server before it began
                    continue
                if (fault := self._fault(job)) is not None:
                    _write(job, fault)
                    session.execute(delete(Upload).where(Upload.job == job.id))
                    continue
                job.status, job.began_at = Status.WAITING, None
                held = select(func.sum(func.length(Upload.data))).where(Upload.job == job.id)
                self._sizes[job.id] = session.scalars(held).one() or 0
                self._progress[job.id] = Progress()
                self._queues[self.handlers[job.kind][1]].append((job.order, job.id))
        for number, lane in enumerate(self._threads):
            thread = threading.Thread(target=self._work, args=(lane,), name=f"{lane}-{number}", daemon=True)
            thread.start()
            self._running.append(thread)

    def _fault(self, job: Job) -> Outcome | None:
        """Why a job that an earlier server left is not begun anew."""
        if job.kind not in self.handlers:
            return Outcome(Status.FAILED, error="This version of the server does no such jobs.", error_kind="internal")
        if job.tries >= TRIES:
            said = f"The server ended {job.tries} times while it did this job, and does not try again."
            return Outcome(Status.FAILED, error=said, error_kind="internal")
        return None

    def tidy(self) -> None:
        """Forget jobs that ended long ago, and write down the ends that could not be written before."""
        with self._changed:
            unwritten = dict(self._unwritten)
        for number, outcome in unwritten.items():
            self._record(number, outcome)
        with self.state.writing() as session:
            session.execute(delete(Job).where(Job.status.in_(ENDED), Job.ended_at < now() - KEPT))
            session.execute(delete(Upload).where(Upload.job.not_in(select(Job.id).where(Job.status.not_in(ENDED)))))

    def stop(self) -> None:
        """Begin nothing more, and tell those who wait for a job: it is kept."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            listeners = [listener for progress in self._progress.values() for listener in progress.listeners]
        for listener in listeners:
            listener()

    def drain(self, seconds: float) -> None:
        """End: what runs gets so many seconds; what waits, and what did not end, is there at the next start."""
        self.stop()
        deadline = time.monotonic() + seconds
        for thread in self._running:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            for progress in self._progress.values():
                progress.stop = progress.stop or Interrupted
        for thread in self._running:
            thread.join(5)
        for number, outcome in list(self._unwritten.items()):
            self._record(number, outcome)

    def _work(self, lane: Lane) -> None:
        queue = self._queues[lane]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: queue or self._ending)
                if self._ending:
                    return
                place = queue.pop(0)
            try:
                job, files = self._begun(place[1])
            except Exception as error:  # such as a full disk under the state: nothing begins that cannot be recorded
                log.error("job %s could not be begun: %s", place[1], faults(error))
                with self._changed:
                    insort(queue, place)
                    self._changed.wait_for(lambda: self._ending, PAUSE)
                continue
            outcome = self._done(job, files)
            if outcome is not None:
                self._end(job.id, outcome)

    def _begun(self, number: str) -> tuple[Job, list[File]]:
        with self.state.writing() as session:
            job = session.get_one(Job, number)
            job.status, job.began_at, job.tries = Status.RUNNING, now(), job.tries + 1
            uploads = session.scalars(select(Upload).where(Upload.job == number).order_by(Upload.id))
            return job, [File(upload.name, upload.data) for upload in uploads]

    def _done(self, job: Job, files: Sequence[File]) -> Outcome | None:
        """Do a job; None if it is to be done by the next server."""
        try:
            work = Work(job.asked, self._gallery_of(job), files, self._teller(self._progress[job.id]))
            return Outcome(Status.DONE, self.handlers[job.kind][0](work))
        except Cancelled:
            return Outcome(Status.CANCELLED)
        except Interrupted:
            with suppress(ForensicError), self.state.writing() as session:
                row = session.get_one(Job, job.id)
                row.status, row.tries = Status.WAITING, row.tries - 1
            return None
        except ForensicError as error:
            return Outcome(Status.FAILED, error=str(error), error_kind=kind_of(error))
        except BaseException as error:  # a worker outlasts whatever a handler does
            log.error("job %s: %s", job.id, faults(error))
            said = f"Something went wrong inside the server; give this number to whoever runs it. Job {job.id}."
            return Outcome(Status.FAILED, error=said, error_kind="internal")

    def _gallery_of(self, job: Job) -> Gallery:
        """The gallery with whoever asked at work in it, in the role that they have now."""
        operator = Operator.of_system() if job.role is None else users.as_operator(self.gallery, job.user)
        return self.gallery.acting_as(operator._replace(request=job.request_id))

    def _teller(self, progress: Progress) -> Callable[..., None]:
        def tell(stage: str, done: int = 0, total: int = 0) -> None:
            progress.stage, progress.done, progress.total = stage, done, total
            if progress.stop is not None:
                raise progress.stop

        return tell

    def _end(self, number: str, outcome: Outcome) -> None:
        """Write down how a job ended, now or as soon as the state can be written, and tell those who wait."""
        self._record(number, outcome)
        with self._changed:
            progress = self._progress.pop(number)
            self._sizes.pop(number, None)
        for listener in list(progress.listeners):
            listener()

    def _record(self, number: str, outcome: Outcome) -> None:
        try:
            with self.state.writing() as session:
                _write(session.get_one(Job, number), outcome)
                session.execute(delete(Upload).where(Upload.job == number))
        except Exception as error:
            log.error("the end of job %s could not be written down yet: %s", number, faults(error))
            with self._changed:
                self._unwritten[number] = outcome
            return
        with self._changed:
            self._unwritten.pop(number, None)


def _newest(user: str) -> Select[Job]:
    return select(Job).where(Job.user == user).order_by(Job.order.desc())


def _write(job: Job, outcome: Outcome) -> None:
    """How a job ended; of what was asked only what names nobody is kept."""
    job.status, job.ended_at = outcome.status, now()
    job.answer, job.error, job.error_kind = outcome.answer, outcome.error, outcome.error_kind
    job.asked = serving.lasting(job.asked)
