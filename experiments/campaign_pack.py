"""A campaign that travels: code, aids and re-encoded data out; results back, in files that a narrow way lets through.

A pack is a tar of plain files and holds no pickle. Results come back as volumes of one tar.
"""

import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from campaign_data import Pairs, write_examples
from campaign_training import RECORD, read_record

from forensic import weights as store
from forensic.errors import DataError, ModelError, UsageError
from forensic.synthesis import Adversarial

HERE = Path(__file__).resolve().parent
MEGABYTE = 1_000_000
LIMIT = 60 * MEGABYTE
"""What a pack, and what comes back, may take."""
VOLUME = 16 * MEGABYTE
"""What one file of the results may take."""
ABOUT = "pack.json"
_CODE = ("*.py", "datasets/*.py", "datasets/*.csv", "synthesis/**/*.py", "faces/*.py", "backbones/*.py", "weights/*.py")
_NAME = "campaign"


class Packed(NamedTuple):
    """What a pack takes, in bytes."""

    total: int
    parts: dict[str, int]


def pack(
    out: Path,
    package: Path,
    methods: Mapping[str, Adversarial],
    data: Mapping[str, Pairs],
    about: dict[str, Any],
    *,
    quality: int,
) -> Packed:
    """Write a pack.

    Args:
        out: The tar file to write; it appears whole or not at all.
        package: Folder of the package ``forensic``.
        methods: Every run's method, by the run's name: the networks that they consult go along.
        data: The data sets, at 256 x 256.
        about: What ``pack.json`` says.
        quality: Of the re-encoded images, as of JPEG.

    Raises:
        DataError: The pack would be larger than ``LIMIT``; nothing is written.
        ModelError: A network that a method consults is missing.
    """
    work = out.with_name(f".{out.name}.parts")
    shutil.rmtree(work, ignore_errors=True)
    try:
        _code(package, work)
        _aids(methods, work)
        for name, pairs in data.items():
            for part, examples in pairs._asdict().items():
                if examples is not None:
                    write_examples(work / "data" / f"{name}-{part}.npz", examples, quality)
        (work / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        content = _tarred(work)
        parts = {top.name: _bytes(top) for top in sorted(work.iterdir())}
        if len(content) > LIMIT:
            sizes = ", ".join(f"{name} {size / MEGABYTE:.1f} MB" for name, size in parts.items())
            raise DataError(
                f"The pack would take {len(content) / MEGABYTE:.1f} MB, and at most {LIMIT / MEGABYTE:.0f} may be:"
                f" {sizes}. Give a lower --quality than {quality}, or fewer data sets or runs."
            )
        store.write_bytes(out, content)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Packed(len(content), parts)


def about(folder: Path) -> dict[str, Any]:
    """What a pack says of itself.

    Raises:
        DataError: The folder is no unpacked pack.
    """
    path = folder / ABOUT
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{folder} is no unpacked campaign: it has no {ABOUT}. Unpack it: tar -xf PACK.tar") from None
    return found


class Collected(NamedTuple):
    """What came along, and what did not."""

    files: list[Path]
    total: int
    left_out: list[str]


def collect(out: Path, into: Path, runs: Sequence[str]) -> Collected:
    """Write a campaign's results as volumes ``campaign.tar.00`` and so on.

    Records, logs and curves come first, then the last sample grids, then the weights, in the order of the runs. What
    would go beyond ``LIMIT`` is left out and named.

    Args:
        out: The campaign's folder.
        into: A folder without volumes of an earlier collection.
        runs: Names of the runs.

    Raises:
        UsageError: ``into`` holds volumes already, or there is nothing to collect.
    """
    if into.is_dir() and any(into.glob(f"{_NAME}.tar.*")):
        raise UsageError(f"{into} holds collected results already. Choose another folder.")
    chosen: list[Path] = [path for path in (out / "plan.json",) if path.is_file()]
    folders = [out / "runs" / name for name in runs if (out / "runs" / name / RECORD).is_file()]
    if not folders:
        raise UsageError(f"{out} holds no run that has begun.")
    for folder in folders:
        chosen += [path for path in (folder / RECORD, folder / "log.jsonl", folder / "curve.svg") if path.is_file()]
    for folder in folders:
        chosen += sorted((folder / "samples").glob("*.png"))[-1:]
    for folder in folders:
        if named := read_record(folder).get("weights"):
            chosen.append(folder / named["file"])
    content, left_out = _fitting(out, chosen)
    into.mkdir(parents=True, exist_ok=True)
    files = []
    for index, first in enumerate(range(0, len(content), VOLUME)):
        files.append(into / f"{_NAME}.tar.{index:02}")
        store.write_bytes(files[-1], content[first : first + VOLUME])
    return Collected(files, len(content), left_out)


def receive(volumes: Path, out: Path) -> list[Path]:
    """Put collected results into a campaign's folder; returns the files.

    Raises:
        DataError: Volumes are missing or damaged.
    """
    parts = sorted(volumes.glob(f"{_NAME}.tar.*"))
    if [path.suffix for path in parts] != [f".{index:02}" for index in range(len(parts))] or not parts:
        raise DataError(f"{volumes} lacks volumes: expected {_NAME}.tar.00 and so on, found {len(parts)}. Bring all.")
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(part.read_bytes() for part in parts))) as archive:
            content = {out / member.name: archive.extractfile(member) for member in archive}
            files = {path: file.read() for path, file in content.items() if file}
    except (tarfile.TarError, OSError) as problem:
        raise DataError(f"The volumes in {volumes} are damaged or not whole ({problem}). Bring them again.") from None
    for path in content:
        if path not in files or not path.resolve().is_relative_to(out.resolve()):
            raise DataError(f"The volumes in {volumes} hold {path}, which is no file of a campaign's folder.")
    for path, held in files.items():
        store.write_bytes(path, held)
    return list(files)


def _fitting(out: Path, files: Sequence[Path]) -> tuple[bytes, list[str]]:
    """A tar of the files in their order as long as they fit; what does not is named, and smaller ones go on."""
    block, left_out = tarfile.BLOCKSIZE, []
    content, taken = io.BytesIO(), 2 * tarfile.RECORDSIZE
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in files:
            size = path.stat().st_size
            needed = 3 * block + size + -size % block  # a long name takes two blocks more than a header
            if taken + needed > LIMIT:
                left_out.append(f"{path.relative_to(out)} ({size / MEGABYTE:.1f} MB)")
                continue
            taken += needed
            archive.add(path, str(path.relative_to(out)))
    return content.getvalue(), left_out


def _code(package: Path, work: Path) -> None:
    for pattern in _CODE:
        for path in package.glob(pattern):
            _copy(path, work / "forensic" / path.relative_to(package))
    for path in [*HERE.glob("campaign*.py"), *HERE.glob("campaign/*.toml"), *HERE.glob("*-compact*.toml")]:
        _copy(path, work / "experiments" / path.relative_to(HERE))


def _aids(methods: Mapping[str, Adversarial], work: Path) -> None:
    """The weight files that the methods consult, each in its place, with manifests that list no others."""
    wanted = {digest for method in methods.values() for digest in (method.needs | method.consults).values()}
    entries = [entry for entry in store.entries() if entry.sha256 in wanted]
    if missing := wanted - {entry.sha256 for entry in entries}:
        raise ModelError(f"No weight file has the SHA-256 {', '.join(sorted(missing))}, which a method consults.")
    manifests: dict[str, dict[str, Any]] = {"forensic/weights": {}, "installed": {}}
    for entry in entries:
        home = "forensic/weights" if entry.shipped else "installed"
        _copy(store.verified(entry), work / home / entry.path.name)
        manifests[home][entry.name] = {
            "file": entry.path.name,
            "sha256": entry.sha256,
            "kind": entry.kind,
            **entry.about,
        }
    for home, lines in manifests.items():
        (work / home).mkdir(parents=True, exist_ok=True)
        (work / home / "manifest.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def _tarred(folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.add(path, str(Path(_NAME) / path.relative_to(folder)))
    return content.getvalue()


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
