"""Enrolls or checks mutated inputs one by one, in a process of its own, and prints a line of JSON on each.

python tests/fuzzing.py image|text FIRST COUNT FOLDER

``kind`` is "success", "failure" (a reason in the summary) or the name of what was raised; ``seconds`` are those of
the process, so that other work on the machine does not count; ``megabytes`` is by how much the memory rose above
what was held when the models were loaded.
"""

import ctypes
import faulthandler
import gc
import json
import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutating import mutated_image, mutated_text

from forensic import Gallery, Identifier, enrollment
from forensic.casefile.verifying import verify
from forensic.datasets.synthetic import Person, Variation, draw_photo
from forensic.errors import ForensicError
from forensic.text import printable

HANGS = 300
"""Seconds after which the process shows where it is and dies."""


def memory(kind: str) -> float:
    """Megabytes of this process: ``VmRSS`` now, ``VmHWM`` at the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def give_back() -> None:
    """Return freed memory to the system: making an input takes a gigabyte, which is not the program's."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def check(path: Path) -> tuple[str, str]:
    """What ``forensic case verify`` does with a file, and what came of it."""
    try:
        problems = verify(path).problems
    except ForensicError as error:
        return type(error).__name__, str(error)
    except BaseException as error:
        return f"unexpected {type(error).__name__}", str(error)
    if problems:
        return "failure", printable(f"{problems[0].subject}: {problems[0].message}")
    return "success", ""


def enroll(path: Path, identifier: Identifier) -> tuple[str, str]:
    """What ``forensic enroll`` does with a file or a table, and what came of it."""
    try:
        items = enrollment.items_of_csv(path) if path.suffix == ".csv" else enrollment.items_of([path])
        items = items[:20]  # each is a photo to look for a face in; the reading is what is tested
        gallery, matcher = identifier.gallery, identifier.matcher
        summary = enrollment.enroll(gallery, items, matcher.routes, identifier.finder, workers=1)
    except ForensicError as error:
        return type(error).__name__, str(error)
    except BaseException as error:
        return f"unexpected {type(error).__name__}", str(error)
    if summary.enrolled + summary.already + summary.passed:
        return "success", ""
    return "failure", summary.failures[0].reason


def main(which: str, first: int, count: int, folder: Path) -> None:
    """Make, enroll or check, and report each input."""
    with Gallery(folder / "gallery", create=True) as gallery:
        identifier = Identifier(gallery)
        work = folder / "work"
        work.mkdir()
        for number in range(3):
            draw_photo(Person.sample(number), Variation()).save(work / f"photo{number}.png")
        print(json.dumps({"kind": enroll(work / "photo0.png", identifier)[0]}), flush=True)  # loads the models
        base = memory("VmRSS")
        for number in range(first, first + count):
            name, data = (f"{number}.png", mutated_image(number)) if which == "image" else mutated_text(number)
            (work / name).write_bytes(data)
            del data
            gc.collect()
            give_back()
            Path("/proc/self/clear_refs").write_text("5")  # forgets the highest memory so far
            start = time.process_time()
            faulthandler.dump_traceback_later(HANGS, exit=True)
            kind, message = check(work / name) if name.endswith(".zip") else enroll(work / name, identifier)
            faulthandler.cancel_dump_traceback_later()
            used = {"seconds": time.process_time() - start, "megabytes": memory("VmHWM") - base}
            print(json.dumps({"number": number, "name": name, "kind": kind, "message": message} | used), flush=True)
            (work / name).unlink()
    shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
