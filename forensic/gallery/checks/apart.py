"""Reading the bytes of SQLite's files while this process may have them open through SQLite.

POSIX takes all of a process's locks on a file away as soon as the process closes any descriptor of it, whoever opened
it (https://sqlite.org/howtocorrupt.html, section 2.2). SQLite would go on as if it had its locks, and another program
could remove the log under it: so whoever reads such a file does it in a process of its own.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from forensic.gallery.checks import pages

ENDS = (".db", ".db-wal", ".db-shm", ".db-journal")
"""How the names of SQLite's files end, in a gallery and in its server's folder."""
COPY = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer, 1 << 20)"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Any file, to be read from its beginning to its end.

    Raises:
        OSError: It cannot be read, or is not there any more.
    """
    if not path.name.endswith(ENDS):
        with path.open("rb") as file:
            yield file
        return
    with subprocess.Popen(_python("-c", COPY, str(path)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        yield child.stdout
        to_the_end = not child.stdout.read(1)
    if to_the_end and child.returncode:
        path.stat()  # where it is gone, that is what is told
        raise OSError(errno.EIO, "it cannot be read", str(path))


def remains(path: Path, roots: Iterable[int]) -> list[pages.Remains]:
    """What `pages.remains` finds.

    Raises:
        Malformed: As there.
    """
    command = _python(pages.__file__, str(path), *map(str, roots))
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if isinstance(told, str):
        raise pages.Malformed(told)
    return [pages.Remains(*one) for one in told]


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-I", *arguments]
