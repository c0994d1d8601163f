"""``forensic serve``: the web application and its REST API."""

from __future__ import annotations

import errno
import ipaddress
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import device_option, gallery_option
from forensic.errors import UsageError

if TYPE_CHECKING:
    from forensic.web.settings import Settings


@click.command()
@gallery_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on, IPv4 or IPv6.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 for any that is free.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="Name that browsers use; may be repeated.")
@click.option("--https", is_flag=True, help="Browsers come by https, through a proxy: cookies go no other way.")
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="Whose word on where a request came from is believed, with --https; this machine's if none is named; may be "
    "repeated.",
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Searches at once.")
@click.option("--longest-list", default=50, show_default=True, type=click.IntRange(1, 1000), help="Candidates at most.")
@click.option(
    "--approximate",
    type=click.Choice(["hnsw", "ivf-pq"]),
    help="Look at a part of a very large gallery; lists may then lack somebody, and say so. Built at the start.",
)
@click.option(
    "--search-device",
    metavar="DEVICE",
    help="Where templates are compared, such as cuda: the same lists, sooner in large galleries.",
)
@device_option
def serve(
    gallery: Path,
    host: str,
    port: int,
    names: tuple[str, ...],
    https: bool,
    proxies: tuple[str, ...],
    workers: int,
    longest_list: int,
    device: str,
    approximate: str | None,
    search_device: str | None,
) -> None:
    """Serve a gallery to browsers, and to programs under /api/v1.

    \b
    forensic serve                                     on this machine alone
    forensic serve --name faces.example.org --https    behind a proxy on this machine that ends TLS

    It listens on this machine alone unless --host says otherwise. An address that others can reach needs a gallery with
    users ('forensic user add'), and the --name that they call it by: requests under other names are refused. In a
    gallery without users, a key that is printed here lets one in.

    One gallery has one server at a time. SIGTERM and Ctrl-C let running searches end; what waits is done after the next
    start, also after a kill. The log goes to standard error: a line for each request, by its number, and no names.
    """
    from forensic import devices
    from forensic.web.settings import Settings

    place = _address(host)
    if not names and not place.is_loopback:
        raise UsageError(f"Others are to reach {host}: say by which name with --name; no other one is answered.")
    if proxies and not https:
        raise UsageError("--proxy is for --https: without it, nobody is believed where a request came from.")
    if approximate and search_device:
        raise UsageError("--approximate is for the processor: leave it out, or --search-device.")
    for named in filter(None, (device, search_device)):
        devices.find(named)
    settings = Settings(
        gallery=gallery,
        hosts=tuple(map(_name, names)) or (*Settings.hosts, _name(str(place))),
        https=https,
        workers=workers,
        longest_list=longest_list,
        device=device,
        approximate=approximate,
        search_device=search_device,
    )
    with _listening(place, port) as listening:
        _run(settings, listening, [str(_address(proxy)) for proxy in proxies] or ["127.0.0.1", "::1"])


def _run(settings: Settings, listening: socket.socket, proxies: list[str]) -> None:
    from forensic.text import printable
    from forensic.web import logs
    from forensic.web.app import assemble
    from forensic.web.process import Process

    server = assemble(settings)
    users, host = server.gallery.standing().users, listening.getsockname()[0]
    if not users and not ipaddress.ip_address(host).is_loopback:
        server.close()
        raise UsageError(
            f"Whoever reaches {host} would reach a gallery without users. Name the first one: "
            "forensic user add NAME --role administrator"
        )

    def say(address: str, port: int) -> None:
        where = f"[{address}]" if ":" in address else address
        folder = printable(str(server.gallery.folder))
        click.echo(f"Serving {folder} on http://{where}:{port} (Ctrl-C ends it)", err=True)

    logs.set_up()
    if not users:
        click.echo(f"This gallery has no users. Key to sign in: {server.start_key}", err=True)
    Process(server, listening=listening, proxies=proxies, say=say).run()


def _address(given: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address, or that of ``localhost``.

    Raises:
        UsageError: It is none.
    """
    try:
        return ipaddress.ip_address("127.0.0.1" if given == "localhost" else given.strip("[]"))
    except ValueError:
        raise UsageError(
            f"{given!r} is no address of a machine; expected one such as 127.0.0.1, ::1 or, for all of this machine's, "
            "0.0.0.0."
        ) from None


def _name(given: str) -> str:
    """A name as the Host header has it.

    Raises:
        UsageError: It is none.
    """
    from forensic.web.headers import HOST

    try:
        found = ipaddress.ip_address(given.strip("[]"))
        return f"[{found}]" if found.version == 6 else str(found)
    except ValueError:
        pass
    match = HOST.fullmatch(given.lower())
    if match is None or match[1] != given.lower():
        raise UsageError(f"{given!r} is no name of a host; expected one such as faces.example.org, without a port.")
    return match[1]


def _listening(place: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> socket.socket:
    """A socket that listens, opened before anything else, so that a taken port is told at once.

    Raises:
        UsageError: The port is taken, or this user may not listen there, or the address is not this machine's.
    """
    listening = socket.socket(socket.AF_INET6 if place.version == 6 else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((str(place), port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        advice = {
            errno.EADDRINUSE: "Another program listens there, perhaps this one: name another --port, or 0 for any.",
            errno.EACCES: "This user may not listen there: name a --port above 1023.",
            errno.EADDRNOTAVAIL: "This machine has no such address: name another --host.",
        }.get(error.errno or 0, "Name another --host or --port.")
        raise UsageError(f"{place}, port {port}: {error.strerror}. {advice}") from None
    return listening
