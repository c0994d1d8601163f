"""An accuracy report as one HTML page: every table and figure, nothing fetched from anywhere."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from forensic.evaluation.figures import Figure, figures
from forensic.evaluation.plots import BASELINE, COLOURS
from forensic.evaluation.tables import Table, check, of_data, tables
from forensic.templating import template

SECTIONS = {
    "closed-set": ("Closed set", "The person is in the gallery. How often is the mate among the first candidates?"),
    "cross-photo": ("Cross-photo", "The person is in the gallery, with another photo than the one drawn."),
    "paired": ("System against system", "Differences on the same sketches, which separate intervals do not show."),
    "open-set": ("Open set and verification", "The person may not be in the gallery: a threshold has to decide."),
    "calibration": ("Likelihood ratios", "Do the stated strengths of evidence hold?"),
    "distractors": ("Distractors", "The same sketches while the gallery grows by other people."),
    "groups": ("Groups", "Whom the systems serve worse, and who is mistaken for whom."),
    "nlda": ("NLDA protocol of the field", "Null-space LDA fitted on some of the people, over random splits."),
}
LIGHT = (BASELINE, *COLOURS)
ON_DARK = (
    *("#9ca3af", "#60a5fa", "#fb923c", "#4ade80", "#c4b5fd", "#fb7185", "#22d3ee", "#facc15", "#cbd5e1"),
    *("#f0abfc", "#a3e635", "#fca5a5", "#93c5fd"),
)
"""The baseline's and the curves' colours on a dark page, in the order of those on a light one."""


class Section(NamedTuple):
    """A protocol's part of the page.

    Attributes:
        id: Its short name.
        title: Its heading.
        lead: The question that it answers.
        figures: Its pictures.
        tables: Its tables.
    """

    id: str
    title: str
    lead: str
    figures: list[Figure]
    tables: list[Table]


def render(report: Mapping[str, Any]) -> str:
    """The page of a report (``Report.to_dict()``); the same report gives the same page.

    Raises:
        UsageError: another version wrote the report.
    """
    return template("accuracy.html").render(
        title=title_of(report), report=report, sections=sections(report), light=LIGHT, dark=ON_DARK
    )


def title_of(report: Mapping[str, Any]) -> str:
    """What a report is about.

    Raises:
        UsageError: another version wrote the report.
    """
    check(report)
    return f"Recognition on {of_data(report['data'])}"


def sections(report: Mapping[str, Any]) -> list[Section]:
    """The parts of a report's page that have something to show.

    Raises:
        UsageError: another version wrote the report.
    """
    shown = list(tables(report))
    pictures = list(figures(report))
    every = (
        Section(
            name,
            title,
            lead,
            [figure for figure in pictures if figure.section == name],
            [table for table in shown if table.section == name],
        )
        for name, (title, lead) in SECTIONS.items()
    )
    return [section for section in every if section.tables]


def colours() -> str:
    """The curves' colours as a style sheet: variables for pictures, and classes ``c0``, ``c1``, ... for legends."""
    marks = " ".join(f".c{number} {{ color: var(--c{number}); }}" for number in range(len(LIGHT)))
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(ON_DARK)} }} }}"
    return f":root {{ {_variables(LIGHT)} }} {dark} {marks}"


def standalone(figure: Figure) -> str:
    """A figure's picture as a file of its own, which follows the reader's choice of light or dark."""
    ink, dark = "color: #1f2937; --grid: #e5e7eb;", "color: #e6e9ed; --grid: #3a3f47;"
    style = (
        f"<style>svg {{ {ink} {_variables(LIGHT)} font-family: sans-serif; }} "
        f"@media (prefers-color-scheme: dark) {{ svg {{ {dark} {_variables(ON_DARK)} }} }}</style>"
    )
    head, bracket, rest = figure.svg.partition(">")
    return f"{head}{bracket}{style}{rest}"


def _variables(colours: Sequence[str]) -> str:
    return " ".join(f"--c{number}: {colour};" for number, colour in enumerate(colours))
