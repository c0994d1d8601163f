"""The report of a case as a PDF file, to print and to put into a file: A4, one column, fonts embedded."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import matplotlib
from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.enums import MethodReturnValue, XPos, YPos
from PIL import Image

from forensic.casefile.content import CandidateShown, Fact, Report, SearchShown, SketchShown

FONTS = {("text", ""): "DejaVuSans", ("text", "B"): "DejaVuSans-Bold", ("code", ""): "DejaVuSansMono"}
MARGIN, LABEL, THUMBNAIL, SKETCH = 18.0, 34.0, 26.0, 62.0  # mm
TEXT, SMALL, TITLE, HEADING = 9.5, 8.0, 17.0, 12.5  # points
LINE = 0.46
"""Height of a line in mm for each point of its face."""
QUIET, INK, MARK, RULE = 100, 20, (160, 20, 20), 200
SPELLED = "Characters that this page's fonts lack are written as \\u and their number; report.html shows them."


def render(report: Report) -> bytes:
    """The PDF; the same report gives the same bytes."""
    page = _Page(report)
    page.heading(report.title, TITLE)
    page.notice(report.lead)
    page.facts(report.facts)
    page.heading("Sketches", HEADING)
    for sketch in report.sketches:
        page.sketch(sketch)
    if not report.sketches:
        page.words("The case has no sketch.")
    for search in report.searches:
        page.search(search)
    if not report.searches:
        page.heading("Searches", HEADING)
        page.words("The case has no search.")
    page.ln(2)
    page.rule()
    for note in report.notes:
        page.words(note, SMALL, QUIET)
    if page.spelled:
        page.words(SPELLED, SMALL, QUIET)
    return bytes(page.output())


class _Page(FPDF):
    """A report's pages; text flows down, and nothing that belongs together is cut by a page's end."""

    def __init__(self, report: Report) -> None:
        super().__init__(format="A4")
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        for (family, style), file in FONTS.items():
            self.add_font(family, style, folder / f"{file}.ttf")
        self.spelled = False
        self._title = report.title
        self.set_margin(MARGIN)
        self.c_margin = 0
        self.set_auto_page_break(True, MARGIN)
        self.set_title(report.title)
        self.set_lang("en")
        self.set_creation_date(datetime.fromisoformat(report.made))
        self.add_page()

    def header(self) -> None:
        """The case, on every page but the first."""
        if self.page_no() > 1:
            self._face(SMALL, QUIET)
            self.cell(0, 4, self._fit(self._title), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            self.ln(3)

    def footer(self) -> None:
        """The page's number, of how many."""
        self.set_y(-12)
        self._face(SMALL, QUIET)
        self.cell(0, 4, f"{self.page_no()} / {{nb}}", align="R")

    def heading(self, text: str, size: float) -> None:
        """A title, kept with what comes next."""
        self.keep(size + 30)
        if self.get_y() > 2 * MARGIN:
            self.ln(4)
        self._paragraph(text, size, bold=True)
        self.ln(1.5)

    def notice(self, text: str) -> None:
        """Something that has to be read, with a bar beside it."""
        height = self._height(text, self.epw - 4, TEXT, bold=True)
        self.keep(height)
        top = self.get_y()
        self.set_x(self.l_margin + 4)
        self._paragraph(text, TEXT, bold=True, width=self.epw - 4)
        self.set_fill_color(*MARK)
        self.rect(self.l_margin, top, 1, height, style="F")
        self.ln(2.5)

    def words(self, text: str, size: float = TEXT, colour: int = INK) -> None:
        """A paragraph."""
        self._paragraph(text, size, colour)
        self.ln(1.5)

    def facts(self, facts: list[Fact], left: float = 0.0, size: float = TEXT) -> None:
        """Names and values in two columns, beginning so many mm from the margin."""
        for fact in facts:
            face = (SMALL - 0.5 if fact.code else size, INK)
            family = "code" if fact.code else "text"
            width = self.epw - left - LABEL
            self.keep(self._height(fact.value, width, face[0], family=family))
            top = self.get_y()
            self.set_x(self.l_margin + left)
            self._paragraph(fact.name, size, QUIET, width=LABEL - 2)
            below = self.get_y()
            self.set_xy(self.l_margin + left + LABEL, top + (0.35 if fact.code else 0))
            self._paragraph(fact.value, *face, width=width, family=family)
            self.set_y(max(below, self.get_y()) + 0.4)

    def sketch(self, sketch: SketchShown) -> None:
        """The picture at the left, what is known of it beside."""
        self.keep(SKETCH + 14)
        self._paragraph(sketch.title, TEXT, bold=True)
        self.ln(1)
        top, page = self.get_y(), self.page_no()
        bottom = top
        if sketch.picture is None:
            self._paragraph(sketch.trouble, TEXT, QUIET, width=SKETCH - 4)
            bottom = self.get_y()
        else:
            bottom += self._picture(sketch.picture, SKETCH)
        self.set_y(top)
        self.facts(sketch.facts, left=SKETCH + 4)
        self.set_y((max(bottom, self.get_y()) if self.page_no() == page else self.get_y()) + 5)

    def search(self, search: SearchShown) -> None:
        """One search: what has to be read first, the facts, the list, and what its figures mean."""
        self.heading(search.title, HEADING)
        for notice in search.notices:
            self.notice(notice)
        self.facts(search.facts)
        self.ln(2)
        for candidate in search.candidates:
            self.candidate(candidate)
        self.ln(2)
        self.words(search.calibration, SMALL, QUIET)
        self.facts(search.hashes, size=SMALL)

    def candidate(self, candidate: CandidateShown) -> None:
        """The photo at the left, what is said of it beside."""
        width = self.epw - THUMBNAIL - 4
        decisions = [(text, SMALL + 0.5) for text in candidate.decisions]
        lines = [(candidate.evidence, TEXT), (candidate.score, SMALL), *decisions]
        heights = sum(self._height(text, width, size) for text, size in lines)
        needed = max(THUMBNAIL * 1.25, self._height(candidate.title, width, TEXT + 1, bold=True) + heights)
        self.keep(needed + 5)
        self.rule()
        top = self.get_y()
        tall = THUMBNAIL
        if candidate.thumbnail is None:
            self._paragraph("no longer enrolled: no photo", SMALL, QUIET, width=THUMBNAIL)
        else:
            tall = self._picture(candidate.thumbnail, THUMBNAIL, THUMBNAIL * 1.25)
        self.set_y(top)
        self._beside(f"{candidate.rank}. {candidate.title}", TEXT + 1, INK, bold=True)
        self._beside(candidate.evidence, TEXT, INK)
        self._beside(candidate.score, SMALL, QUIET)
        for text, size in decisions:
            self._beside(text, size, INK)
        self.set_y(max(top + tall, self.get_y()) + 2)

    def rule(self) -> None:
        """A line across."""
        self.set_draw_color(RULE)
        self.line(self.l_margin, self.get_y(), self.w - self.r_margin, self.get_y())
        self.ln(2)

    def keep(self, height: float) -> None:
        """Begin a new page where less than so many mm are left of this one."""
        if self.will_page_break(min(height, self.eph / 2)):
            self.add_page()

    def _beside(self, text: str, size: float, colour: int, *, bold: bool = False) -> None:
        self.set_x(self.l_margin + THUMBNAIL + 4)
        self._paragraph(text, size, colour, bold=bold, width=self.epw - THUMBNAIL - 4)

    def _picture(self, picture: bytes, width: float, height: float | None = None) -> float:
        """A JPEG within a box at the left margin; its height in mm."""
        with Image.open(io.BytesIO(picture)) as opened:
            scale = min(width / opened.width, (height or width) / opened.height)
            wide, tall = opened.width * scale, opened.height * scale
        self.image(io.BytesIO(picture), self.l_margin, self.get_y(), wide, tall)
        return tall

    def _face(self, size: float, colour: int = INK, *, bold: bool = False, family: str = "text") -> None:
        self.set_font(family, "B" if bold else "", size)
        self.set_text_color(colour)

    def _paragraph(
        self,
        text: str,
        size: float,
        colour: int = INK,
        *,
        bold: bool = False,
        width: float = 0,
        family: str = "text",
    ) -> None:
        self._face(size, colour, bold=bold, family=family)
        self.multi_cell(width, size * LINE, self._fit(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, padding=0)

    def _height(self, text: str, width: float, size: float, *, bold: bool = False, family: str = "text") -> float:
        """How tall a paragraph comes out, in mm."""
        self._face(size, bold=bold, family=family)
        height = self.multi_cell(
            width, size * LINE, self._fit(text), align="L", dry_run=True, output=MethodReturnValue.HEIGHT
        )
        assert isinstance(height, float | int)
        return float(height)

    def _fit(self, text: str) -> str:
        """Text as the present face can show it: in the order of reading, and nothing left out silently."""
        known = self.current_font.cmap  # type: ignore[union-attr]
        shown = "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in text)
        self.spelled |= shown != text
        return BidiParagraph(shown).get_reordered_string() if _has_right_to_left(shown) else shown


def _has_right_to_left(text: str) -> bool:
    import unicodedata

    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
