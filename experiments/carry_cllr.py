"""Put into the shipped calibrations what their likelihood ratios were worth on data they were not fitted to.

    python experiments/carry_cllr.py

Every figure is read from a table that another experiment wrote: of ``docs/results/recognition.md`` (``forensic
evaluate`` on test identities) and of ``forensic/weights/scoring.md`` (``fit_scoring.py``: each source by a fit to the
others). Nothing but the header of ``forensic/weights/scoring.safetensors`` changes, and with it the file's hash, which
is put into the manifest and the card. Reports of a search state these figures beside its likelihood ratios.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from forensic import matching, routes, weights
from forensic.recognition.calibration import Calibration, Measured

PROJECT = Path(__file__).parents[1]
RESULTS, CARD = "docs/results/recognition.md", "forensic/weights/scoring.md"
SECTIONS = ("cufs (test)", "fs2k (test, split that keeps people apart)")
LEFT_OUT = {"cuhk": "CUHK", "ar": "AR", "xm2vts": "XM2VTS", "fs2k": "FS2K"}
SYSTEMS = ("direct", "direct@patches", "direct+direct@patches")
SCORING = weights.SHIPPED / "scoring.safetensors"


def tested(system: str) -> Iterator[Measured]:
    """A system's Cllr on test identities, every sketch with every photo, without distractors."""
    page = (PROJECT / RESULTS).read_text(encoding="utf-8")
    for section in SECTIONS:
        part = page.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
        table = part.split("### Likelihood ratios", 1)[1].split("\n### ", 1)[0]
        found = re.search(rf"^\| `{re.escape(system)}` \| ([\d,]+) \| ([\d,]+) \| (\d\.\d+) ", table, re.M)
        if found is None:
            raise SystemExit(f"{RESULTS} has no Cllr of {system} under {section}.")
        mated, nonmated, cost = found.groups()
        name = section.replace("cufs", "CUFS").replace("fs2k", "FS2K")
        data = f"{name}: {mated} comparisons of one person, {nonmated} of two"
        yield Measured(data, float(cost), RESULTS)


def left_out(system: str) -> Iterator[Measured]:
    """What was measured on each source by models, weights and a calibration that had not seen it."""
    card = (PROJECT / CARD).read_text(encoding="utf-8")
    for source, name in LEFT_OUT.items():
        found = re.search(rf"^\| {source} \| `{re.escape(system)}` \| [\d.]+ \| ([\d.]+) \|$", card, re.M)
        if found is None:
            raise SystemExit(f"{CARD} has no Cllr of {system} on {source}.")
        data = f"{name}, by a fit to the other sources: hands and a studio that nothing here had seen"
        yield Measured(data, float(found.group(1)), CARD)


def main() -> None:
    """Write the header, the manifest and the card."""
    keys = {name: matching.key(routes.load(name)) for name in ("direct", "direct@patches")}
    tensors, about = weights.read(SCORING)
    for system in SYSTEMS:
        line = about["fitted"]["+".join(sorted(keys[name] for name in system.split("+")))]
        measured = [row._asdict() for row in (*tested(system), *left_out(system))]
        line["calibration"] = Calibration.from_dict(line["calibration"] | {"measured": measured}).to_dict()
    content = weights.pack(tensors, about)
    digest = hashlib.sha256(content).hexdigest()
    manifest = weights.SHIPPED / "manifest.json"
    before = json.loads(manifest.read_text(encoding="utf-8"))["scoring"]["sha256"]
    weights.write_bytes(SCORING, content)
    for path in (manifest, PROJECT / CARD):
        weights.write_bytes(path, path.read_text(encoding="utf-8").replace(before, digest).encode())
    print(f"{SCORING.name}: {len(content):,} bytes, SHA-256 {digest}")


if __name__ == "__main__":
    main()
