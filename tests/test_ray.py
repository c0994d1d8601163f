"""What a cluster of two actors prepares is what this machine prepares, whoever is killed meanwhile.

Ray takes most of a minute to start on a busy machine: what starts it is marked ``server``.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensic import Gallery, Identifier, enrollment, matching, ray_cluster, ray_workers, reindexing
from forensic.cli import run
from forensic.datasets.synthetic import Made
from forensic.enrollment import Item, Summary
from forensic.errors import ClusterError, UsageError
from forensic.faces import Finder, policy
from forensic.preparing import Failure, Here, by_space
from forensic.ray_cluster import Cluster
from forensic.ray_workers import Elsewhere, Orders, Worker, fingerprint

ROUTE = "direct"
ADDRESS_SECONDS = 30

# Without Ray


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"x")
    assert run(["enroll", str(photo), "--gallery", str(tmp_path / "g"), "--route", ROUTE, "--ray", "local"]) == 4
    assert "pip install 'forensic-sketch[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("address", ["", "host", "http://host:1", "host:123456", "me:word@host:1", "host:1/x"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match=r"no address of a Ray cluster. Expected local, auto, HOST:PORT"):
        ray_cluster.check(Cluster(address), "cpu")


def test_options_that_contradict_each_other(tmp_path: Path, capsys: Any) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"x")
    assert run(["enroll", str(photo), "--ray-actors", "2"]) == 2
    assert "name it with --ray ADDRESS" in capsys.readouterr().err
    for cluster, device in ((Cluster("local", 1, 0.5), "cpu"), (Cluster("local"), "cuda")):
        with pytest.raises(UsageError, match="give --device cuda with --ray-gpus FRACTION, or neither"):
            ray_cluster.check(cluster, device)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_at_an_address_is_told_soon(scheme: str) -> None:
    begun = time.monotonic()
    with (
        pytest.raises(ClusterError, match=r"No Ray cluster answers at .* Check the address"),
        ray_cluster.connected(Cluster(f"{scheme}127.0.0.1:{free_port()}")),
    ):
        pass
    assert time.monotonic() - begun < ADDRESS_SECONDS


def test_another_program_at_an_address_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "PROBE_SECONDS", 3)
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match="nothing came back within 3 s"),
            ray_cluster.connected(Cluster(address)),
        ):
            pass
    assert time.monotonic() - begun < ADDRESS_SECONDS


def test_nothing_is_told_to_rays_makers_unless_the_user_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ray_cluster.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError):
        ray_cluster.check(Cluster("local"), "cpu")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with pytest.raises(ClusterError):
        ray_cluster.check(Cluster("local"), "cpu")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"


def test_a_worker_does_as_this_process_does(people: list[Made], one_thread: None) -> None:
    photo = people[0].photos[0]
    worker, routes = Worker(), matching.load(ROUTE).routes
    assert worker.begin(Orders((ROUTE,), "cpu", policy.load())) == fingerprint(routes)
    here = Here(by_space(routes), Finder(), policy.load())
    item = Item("A", photo, {})
    content = here.read(item)
    assert isinstance(content, tuple)
    expected = here.prepare(item, content)
    sent = worker.prepare(item, content)
    assert same(sent, expected)
    assert not sent.data, "the caller has the bytes"
    remote = Item("A", photo, {}, url=f"file://{photo}")
    assert worker.hash(remote) == (b"", content[1])
    read_there = worker.prepare(remote, (b"", content[1]))
    assert same(read_there, expected)
    assert read_there.data == content[0]
    changed = worker.prepare(remote, (b"", "0" * 64))
    assert isinstance(changed, Failure)
    assert "changed while it was read" in changed.reason
    assert isinstance(worker.hash(remote._replace(url="file:///absent.jpg")), Failure)


def same(one: Any, other: Any) -> bool:
    """Whether two records are equal, but for the bytes."""
    plain = ("person", "sha256", "file_name", "format", "size", "method", "score", "warnings", "metadata", "quality")
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and np.array_equal(one.landmarks, other.landmarks)
        and one.templates.keys() == other.templates.keys()
        and all(np.array_equal(vector, other.templates[space]) for space, vector in one.templates.items())
    )


# With Ray


pytestmark = [  # Ray does not wait for the processes that it ends
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings(
        r"ignore:Exception ignored in. <function Popen.__del__:pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of this machine with two cores, which ``auto`` means in this process."""
    if "RAY_ADDRESS" in os.environ:
        pytest.skip("RAY_ADDRESS names a cluster that is no test's")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_cluster, "STORE_BYTES", 200 * 1024 * 1024)
        for left in (2, 1, 0):  # Ray gives itself 30 s to start, which a busy machine does not hold to
            started = ray_cluster.connected(Cluster("local", 2))
            try:
                ray = started.__enter__()
                break
            except ClusterError:
                if not left:
                    raise
        yield ray
        started.__exit__(None, None, None)


@pytest.fixture
def items(people: list[Made], people_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Item]:
    """Photos of a table with what can be wrong among them, in batches of four."""
    monkeypatch.setattr(enrollment, "BATCH", 4)
    (tmp_path / "broken.jpg").write_bytes(people[0].photos[0].read_bytes()[:500])
    rows = enrollment.items_of_csv(people_folder / "people.csv")
    rows.insert(3, Item("broken", tmp_path / "broken.jpg", {}))
    rows.insert(5, Item("absent", tmp_path / "absent.jpg", {}))
    rows.append(rows[0]._replace(metadata={"name": "another"}))  # already there, by then
    rows.append(rows[-2]._replace(person="somebody else"))  # in this batch or the one before
    rows.insert(8, rows[6]._replace(person="quite another"))
    return rows


@pytest.fixture
def quiet(items: list[Item], tmp_path: Path) -> tuple[list[object], Summary]:
    """What one machine makes of the items."""
    with Gallery(tmp_path / "quiet", create=True) as gallery:
        summary = enrollment.enroll(gallery, items, matching.load(ROUTE).routes, Finder())
        return rows_of(gallery), summary


def rows_of(gallery: Gallery) -> list[object]:
    """All that a gallery has of people, photos and templates, but for numbers and times."""
    people = [
        (person.label, person.name, person.sex, str(person.keep_until), person.extra) for person in gallery.people()
    ]
    names = ("sha256", "file_name", "format", "width", "height", "landmarks", "detector", "detector_score", "warnings")
    photos = sorted(gallery.photos(), key=lambda photo: photo.sha256)
    rows = [[getattr(photo, name) for name in (*names, "quality", "source", "date_taken")] for photo in photos]
    originals = [gallery.photo_bytes(photo) for photo in photos]
    templates = [(space.digest, gallery.templates(space.digest).vectors.tobytes()) for space in gallery.spaces()]
    return [people, rows, originals, templates, gallery.digest()]


def enroll_on_ray(
    folder: Path, items: list[Item], progress: Callable[[Elsewhere, Summary], None] = lambda there, summary: None
) -> Summary:
    with (
        Gallery(folder, create=True) as gallery,
        Elsewhere(Cluster("auto", 2), matching.load(ROUTE).routes, policy.load()) as there,
    ):
        return enrollment.enroll_by(there, gallery, items, progress=lambda summary: progress(there, summary))


@pytest.mark.server
def test_a_cluster_makes_the_same_gallery(
    ray: Any, items: list[Item], quiet: tuple[list[object], Summary], tmp_path: Path
) -> None:
    summary = enroll_on_ray(tmp_path / "there", items)
    assert len(summary.failures) == 4
    assert summary == quiet[1]
    with Gallery(tmp_path / "there") as gallery:
        assert rows_of(gallery) == quiet[0]
        assert gallery.verify() == []
    again = enroll_on_ray(tmp_path / "there", items)
    assert (again.enrolled, again.already) == (0, quiet[1].enrolled + quiet[1].already)
    # Photos that the actors read by themselves are the same photos.
    far = [item._replace(url=f"file://{item.path}") for item in items]
    by_url = enroll_on_ray(tmp_path / "far", far)
    assert [failure.reason for failure in by_url.failures] == [failure.reason for failure in summary.failures]
    with Gallery(tmp_path / "far") as gallery:
        assert rows_of(gallery) == quiet[0]


@pytest.mark.server
def test_reindexing_makes_the_same_templates(
    ray: Any, items: list[Item], quiet: tuple[list[object], Summary], tmp_path: Path
) -> None:
    def reindexed(name: str, there: bool) -> list[object]:
        folder = shutil.copytree(tmp_path / "quiet", tmp_path / name)
        with Gallery(folder) as gallery:
            routes = matching.load("direct+direct@patches").routes
            lost = gallery.photos()[2].sha256
            gallery.objects.path(lost).unlink()
            if there:
                with Elsewhere(Cluster("auto", 2), routes, policy.load()) as preparer:
                    summary = reindexing.reindex(preparer, gallery, routes)
            else:
                summary = Identifier(gallery, "direct+direct@patches").reindex()
            assert len(summary.failures) == 1
            assert summary.enrolled == gallery.size().photos - 1
            vectors = [gallery.templates(space.digest) for space in gallery.spaces()]
            return [(each.vectors.tobytes(), each.photo_ids.tolist()) for each in vectors]

    assert reindexed("there", True) == reindexed("here", False)


def pids(ray: Any, there: Elsewhere) -> list[int]:
    return [ray.get(actor.__ray_call__.remote(lambda self: os.getpid())) for actor in list(there._staff)]


@pytest.mark.server
def test_a_killed_actor_changes_nothing(
    ray: Any, items: list[Item], quiet: tuple[list[object], Summary], tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(there: Elsewhere, summary: Summary) -> None:
        if summary.done >= 5 and not killed:
            killed.append(random.Random(0).choice(pids(ray, there)))
            os.kill(killed[0], signal.SIGKILL)

    summary = enroll_on_ray(tmp_path / "there", items, kill)
    assert killed
    assert not Path(f"/proc/{killed[0]}/exe").exists()
    assert summary == quiet[1]
    with Gallery(tmp_path / "there") as gallery:
        assert rows_of(gallery) == quiet[0]
        assert gallery.verify() == []


class Poisoned(Worker):
    """A worker that the photos of one person kill."""

    def prepare(self, item: Item, content: tuple[bytes, str]) -> Any:
        if item.person == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare(item, content)


@pytest.mark.server
def test_a_photo_that_kills_workers_stops_no_other(
    ray: Any, people: list[Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(ray_workers, "Worker", Poisoned)
    names = ["A", "poison", "B"]
    items = [Item(name, made.photos[0], {}) for name, made in zip(names, people, strict=False)]
    summary = enroll_on_ray(tmp_path / "there", items)
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert summary.enrolled == 2
    assert [failure.file for failure in summary.failures] == [str(items[1].path)]
    assert "3 workers of the cluster were lost" in summary.failures[0].reason


@pytest.mark.server
@pytest.mark.parametrize("what", ["torch", "forensic", f"route {ROUTE}"])
def test_a_machine_with_other_versions_is_refused(ray: Any, what: str) -> None:
    there = Elsewhere(Cluster("auto", 1), matching.load(ROUTE).routes, policy.load())
    there._expected[what] = "another"
    with pytest.raises(ClusterError, match=rf"other records than this one \({what}: .* another here\). Install"), there:
        pass


SCRIPT = """
import itertools, os, signal, sys
from pathlib import Path
from forensic import Gallery, enrollment, matching, ray_cluster
from forensic.faces.policy import load
from forensic.ray_workers import Elsewhere
enrollment.BATCH = 4
ray_cluster.STORE_BYTES = 200 * 1024 * 1024
folder, table, kill_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
photos = itertools.count()
def progress(summary):
    if next(photos) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
with Gallery(folder, create=True) as gallery:
    with Elsewhere(ray_cluster.Cluster("local", 2), matching.load("direct").routes, load()) as there:
        enrollment.enroll_by(there, gallery, enrollment.items_of_csv(table), progress=progress)
"""


@pytest.mark.server
@pytest.mark.timeout(900)
def test_a_killed_driver_resumes_to_the_same_gallery(people: list[Made], people_folder: Path, tmp_path: Path) -> None:
    table = people_folder / "people.csv"
    with Gallery(tmp_path / "quiet", create=True) as gallery:
        enrollment.enroll(gallery, enrollment.items_of_csv(table), matching.load(ROUTE).routes, Finder())
        expected = rows_of(gallery)

    short = tempfile.mkdtemp(prefix="ray-")  # names of sockets have a hundred bytes

    def start(kill_at: int) -> int:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "there"), str(table), str(kill_at)]
        for _ in range(3):
            own = {**os.environ, "TMPDIR": short}
            done = subprocess.run(command, env=own, timeout=400, capture_output=True, text=True)
            if "Ray cannot be started" not in done.stderr:
                break
        assert done.returncode <= 0, done.stderr
        return done.returncode

    before = ray_processes()
    assert start(9) == -signal.SIGKILL
    with Gallery(tmp_path / "there") as gallery:
        assert gallery.verify() == []
        assert 0 < gallery.size().photos < len(expected[1])
    assert start(-1) == 0
    with Gallery(tmp_path / "there") as gallery:
        assert gallery.verify() == []
        assert rows_of(gallery) == expected
    end = time.monotonic() + 60
    while (left := ray_processes() - before) and time.monotonic() < end:
        time.sleep(0.5)
    assert not left, "a killed driver's cluster goes on"
    shutil.rmtree(short)  # of the killed one


def ray_processes() -> set[int]:
    """Processes of Ray's, on this machine."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"raylet" in line or b"gcs_server" in line or line.startswith(b"ray::"):
            found.add(int(folder.name))
    return found
