"""Hosts of a network of their own on this machine: Linux network namespaces on a bridge, apart from other networks.

Each has its address, its name, its ``/tmp/ray`` and its shared memory; of the files it sees what it is not denied. That
needs root and iproute2.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

APART = ("/tmp/ray", "/dev/shm")  # noqa: S108 - where Ray keeps what one machine alone may have
_ENTER = """
set -e
hostname "$1"; shift
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
shift
exec "$@"
"""


def possible() -> bool:
    """Whether this user can make hosts on this machine."""
    return os.name == "posix" and os.geteuid() == 0 and all(map(shutil.which, ("ip", "unshare", "mount")))


class Host:
    """One of them.

    Args:
        space: Its network namespace.
        name: What it is called.
        address: Its IPv4 address, which the others reach.
        folder: For what it has alone.
    """

    def __init__(self, space: str, name: str, address: str, folder: Path) -> None:
        self.space, self.name, self.address = space, name, address
        self._empty = folder / "empty"
        self._empty.mkdir(parents=True)
        self._mounts = []
        for number, place in enumerate(APART):
            (folder / str(number)).mkdir()
            Path(place).mkdir(exist_ok=True)
            self._mounts += [str(folder / str(number)), place]

    def deny(self, *folders: Path) -> None:
        """Let what is begun from now on see nothing in these folders."""
        for denied in folders:
            self._mounts += [str(self._empty), str(denied)]

    def begin(self, command: Sequence[object], environment: Mapping[str, str] | None = None, **given: Any) -> Any:
        """Begin a command there, as `subprocess.Popen` does."""
        enter = ["ip", "netns", "exec", self.space, "unshare", "--uts", "sh", "-c", _ENTER, "sh", self.name]
        return subprocess.Popen(
            [*enter, *self._mounts, "--", *map(str, command)], env={**os.environ, **(environment or {})}, **given
        )

    def cut(self) -> None:
        """Take it off the network, as if its cable were pulled."""
        _ip("-n", self.space, "link", "set", "lan", "down")

    def end(self) -> None:
        """Kill all that runs there."""
        found = subprocess.run(["ip", "netns", "pids", self.space], capture_output=True, text=True, check=False)
        for pid in found.stdout.split():
            subprocess.run(["kill", "-9", pid], capture_output=True, check=False)


@contextmanager
def network(names: Sequence[str], folder: Path) -> Iterator[list[Host]]:
    """Hosts with these names, which reach each other alone; what runs on them is killed at the end.

    Args:
        names: Of each.
        folder: For what they have alone.
    """
    prefix = f"forensic-{os.getpid()}"
    switch, hosts = f"{prefix}-switch", []
    spaces = [switch, *(f"{prefix}-{name}" for name in names)]
    try:
        for space in spaces:
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for number, (name, space) in enumerate(zip(names, spaces[1:], strict=True), 1):
            address, port = f"10.77.0.{number}", f"port{number}"
            _ip("-n", space, "link", "add", "lan", "type", "veth", "peer", "name", port, "netns", switch)
            _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
            _ip("-n", space, "address", "add", f"{address}/24", "dev", "lan")
            _ip("-n", space, "link", "set", "lan", "up")
            _ip("-n", space, "route", "add", "default", "dev", "lan")  # by which a program finds its own address
            hosts.append(Host(space, name, address, folder / name))
        yield hosts
    finally:
        for host in hosts:
            host.end()
        for space in spaces:
            subprocess.run(["ip", "netns", "delete", space], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
