"""Deterministic records for the gallery's tests; as a script, a process that forks enrolling children to be killed.

The script reads commands, one a line, and answers each with a line. Children are forked, since importing the
gallery anew for each of them would take most of the tests' time:

    kill SECONDS now|ready     fork, enroll everything, SIGKILL after SECONDS (counted from the start or from the
                               moment the gallery is open); answers "killed" or "ended"
    both                       two children enroll the even and the odd records at the same time; answers their codes
"""

import hashlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensic.gallery import Enrollment, Gallery, Space, locks, storage
from forensic.gallery.cipher.encryption import Envelope
from forensic.gallery.cipher.keys import UserKey

ENCRYPTED = bool(os.environ.get("FORENSIC_TEST_ENCRYPTED"))
"""Whether every gallery that a test makes is to be an encrypted one."""
COUNT = 180
BATCH = 6
DIMENSION = 32


def space(name: str = "direct") -> Space:
    """A template space."""
    return Space(hashlib.sha256(name.encode()).hexdigest(), name, DIMENSION, {"embedder": "e" * 64})


def template(sha256: str, space: Space) -> np.ndarray:
    """A unit vector that depends on the photo and the space alone."""
    seed = int(hashlib.sha256((sha256 + space.digest).encode()).hexdigest()[:16], 16)
    vector = np.random.default_rng(seed).standard_normal(space.dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def record(number: int = 0, *, spaces: tuple[Space, ...] | None = None, **changes: object) -> Enrollment:
    """The record of a photo that never was; two consecutive numbers are of one person."""
    data = changes.pop("data", f"photo {number}: ".encode() + hashlib.sha256(str(number).encode()).digest() * 40)
    assert isinstance(data, bytes)
    sha256 = hashlib.sha256(data).hexdigest()
    values: dict[str, object] = {
        "person": f"P{number // 2:04}",
        "data": data,
        "sha256": sha256,
        "file_name": f"{number}.png",
        "format": "PNG",
        "size": (200, 250),
        "landmarks": np.arange(10, dtype=np.float32).reshape(5, 2) + number,
        "method": "mtcnn",
        "score": 0.99,
        "warnings": (),
        "metadata": {
            "name": f"Name {number // 2}",
            "sex": "FM"[number // 2 % 2],
            "date_taken": f"20{number % 90 + 10}",
        },
        "templates": {s: template(sha256, s) for s in (spaces if spaces is not None else (space(),))},
    }
    return Enrollment(**(values | changes))  # type: ignore[arg-type]


def encrypt_all(patch: pytest.MonkeyPatch) -> None:
    """Give each new gallery a ``gallery.key`` before it is laid out; its key lies in the environment."""
    key = UserKey(bytes(range(32)), "the tests")
    make = storage.Storage.__init__

    def sealed(self: storage.Storage, folder: Path | str, *, create: bool = False, **settings: Any) -> None:
        path = Path(folder)
        if create and (not path.exists() or {each.name for each in path.iterdir()} <= {"lock", "gallery.key.partial"}):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locks.locked(path, 60):
                if Envelope.read(path) is None:
                    Envelope.new(key)[0].write(path)
        make(self, folder, create=create, **settings)

    patch.setattr(storage.Storage, "__init__", sealed)
    patch.setenv("FORENSIC_KEY", key.text)


def enroll_all(folder: Path, numbers: range, ready: int | None = None) -> None:
    """Enroll in batches what is not enrolled yet, as the command does."""
    with Gallery(folder, create=True) as gallery:
        if ready is not None:
            os.write(ready, b"!")
        for start in range(0, len(numbers), BATCH):
            records = [record(number) for number in numbers[start : start + BATCH]]
            known = gallery.known([r.sha256 for r in records])
            gallery.enroll([r for r in records if r.sha256 not in known])


def _fork(folder: Path, numbers: range, ready: int | None = None) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        enroll_all(folder, numbers, ready)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _kill(folder: Path, seconds: float, when: str) -> str:
    reader, writer = os.pipe()
    child = _fork(folder, range(COUNT), writer)
    os.close(writer)
    if when == "ready":
        os.read(reader, 1)
    os.close(reader)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else "ended"


def main(folder: Path) -> None:
    """Answer commands until the input ends."""
    enroll_all(folder.with_name("warm"), range(2))  # children find everything imported
    print("up", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["kill", seconds, when]:
                print(_kill(folder, float(seconds), when), flush=True)
            case ["both"]:
                children = [_fork(folder, range(start, COUNT, 2)) for start in (0, 1)]
                print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children), flush=True)


if __name__ == "__main__":
    from server import as_in_the_test

    with as_in_the_test(), pytest.MonkeyPatch.context() as patch:
        if ENCRYPTED:
            encrypt_all(patch)
        main(Path(sys.argv[1]))
