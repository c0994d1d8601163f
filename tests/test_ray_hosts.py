"""A cluster of three hosts, each with an address of its own: who works there, and what becomes of a host that is lost.

The hosts are network namespaces of this machine (`hosts`); those that work see neither the gallery nor the photos.
"""

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import Host, network, possible
from test_ray import rows_of

from forensic import Gallery, enrollment, matching
from forensic.datasets.synthetic import Made
from forensic.faces import Finder

PORT, CORES = 6379, 1
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_health_check_initial_delay_ms": "1000",  # that a host is lost is known in seconds, and not in half a minute
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
SCRIPT = """
import os, sys, time
from forensic import Gallery, enrollment, matching
from forensic.faces import policy
from forensic.ray_cluster import Cluster
from forensic.ray_workers import Elsewhere

folder, table, address = sys.argv[1:]
enrollment.BATCH = 4
asked = []

def progress(summary):
    if summary.done >= 4 and not asked:
        while len(there._staff) < 2:
            time.sleep(0.1)
        asked[:] = [actor.__ray_call__.remote(lambda self: os.uname().nodename) for actor in list(there._staff)]
        print(*sorted(there._ray.get(asked)), flush=True)
        sys.stdin.readline()

there = Elsewhere(Cluster(address, 2), matching.load("direct").routes, policy.load())
with Gallery(folder, create=True) as gallery, there:
    summary = enrollment.enroll_by(there, gallery, enrollment.items_of_csv(table), progress=progress)
print(summary.enrolled, summary.already, *(failure.reason for failure in summary.failures), sep="; ")
"""

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not possible(), reason="needs root and iproute2, which make hosts of network namespaces"),
]


@pytest.fixture
def cluster(tmp_path: Path, people_folder: Path) -> Iterator[list[Host]]:
    """A head that nothing is computed on, and two hosts with a core each."""
    (tmp_path / "head").mkdir()
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with network(["head", "one", "two"], tmp_path / "hosts") as found:
        head, *others = found
        own = [f"--node-ip-address={head.address}", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false"]
        begun = [head.begin([*ray, "--head", *own], SETTINGS, **quiet)]
        time.sleep(5)
        for host in others:
            host.deny(tmp_path / "head", people_folder)
            own = [f"--address={head.address}:{PORT}", f"--node-ip-address={host.address}", f"--num-cpus={CORES}"]
            begun.append(host.begin([*ray, *own], SETTINGS, **quiet))
        yield found
    for process in begun:
        process.wait()


def enroll(head: Host, folder: Path, table: Path) -> Any:
    """Begin an enrollment on the cluster, which says who works when it is under way, and waits for a line."""
    command = [sys.executable, "-c", SCRIPT, folder, table, f"{head.address}:{PORT}"]
    return head.begin(command, SETTINGS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("lost", [False, True])
def test_hosts_make_the_gallery_of_one_machine_also_when_one_is_lost(
    cluster: list[Host], people: list[Made], people_folder: Path, tmp_path: Path, lost: bool
) -> None:
    head, _, two = cluster
    table = people_folder / "people.csv"
    with enroll(head, tmp_path / "head" / "gallery", table) as process:
        assert process.stdout.readline().split() == ["one", "two"]
        if lost:
            two.cut()
        said, _ = process.communicate("\n")
    with Gallery(tmp_path / "here", create=True) as here:
        items = enrollment.items_of_csv(table)
        summary = enrollment.enroll(here, items, matching.load("direct").routes, Finder())
        expected = rows_of(here)
    assert said.split() == [f"{summary.enrolled};", f"{summary.already}"]
    assert process.returncode == 0
    with Gallery(tmp_path / "head" / "gallery") as gallery:
        assert rows_of(gallery) == expected
        assert gallery.verify() == []
