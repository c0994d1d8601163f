"""``forensic methods``: what can be trained and loaded."""

import json
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects for programs.")
def methods(as_json: bool) -> None:
    """List the synthesis methods, their papers and the weights at hand.

    Weights are those that ship, and what they go from and to where that is not the method's usual way, or the names of
    your own. Parameters are those of the paper's settings: shipped weights are smaller. --json has the weights' paths,
    and the papers' titles.

    \b
    forensic methods
    forensic methods --json
    """
    listed = [_describe(name) for name in _names()]
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("method", "goes", "parameters", "weights", "paper", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.columns[1].no_wrap, table.columns[2].justify, table.columns[3].max_width = True, "right", 10
    for line in listed:
        goes = "either way" if line["two_way"] else f"{line['source']} to {line['target']}"
        table.add_row(line["name"], goes, _count(line["parameters"]), _weights(line), _cited(line["paper"]))
    Console().print(table)


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters else "-"


def _weights(line: dict[str, Any]) -> str:
    from forensic.synthesis.weights import entries

    def called(about: dict[str, Any]) -> str:
        usual = line["two_way"] or (about["source"], about["target"]) == (line["source"], line["target"])
        return "shipped" if usual else f"shipped, {about['source']} to {about['target']}"

    found = entries(line["name"])
    return ", ".join(called(entry.about) if entry.shipped else entry.path.stem for entry in found) or "-"


def _cited(paper: str) -> str:
    """Authors, venue and year of a citation.

    >>> _cited("Zhou, Kuang, Wong, Markov Weight Fields, CVPR 2012"), _cited("none: a control")
    ('Zhou et al., CVPR 2012', 'none: a control')
    """
    authors, *_, venue = paper.split(", ") if ", " in paper else (paper, "")
    first = authors if " " in authors else f"{authors} et al."
    return f"{first}, {venue}" if venue else paper


def _names() -> list[str]:
    from forensic.synthesis import names

    return names()


def _describe(name: str) -> dict[str, Any]:
    """One method at its paper's settings."""
    import torch

    from forensic.synthesis import create
    from forensic.synthesis.weights import count_parameters, entries

    with torch.device("meta"):  # no memory, no random numbers: only shapes are asked for
        translator = create(name)
    return {
        "name": name,
        "source": translator.source,
        "target": translator.target,
        "two_way": translator.two_way,
        "paper": translator.paper,
        "parameters": count_parameters(translator),
        "weights": [str(entry.path) for entry in entries(name)],
    }
