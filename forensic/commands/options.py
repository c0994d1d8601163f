"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def default_gallery() -> Path:
    """The gallery of a user who names none: a folder of the user's data directory."""
    from platformdirs import user_data_path

    return user_data_path("forensic") / "gallery"


def gallery_option(command: Command) -> Command:
    """Add ``--gallery DIR``; the command gets it as ``gallery``, a Path."""
    option = click.option(
        "--gallery",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="FORENSIC_GALLERY",
        default=default_gallery,
        show_default="FORENSIC_GALLERY, or a folder of the user's data directory",
        help="The gallery's folder.",
    )
    return option(command)
