"""Documents that cannot rot: commands, methods, links, examples and the README's code are checked."""

import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from forensic import cli, weights
from forensic.datasets.synthetic import Made
from forensic.synthesis import registry

ROOT = Path(__file__).parents[1]
CARDS = sorted((ROOT / "forensic" / "weights").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *CARDS]
generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))


def test_commands_are_those_of_the_program() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == generate["commands"](), "run: python docs/generate.py"


def test_the_table_of_methods_is_that_of_the_program() -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    assert page == generate["methods"](page), "run: python docs/generate.py"
    assert generate["without_section"](page) is None, generate["without_section"](page)


def test_a_method_without_a_section_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    names = [*registry.names(), "tinynet"]
    monkeypatch.setattr(registry, "names", lambda: names)
    said = generate["without_section"](page)
    assert "no section '## tinynet': write it by hand" in said
    assert generate["without_section"](f"{page}\n## tinynet\n\nA net.\n") is None


def test_contributing_names_every_command_that_a_new_method_needs() -> None:
    """Those that the failing tests name."""
    steps = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things live")[0]
    for command in ("python docs/generate.py", "python experiments/campaign.py configs"):
        assert f"`{command}`" in steps


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    for target in targets:
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_source_distribution_has_the_pages_and_what_they_link_to() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    included = [ROOT / path.lstrip("/") for path in targets["sdist"]["include"]]
    files = {ROOT / "Makefile", *PAGES}
    for page in PAGES:
        links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        files.update((page.parent / link).resolve() for link in links if not link.startswith("http"))
    for file in files:
        assert any(file == path or path in file.parents for path in included), file.relative_to(ROOT)


def test_every_weight_file_has_a_card_that_names_its_hash() -> None:
    shipped = [entry for entry in weights.entries() if entry.shipped]
    assert {entry.path.with_suffix(".md") for entry in shipped} == set(CARDS)
    for entry in shipped:
        card = entry.path.with_suffix(".md").read_text()
        assert entry.sha256 in card, entry.name
        assert not re.search(r"@[A-Z]+@|T[O]DO", card), entry.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_documents_exist(page: Path) -> None:
    """Every `forensic COMMAND --option` in a code block or line names a command and options that there are."""
    help_of: dict[str, str] = {}
    parts = re.split(r"^## (forensic[\w -]*)$", generate["commands"](), flags=re.M)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        help_of[name] = text
    for line in re.findall(r"^\s*forensic .*$|`forensic [^`]*`", page.read_text(), flags=re.M):
        words = line.strip().strip("`").split("#")[0].split()
        if len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
            continue
        assert words[1] in cli.COMMANDS, line
        name = f"forensic {words[1]}"
        for word in takewhile(lambda word: f"{name} {word}" in help_of, words[2:]):  # noqa: B023 - used at once
            name = f"{name} {word}"
        for option in (word for word in words if word.startswith("--")):
            assert option.split("=")[0] in help_of[name], line


def test_the_page_of_the_server_names_the_commands_that_ask_one() -> None:
    """Every command that takes a gallery stands in one of two tables: those with --server, and those without."""
    page = (ROOT / "docs" / "server.md").read_text()
    asked, alone = page.partition("## Commands at a server")[2].split("These work where")
    at_server, on_folder = (set(commands_of(table)) for table in (asked, alone))
    for name, command in leaves(click.Context(cli.forensic), ()):
        options = {option: parameter for parameter in command.params for option in parameter.opts}
        if "--gallery" in options:
            server = options.get("--server")
            serves = isinstance(server, click.Option) and not server.hidden
            named = {name[:length] for length in (1, 2)}
            assert bool(named & at_server) == serves, f"forensic {' '.join(name)}"
            assert bool(named & on_folder) != serves, f"forensic {' '.join(name)}"


def commands_of(table: str) -> Iterator[tuple[str, ...]]:
    """The commands in a table's first column, where `a b, c` stands for a b and a c."""
    for span in re.findall(r"`([^`]*)`", " ".join(re.findall(r"^\|([^|]*)\|", table, flags=re.M))):
        group, _, names = span.split(" --")[0].partition(" ")
        yield from ((group, name) for name in names.split(", ")) if names else [(group,)]


def test_every_command_shows_an_example_and_explains_its_options() -> None:
    for name, command in leaves(click.Context(cli.forensic), ()):
        words = f"forensic {' '.join(name)}"
        assert words in (command.help or "").replace("\n", " "), f"no example in the help of {words}"
        for option in (one for one in command.params if isinstance(one, click.Option) and not one.hidden):
            assert option.help, f"{words} {option.opts[-1]} is not explained"
            assert not option.multiple or "repeated" in option.help, (
                f"{words} {option.opts[-1]} may be repeated: say so"
            )


def leaves(context: click.Context, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, by its words."""
    if not isinstance(context.command, click.Group):
        yield path, context.command
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None
        yield from leaves(click.Context(command, info_name=name, parent=context), (*path, name))


def test_the_readmes_figures_are_those_of_the_results() -> None:
    """Each row's system and figures stand in one row under the heading of its test in docs/results/recognition.md."""
    readme = (ROOT / "README.md").read_text()
    results = (ROOT / "docs" / "results" / "recognition.md").read_text()
    parts = re.split(r"^(##+ .*)$", results, flags=re.M)
    part: str | None = None
    sections: dict[str, list[str]] = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        part = heading if heading.startswith("## ") else part
        sections.setdefault(f"{part} {heading.partition(':')[0]}", re.findall(r"^\| .*\|$", text, flags=re.M))
    apart, default = "## fs2k (test, split that keeps people apart)", "`direct+direct@patches"
    loo, hands = "## Leave one source out ## Leave one source out", "fs2k (fitted to cufs)"
    tests = {  # the row begins with: heading, what both rows of the results have, and what the default's alone has
        "CUFS, 338": ("## cufs (test) ### cufs (test)", "", ""),
        "the same, among": ("## cufs (test) ### The same sketches in a gallery with distractors", "| 5,218 |", ""),
        "FS2K's official": ("## fs2k (test) ### fs2k (test)", "", ""),
        "FS2K's split": (f"{apart} {apart.replace('##', '###')}, by person", "", ""),
        "**unseen hand**: fitted to CUFS": (loo, f"| {hands} |", "| person |"),
        "the same, with 214": (loo, f"| {hands}, cohort of its own hands |", "with 214 own sketches"),
        "**unseen hand**: fitted to FS2K": (loo, "| cufs (fitted to fs2k) |", ""),
        "**cross-photo**": (f"{apart} ### Cross-photo", "", ""),
    }
    table = re.findall(r"^\| .*\|$", readme.partition("| test |")[2], flags=re.M)
    rows = [row for row in table if row.count("|") == 7]
    assert len(rows) == len(tests)
    for row in rows:
        ((heading, both, alone),) = (tests[start] for start in tests if row.startswith(f"| {start}"))
        _, _, untrained, *shares = (cell.strip() for cell in row.strip("|").split("|"))
        found = [line for line in sections[heading] if both in line]
        assert any("`untrained`" in line and untrained in line for line in found), row
        measured = [line for line in found if default in line and alone in line]
        assert any(_in_order(shares, line) for line in measured), (row, measured)
    missed = re.findall(r"[\d.]+ % \[[\d., ]+\]", readme)
    ((_, _, at_one_percent, *_),) = (
        line.strip("| ").split(" | ") for line in sections[f"{apart} ### Open set"] if line.startswith(f"| {default}`")
    )
    assert missed == [at_one_percent.replace(" [", " % [")]


def _in_order(figures: list[str], line: str) -> bool:
    """Whether a row's cells have these figures one after the other, with or without their intervals."""
    cells = iter(cell.strip() for cell in line.split("|"))
    return all(any(cell == figure or cell.startswith(f"{figure} [") for cell in cells) for figure in figures)


def test_the_readmes_python_runs(
    people: list[Made], people_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    (tmp_path / "mugshots").symlink_to(people_folder / "photos")
    (tmp_path / "sketch.png").write_bytes(people[0].sketch.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own lines
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 ")
    assert len(lines) == 10


def test_examples_run(
    people: list[Made], people_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    examples = ROOT / "examples"
    gallery, sketch = str(tmp_path / "gallery"), str(people[0].sketch)
    ran = {
        "first_match.py": [str(people_folder / "photos"), sketch, gallery],
        "several_routes.py": [gallery, sketch],
    }
    assert set(ran) == {path.name for path in examples.glob("*.py")}
    for name, arguments in ran.items():
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(examples / name), run_name="__main__")
    shown = capsys.readouterr().out
    assert shown.startswith("1 ")
    assert "photo-to-sketch:pencil [" in shown
