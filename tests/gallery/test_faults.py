"""What was acknowledged is there, and nothing is half done: after SIGKILL, on a full disk, among many processes."""

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from forensic.gallery import Gallery
from forensic.gallery.casework import cases
from forensic.gallery.log import audit

SCRIPT = Path(__file__).with_name("faults.py")
FEW_KILLS, KILLS = 8, 200
FEW_FULL, FULL = 2, 20
FEW_SECONDS, SECONDS = 4, 60
RESTORED = 4  # of so many, one is restored from its backup
Ask = Callable[..., Any]


@contextmanager
def workers(folder: Path, *before: str) -> Iterator[Ask]:
    """Starts the script; gives a function that sends a command and returns the answer."""
    command = [*before, sys.executable, str(SCRIPT), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

        def ask(*words: object) -> Any:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()
        assert process.wait(timeout=60) == 0


class Expected:
    """What a gallery has to hold by what its processes said: labels with their names and records."""

    def __init__(self) -> None:
        self.people: dict[str, tuple[str | None, frozenset[int]]] = {}
        self.searches: dict[int, list[Any]] = {}
        self.saved: dict[str, tuple[str | None, frozenset[int]]] = {}
        """Who is in the last backup and was not expunged since."""
        self.snapshots = 0
        self.head: dict[str, Any] | None = None
        self.acts = 0

    def apply(self, act: dict[str, Any]) -> None:
        match act["act"]:
            case "enroll":
                for number in act["numbers"]:
                    label = f"P{number // 2:04}"
                    name, numbers = self.people.get(label, (f"Name {number // 2}", frozenset()))
                    self.people[label] = name, numbers | {number}
            case "update":
                self.people[act["label"]] = act["name"], self.people[act["label"]][1]
            case "expunge":
                for label in act["labels"]:
                    del self.people[label]
                    self.saved.pop(label, None)
            case "backup":
                self.saved = dict(self.people)
                self.snapshots += 1

    def acknowledge(self, act: dict[str, Any]) -> None:
        self.apply(act)
        self.acts += 1
        self.head = act["head"]
        if act["act"] == "search":
            self.searches[act["search"]] = [[photo, score] for _, photo, score in act["candidates"]]

    def hear(self, said: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Take what was acknowledged, and return the act that was cut off, if one was."""
        begun = None
        for act in said:
            if act.get("done"):
                self.acknowledge(act)
            begun = None if act.get("done") else act
        return begun

    def check(self, seen: dict[str, Any], begun: dict[str, Any] | None) -> bool:
        """Compare with what is `seen` in the gallery; whether the act that was cut off has been done."""
        assert seen["problems"] == []
        if seen["left"]:
            assert begun is not None
            assert begun["act"] in {"backup", "expunge"}, "nothing else writes a key file"
        assert seen["searches"].items() >= {str(number): found for number, found in self.searches.items()}.items()
        changed = (people(seen["people"]), len(seen["snapshots"])) != (self.people, self.snapshots)
        if changed:
            assert begun is not None, "something changed that nobody was doing"
            self.apply(begun)
        assert people(seen["people"]) == self.people
        assert len(seen["snapshots"]) == self.snapshots
        if "restored" in seen:
            assert people(seen["restored"]) == self.saved
        return changed


def people(seen: dict[str, Any]) -> dict[str, tuple[str | None, frozenset[int]]]:
    """As they are compared."""
    return {label: (name, frozenset(numbers)) for label, (name, numbers) in seen.items()}


@pytest.mark.parametrize("kills", [FEW_KILLS, pytest.param(KILLS, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_killed_at_random_moments(tmp_path: Path, kills: int, pace: float) -> None:
    rng, expected, folder = random.Random(kills), Expected(), tmp_path / "gallery"
    begun, finished = [], 0
    with workers(folder) as ask:
        for seed in range(1, kills + 1):
            answer = ask("kill", seed, rng.uniform(0.02, 1.5 * pace))
            assert answer["killed"]
            act = expected.hear(answer["said"])
            finished += expected.check(ask("look", expected.head, seed % RESTORED == 0), act)
            begun.append(act["act"] if act else "nothing")
    amid = {name: begun.count(name) for name in sorted(set(begun))}
    print(f"{kills} kills, amid {amid}; {finished} of these acts were done; {expected.acts} acknowledged, none lost")
    assert expected.acts > kills / 2
    assert len(amid) > 1


def mounted() -> list[str]:
    """The words before a command that give it a small file system of its own; skips where that is not allowed."""
    before = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o size=24m none "$0" && exec "$@"',
    ]
    try:
        subprocess.run([*before, "/mnt", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a system that lets users mount a small file system (unshare --user --mount)")
    return before


@pytest.mark.sqlite("the database is not on that disk: see test_postgresql.py")
@pytest.mark.parametrize("times", [FEW_FULL, pytest.param(FULL, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_a_full_disk(tmp_path: Path, times: int) -> None:
    rng, expected, disk = random.Random(times), Expected(), tmp_path / "disk"
    disk.mkdir()
    begun, finished = [], 0
    with workers(disk / "gallery", *mounted(), str(disk)) as ask:
        for seed in range(1, times + 1):
            answer = ask("fill", seed, rng.randrange(50_000, 3_000_000))
            assert answer["code"] == 0
            *said, error = answer["said"]
            assert error["act"] == "error"
            assert any(words in error["message"] for words in ("No space left", "disk is full")), error
            act = expected.hear(said)
            finished += expected.check(ask("look", expected.head, seed % RESTORED == 0), act)
            begun.append(act["act"] if act else "opening")
    amid = {name: begun.count(name) for name in sorted(set(begun))}
    print(
        f"{times} full disks, amid {amid}; {finished} of these acts were done; {expected.acts} acknowledged, none lost"
    )
    assert expected.acts > 0


@pytest.mark.parametrize(
    "seconds", [FEW_SECONDS, pytest.param(SECONDS, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_two_enroll_while_four_search(tmp_path: Path, seconds: int, making: ModuleType, faults: ModuleType) -> None:
    folder = tmp_path / "gallery"
    with workers(folder) as ask:
        answers = ask("run", 1, ["enroll"], 0.5)  # some are there before
        answers += ask("run", 2, ["enroll"] * 2 + ["search"] * 4, seconds)
    assert [answer["code"] for answer in answers] == [0] * 7
    said = [act for answer in answers for act in answer["said"] if act.get("done")]
    enrolled = [number for act in said if act["act"] == "enroll" for number in act["numbers"]]
    searches = [act for act in said if act["act"] == "search"]
    with Gallery(folder) as gallery:
        assert gallery.verify(audit.Head(**said[-1]["head"])) == []
        photos = {photo.id: int(photo.file_name.partition(".")[0]) for photo in gallery.photos()}
        assert set(enrolled) <= set(photos.values())
        roots = dict(history(gallery, photos, making))
        compared = 0
        for act in searches:
            record = cases.searched(gallery, act["search"]).record
            known = roots[record["gallery"]["root"]]  # the gallery was in this state at some moment
            assert record["gallery"]["photos"] == len(known)
            expected = brute_force(faults.probe_template(act["number"]), {k: photos[k] for k in known}, making)
            assert [photo for _, photo, _ in act["candidates"]] == [photo for photo, _ in expected]
            found = [score for _, _, score in act["candidates"]]
            assert found == pytest.approx([score for _, score in expected], abs=1e-6)
            compared += 1
    print(f"{seconds} s: {len(enrolled)} enrolled, {compared} searches of {len(roots)} states, all as by brute force")
    assert compared >= 4
    assert len({act["search"] for act in searches}) == compared


def history(gallery: Gallery, photos: dict[int, int], making: ModuleType) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each state that the log tells of: the Merkle root over the seals of its templates, and its photos."""
    space, seals, known = making.space(), {}, []
    for photo, number in photos.items():
        sha256 = making.record(number).sha256
        vector = making.template(sha256, space).astype("<f4").tobytes()
        seals[photo] = sha256, hashlib.sha256(f"{space.digest} {sha256}\n".encode() + vector).digest()
    with gallery.reading() as session:
        entries = audit.entries(session)[::-1]
    for entry in entries:
        if entry["action"] == "enroll":
            known += entry["details"]["photos"]
            segments = [[photo for photo in known if photo // 16384 == part] for part in range(max(known) // 16384 + 1)]
            roots = [merkle([seal for _, seal in sorted(seals[photo] for photo in part)]) for part in segments]
            yield merkle(roots).hex(), tuple(known)


def merkle(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + merkle(leaves[:k]) + merkle(leaves[k:])).digest()


def brute_force(probe: np.ndarray, photos: dict[int, int], making: ModuleType) -> list[tuple[int, float]]:
    """The ten best people by the better of their photos: photo and cosine."""
    best: dict[int, tuple[float, int]] = {}
    for photo, number in photos.items():
        vector = making.template(making.record(number).sha256, making.space())
        score = float(vector.astype(np.float64) @ probe.astype(np.float64))
        person = number // 2
        best[person] = max(best.get(person, (-2.0, 0)), (score, photo))
    return [(photo, score) for score, photo in sorted(best.values(), reverse=True)[:10]]
