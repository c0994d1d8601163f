"""An accuracy report as one HTML page: every table and figure, nothing fetched from anywhere."""

from collections.abc import Mapping
from typing import Any

import jinja2

from forensic.evaluation.figures import figures
from forensic.evaluation.plots import BASELINE, COLOURS
from forensic.evaluation.tables import of_data, tables

SECTIONS = {
    "closed-set": ("Closed set", "The person is in the gallery. How often is the mate among the first candidates?"),
    "cross-photo": ("Cross-photo", "The person is in the gallery, with another photo than the one drawn."),
    "paired": ("System against system", "Differences on the same sketches, which separate intervals do not show."),
    "open-set": ("Open set and verification", "The person may not be in the gallery: a threshold has to decide."),
    "calibration": ("Likelihood ratios", "Do the stated strengths of evidence hold?"),
    "distractors": ("Distractors", "The same sketches while the gallery grows by other people."),
    "groups": ("Groups", "Whom the systems serve worse, and who is mistaken for whom."),
    "nlda": ("NLDA protocol of the field", "Null-space LDA fitted on some of the identities, over random splits."),
}
ON_DARK = (
    *("#9ca3af", "#60a5fa", "#fb923c", "#4ade80", "#c4b5fd", "#fb7185", "#22d3ee", "#facc15", "#cbd5e1"),
    *("#f0abfc", "#a3e635", "#fca5a5", "#93c5fd"),
)
"""The baseline's and the curves' colours on a dark page, in the order of those on a light one."""


def render(report: Mapping[str, Any]) -> str:
    """The page of a report (``Report.to_dict()``); the same report gives the same page.

    Raises:
        UsageError: another version wrote the report.
    """
    shown = list(tables(report))
    pictures = list(figures(report))
    sections = [
        {
            "id": name,
            "title": title,
            "lead": lead,
            "figures": [figure for figure in pictures if figure.section == name],
            "tables": [table for table in shown if table.section == name],
        }
        for name, (title, lead) in SECTIONS.items()
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("forensic"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("accuracy.html").render(
        title=f"Recognition on {of_data(report['data'])}",
        report=report,
        sections=[section for section in sections if section["tables"]],
        light=(BASELINE, *COLOURS),
        dark=ON_DARK,
    )
