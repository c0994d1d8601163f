"""Processes that work on a gallery until they are killed, or until the disk is full; run by ``test_faults.py``.

python tests/gallery/faults.py FOLDER

The script reads commands, one JSON list a line, and answers each with a line. What works is forked, since importing
the package anew for each would take most of the time:

    ["kill", SEED, SECONDS]     fork; work until SIGKILL after so many seconds; the acts that it spoke of
    ["fill", SEED, BYTES]       fork; fill the file system of FOLDER but for so many bytes, work until an act fails
    ["look", HEAD, RESTORE]     what is in the gallery and its backups; the log is checked against the head
    ["run", SEED, [KIND, ...], SECONDS]   fork one process for each kind, "enroll" or "search"; what each has done

An act is spoken of twice: before it is begun, and when it was acknowledged. Acts are dictionaries: ``act``, what it
changes, and ``done``.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from making import record, space, template

from forensic import Gallery, Identifier, matching
from forensic.errors import ForensicError
from forensic.faces import Aligned, Face
from forensic.gallery.backup import backups, restoring
from forensic.gallery.casework import cases
from forensic.gallery.log import audit
from forensic.gallery.objects import partial
from forensic.matching import Matcher
from forensic.recognition.fusion import Scoring

Act = dict[str, Any]
Tell = Callable[[Act], None]


class Numbers:
    """A route for photos that never were: a picture's first pixels say which record it shows."""

    name, space, models = "direct", space().digest, dict(space().models)
    translator = translated = None

    def describe(self, faces: list[Aligned], side: str) -> np.ndarray:
        assert side == "probe"
        return np.stack([probe_template(number_of(face.image)) for face in faces])


def picture_of(number: int) -> Image.Image:
    """A probe: its first pixels are the number of a record."""
    return Image.frombytes("RGB", (2, 2), number.to_bytes(12, "big"))


def number_of(picture: Image.Image) -> int:
    """What `picture_of` wrote."""
    return int.from_bytes(picture.tobytes(), "big")


def probe_template(number: int) -> np.ndarray:
    """The record's template with noise, so that no score is 1 and none is another's."""
    vector = template(record(number).sha256, space()).astype(np.float64)
    vector = vector + 0.5 * np.random.default_rng(number).standard_normal(len(vector)) / len(vector) ** 0.5
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def identifier_of(gallery: Gallery) -> Identifier:
    """An identifier that knows made-up faces, with everything else as it is."""
    matching.load = lambda route, device: Matcher((Numbers(),), Scoring.plain(1))
    points = np.arange(10, dtype=np.float32).reshape(5, 2)
    face = Face(np.zeros(4, np.float32), points, 1.0, "mtcnn")
    made = Identifier(gallery)
    made.finder = SimpleNamespace(one=lambda picture, **given: Aligned(picture, face))
    return made


class Worker:
    """Does acts at random, seeded, on a gallery that it opens."""

    def __init__(self, folder: Path, seed: int, tell: Tell) -> None:
        self.folder, self.tell = folder, tell
        self.rng = random.Random(seed)
        self.next = 10**6 * seed  # numbers of records that no other worker makes
        self.gallery = Gallery(folder, create=True)
        self.identifier = identifier_of(self.gallery)

    def work(self, acts: tuple[str, ...]) -> Iterator[None]:
        """One act after another."""
        while True:
            labels = [person.label for person in self.gallery.people()]
            name = self.rng.choice(acts)
            if name != "enroll" and not labels:
                continue
            plan = getattr(self, "plan_" + name)(labels)
            self.tell({"act": name} | plan)
            found = getattr(self, name)(**plan)
            with self.gallery.reading() as session:
                head = audit.head(session)._asdict()
            self.tell({"act": name, "done": True, "head": head} | plan | (found or {}))
            yield

    def plan_enroll(self, labels: list[str]) -> Act:
        first, self.next = self.next, self.next + self.rng.randint(1, 8)
        return {"numbers": list(range(first, self.next))}

    def enroll(self, numbers: list[int]) -> None:
        outcomes = self.gallery.enroll([record(number) for number in numbers])
        assert {outcome.status for outcome in outcomes} == {"enrolled"}, outcomes

    def plan_update(self, labels: list[str]) -> Act:
        return {"label": self.rng.choice(labels), "name": f"N{self.rng.getrandbits(40)}"}

    def update(self, label: str, name: str) -> None:
        self.gallery.update(label, {"name": name})

    def plan_expunge(self, labels: list[str]) -> Act:
        return {"labels": self.rng.sample(labels, min(len(labels), self.rng.randint(1, 2)))}

    def expunge(self, labels: list[str]) -> None:
        self.gallery.expunge(*labels)

    def plan_backup(self, labels: list[str]) -> Act:
        return {}

    def backup(self) -> Act:
        return {"number": backups.make(self.gallery, *places(self.folder)).number}

    def plan_search(self, labels: list[str]) -> Act:
        photos = self.gallery.photos(self.rng.choice(labels))
        return {"number": int(photos[0].file_name.partition(".")[0])}

    def search(self, number: int) -> Act:
        found = self.identifier.search(picture_of(number), 10)
        candidates = [[c.person, c.photo_id, c.score] for c in found.candidates]
        return {"search": found.number, "candidates": candidates}


def places(folder: Path) -> tuple[Path, Path]:
    """Where the gallery's backups lie, and the keys to them."""
    return folder.with_name(f"{folder.name}-backup"), folder.with_name(f"{folder.name}-backup.keys")


def forked(act: Callable[[Tell], None]) -> tuple[int, int]:
    """Start ``act`` in a child; its process number and the end of the pipe that it speaks into."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    os.close(reader)
    code = 1
    try:
        act(lambda said: _write(writer, json.dumps(said).encode() + b"\n"))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def heard(reader: int) -> list[Act]:
    """All that a child said until its end; a line that it could not finish is none."""
    with os.fdopen(reader, "rb") as file:
        return [json.loads(line) for line in file.read().split(b"\n")[:-1]]


def kill(folder: Path, seed: int, seconds: float) -> dict[str, Any]:
    """Work, and be killed."""
    acts = ("enroll", "enroll", "update", "expunge", "search", "backup")

    def work(tell: Tell) -> None:
        for _ in Worker(folder, seed, tell).work(acts):
            pass

    child, reader = forked(work)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    said = heard(reader)
    return {"killed": os.WIFSIGNALED(os.waitpid(child, 0)[1]), "said": said}


def fill(folder: Path, seed: int, free: int) -> dict[str, Any]:
    """Work on a disk with so many bytes free until an act fails for want of them, and free it again."""
    ballast = folder.parent / "ballast"

    def work(tell: Tell) -> None:
        worker = Worker(folder, seed, tell)
        room = os.statvfs(folder)
        with ballast.open("wb") as file:
            file.write(bytes(max(0, room.f_bavail * room.f_frsize - free)))
        try:
            for _ in worker.work(("enroll", "update", "expunge", "search", "backup")):
                pass
        except ForensicError as error:
            tell({"act": "error", "message": str(error)})

    child, reader = forked(work)
    said = heard(reader)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ballast.unlink()
    return {"code": code, "said": said}


def run(folder: Path, first: int, kinds: list[str], seconds: float) -> list[dict[str, Any]]:
    """Processes that enroll and search side by side."""
    end = time.monotonic() + seconds

    def work(seed: int, kind: str, tell: Tell) -> None:
        for _ in Worker(folder, seed, tell).work((kind,)):
            if time.monotonic() > end:
                return

    children = [forked(lambda tell, s=seed, k=kind: work(s, k, tell)) for seed, kind in enumerate(kinds, first)]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(children)) as pool:
        said = list(pool.map(heard, [reader for _, reader in children]))
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, _ in children]
    return [{"code": code, "said": acts} for code, acts in zip(codes, said, strict=True)]


def look(folder: Path, head: dict[str, Any] | None, restore: bool = False) -> dict[str, Any]:
    """What is there: what is found wrong, people with names and records, searches with their lists, backups.

    Keys in a file that was being written when its process was killed are found and then destroyed, as the message
    says; ``left`` tells that there were some.

    Args:
        folder: The gallery's.
        head: Of its log, an earlier one.
        restore: Whether to restore the last backup too, and to see who is in it.
    """
    destination, keys = places(folder)
    with Gallery(folder, create=True) as gallery:
        problems = gallery.verify(None if head is None else audit.Head(**head))
        remaining = backups.remaining(gallery)
        left = [problem.message for problem in remaining if problem.message.startswith(str(partial(keys)))]
        if left:
            remaining = backups.shred(gallery) + backups.remaining(gallery)
        problems += remaining
        snapshots = [one.number for one in restoring.listed(destination, keys)] if backups.recorded(gallery) else []
        if snapshots:
            problems += restoring.check(destination, keys).problems
        searches = {
            found.number: [[candidate["photo_id"], candidate["score"]] for candidate in found.record["candidates"]]
            for found in cases.searches(gallery)
        }
        seen = {"people": people_of(gallery), "searches": searches, "snapshots": snapshots, "left": bool(left)}
    if restore and snapshots:
        new = folder.with_name(f"restored-{snapshots[-1]}")
        restoring.restore(destination, keys, new)
        with Gallery(new) as restored:
            problems += restored.verify()
            seen["restored"] = people_of(restored)
        shutil.rmtree(new)
    return seen | {"problems": list(map(str, problems))}


def people_of(gallery: Gallery) -> dict[str, tuple[str | None, list[int]]]:
    """Label -> name, and the numbers of the records."""
    people: dict[str, tuple[str | None, list[int]]] = {p.label: (p.name, []) for p in gallery.people()}
    for photo in gallery.photos():
        people[photo.person.label][1].append(int(photo.file_name.partition(".")[0]))
    return people


def main(folder: Path) -> None:
    """Answer commands until the input ends."""
    warm = Worker(folder.with_name("warm"), 0, lambda said: None)  # children find everything imported
    for _, act in zip(range(5), ("enroll", "update", "search", "backup", "expunge"), strict=True):
        next(warm.work((act,)))
    commands = {"kill": kill, "fill": fill, "run": run, "look": look}
    print("up", flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(commands[name](folder, *arguments)), flush=True)


if __name__ == "__main__":
    from server import as_in_the_test

    with as_in_the_test():
        main(Path(sys.argv[1]))
