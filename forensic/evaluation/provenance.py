"""Where a report comes from: versions, the kind of machine, and the commit of a checkout."""

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("forensic-sketch", "torch", "numpy", "scikit-learn", "facenet-pytorch", "lir")
PACKAGE = Path(__file__).resolve().parents[1]


def made_by() -> dict[str, str]:
    """Versions, machine, and the commit if the package lies in its own git checkout."""
    made = {**{name: version(name) for name in PACKAGES}, "machine": platform.machine()}
    found = commit()
    return made if found is None else {**made, "commit": found}


def commit(package: Path = PACKAGE) -> str | None:
    """The checkout's commit, with ``+changes`` if the package differs from it; None where it is installed.

    An environment inside somebody's repository is not a checkout: the package must be its top folder's own.
    """
    git = shutil.which("git")
    if git is None:
        return None
    try:
        top = _run(git, package, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != package.parent:
            return None
        head = _run(git, package, "rev-parse", "HEAD")
        return f"{head}+changes" if _run(git, package, "status", "--porcelain", "--", ".") else head
    except (OSError, subprocess.SubprocessError):
        return None


def _run(git: str, folder: Path, *arguments: str) -> str:
    command = [git, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=20).stdout.strip()
