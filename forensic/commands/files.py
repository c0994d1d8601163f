"""Files that commands write: looked at before the work, so that trouble with them does not cost it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from forensic.text import printable

STANDARD = "-"
"""Stands for standard output."""
Write = Callable[[dict[str, Any]], None]


def check_place(file: Path) -> None:
    """Make the folder of a file of figures, which `write` then writes.

    Raises:
        UsageError: The folder cannot be made or written, or the file itself cannot; or it is a gallery's.
    """
    from forensic.errors import UsageError
    from forensic.gallery.address import check_outside

    check_outside(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(file if file.exists() else file.parent, os.W_OK) and not file.is_dir()
    except OSError:
        writable = False
    if not writable:
        raise UsageError(f"{printable(str(file))} cannot be written. Give another file.")


def make_folder(folder: Path) -> None:
    """Make a folder for what a command writes.

    Raises:
        UsageError: It cannot be made, or is a gallery's.
    """
    from forensic.errors import UsageError
    from forensic.gallery.address import check_outside

    check_outside(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(
            f"{printable(str(folder))} cannot be made ({problem.strerror}). Give another --out."
        ) from problem


def write(file: Path, text: str) -> None:
    """Write a file of figures whole, or not at all; a link, a device or a pipe is written to and stays what it is.

    Raises:
        UsageError: It cannot be written.
    """
    from forensic.errors import UsageError
    from forensic.weights import write_bytes

    try:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            file.write_bytes(text.encode())
        else:
            write_bytes(file, text.encode())
    except OSError as error:
        raise UsageError(f"{printable(str(file))} cannot be written ({error.strerror}). Give another file.") from None


def check(file: Path, option: str, sources: Sequence[Path], *, whole: bool = False) -> None:
    """Refuse a file that an answer with people in it must not be written to; nothing is written or made yet.

    Args:
        file: Where the answer is to go.
        option: The option that named it.
        sources: Files that the command reads.
        whole: Whether a new file takes its place, so that no device or link may be there.

    Raises:
        UsageError: It is one of the sources, a folder, in a folder that does not exist or in a gallery's; or it is
            something else than a file and a file would take its place.
    """
    from forensic.errors import UsageError
    from forensic.gallery.address import check_outside

    advice = f"Give another {option} FILE."
    if not file.parent.is_dir():
        raise UsageError(f"{file} cannot be written: there is no folder {file.parent}. {advice}")
    if file.is_dir():
        raise UsageError(f"{file} is a folder. {advice}")
    if file.exists() and any(source.exists() and file.samefile(source) for source in sources):
        raise UsageError(f"{file} is a sketch to search with, and would be lost. {advice}")
    check_outside(file)
    if whole and (file.is_symlink() or (file.exists() and not file.is_file())):
        raise UsageError(f"{file} is no file of its own, which the answer would take the place of. {advice}")


@contextmanager
def lines(target: str | None) -> Iterator[Write]:
    """Writes one JSON object a line, to a file for its owner alone, to standard output (``-``) or nowhere.

    Raises:
        UsageError: The file cannot be opened or written.
    """
    from forensic.errors import UsageError

    if target is None:
        yield lambda line: None
    elif target == STANDARD:
        plain = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
        yield lambda line: click.echo(json.dumps(line, ensure_ascii=plain))
    else:

        def fail(error: OSError) -> UsageError:
            return UsageError(f"{target} cannot be written ({error.strerror}). Give another --json FILE.")

        try:
            file = open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise fail(error) from None

        def write(line: dict[str, Any]) -> None:
            try:
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            except OSError as error:
                raise fail(error) from None

        with file:
            yield write
