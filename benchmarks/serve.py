"""A server under load against the bare identify loop: the same gallery and sketches, by turns in one run.

python -m benchmarks.serve [--templates 100000] [--clients 50] [--seconds 60] [--folder DIR] [--json FILE]

The bare loop is ``Identifier.search_all`` in this process: all cores, every search on record; no HTTP, no queue. The
clients are programs in a process of their own, which takes its share of the same cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clients, made_up
from benchmarks.clients import TOP, Answer, Crowd
from benchmarks.served import Served, cores
from forensic import Gallery, Identifier, matching
from forensic.datasets.synthetic import make_people
from forensic.enrollment import gallery_space
from forensic.gallery import users
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind
from forensic.gallery.log import trail
from forensic.gallery.rights import Role
from forensic.web import engine

SKETCHES = 2 * engine.KEPT // engine.FACE
"""More than the server remembers faces of, so that it finds each one anew, as the bare loop does."""
USERS = 10
PASSWORD = "a password for a benchmark"  # noqa: S105 - of a gallery of nobody
ADMINISTRATOR, EXAMINER = "administrator", "examiner {}"
BATCH, PHOTO = 1000, 64
"""Made-up photos enrolled at once, and the bytes of each."""
ROUNDS = 2
AT_WORK = 0.25
"""Share of the time of a phase after which SIGTERM comes."""

Figures = dict[str, Any]


class Prepared:
    """A gallery of made-up photos with users, and with a case for each sketch; made where it is not there yet.

    Args:
        folder: Where it is, or will be.
        templates: Its photos.
    """

    def __init__(self, folder: Path, templates: int) -> None:
        name = f"gallery-{templates}-{SKETCHES}"
        self.folder, whole = folder / name, folder / f"{name}.json"
        made = make_people(folder / "people", SKETCHES, seed=0)
        self.files = [person.sketch for person in made if person.sketch is not None]
        if not whole.exists():
            _enroll(self.folder, templates)
            whole.write_text(json.dumps(_open_cases(self.folder, self.files)))
        self.sketches: list[tuple[int, int]] = json.loads(whole.read_text())

    def times_on_record(self) -> Counter[str]:
        """How many searches each request has on record, by the request's number."""
        with Gallery(self.folder) as gallery:
            gallery.sign_in(ADMINISTRATOR, PASSWORD)
            return Counter(entry["details"].get("request", "") for entry in trail.entries(gallery, action="search"))


def _enroll(folder: Path, templates: int) -> None:
    spaces = [gallery_space(route) for route in matching.load().routes]
    random = np.random.default_rng(0)
    with Gallery(folder, create=True) as gallery:
        for start in range(0, templates, BATCH):
            some = range(start, min(start + BATCH, templates))
            gallery.enroll([made_up.record(number, PHOTO, spaces, random) for number in some])
        users.add(gallery, ADMINISTRATOR, Role.ADMINISTRATOR, PASSWORD)  # last: from here on, somebody has to sign in
        gallery.sign_in(ADMINISTRATOR, PASSWORD)
        for number in range(USERS):
            users.add(gallery, EXAMINER.format(number), Role.EXAMINER, PASSWORD)


def _open_cases(folder: Path, sketches: Sequence[Path]) -> list[tuple[int, int]]:
    with Gallery(folder) as gallery:
        gallery.sign_in(EXAMINER.format(0), PASSWORD)
        for number, file in enumerate(sketches):
            cases.open_case(gallery, f"B-{number}", purpose="benchmark", legal_basis="none: nobody is searched")
            cases.add_sketch(gallery, f"B-{number}", Drawing(file.read_bytes(), file.name, Kind.VIEWED))
        opened = reversed(cases.listed(gallery))
        return [(case.id, cases.sketches(gallery, case.reference)[0].id) for case in opened]


class Bare:
    """The loop that a server is compared with.

    Args:
        prepared: What is searched.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._gallery, self._files = Gallery(prepared.folder), prepared.files
        self._gallery.sign_in(EXAMINER.format(0), PASSWORD)
        self._identifier = Identifier(self._gallery, case="B-0")
        self._identifier.search(self._files[0])  # loads the index

    def search(self, seconds: float) -> Figures:
        """Searches a second, all on record, and the processor time of each."""
        began, used = time.monotonic(), time.process_time()
        found = self._identifier.search_all(itertools.cycle(self._files), TOP)
        for done, answer in enumerate(found, 1):
            if isinstance(answer, Exception):
                raise answer
            if (took := time.monotonic() - began) >= seconds:
                return {"rate": done / took, "processor": (time.process_time() - used) / done}
        raise AssertionError("a cycle does not end")


class Clients:
    """Those of one server.

    Args:
        served: The server.
        prepared: What they search with.
    """

    def __init__(self, served: Served, prepared: Prepared) -> None:
        self.served, self.sketches = served, prepared.sketches
        names = map(EXAMINER.format, range(USERS))
        self._tokens = [clients.token(served.url, name, PASSWORD) for name in names]

    def search(self, count: int, seconds: float) -> Figures:
        """Let some of them search.

        Returns:
            What they saw, and the processor time that the server took for each search; times are seconds.
        """
        used = self.served.processor_seconds()
        answers = clients.finished(clients.begin(self._crowd(count, seconds)))
        used = self.served.processor_seconds() - used
        took = [answer.took for answer in answers if answer.status == 201]
        refused = [answer.took for answer in answers if answer.status == 503]
        end = min(answer.ended - answer.took for answer in answers) + seconds
        return {
            "clients": count,
            "searches": len(took),
            "rate": sum(answer.status == 201 and answer.ended <= end for answer in answers) / seconds,
            "processor": used / max(1, len(took)),
            "p50": _quantile(took, 0.5),
            "p95": _quantile(took, 0.95),
            "longest": max(took, default=None),
            "refused": len(refused),
            "p95_of_refusals": _quantile(refused, 0.95),
            "errors": dict(Counter(f"{one.status} {one.why}" for one in answers if one.status not in (201, 503))),
            "peak_mib": round(self.served.peak_mib()),
        }

    def search_until_the_end(self, count: int, seconds: float) -> tuple[list[Answer], Figures]:
        """Send the server SIGTERM while they search: what they saw, and how it ended."""
        begun = clients.begin(self._crowd(count, seconds))
        time.sleep(AT_WORK * seconds)
        began = time.monotonic()
        self.served.terminate()
        ending = {"status": self.served.ended(), "seconds": time.monotonic() - began}
        return clients.finished(begun), ending  # whoever was refused waits as long as it was told, and comes back

    def _crowd(self, count: int, seconds: float) -> Crowd:
        return Crowd(self.served.url, self._tokens, self.sketches, count, seconds)


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def measure(folder: Path, options: argparse.Namespace) -> Figures:
    """All figures."""
    prepared, log = Prepared(folder, options.templates), folder / "server.log"
    rounds, bare = [], Bare(prepared)
    with Served(prepared.folder, log, workers=cores()) as served:
        crowd = Clients(served, prepared)
        if not crowd.search(cores(), 1)["searches"]:  # loads models and index
            raise SystemExit(f"The server does not search:\n{served.written}")
        for _ in range(ROUNDS):
            halves = [bare.search(options.seconds / 2)]
            found = crowd.search(options.clients, options.seconds)
            halves.append(bare.search(options.seconds / 2))
            rounds.append(
                found | {f"bare_{name}": statistics.mean(half[name] for half in halves) for name in halves[0]}
            )
        many = crowd.search(options.crowd, options.seconds)
        answers, ending = crowd.search_until_the_end(options.clients, options.seconds)
    accepted = [answer.request for answer in answers if answer.status in (201, 202)]
    left = sum(prepared.times_on_record()[request] == 0 for request in accepted)
    with Served(prepared.folder, log, workers=cores()) as served:  # does what the other one left
        again = Clients(served, prepared).search(1, 1)
        served.terminate()
        served.ended()
    times = prepared.times_on_record()
    ending |= {
        "accepted": len(accepted),
        "left_for_the_next_start": left,
        "lost": sum(times[request] == 0 for request in accepted),
        "twice": sum(times[request] > 1 for request in accepted),
        "answers": dict(Counter(str(answer.status) for answer in answers)),
        "next_start": again["searches"],
    }
    return {
        "templates": options.templates,
        "seconds": options.seconds,
        "cores": cores(),
        "rounds": rounds,
        "ratio": statistics.median(found["rate"] / found["bare_rate"] for found in rounds),
        "many": many,
        "ending": ending,
    }


def table(found: Figures) -> str:
    """The figures as a table, in Markdown."""
    rounds, many, ending = found["rounds"], found["many"], found["ending"]

    def middle(name: str) -> float:
        return statistics.median(one[name] or 0 for one in rounds)

    errors = sum((Counter(one["errors"]) for one in rounds), Counter())
    rows = [
        ("bare identify loop, searches/s", f"{middle('bare_rate'):.2f}"),
        (f"{rounds[0]['clients']} clients, searches/s", f"{middle('rate'):.2f}"),
        (
            "processor time of a search, ms: bare, server",
            f"{1000 * middle('bare_processor'):.0f}, {1000 * middle('processor'):.0f}",
        ),
        ("ratio", f"{found['ratio']:.2f}"),
        ("p50 and p95 of a search, s", f"{middle('p50'):.1f}, {middle('p95'):.1f}"),
        ("errors, refusals", f"{dict(errors) or 'none'}, {sum(one['refused'] for one in rounds) or 'none'}"),
        ("peak memory, MiB", str(rounds[-1]["peak_mib"])),
        (f"{many['clients']} clients, searches/s", f"{many['rate']:.2f}"),
        ("p95 of a search, s", f"{many['p95'] or 0:.1f}"),
        ("refusals (503), p95 of their time, s", f"{many['refused']}, {many['p95_of_refusals'] or 0:.3f}"),
        ("errors", str(many["errors"] or "none")),
        ("peak memory, MiB", str(many["peak_mib"])),
        ("SIGTERM: exit status, s until the end", f"{ending['status']}, {ending['seconds']:.1f}"),
        ("accepted; done by the next start", f"{ending['accepted']}; {ending['left_for_the_next_start']}"),
        ("lost, done twice", f"{ending['lost']}, {ending['twice']}"),
    ]
    cases_of = f"{found['templates']:,} templates, {found['seconds']:g} s a phase, {found['cores']} cores"
    head = f"| {cases_of}, median of {len(rounds)} rounds | |"
    return "\n".join([head, "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""])


def main(arguments: Sequence[str] | None = None) -> str:
    """The table, in Markdown, and the figures as JSON below it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=100_000, help="photos in the gallery, two templates each")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--crowd", type=int, default=200, help="clients that are more than can wait")
    parser.add_argument(
        "--seconds", type=float, default=60, help="of each phase; the bare loop has half before, half after"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the gallery is kept for the next run; a temporary one if not given"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(folder, options)
    text = json.dumps(found, indent=1)
    if options.json:
        options.json.write_text(text + "\n")
    return f"{table(found)}\n{text}\n"


if __name__ == "__main__":
    print(main())
