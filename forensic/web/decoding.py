"""Pictures from strangers are decoded in a process of its own, with limits on memory and time, which may die.

A process decodes one picture after the other. One that takes too long is killed, one that dies is replaced, and the
picture is refused: the server goes on. What comes back is pixels, nothing that could be run, and it is checked: the
process may be in a stranger's hands by then.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from PIL import Image

from forensic import images
from forensic.errors import ImageError
from forensic.web.decoding_process import MEMORY, READY, receive, send
from forensic.web.problems import Busy

PROGRAM = (sys.executable, "-m", "forensic.web.decoding_process")
PICTURES = 200
"""Pictures after which a process is replaced, so that what it leaks is bounded."""
PATIENCE = 20.0
"""Seconds to wait for a free process."""
STARTING = 60.0
"""Seconds that a process may take to be ready, on a machine with much else to do."""
SAID = 1 << 16
"""Bytes that it may say of a picture."""


class Decoder:
    """Some decoding processes; threads share it.

    Args:
        processes: How many.
        pixels: Largest picture, width x height.
        seconds: For one picture.
        program: What a process runs.
    """

    def __init__(
        self,
        processes: int = 2,
        *,
        pixels: int = images.MAX_PIXELS,
        seconds: float = 10.0,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.pixels, self.seconds, self.program = pixels, seconds, program
        self._free: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        self._closed = False
        for _ in range(processes):
            self._free.put(None)

    def decode(self, data: bytes, name: str = "image") -> images.Decoded:
        """As `images.decode` does, elsewhere.

        Raises:
            ImageError: It is no usable image, or takes too much time or memory.
            Busy: All processes are at work.
        """
        with self._process() as process:
            told = process.ask(data, name, self.pixels, self.seconds)
        if told.picture is None:
            raise ImageError(told.said)
        return images.Decoded(told.picture, hashlib.sha256(data).hexdigest(), data, told.said, name)

    def close(self) -> None:
        """End the processes; one that is at work ends with its picture."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                if (process := self._free.get_nowait()) is not None:
                    process.end()

    @contextmanager
    def _process(self) -> Iterator[_Process]:
        try:
            process = self._free.get(timeout=PATIENCE)
        except queue.Empty:
            raise Busy("All decoding processes are at work.", 5) from None
        try:
            if process is not None and not process.alive:
                process.end()
                process = None
            if process is None:
                process = _Process(self.program)
            yield process
        finally:
            if process is None or not process.spent or self._closed or not self._replaced(process):
                self._give_back(process)

    def _replaced(self, spent: _Process) -> bool:
        """Whether a thread took it on itself to give back another process in this one's place."""
        try:
            threading.Thread(target=self._succeed, args=(spent,), daemon=True).start()
        except RuntimeError:  # no thread can be started: whoever comes next starts the process
            return False
        return True

    def _succeed(self, spent: _Process) -> None:
        """Start another process, so that nobody's picture waits for it."""
        successor = None
        try:
            spent.end()
            with suppress(Busy):  # said to whoever needs one, if it cannot be started then either
                successor = _Process(self.program)
        finally:
            self._give_back(successor)

    def _give_back(self, process: _Process | None) -> None:
        left = None
        try:
            if process is not None and (self._closed or not process.alive):
                process.end()
            else:
                left = process
        finally:
            self._free.put(left)


class _Told(NamedTuple):
    """What a process said of a picture.

    Attributes:
        said: Its format; without a picture, why there is none.
        picture: None where it is no usable image.
    """

    said: str
    picture: Image.Image | None = None


class _Process:
    """One decoding process, ready for pictures.

    Raises:
        Busy: It did not start.
    """

    def __init__(self, program: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is the server's
                env=_environment(),
                cwd=os.sep,
            )
        except OSError:
            raise _not_started() from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._left = PICTURES
        try:
            with self._within(STARTING):
                ready = receive(self._out, len(READY), 0)[0] == READY
        except (OSError, EOFError, ValueError, RuntimeError):  # the last one: no thread for the clock
            ready = False
        if not ready:
            self.end()
            raise _not_started()

    @property
    def alive(self) -> bool:
        return self._left > 0 and self._process.poll() is None

    @property
    def spent(self) -> bool:
        """Whether it has decoded all that it may."""
        return self._left == 0 and self._process.poll() is None

    def ask(self, data: bytes, name: str, pixels: int, seconds: float) -> _Told:
        self._left -= 1
        asked = {"name": name[:255], "pixels": pixels, "seconds": seconds}
        try:
            with self._within(seconds):
                send(self._in, json.dumps(asked).encode(), data)
                said, content = receive(self._out, SAID, 3 * pixels)
        except (OSError, EOFError, ValueError):
            self.end()
            raise ImageError(
                f"{name}: could not be decoded within {seconds:g} s and {MEMORY >> 20} MiB. Save a smaller, plain copy."
            ) from None
        try:
            return _told(said, content, pixels)
        except (ValueError, RecursionError):
            self.end()  # whoever made it say that shall not be asked of others' pictures
            raise ImageError(f"{name}: the decoder's answer makes no sense. Save a plain copy.") from None

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Kill the process if what is done takes longer; whoever reads from it then reads its end."""
        clock = threading.Timer(seconds, self._process.kill)
        clock.daemon = True
        clock.start()
        try:
            yield
        finally:
            clock.cancel()

    def end(self) -> None:
        self._left = 0
        self._process.kill()
        self._process.wait()
        for stream in (self._in, self._out):
            with suppress(OSError):
                stream.close()


def _told(said: bytes, content: bytes, most: int) -> _Told:
    """What an answer says, after a check of all that is in it: a picture is made of no size but that of its pixels.

    Raises:
        ValueError: It makes no sense.
        RecursionError: It is too deep for a reader of JSON.
    """
    answer = json.loads(said)
    if not isinstance(answer, dict):
        raise ValueError("no object")
    if "error" in answer:
        if not isinstance(answer["error"], str):
            raise ValueError("no words")
        answer["error"].encode()  # half a surrogate pair could be sent to nobody
        return _Told(answer["error"])
    width, height, kind = (answer.get(key) for key in ("width", "height", "format"))
    if type(width) is not int or type(height) is not int or min(width, height) < 1 or width * height > most:
        raise ValueError("no size")
    if len(content) != 3 * width * height or not isinstance(kind, str) or kind not in images.FORMATS:
        raise ValueError("another size, or another format")
    return _Told(kind, Image.frombytes("RGB", (width, height), content))


def _environment() -> dict[str, str]:
    """All that the process is told: none of the server's keys and passwords."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",  # each thread would take address space
        "OPENBLAS_NUM_THREADS": "1",
    }


def _not_started() -> Busy:
    return Busy("No process to decode pictures could be started: the machine is short of memory or processes.", 10)
