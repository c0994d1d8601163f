"""Options that several commands share, and the gallery that they name, opened for whoever is at work."""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from forensic.client import Remote
    from forensic.commands.local import Local
    from forensic.gallery import Filter, Gallery
    from forensic.ray_cluster import Cluster

KINDS = ("viewed", "composite", "forensic")
"""`forensic.gallery.casework.cases.Kind`, written here so that ``--help`` need not load the gallery."""
NUMBER = click.IntRange(1, 2**31 - 1)
"""Of a person, a photo, a search: what every database can hold."""
PASSWORD = "FORENSIC_PASSWORD"  # noqa: S105 - the variable's name
USER = "forensic.user"
"""Where a command's context keeps who ``--as`` names."""
SERVER = "forensic.server"
"""Where it keeps the address that ``--server`` names."""
SERVER_VARIABLE = "FORENSIC_SERVER"
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


class PlaceOrUrl(Place):
    """A path, or the text of a URL such as ``s3://bucket/folder``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or the URL."""
        from forensic.urls import is_url

        return value if isinstance(value, str) and is_url(value) else super().convert(value, param, ctx)


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


def sure(question: str) -> bool:
    """Whether a person says yes.

    Raises:
        UsageError: Nobody is there to be asked.
    """
    from forensic.errors import UsageError

    try:
        return click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise UsageError("Nobody answered, and nothing was changed. Give --yes to go on without being asked.") from None


def default_gallery() -> Path:
    """The gallery of a user who names none: a folder of the user's data directory."""
    from platformdirs import user_data_path

    from forensic.errors import UsageError

    try:
        return user_data_path("forensic") / "gallery"
    except RuntimeError:
        raise UsageError("This account has no home, and so no gallery of its own: name one by --gallery.") from None


def gallery_option(command: Command) -> Command:
    """Add ``--gallery DIR``, which the command gets as ``gallery``, a Path for `open_gallery`; and ``--as NAME``.

    For what is done where the folder lies: ``--server`` is refused in words.
    """
    server = click.option("--server", metavar="URL", expose_value=False, hidden=True, callback=_refuse_server)
    return _folder_option(server(_user_option(command)), callback=_meant)


def place_option(command: Command) -> Command:
    """Add ``--gallery DIR`` or ``--server URL``, and ``--as NAME``; the command gets ``gallery`` for `open_place`."""
    server = click.option(
        "--server",
        metavar="URL",
        envvar=SERVER_VARIABLE,
        show_envvar=True,
        expose_value=False,
        callback=_remember_server,
        help="In place of a folder, a server's address, https://HOST; sign in first: forensic login.",
    )
    return _folder_option(server(_user_option(command)))


class FolderOption(click.Option):
    """An option for work on a folder; a server does its part as its operator set it up, and `open_place` says so."""


def _user_option(command: Command) -> Command:
    option = click.option(
        "--as",
        "user",
        envvar="FORENSIC_USER",
        show_envvar=True,
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help=f"Who you are, in a gallery that has users; the password is asked for, or taken from {PASSWORD}.",
    )
    return option(command)


def _folder_option(command: Command, callback: Callable[..., Path] | None = None) -> Command:
    option = click.option(
        "--gallery",
        type=Place(file_okay=False),
        envvar="FORENSIC_GALLERY",
        default=default_gallery,
        show_default="FORENSIC_GALLERY, or a folder of the user's data directory",
        callback=callback,
        help="The gallery's folder.",
    )
    return option(command)


def _remember_server(context: click.Context, parameter: click.Parameter, address: str | None) -> None:
    if address is not None:
        from forensic.client.address import parse

        context.meta[SERVER] = parse(address)


def _refuse_server(context: click.Context, parameter: click.Parameter, address: str | None) -> None:
    from forensic.errors import UsageError

    if address is not None:
        raise UsageError(
            f"{context.command_path!r} works where the gallery's folder lies: run it there, without --server."
        )


def _meant(context: click.Context, parameter: click.Parameter, folder: Path) -> Path:
    """The folder, unless the user's own was only taken for want of another and a server seems to be meant."""
    from forensic.errors import UsageError

    if context.get_parameter_source("gallery") is ParameterSource.DEFAULT and os.environ.get(SERVER_VARIABLE):
        raise UsageError(
            f"{context.command_path!r} works on a gallery's folder, and {SERVER_VARIABLE} names a server. Give the "
            "folder with --gallery DIR, where it lies."
        )
    return folder


def _server(context: click.Context) -> str | None:
    """The address of the server that a command is to ask; None for a folder.

    Raises:
        UsageError: Folder and server were both named in the same way.
    """
    from forensic.errors import UsageError

    address: str | None = context.meta.get(SERVER)
    server, folder = context.get_parameter_source("server"), context.get_parameter_source("gallery")
    if address is not None and server is folder:
        names = (
            "--server and --gallery"
            if server is ParameterSource.COMMANDLINE
            else f"{SERVER_VARIABLE} and FORENSIC_GALLERY"
        )
        raise UsageError(f"{names} were both given: keep one, so that it is plain which gallery is meant.")
    return None if folder is ParameterSource.COMMANDLINE else address


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


def open_place(folder: Path, *, create: bool = False, url: str | None = None) -> Local | Remote:
    """Where a command works: a gallery's folder, or a server; both are asked in the same way.

    Args:
        folder: As the command got it.
        create: As for `Gallery`; a server has its gallery.
        url: As for `Gallery`.

    Raises:
        UsageError: Folder and server were both named, or an option that is for a folder was given for a server.
        RightsError: Nobody is signed in to the server.
    """
    from forensic.errors import UsageError

    context = click.get_current_context()
    address = _server(context)
    if address is None:
        from forensic.commands.local import Local

        return Local(lambda: open_gallery(folder, create=create, url=url))
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "")
        if isinstance(option, FolderOption) and given is ParameterSource.COMMANDLINE:
            raise UsageError(f"{option.opts[0]} is for a gallery's folder: a server does as its operator set it up.")
    from forensic.client import Remote

    return Remote.signed_in(
        address,
        context.meta.get(USER),
        tell=lambda sentence: click.echo(sentence, err=True),
        password=lambda: os.environ.get(PASSWORD) or prompt("Your present password", PASSWORD),
    )


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
        cls=FolderOption,
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


def device_option(command: Command) -> Command:
    """Add ``--device NAME``; the command gets it as ``device``."""
    option = click.option(
        "--device", cls=FolderOption, default="cpu", show_default=True, help="Where models run: cpu, cuda, cuda:1, ..."
    )
    return option(command)


def ray_options(command: Command) -> Command:
    """Add ``--ray ADDRESS``, ``--ray-actors`` and ``--ray-gpus``; the command gets them for `cluster_of`."""
    address = click.option(
        "--ray",
        "ray",
        cls=FolderOption,
        metavar="ADDRESS",
        help="Ray cluster that prepares the photos: HOST:PORT, ray://HOST:PORT, auto for a running one, or local.",
    )
    actors = click.option(
        "--ray-actors",
        cls=FolderOption,
        type=click.IntRange(1, 10_000),
        help="Workers on the cluster, a core each; by default one for each of its cores.",
    )
    gpus = click.option(
        "--ray-gpus",
        cls=FolderOption,
        type=click.FloatRange(0, 8, min_open=True),
        help="GPUs that each worker takes, such as 0.25; with --device cuda.",
    )
    return address(actors(gpus(command)))


def cluster_of(ray: str | None, actors: int | None, gpus: float | None) -> Cluster | None:
    """The cluster of ``--ray``, if it was given.

    Raises:
        UsageError: Something was said of a cluster, and none was named.
    """
    from forensic.errors import UsageError
    from forensic.ray_cluster import Cluster

    if ray is not None:
        return Cluster(ray, actors, gpus or 0)
    if actors is not None or gpus is not None:
        raise UsageError("--ray-actors and --ray-gpus are for a cluster: name it with --ray ADDRESS.")
    return None


def filter_of(where: Sequence[str], justification: str) -> Filter | None:
    """Who is searched, of ``--where`` and ``--justification``; None for everybody.

    Raises:
        UsageError: A reason was given without a filter, or a filter without a reason; or a condition is wrong.
    """
    from forensic.errors import UsageError
    from forensic.gallery import Filter

    if justification and not where:
        raise UsageError("--justification is for --where; no filter was given.")
    return Filter.parse(where, justification) if where else None


def day(context: click.Context, parameter: click.Parameter, text: str | None) -> date | None:
    """An option's text as a date.

    Raises:
        UsageError: It is none.
    """
    from forensic.gallery.records import parse_day

    return None if text is None else parse_day(text)


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files, and those of folders; a link to a folder is not followed, which is said."""
    from forensic import images

    def warn(link: Path) -> None:
        click.echo(f"warning: {images.display_name(link)} is a link to a folder, and is not followed.", err=True)

    return [file for path in paths for file in images.find_files(path, warn)]


def pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``key=value`` arguments as a dictionary."""
    pairs: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or key.strip() in pairs:
            raise click.BadParameter(f"{text!r}: expected key=value, each key once.", context, parameter)
        pairs[key.strip()] = value
    return pairs
