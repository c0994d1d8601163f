"""The way to a Ray cluster: the only file that imports ray, and only when a cluster is asked for.

Nothing is sent to Ray's makers, whose usage statistics are off unless the user has turned them on, and no folder of the
user's is uploaded to the cluster. A wrong address is told within a minute: Ray itself tries for minutes, and then
ends the process.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from forensic.errors import ClusterError, UsageError
from forensic.text import printable

log = logging.getLogger(__name__)
LOCAL, AUTO = "local", "auto"
STORE_BYTES = 400 * 1024 * 1024
"""Of shared memory, for a cluster of this machine alone: what is under way is one photo for each actor."""
TCP_SECONDS, PROBE_SECONDS = 5, 45
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
"""Kept where the user has set something else. The second would upload the current folder, under ``uv run``."""
AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_ADDRESS = re.compile(r"(?:ray://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@]+):(\d{1,5})")
_PROBE = """
import logging, sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL)
    ray.shutdown()
except BaseException as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(1)
"""


class Cluster(NamedTuple):
    """A cluster as a user names it.

    Attributes:
        address: ``local`` starts one on this machine, ``auto`` finds a running one; else HOST:PORT or ray://HOST:PORT.
        actors: How many workers; None for as many as it has cores, or GPUs' shares, for.
        gpus: GPUs that each worker takes, such as 0.25.
    """

    address: str
    actors: int | None = None
    gpus: float = 0


def check(cluster: Cluster, device: str) -> None:
    """Look at what was asked for, before anything is started.

    Raises:
        UsageError: The address is none, or GPUs and device contradict each other.
        ClusterError: Ray is not installed.
    """
    address, _, gpus = cluster
    if address not in (LOCAL, AUTO) and _ADDRESS.fullmatch(address) is None:
        raise UsageError(
            f"{printable(address)!r} is no address of a Ray cluster. Expected local, auto, HOST:PORT or ray://HOST:PORT."
        )
    if (gpus > 0) == (device == "cpu"):
        raise UsageError(
            f"Device {device} and {gpus:g} GPUs for each worker contradict each other: give --device cuda with "
            "--ray-gpus FRACTION, or neither."
        )
    _import()


@contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """A connection to a cluster; one of this machine alone is started for it, and ended after it.

    A process that is connected to a cluster keeps its connection, which ``auto`` then means.

    Yields:
        The module ``ray``, connected.

    Raises:
        ClusterError: It cannot be reached, or not be started.
    """
    ray, address = _import(), cluster.address
    if ray.is_initialized():
        if address != AUTO:
            raise ClusterError(f"This process is connected to a Ray cluster already: give {AUTO}, or disconnect first.")
        yield ray
        return
    folder = None
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == LOCAL:
        if not any(name in os.environ for name in AUTHENTICATION):  # else Ray leaves one in the user's home
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        folder = tempfile.mkdtemp(prefix="forensic-ray-")  # for its owner alone
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # what a failed start leaves running writes on
        settings |= {
            "num_cpus": cluster.actors or os.cpu_count() or 1,
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
            "_temp_dir": folder,
        }
    else:
        _probe(address)
        settings["address"] = address
    try:
        try:
            ray.init(**settings)
        except Exception as error:  # Ray raises many types, plain ones too
            reason = printable(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
            what = "started on this machine" if address == LOCAL else f"reached at {address}"
            raise ClusterError(f"Ray cannot be {what}: {reason} On a busy machine, try again.") from error
        _keep_from_printing()
        yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _keep_from_printing() -> None:
    """Ray writes what befalls its nodes to standard output, among summaries, whatever it was told: log it instead."""
    worker: Any = sys.modules.get("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda said, **given: log.info("Ray: %s", said)


def room(ray: Any, gpus: float) -> int:
    """How many actors a cluster has cores for, or GPUs' shares.

    Raises:
        ClusterError: For none.
    """
    resources = ray.cluster_resources()
    count = int(resources.get("CPU", 0))
    if gpus:
        count = min(count, int(resources.get("GPU", 0) / gpus))
    if count < 1:
        raise ClusterError(f"The cluster has no room for a worker ({described(ray)}).")
    return count


def described(ray: Any) -> str:
    """What a cluster has and what of it is free, in words."""
    whole, free = ray.cluster_resources(), ray.available_resources()
    return ", ".join(f"{free.get(kind, 0):g} of {whole.get(kind, 0):g} {kind}s free" for kind in ("CPU", "GPU"))


def unfit(error: Exception) -> ClusterError:
    """What to tell when an actor could not begin."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ClusterError(
        f"A machine of the cluster cannot take part: {printable(lines[-1])} Install this program, its models and its "
        "libraries there as they are here, and start Ray there anew."
    )


def _import() -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "Work on a cluster needs Ray, which is not installed: pip install 'forensic-sketch[ray]'"
        ) from error
    return ray


def _probe(address: str) -> None:
    """Make sure that a cluster answers, in a process of its own: where none does, Ray would end this one."""
    if found := _ADDRESS.fullmatch(address):
        try:
            socket.create_connection((found[1].strip("[]"), int(found[2])), TCP_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise ClusterError(
                f"No Ray cluster answers at {address} ({error}). Check the address, and that 'ray start --head' runs."
            ) from None
    command = [sys.executable, "-c", _PROBE, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS)
        reason = "" if done.returncode == 0 else (done.stdout.strip() or f"Ray ended with {done.returncode}")
    except subprocess.TimeoutExpired:
        reason = f"nothing came back within {PROBE_SECONDS} s"
    if reason:
        raise ClusterError(
            f"No Ray cluster can be joined at {address}: {printable(reason.splitlines()[0])}. Check the address, that "
            "its Ray and Python have the versions of this machine, and its token (RAY_AUTH_TOKEN_PATH)."
        )
