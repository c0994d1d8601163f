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


def pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``key=value`` arguments as a dictionary."""
    pairs: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or key.strip() in pairs:
            raise click.BadParameter(f"{text!r}: expected key=value, each key once.", context, parameter)
        pairs[key.strip()] = value
    return pairs
