"""Weight files: the ones that the project trained (beside this file) and the ones that a user installed.

Each of the two folders has a ``manifest.json``: name -> file, sha256, kind and what the kind needs to know
(a translator's method and direction, an embedder's architecture). A file is opened only after its hash was
found to be the manifest's. Files are safetensors with a JSON description in their header; never pickles.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import platformdirs

from forensic import durable
from forensic.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

SHIPPED = Path(__file__).parent
MANIFEST, FIELDS = "manifest.json", ("file", "sha256", "kind")
PATIENCE = 60.0
"""Seconds to wait for another program that changes the user's folder."""
_DESCRIPTION = "forensic"


class Entry(NamedTuple):
    """One line of a manifest.

    Attributes:
        name: What the weights are called.
        kind: ``detector``, ``embedder``, ``translator``, ``scoring``, ``priors``, ``features``, or a published
            network's ``parsing``, ``saliency`` or ``depth``.
        path: The file, which may be missing.
        sha256: Hash that the file must have.
        about: The line's other fields.
    """

    name: str
    kind: str
    path: Path
    sha256: str
    about: dict[str, Any]

    @property
    def shipped(self) -> bool:
        """Whether the project brings it, and not the user."""
        return self.path.parent == SHIPPED


def installed_folder() -> Path:
    """The user's weights: ``FORENSIC_WEIGHTS`` where it is set, else in the user's data directory.

    Raises:
        UsageError: It is not set, and the account has no home, as in a container.
    """
    given = os.environ.get("FORENSIC_WEIGHTS")
    try:
        return Path(given) if given else platformdirs.user_data_path("forensic") / "weights"
    except RuntimeError:
        raise UsageError("This account has no home to keep weights in: name a folder in FORENSIC_WEIGHTS.") from None


def entries(kind: str | None = None) -> list[Entry]:
    """Weights that can be loaded by name, the user's own before the shipped ones.

    Raises:
        ModelError: A manifest is not readable.
    """
    folders = [SHIPPED]
    with suppress(UsageError):  # an account without a home has none of its own
        folders.insert(0, installed_folder())
    return [entry for folder in folders for entry in _manifest(folder) if kind in (None, entry.kind)]


def shipped(name: str) -> Entry:
    """The entry of weights that the project brings; nobody's own file takes its place by its name.

    Raises:
        ModelError: There is none.
    """
    for entry in _manifest(SHIPPED):
        if entry.name == name:
            return entry
    raise ModelError(f"The weights {name!r} are not among the shipped ones. Install the package again.")


def verified(entry: Entry) -> Path:
    """The entry's file, after its hash was found to be the manifest's.

    Raises:
        ModelError: The file is missing or has another hash.
    """
    again = (
        "Install the package again."
        if entry.shipped
        else f"Write it again, or remove it from {entry.path.parent / MANIFEST}."
        if entry.kind == "scoring"
        else f"Import it again: forensic models import FILE --name {entry.name}"
    )
    if not entry.path.is_file():
        raise ModelError(f"{entry.path} is missing, though the manifest lists it as {entry.name!r}. {again}")
    digest = sha256(entry.path)
    if digest != entry.sha256:
        raise ModelError(
            f"{entry.path} has SHA-256 {digest}, the manifest states {entry.sha256}: it was changed or damaged. {again}"
        )
    return entry.path


def install(name: str, kind: str, content: bytes, about: dict[str, Any]) -> Entry:
    """Write a weight file into the user's folder and list it, so that it loads by name.

    Raises:
        ModelError: Another program keeps changing the folder, or its manifest is not readable.
    """
    folder = installed_folder()
    path = folder / f"{name}.safetensors"
    entry = Entry(name, kind, path, hashlib.sha256(content).hexdigest(), about)
    with _sole_writer(folder):
        lines = _lines(folder)
        lines[name] = {"file": path.name, "sha256": entry.sha256, "kind": kind, **about}
        write_bytes(path, content)
        _write_lines(folder, lines)
    return entry


def uninstall(name: str) -> None:
    """Take a weight file out of the user's folder and its manifest.

    Raises:
        ModelError: Another program keeps changing the folder, or its manifest is not readable.
    """
    folder = installed_folder()
    with _sole_writer(folder):
        lines = _lines(folder)
        line = lines.pop(name)
        _write_lines(folder, lines)
        (folder / line["file"]).unlink(missing_ok=True)


def pack(tensors: dict[str, Tensor], description: dict[str, Any]) -> bytes:
    """A safetensors file's content: tensors, and a JSON description in its header."""
    from safetensors.torch import save

    return save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        metadata={_DESCRIPTION: json.dumps(description, sort_keys=True)},
    )


def write(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write tensors and their description; a crash leaves the old file or the new one, never a part."""
    write_bytes(path, pack(tensors, description))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a file that `write` made.

    Raises:
        ModelError: No such file, or one that is damaged or was made by something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"No file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if _DESCRIPTION not in metadata:
                raise ModelError(f"{path} is a safetensors file, but not one that this toolkit wrote.")
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, json.loads(metadata[_DESCRIPTION])
    except (SafetensorError, OSError, ValueError) as problem:
        raise ModelError(f"{path} is not a readable safetensors file: {problem}") from problem


def fit(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict that must fit exactly, but for counters that evaluation does not use.

    Args:
        network: Is changed.
        state: Tensors of any floating type.
        what: Names the state and the network in an error, such as ``FILE does not fit mobilefacenet``.

    Raises:
        ModelError: Tensors are missing, too many, or of other shapes.
    """
    try:
        missing, unexpected = network.load_state_dict(dict(state), strict=False)
    except RuntimeError as problem:
        raise ModelError(f"{what}: {problem}") from None
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ModelError(
            f"{what}: it lacks {len(missing)} tensors ({', '.join(missing[:5])}) and has {len(unexpected)} beyond it"
            f" ({', '.join(unexpected[:5])})."
        )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole: to a neighbour, to the disk, then renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with neighbour.open("wb") as file:
            file.write(content)
            file.flush()
            durable.sync(file.fileno())
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        durable.sync(folder)  # the rename itself
    finally:
        os.close(folder)


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: a manifest that two programs read, change and write loses the lines of one."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=PATIENCE)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout:
        raise ModelError(
            f"Another program has been changing {folder} for {PATIENCE:g} seconds: wait for it to end, then try again."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _manifest(folder: Path) -> list[Entry]:
    return [
        Entry(
            name,
            line["kind"],
            folder / line["file"],
            line["sha256"],
            {key: value for key, value in line.items() if key not in FIELDS},
        )
        for name, line in _lines(folder).items()
    ]


def _lines(folder: Path) -> dict[str, dict[str, Any]]:
    """What a folder's manifest says of each name."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        lines: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(line[key], str) for line in lines.values() for key in FIELDS):
            raise TypeError("a field is no text")
        if strays := [name for line in lines.values() if not _is_plain(name := line["file"])]:
            raise ValueError(f"{strays[0]!r} is no name of a file in this folder")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        cure = (
            "Install the package again."
            if folder == SHIPPED
            else "Bring it back from a copy; or delete it, and import or train the weights of that folder again."
        )
        raise ModelError(
            f"{path} is not a manifest of weights ({problem!r}): expected name -> file, sha256, kind, ... {cure}"
        ) from problem
    return lines


def _is_plain(name: str) -> bool:
    """Whether a file's name stays in its folder, where `uninstall` deletes it, and is not the manifest's."""
    return Path(name).name == name and name not in ("", "..", MANIFEST)


def _write_lines(folder: Path, lines: Mapping[str, Mapping[str, Any]]) -> None:
    write_bytes(folder / MANIFEST, json.dumps(lines, indent=2, sort_keys=True).encode() + b"\n")
