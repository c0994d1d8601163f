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


def policy_option(command: Command) -> Command:
    """Add ``--policy FILE``; the command gets it as ``policy``, a Path or None for the shipped one."""
    option = click.option(
        "--policy",
        type=click.Path(dir_okay=False, path_type=Path),
        help="TOML file that says which photos are good enough, in place of the shipped one.",
    )
    return option(command)


ROUTE = "direct+direct@patches"
"""`forensic.matching.DEFAULT`, written here so that ``--help`` need not load the models' libraries."""


def route_option(command: Command) -> Command:
    """Add ``--route NAME``; the command gets it as ``route``, a matcher's name."""
    option = click.option(
        "--route",
        default=ROUTE,
        show_default=True,
        help="How sketch and photos are compared: one route, or several with + between.",
    )
    return option(command)
