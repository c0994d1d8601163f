"""A Milvus server of the tests' own: the standalone one, with its etcd inside, that the wheel ``milvus`` brings."""

import fcntl
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HASTE = {"proxy.timeTickInterval": 20, "queryCoord.checkInterval": 50, "queryCoord.distPullInterval": 50}
"""Milliseconds between its looks at what is to be done."""
LOCK = Path(tempfile.gettempdir()) / f"milvus-of-tests-{os.getuid()}.lock"
"""Held while a server looks for free ports and takes them: two at once would find the same ones."""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start it, and end it.

    Args:
        folder: What it writes into.

    Yields:
        Its URL.
    """
    from milvus import MilvusServer, MilvusServerConfig

    config = MilvusServerConfig(data_dir=str(folder))
    for name, value in HASTE.items():
        config.set(name, value)
    server = MilvusServer(config)
    try:
        with LOCK.open("w") as lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it tries ports, and leaves the taken ones' sockets open
            fcntl.flock(lock, fcntl.LOCK_EX)
            server.start()
        yield f"http://127.0.0.1:{server.listen_port}"
    finally:
        server.stop()
