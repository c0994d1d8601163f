"""Photos prepared on the machines of a Ray cluster: `Elsewhere` is a `forensic.preparing.Preparer` with actors at work.

Each actor loads the models once and prepares one photo at a time with one compute thread, as a worker thread here does,
so that a template has the same bits. The gallery stays with the caller, who alone writes it. Ray's own fault tolerance
is not used: an actor that is lost is replaced by a new one, which is checked like the first ones, and its photo is
prepared again. What crosses the network is bytes, arrays and this project's records, serialized by Ray.
"""

from __future__ import annotations

import hashlib
import platform
import queue
import threading
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from forensic import __version__, provenance, ray_cluster
from forensic.errors import ClusterError, ForensicError
from forensic.gallery import Enrollment
from forensic.preparing import Content, Failure, Here, Prepared, Stored, by_space, read
from forensic.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from forensic.faces.policy import Policy
    from forensic.intake import Item
    from forensic.ray_cluster import Cluster
    from forensic.routes import Route

TRIES = 3
"""Actors that may be lost over one photo before it counts as a bad file."""
PATIENCE = 180.0
"""Seconds without any actor after which a cluster does no more work."""
LOOK = 0.2
"""Seconds between two looks at what waits."""


class Orders(NamedTuple):
    """What an actor is to do.

    Attributes:
        routes: Names of the routes whose gallery side is described.
        device: Where its models run.
        policy: What is good enough.
    """

    routes: tuple[str, ...]
    device: str
    policy: Policy


class Worker:
    """What runs in an actor."""

    def begin(self, orders: Orders) -> dict[str, str]:
        """Load the models; the answer is `fingerprint`'s.

        Raises:
            ModelError: A model is missing or damaged.
            UsageError: The device is not there.
        """
        import torch

        from forensic import devices, routes
        from forensic.faces import Detector, Finder

        torch.set_num_threads(1)
        devices.find(orders.device)
        found = [routes.load(name, device=orders.device) for name in orders.routes]
        self._here = Here(by_space(found), Finder(Detector(orders.device)), orders.policy)
        return fingerprint(found)

    def hash(self, item: Item) -> Content:
        """What `read` tells of a file that this machine can read, without its bytes."""
        content = read(item)
        return (b"", content[1]) if isinstance(content, tuple) else content

    def prepare(self, item: Item, content: tuple[bytes, str]) -> Prepared:
        """The record of a photo; with its bytes only where they were read here."""
        data, sha256 = content
        if data:
            prepared = self._here.prepare(item, content)
            return replace(prepared, data=b"") if isinstance(prepared, Enrollment) else prepared
        again = read(item)
        if not isinstance(again, tuple):
            assert isinstance(again, Failure)
            return again
        if again[1] != sha256:
            return Failure(item.name, "it changed while it was read. Enroll it again.")
        return self._here.prepare(item, again)

    def describe(self, photo: Stored, space: str) -> NDArray[np.float32] | Failure:
        """The template of an original."""
        return self._here.describe(photo, space)


def fingerprint(routes: Sequence[Route]) -> dict[str, str]:
    """All that makes a template and a record, in words; machines with different ones do not work together."""
    from forensic import weights
    from forensic.faces import mtcnn, priors

    code, package = hashlib.sha256(), Path(__file__).parent
    for file in sorted(each for suffix in ("*.py", "*.toml") for each in package.rglob(suffix)):
        code.update(f"{file.relative_to(package).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    finding = [weights.shipped(name) for name in (mtcnn.NAME, priors.OWN)]
    return {
        "forensic": f"{__version__} {code.hexdigest()[:16]}",
        **{name: metadata.version(name) for name in provenance.LIBRARIES},
        "machine": platform.machine(),
        **{entry.name: entry.sha256[:16] for entry in finding},
        **{f"route {route.name}": route.space for route in routes},
    }


class Elsewhere:
    """Prepares photos on a cluster, from its ``with`` on; it is a `forensic.preparing.Preparer`.

    Args:
        cluster: Which one, and how many actors.
        routes: Routes whose gallery side is described, loaded on this machine; actors must have the same.
        policy: What is good enough.
        device: Where the actors' models run.

    Raises:
        ClusterError: The cluster cannot be reached, or one of its machines must not take part.
        UsageError: GPUs and device contradict each other.
    """

    def __init__(
        self,
        cluster: Cluster,
        routes: Sequence[Route],
        policy: Policy,
        *,
        device: str = "cpu",
    ) -> None:
        own = list(by_space(routes).values())
        ray_cluster.check(cluster, device)
        self._orders = Orders(tuple(route.name for route in own), device, policy)
        self._expected = fingerprint(own)
        self._cluster = ray_cluster.connected(cluster)
        self._gpus, self._count = cluster.gpus, cluster.actors
        self._idle: queue.Queue[Any] = queue.Queue()
        self._lock = threading.Lock()
        self._starting: dict[Any, Any] = {}  # the answer that is waited for -> the actor
        self._staff: dict[Any, None] = {}  # actors that were checked, in the order of their coming
        self._fault: ForensicError | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._ray = self._cluster.__enter__()
        try:
            self._count = self._count or ray_cluster.room(self._ray, self._gpus)
            self._actor = self._ray.remote(num_cpus=1, num_gpus=self._gpus, max_restarts=0, max_concurrency=1)(Worker)
            self._since = time.monotonic()
            for _ in range(self._count):
                self._start()
            self._keeper = threading.Thread(target=self._keep, name="ray-keeper", daemon=True)
            self._keeper.start()
            self._idle.put(self._free())  # whatever is wrong with all of them is told now
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        if hasattr(self, "_keeper"):
            self._keeper.join()
        with self._lock:
            for actor in (*self._staff, *self._starting.values()):
                self._ray.kill(actor)
            self._staff, self._starting = {}, {}
        self._cluster.__exit__(None, None, None)

    # A preparer's calls

    @property
    def threads(self) -> int:
        """Two for each actor: while one waits for it, the other reads the next photo."""
        assert self._count is not None
        return 2 * self._count

    def read(self, item: Item) -> Content:
        """A photo's content; where a URL names it, its hash, told by an actor that can read it."""
        if not item.url or item.data is not None or (item.record and (item.record.passed or item.record.problem)):
            return read(item)
        content: Content | _Lost = self._call("hash", item)
        return content.failure(item.name) if isinstance(content, _Lost) else content

    def prepare(self, item: Item, content: tuple[bytes, str]) -> Prepared:
        """The record of a photo, made by an actor."""
        prepared: Prepared | _Lost = self._call("prepare", item._replace(data=None), content)
        if isinstance(prepared, _Lost):
            return prepared.failure(item.name)
        if not isinstance(prepared, Enrollment):
            return prepared
        return replace(
            prepared,
            data=prepared.data or content[0],
            landmarks=np.array(prepared.landmarks),  # a copy: what Ray hands out lies in the object store
            templates={space: np.array(template) for space, template in prepared.templates.items()},
        )

    def describe(self, photo: Stored, space: str) -> NDArray[np.float32] | Failure:
        """The template of an original, made by an actor."""
        described: NDArray[np.float32] | Failure | _Lost = self._call("describe", photo, space)
        if isinstance(described, _Lost):
            return described.failure(photo.file_name)
        return described if isinstance(described, Failure) else np.array(described)

    def stop(self) -> None:
        """Let whoever waits for an actor end in an error."""
        self._ended.set()

    # Actors

    def _call(self, work: str, *arguments: object) -> Any:
        """What an actor answers; `_Lost` if one after the other was lost over it.

        Its arguments are in the object store from the call to its end: of one photo for each actor.

        Raises:
            ForensicError: What went wrong there, or with the cluster.
        """
        errors = self._ray.exceptions
        for _ in range(TRIES):
            actor = self._free()
            try:
                answer = self._ray.get(getattr(actor, work).remote(*arguments))
            except errors.RayTaskError as error:  # the actor lives; its work raised something
                self._idle.put(actor)
                raise _told(error) from None
            except errors.RayError:
                self._replace(actor)
            else:
                self._idle.put(actor)
                return answer
        return _Lost()

    def _free(self) -> Any:
        """An actor that has nothing to do; waits for one."""
        while True:
            if self._fault is not None:
                raise self._fault
            if self._ended.is_set():
                raise ClusterError("The work on the cluster was ended.")
            try:
                return self._idle.get(timeout=LOOK)
            except queue.Empty:
                if not self._staff and time.monotonic() - self._since > PATIENCE:
                    self._fault = ClusterError(
                        f"The cluster had no worker for {PATIENCE:.0f} s ({ray_cluster.described(self._ray)}). Ask for "
                        "fewer with --ray-actors, or see in its dashboard what occupies it. What was stored is whole: "
                        "run the same command again to go on."
                    )

    def _start(self) -> None:
        actor = self._actor.remote()
        answer = actor.begin.remote(self._orders)
        with self._lock:
            self._starting[answer] = actor

    def _replace(self, actor: Any) -> None:
        with self._lock:
            self._staff.pop(actor, None)
            if not self._staff:
                self._since = time.monotonic()
        if not self._ended.is_set():
            self._start()

    def _keep(self) -> None:
        """Take on actors that have started; the keeper's thread."""
        while not self._ended.is_set():
            with self._lock:
                waiting = list(self._starting)
            if not waiting:
                self._ended.wait(LOOK)
                continue
            for answer in self._ray.wait(waiting, num_returns=1, timeout=LOOK)[0]:
                with self._lock:
                    actor = self._starting.pop(answer)
                try:
                    found = self._ray.get(answer)
                except self._ray.exceptions.RayTaskError as error:
                    self._fault = ray_cluster.unfit(_told(error))
                except self._ray.exceptions.RayError as error:
                    if "forensic" in str(error) and "No module" in str(error):
                        self._fault = ray_cluster.unfit(error)
                    else:
                        self._ended.wait(1)  # a machine that goes down takes its actors along, one after the other
                        self._start()
                else:
                    self._take_on(actor, found)

    def _take_on(self, actor: Any, found: dict[str, str]) -> None:
        if different := [name for name, value in self._expected.items() if found.get(name) != value]:
            told = "; ".join(f"{name}: {found.get(name)} there, {self._expected[name]} here" for name in different)
            self._ray.kill(actor)
            self._fault = ClusterError(
                f"A machine of the cluster would make other records than this one ({printable(told)}). Install the "
                "same versions of this program, its libraries and its models on all of them, and start Ray there anew."
            )
            return
        with self._lock:
            self._staff[actor] = None
        self._idle.put(actor)


class _Lost:
    """Nobody lived to answer."""

    def failure(self, name: str) -> Failure:
        """In words."""
        reason = f"{TRIES} workers of the cluster were lost while they had it in hand. Look at it, and enroll it again."
        return Failure(name, reason)


def _told(error: Any) -> Any:
    """What an actor's work raised: an error in words as it was raised, another one with its trace."""
    cause = error.cause
    return cause if isinstance(cause, ForensicError) else error
