"""Where a result comes from: versions, the kind of machine, the program's own code, and the commit of a checkout."""

import functools
import hashlib
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("torch", "torchvision", "facenet-pytorch", "numpy", "pillow", "scipy")
"""Whose other versions could change the last bits of a template."""
PACKAGES = ("forensic-sketch", *LIBRARIES, "scikit-learn")
PACKAGE = Path(__file__).resolve().parent


@functools.cache
def versions() -> dict[str, str]:
    """Versions of the package and of those that a figure hangs on, and the kind of machine."""
    return {**{name: version(name) for name in PACKAGES}, "machine": machine()}


@functools.cache
def machine() -> str:
    """The kind of processor, its maker and the widest instructions that it has.

    Libraries choose by these how they add up: the same sums end in other digits on another kind.

    Returns:
        Such as ``x86_64 AuthenticAMD AVX512_ICL``; less where the system does not tell.
    """
    import numpy as np

    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        told = ""
    makers = re.findall(r"^vendor_id\s*:\s*(\S+)", told, re.MULTILINE)
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return " ".join((platform.machine(), *makers[:1], *found[-1:]))


def made_by() -> dict[str, str]:
    """Versions, machine, and the commit if the package lies in its own git checkout."""
    found = commit()
    return versions() | ({} if found is None else {"commit": found})


@functools.cache
def code() -> str:
    """SHA-256 over the package's Python files as they are now, whatever version they say they are."""
    total = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        total.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    return total.hexdigest()


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
