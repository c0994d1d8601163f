"""Options that several commands share, and the gallery that they name, opened for whoever is at work."""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from forensic.gallery import Gallery

NUMBER = click.IntRange(1, 2**31 - 1)
"""Of a person, a photo, a search: what every database can hold."""
PASSWORD = "FORENSIC_PASSWORD"  # noqa: S105 - the variable's name
USER = "forensic.user"
"""Where a command's context keeps who ``--as`` names."""
Command = TypeVar("Command", bound=Callable[..., Any])


class Place(click.Path):
    """A path; an empty one, as of a variable that is not set, is refused, and never the current folder."""

    def __init__(self, **settings: bool) -> None:
        super().__init__(path_type=Path, **settings)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if value == "":
            self.fail("it is empty; expected a file or a folder.", param, ctx)
        return super().convert(value, param, ctx)


def prompt(question: str, variable: str, *, confirmed: bool = False) -> str:
    """What a person types, unseen.

    Raises:
        UsageError: Nobody is there to be asked.
    """
    from forensic.errors import UsageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", getpass.GetPassWarning)  # without a terminal there is nothing to hide
        try:
            answer: str = click.prompt(question, hide_input=True, confirmation_prompt=confirmed, err=True)
        except click.Abort:
            if sys.stdin.isatty():
                raise
            raise UsageError(f"{question} was asked for, and nobody answered: set {variable}.") from None
    return answer


def default_gallery() -> Path:
    """The gallery of a user who names none: a folder of the user's data directory."""
    from platformdirs import user_data_path

    return user_data_path("forensic") / "gallery"


def gallery_option(command: Command) -> Command:
    """Add ``--gallery DIR``, which the command gets as ``gallery``, a Path for `open_gallery`; and ``--as NAME``."""
    user = click.option(
        "--as",
        "user",
        envvar="FORENSIC_USER",
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help=f"Who you are, in a gallery that has users; the password is asked for, or taken from {PASSWORD}.",
    )
    option = click.option(
        "--gallery",
        type=Place(file_okay=False),
        envvar="FORENSIC_GALLERY",
        default=default_gallery,
        show_default="FORENSIC_GALLERY, or a folder of the user's data directory",
        help="The gallery's folder.",
    )
    return option(user(command))


def _remember(context: click.Context, parameter: click.Parameter, name: str | None) -> None:
    if name is not None:
        context.meta[USER] = name


def say_plain(folder: Path) -> None:
    """Tell, once, that a gallery that was just made is a plain one."""
    click.echo(
        f"This new gallery is not encrypted: whoever can read {folder} sees all that is in it. "
        f"'forensic gallery encrypt --gallery {folder}' changes that.",
        err=True,
    )


def open_gallery(folder: Path, *, create: bool = False, url: str | None = None) -> Gallery:
    """The gallery that a command was given, with the operator of ``--as`` signed in; ``url`` as `Gallery` takes it.

    Raises:
        GalleryError: There is none, or it is damaged.
        RightsError: Name or password is wrong.
    """
    from forensic.gallery import Gallery

    gallery = Gallery(folder, create=create, url=url)
    if gallery.is_new and gallery.sealing is None:
        say_plain(gallery.folder)
    name = click.get_current_context().meta.get(USER)
    try:
        if name is not None:
            gallery.sign_in(name, os.environ.get(PASSWORD) or prompt("The password", PASSWORD))
    except BaseException:
        gallery.close()
        raise
    return gallery


head_option = click.option(
    "--head",
    type=Place(dir_okay=False),
    help="An earlier head of the audit log, kept elsewhere: shows whether the log was cut or replaced.",
)
"""Add ``--head FILE``; the command gets it as ``head``, a Path or None."""


def policy_option(command: Command) -> Command:
    """Add ``--policy FILE``; the command gets it as ``policy``, a Path or None for the shipped one."""
    option = click.option(
        "--policy",
        type=Place(dir_okay=False),
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


def day(context: click.Context, parameter: click.Parameter, text: str | None) -> date | None:
    """An option's text as a date.

    Raises:
        UsageError: It is none.
    """
    from forensic.gallery.records import parse_day

    return None if text is None else parse_day(text)


def pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``key=value`` arguments as a dictionary."""
    pairs: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or key.strip() in pairs:
            raise click.BadParameter(f"{text!r}: expected key=value, each key once.", context, parameter)
        pairs[key.strip()] = value
    return pairs
