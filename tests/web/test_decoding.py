"""Pictures are decoded by a process that may hang, die, swell or lie, and the next picture is decoded all the same."""

import io
import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import make_hostile
from mutating import mutated_image
from PIL import Image

from forensic import images
from forensic.errors import ImageError
from forensic.web import decoding, decoding_process
from forensic.web.decoding import Decoder
from forensic.web.problems import Busy

PIXELS = 4_000_000
BEGIN = "import os, sys, time; from forensic.web import decoding_process as d; d._warm_up = lambda: None;"
HANGING = BEGIN + "d.images.decode = lambda *a, **k: time.sleep(60); d.serve()"
SWELLING = BEGIN + "d.images.decode = lambda *a, **k: bytearray(2 << 30); d.serve()"
DYING = BEGIN + "d.images.decode = lambda *a, **k: os._exit(1); d.serve()"
SPEAKING = BEGIN + "send = lambda said, content: d.send(sys.stdout.buffer, said, content); send(d.READY, b'');"


def png(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 32), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One process, for all tests that it outlasts."""
    made = Decoder(1, pixels=PIXELS, seconds=20)
    yield made
    made.close()


def running(code: str, seconds: float = 0.5) -> Decoder:
    """A decoder whose process runs something else."""
    return Decoder(1, seconds=seconds, program=(sys.executable, "-c", code))


def test_a_picture_is_what_it_is_when_decoded_here(decoder: Decoder) -> None:
    found, here = decoder.decode(png(), "a.png"), images.decode(png())
    assert (found.sha256, found.format, found.data) == (here.sha256, here.format, here.data)
    assert found.image.tobytes() == here.image.tobytes()


def test_hostile_files_end_in_the_same_words(decoder: Decoder, tmp_path: Path) -> None:
    count = 0
    for name, file in make_hostile(tmp_path).items():
        if file.path.is_symlink() or not file.path.is_file():
            continue
        data, count = file.path.read_bytes(), count + 1
        try:
            here = images.decode(data, name, max_pixels=PIXELS)
        except ImageError as error:
            with pytest.raises(ImageError, match=re.escape(str(error))):
                decoder.decode(data, name)
        else:
            assert decoder.decode(data, name).image.tobytes() == here.image.tobytes(), name
    assert count > 30


def test_mutated_pictures_are_refused_or_decoded(decoder: Decoder) -> None:
    ends = set()
    for number in range(20):
        try:
            ends.add(decoder.decode(mutated_image(number), "m").image.mode)
        except ImageError:
            ends.add("refused")
    assert ends == {"RGB", "refused"}
    assert decoder.decode(png()).format == "PNG"


@pytest.mark.parametrize("code", [HANGING, DYING], ids=["hangs", "dies"])
def test_a_process_that_hangs_or_dies_costs_one_picture(code: str) -> None:
    decoder = running(code)
    for _ in range(2):  # the second picture gets a process of its own
        with pytest.raises(ImageError, match=r"x.png: could not be decoded within 0.5 s and 1024 MiB"):
            decoder.decode(png(), "x.png")
    decoder.program = decoding.PROGRAM
    decoder.seconds = 20
    assert decoder.decode(png()).image.size == (40, 32)
    decoder.close()


def test_memory_has_an_end() -> None:
    decoder = running(SWELLING, seconds=20)
    with pytest.raises(ImageError):
        decoder.decode(png())
    decoder.close()


LIES = {
    "no JSON": "send(b'nothing', b'')",
    "no object": "send(b'[]', b'')",
    "no size": "send(b'{}', b'')",
    "wrong size": """send(b'{"width": 9, "height": 9, "format": "PNG"}', bytes(3))""",
    "no number": """send(b'{"width": "9", "height": 9, "format": "PNG"}', bytes(243))""",
    "negative": """send(b'{"width": -1, "height": -81, "format": "PNG"}', bytes(243))""",
    "another format": """send(b'{"width": 9, "height": 9, "format": "PDF"}', bytes(243))""",
    "no format": """send(b'{"width": 9, "height": 9, "format": ["PNG"]}', bytes(243))""",
    "infinite": """send(b'{"width": 1e400, "height": 9, "format": "PNG"}', bytes(243))""",
    "true": """send(b'{"width": true, "height": 9, "format": "PNG"}', bytes(27))""",
    "nothing": """send(b'{"width": 0, "height": 9, "format": "PNG"}', b'')""",
    "beyond numbers": """send(b'{"width": 99999999999999999999, "height": 9, "format": "PNG"}', bytes(243))""",
    "deep": """send(b'[' * 60_000, b'')""",
    "deep words": """send(b'{"error": ' + b'[' * 60_000, b'')""",
    "no words": """send(b'{"error": 7}', b'')""",
    "half a letter": """send(b'{"error": "' + b'\\\\ud800"}', b'')""",
    "too much": "sys.stdout.buffer.write(b'\\xff' * 100)",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_process_in_a_strangers_hands_is_not_believed(lie: str) -> None:
    decoder = running(SPEAKING + lie + "; time.sleep(60)", seconds=5)
    with pytest.raises(ImageError, match=r"makes no sense|could not be decoded"):
        decoder.decode(png())
    assert decoder._free.get_nowait() is None, "it is asked of nobody else's picture"


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (90, 90), (1 << 40, 1)])
def test_no_memory_is_taken_for_a_size_that_was_only_stated(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(decoding.Image, "frombytes", lambda *asked: made.append(asked))
    said = json.dumps({"width": width, "height": height, "format": "PNG"}).encode()
    with pytest.raises(ValueError, match="size"):
        decoding._told(said, bytes(243), PIXELS)
    assert made == []


def test_the_process_knows_no_secret_and_has_no_file_of_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORENSIC_KEY", "0" * 64)
    monkeypatch.setenv("FORENSIC_PASSWORD", "secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    tell = "import json; seen = [sorted(os.environ), sorted(map(int, os.listdir('/proc/self/fd')))[3:-1], os.getcwd()];"
    with (tmp_path / "open").open("wb"):
        decoder = running(SPEAKING + tell + "send(json.dumps({'error': json.dumps(seen)}).encode(), b'')", seconds=20)
        with pytest.raises(ImageError) as raised:
            decoder.decode(png())
    decoder.close()
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"]
    told = json.loads(str(raised.value))
    assert [name for name in told[0] if name != "LC_CTYPE"] == names  # Python itself sets the last one
    assert told[1:] == [[], "/"]


def test_the_process_can_open_nothing_and_start_nothing() -> None:
    code = """
import os, socket
from forensic.web import decoding_process as d
d._warm_up()
d._limit()
ends = []
for act in (lambda: open("/etc/hostname"), lambda: socket.socket(), lambda: bytearray(2 << 30),
            lambda: os.write(os.open("/dev/null", os.O_WRONLY), b"x")):
    try:
        act()
        ends.append("done")
    except (OSError, MemoryError):
        ends.append("refused")
print(*ends)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * 4


def test_macos_which_takes_no_bound_on_memory_gets_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(resource, "setrlimit", lambda limit, most: given.append(limit))
    decoding_process._limit()
    assert given == [resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC]


def test_the_process_imports_nothing_of_the_server() -> None:
    code = "import sys, forensic.web.decoding_process; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "forensic.images" in loaded
    assert not {"torch", "fastapi", "starlette", "sqlalchemy", "forensic.gallery"} & set(loaded)


def test_it_ends_with_the_server_and_by_itself_where_it_hangs() -> None:
    def begun(code: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe)
        assert process.stdout is not None
        assert decoding_process.receive(process.stdout, 5, 0) == [b"ready", b""]
        return process

    idle, hanging = begun(BEGIN + "d.serve()"), begun(HANGING)
    assert hanging.stdin is not None
    decoding_process.send(hanging.stdin, b'{"name": "x", "pixels": 9, "seconds": 0.2}', b"data")
    for process, end in ((idle, 0), (hanging, -signal.SIGALRM)):
        process.communicate()  # nobody is there any more: a killed server's ends of the pipes are closed
        assert process.returncode == end


def test_where_all_are_at_work_one_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PATIENCE", 0.1)
    decoder = running(HANGING, seconds=2)

    def hang() -> None:
        with pytest.raises(ImageError):
            decoder.decode(png())

    thread = threading.Thread(target=hang)
    thread.start()
    while not decoder._free.empty():
        time.sleep(0.01)
    with pytest.raises(Busy, match="at work"):
        decoder.decode(png())
    decoder.close()
    thread.join()
    assert decoder._free.get_nowait() is None, "closed meanwhile: nothing of it is left"


def test_one_that_does_not_start_is_said_to_be_so() -> None:
    for program in (("/nowhere/python",), (sys.executable, "-c", "pass"), (sys.executable, "-c", "print('hello')")):
        with pytest.raises(Busy, match="could be started"):
            Decoder(1, program=program).decode(png())


def test_a_process_is_replaced_in_time_and_nobody_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PICTURES", 2)
    decoder, seen = Decoder(1, seconds=20), []
    for _ in range(4):
        with decoder._process() as process:
            seen.append(process._process.pid)
            process.ask(png(), "x", 10_000, 20)
    assert seen[0] == seen[1] != seen[2] == seen[3]
    successor = decoder._free.get(timeout=20)
    assert successor is not None
    assert successor.alive
    assert successor._process.pid not in seen
    decoder._free.put(successor)
    decoder.close()
    assert not successor.alive


def test_a_successor_that_comes_after_the_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PICTURES", 1)
    decoder = Decoder(1, seconds=20)
    decoder.decode(png())
    decoder.close()
    assert decoder._free.get(timeout=20) is None


def no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_where_no_thread_can_be_started_the_place_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PICTURES", 1)
    decoder = Decoder(1, seconds=20)
    with monkeypatch.context() as patch, decoder._process() as process:
        process.ask(png(), "x", 10_000, 20)
        patch.setattr(threading.Thread, "start", no_thread)
    assert decoder._free.qsize() == 1
    assert decoder.decode(png()).format == "PNG"
    decoder.close()


def test_a_process_whose_clock_cannot_start_is_said_not_to_have_started(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(1, seconds=20)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(Busy, match="could be started"):
            decoder.decode(png())
    assert decoder.decode(png()).format == "PNG"
    decoder.close()


def test_whatever_ends_a_successor_the_place_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(1, seconds=20)
    with decoder._process() as process:
        process.ask(png(), "x", 10_000, 20)
    spent = decoder._free.get_nowait()
    assert spent is not None

    def fail(program: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_Process", fail)
        with pytest.raises(MemoryError):
            decoder._succeed(spent)
    assert decoder._free.get_nowait() is None
