"""``forensic models``: weights that are here, weights that could be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from forensic.commands.options import Place
from forensic.progress import bar


@click.group()
def models() -> None:
    """List, fetch, import, remove and verify model weights.

    The default embedders, the face priors and compact generators come with the package and need nothing from
    here. Alternatives are brought in once, by `fetch` or, offline, by `import`; nothing is ever downloaded by
    match or enroll. Weights of one's own are installed by `forensic train --install`.

    Installed weights go before shipped ones of the same name. They are kept in the user's data folder, or in the
    folder that the environment variable FORENSIC_WEIGHTS names; `models list --json` has their paths.
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_models(as_json: bool) -> None:
    """List the weights that are shipped, installed, or known and absent; --json has hashes, addresses and paths too.

    \b
    forensic models list
    forensic models list --json
    """
    rows = _rows()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("name", no_wrap=True)  # what the other commands are given
    table.add_column("state", no_wrap=True)
    table.add_column("needed by", overflow="fold")
    table.add_column("licence", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(row[key])) for key in ("name", "state", "needed_by", "licence")))
    Console().print(table)


@models.command()
@click.argument("name")
@click.option("--sha256", help="Hash that the file must have, where it is not known here.")
def fetch(name: str, sha256: str | None) -> None:
    """Download known weights from where they are published.

    \b
    forensic models fetch mobilefacenet
    forensic evaluate --data cufs
    """
    from forensic import models as catalogue

    with bar(f"Fetching {name}") as shown:
        entry = catalogue.fetch(name, sha256=sha256, progress=lambda done, total: shown(done, total or None))
    click.echo(f"Installed {entry.name}: {entry.path}")


@models.command("import")
@click.argument("file", type=Place())
@click.option("--name", help="Which model it is; found by its hash if not given.")
@click.option("--sha256", help="Hash that the file must have, where it is not known here.")
def import_model(file: Path, name: str | None, sha256: str | None) -> None:
    """Install weights from a FILE that you have: the published one, which is checked by its hash.

    \b
    Example:
      forensic models import 20180402-114759-vggface2.pt
      forensic match sketch.png --route direct@vggface2
    """
    from forensic import models as catalogue

    entry = catalogue.import_file(file, name=name, sha256=sha256)
    click.echo(f"Installed {entry.name}: {entry.path}")


@models.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove installed weights, such as those of `forensic train --install`; those that ship stay.

    \b
    Example:
      forensic models list
      forensic models remove pix2pix-sketch-to-photo
    """
    from forensic import models as catalogue

    again = catalogue.remove(name)
    click.echo(f"Removed {name}.")
    if again:
        click.echo(f"In effect again: the shipped {again.name}, SHA-256 {again.sha256[:12]}, {again.path}")
    else:
        click.echo(f"No other weights are called {name}: what needs them will say so.")


@models.command()
def verify() -> int:
    """Check the hash of every shipped and installed file. Exit code 4 if one is missing or altered.

    \b
    forensic models verify
    """
    from forensic import weights
    from forensic.errors import ModelError

    wrong = 0
    for entry in weights.entries():
        try:
            weights.verified(entry)
            click.echo(f"ok       {entry.name}")
        except ModelError as error:
            wrong += 1
            click.echo(f"damaged  {entry.name}: {error}", err=True)
    return ModelError.exit_code if wrong else 0


def _rows() -> list[dict[str, Any]]:
    from forensic import models as catalogue
    from forensic import weights

    here = weights.entries()
    rows = [
        {
            "name": entry.name,
            "kind": entry.kind,
            "state": "shipped" if entry.shipped else "installed",
            "sha256": entry.sha256,
            "licence": entry.about.get("licence", ""),
            "needed_by": entry.about.get("needed_by", ""),
            "url": entry.about.get("origin"),
            "file": str(entry.path),
        }
        for entry in here
    ]
    names = {entry.name for entry in here}
    rows += [
        {
            "name": model.name,
            "kind": model.kind,
            "state": "absent",
            "sha256": model.sha256,
            "licence": model.licence,
            "needed_by": model.needed_by,
            "url": model.url,
            "file": None,
        }
        for model in catalogue.KNOWN
        if model.name not in names
    ]
    return rows
