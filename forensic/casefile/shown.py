"""What a report of a case or a search shows, in words and pictures: `wording` fills it, `page` and `pdf` draw it."""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    """One line of a report: what, and what of it; hashes are set in a fixed-width face."""

    name: str
    value: str
    code: bool = False


class Table(NamedTuple):
    """A table.

    Attributes:
        names: Of the columns.
        rows: Cells, as many as there are columns.
        widths: Of the columns, as shares of the page's width that add up to 1.
        code: Columns of hashes, counted from 0.
    """

    names: tuple[str, ...]
    rows: list[tuple[str, ...]]
    widths: tuple[float, ...]
    code: frozenset[int] = frozenset()


class Passage(NamedTuple):
    """Some plain words under a title of their own."""

    title: str
    text: str


class Picture(NamedTuple):
    """A picture with what it is; ``jpeg`` is a JPEG file, or None with the reason in ``trouble``."""

    caption: str
    jpeg: bytes | None
    trouble: str = ""
    synthetic: bool = False


class SketchShown(NamedTuple):
    """A sketch of a case."""

    title: str
    facts: list[Fact]
    picture: Picture


class CandidateShown(NamedTuple):
    """A candidate.

    Attributes:
        rank: In the list.
        title: Label, or that the person is no longer enrolled.
        picture: The photo, small.
        evidence: The likelihood ratio and its words, or that there is none.
        score: The score with each route's.
        decisions: What examiners say, one a line.
    """

    rank: int
    title: str
    picture: Picture
    evidence: str
    score: str
    decisions: list[str]


class SearchShown(NamedTuple):
    """A search.

    Attributes:
        title: Its number.
        notices: What has to be read before the list.
        facts: Who, when, what, with what.
        probes: What was searched with: the sketch with its landmarks, aligned, translated.
        candidates: The list.
        calibration: What likelihood ratios mean, or that there are none.
        worth: What was measured of these likelihood ratios; None where there are none.
        hashes: Of models, code and gallery.
    """

    title: str
    notices: list[str]
    facts: list[Fact]
    probes: list[Picture]
    candidates: list[CandidateShown]
    calibration: str
    worth: Table | None
    hashes: list[Fact]


class Report(NamedTuple):
    """All that a page or a PDF shows.

    Attributes:
        title: Of the whole.
        lead: What has to be read first.
        facts: Of the case, and of the report itself.
        sketches: The case's; None in the report of one search, which shows its probes.
        searches: In their order.
        method: How it was searched, in plain words.
        accuracy: What the agency itself measured of these routes.
        limitations: What none of this shows, in plain words.
        log: The audit log's entries of all this.
        notes: How it can be checked.
        state: ISO 8601, the moment that the report is of.
    """

    title: str
    lead: str
    facts: list[Fact]
    sketches: list[SketchShown] | None
    searches: list[SearchShown]
    method: list[Passage]
    accuracy: list[Passage]
    limitations: list[Passage]
    log: Table
    notes: list[str]
    state: str
