"""Files that answers go to: looked at before the work, for their owner alone, never in the place of something else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

STANDARD = "-"
"""Stands for standard output."""
Write = Callable[[dict[str, Any]], None]


def check(file: Path, option: str, sources: Sequence[Path], *, whole: bool = False) -> None:
    """Refuse a file that an answer must not be written to; nothing is written yet.

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
        yield lambda line: click.echo(json.dumps(line, ensure_ascii=False))
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
