"""Two hosts, each with an address of its own, train what two processes of one machine train, to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import network, possible
from invented import pair_folder

ALONE = {"OMP_NUM_THREADS": "1"}
TOGETHER = {**ALONE, "GLOO_SOCKET_IFNAME": "lan"}  # the hosts' names cannot be looked up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not possible(), reason="needs root and iproute2, which make hosts of network namespaces"),
]


def command(data: Path, out: Path, *torchrun: object) -> list[str]:
    """A short training with torchrun."""
    train = ["train", "pix2pix", "--data", data, "--out", out, "--size", 64, "--width", 8, "--epochs", 2]
    given = [sys.executable, "-m", "torch.distributed.run", *torchrun, "-m", "forensic", *train, "--set", "batch=2"]
    return [*map(str, given)]


def test_two_hosts_train_as_two_processes(tmp_path: Path) -> None:
    data = pair_folder(tmp_path / "pairs", "abcdef")
    with network(["one", "two"], tmp_path / "hosts") as hosts:
        master = ["--master-addr", hosts[0].address, "--master-port", 29500, "--nnodes", 2, "--nproc-per-node", 1]
        begun = [
            host.begin(command(data, tmp_path / "hosts-out", *master, "--node-rank", rank), TOGETHER)
            for rank, host in enumerate(hosts)
        ]
        assert [process.wait(timeout=200) for process in begun] == [0, 0]
    here = command(data, tmp_path / "here-out", "--standalone", "--nproc-per-node", 2)
    subprocess.run(here, env=os.environ | ALONE, check=True, capture_output=True)
    for name in ("pix2pix-photo-to-sketch.safetensors", "checkpoint.safetensors"):
        assert (tmp_path / "hosts-out" / name).read_bytes() == (tmp_path / "here-out" / name).read_bytes()
