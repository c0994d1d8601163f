"""A report as a PDF file, to print and to put into a file: A4, one column, fonts embedded."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import matplotlib
from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.enums import MethodReturnValue, XPos, YPos
from PIL import Image

from forensic.casefile.shown import CandidateShown, Fact, Passage, Picture, Report, SearchShown, SketchShown, Table
from forensic.casefile.wording import moment

FONTS = {("text", ""): "DejaVuSans", ("text", "B"): "DejaVuSans-Bold", ("code", ""): "DejaVuSansMono"}
MARGIN, LABEL, GAP = 18.0, 34.0, 6.0  # mm
PHOTO, SKETCH, PROBE = (26.0, 32.5), (62.0, 70.0), (54.0, 62.0)
"""Width and height in mm of the boxes that pictures are fitted into, so that all of a kind are of one size."""
TEXT, SMALL, TITLE, HEADING, MINOR = 9.5, 8.0, 17.0, 12.5, 10.5  # points
LINE = 0.46
"""Height of a line in mm for each point of its face."""
Colour = int | tuple[int, int, int]
QUIET, INK, MARK, RULE, PALE = 100, 20, (160, 20, 20), 200, 244
SPELLED = "Characters that this page's fonts lack are written as \\u and their number; the HTML report shows them."
FOOT = "Personal data. A candidate is an investigative lead, not an identification."


def render(report: Report) -> bytes:
    """The PDF; the same report gives the same bytes."""
    page = _Page(report)
    page.heading(report.title, TITLE)
    page.notice(report.lead)
    page.facts(report.facts)
    if report.sketches is not None:
        page.heading("Sketches", HEADING, SKETCH[1])
        for sketch in report.sketches:
            page.sketch(sketch)
        if not report.sketches:
            page.words("The case has no sketch.")
    for search in report.searches:
        page.search(search)
    if not report.searches:
        page.heading("Searches", HEADING)
        page.words("The case has no search.")
    page.passages("Method", report.method)
    page.passages("Accuracy that the agency measured", report.accuracy)
    page.passages("Limitations", report.limitations)
    page.heading("Extract of the audit log", HEADING)
    page.grid(report.log)
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
        self._state = f"as of {moment(report.state)}"
        self.set_margin(MARGIN)
        self.c_margin = 0
        self.set_auto_page_break(True, MARGIN + 2)
        self.set_title(report.title)
        self.set_lang("en")
        self.set_creation_date(datetime.fromisoformat(report.state))
        self.add_page()

    def header(self) -> None:
        """What the report is of, on every page but the first, which has the title."""
        if self.page_no() > 1:
            self._face(SMALL, QUIET)
            self.cell(0, 4, self._state, align="R")
            self.set_x(self.l_margin)
            room = self.epw - self.get_string_width(self._state) - GAP
            self.cell(0, 4, self._clipped(self._title, room), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            self.set_draw_color(RULE)
            self.line(self.l_margin, self.get_y() + 1, self.w - self.r_margin, self.get_y() + 1)
            self.ln(5)
        self._top = self.get_y()

    def footer(self) -> None:
        """What the reader holds, and the page's number, of how many."""
        self.set_y(-13)
        self._face(SMALL - 0.5, QUIET)
        self.cell(0, 4, FOOT, align="R")
        self.set_x(self.l_margin)
        self.cell(0, 4, f"{self.page_no()} / {{nb}}")

    def heading(self, text: str, size: float, needed: float = 20.0) -> None:
        """A title, kept with so many mm of what comes next."""
        self.keep(size + needed)
        if self.get_y() > 2 * MARGIN:
            self.ln(4 if size >= HEADING else 2)
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
        self.keep(min(self._height(text, self.epw, size), 12))
        self._paragraph(text, size, colour)
        self.ln(1.5)

    def facts(self, facts: list[Fact], left: float = 0.0, size: float = TEXT, label: float = LABEL) -> None:
        """Names and values in two columns, beginning so many mm from the margin; the first is ``label`` mm wide."""
        for fact in facts:
            face = (SMALL - 0.5 if fact.code else size, INK)
            family = "code" if fact.code else "text"
            width = self.epw - left - label
            self.keep(self._height(fact.value, width, face[0], family=family))
            top = self.get_y()
            self.set_x(self.l_margin + left)
            self._paragraph(fact.name, size, QUIET, width=label - 2)
            below = self.get_y()
            self.set_xy(self.l_margin + left + label, top + (0.35 if fact.code else 0))
            self._paragraph(fact.value, *face, width=width, family=family)
            self.set_y(max(below, self.get_y()) + 0.4)

    def passages(self, title: str, passages: list[Passage]) -> None:
        """A section of plain words, each part under its name."""
        if not passages:
            return
        self.heading(title, HEADING)
        for passage in passages:
            self.keep(TEXT * LINE + min(self._height(passage.text, self.epw, TEXT), 16))
            self._paragraph(passage.title, TEXT, bold=True)
            self._paragraph(passage.text, TEXT)
            self.ln(2)

    def grid(self, table: Table) -> None:
        """A table whose rows are whole, with its head on each of its pages."""
        self.keep(22)
        widths = [share * self.epw for share in table.widths]
        self._head(table, widths)
        for row in table.rows:
            faces = [(SMALL - 1.2, "code") if k in table.code else (SMALL, "text") for k in range(len(row))]
            cells = zip(row, widths, faces, strict=True)
            height = max(self._height(cell, width - 2, size, family=of) for cell, width, (size, of) in cells)
            if self.will_page_break(height + 2):
                self.add_page()
                self._head(table, widths)
            top, left = self.get_y(), self.l_margin
            for cell, width, (size, family) in zip(row, widths, faces, strict=True):
                self.set_xy(left, top)
                self._paragraph(cell, size, width=width - 2, family=family)
                left += width
            self.set_y(top + height + 0.8)
            self.rule(0.8)
        self.ln(2)

    def _head(self, table: Table, widths: list[float]) -> None:
        top, left, below = self.get_y(), self.l_margin, self.get_y()
        for name, width in zip(table.names, widths, strict=True):
            self.set_xy(left, top)
            self._paragraph(name, SMALL, QUIET, bold=True, width=width - 2)
            below, left = max(below, self.get_y()), left + width
        self.set_y(below + 0.8)
        self.rule(0.8)

    def sketch(self, sketch: SketchShown) -> None:
        """The picture at the left, what is known of it beside."""
        self.keep(SKETCH[1] + 12)
        self._paragraph(sketch.title, TEXT, bold=True)
        self.ln(1)
        top, page = self.get_y(), self.page_no()
        self._boxed(sketch.picture, self.l_margin, top, SKETCH)
        self.set_y(top)
        self.facts(sketch.facts, left=SKETCH[0] + GAP)
        self.set_y((max(top + SKETCH[1], self.get_y()) if self.page_no() == page else self.get_y()) + 5)

    def search(self, search: SearchShown) -> None:
        """One search: what has to be read first, the facts, the list, and what its figures mean."""
        self.heading(search.title, HEADING)
        for notice in search.notices:
            self.notice(notice)
        self.facts(search.facts)
        if search.probes:
            self.heading("Probe", MINOR, PROBE[1] + 14)
            self.pictures(search.probes)
        self.heading("Candidates", MINOR, PHOTO[1])
        for candidate in search.candidates:
            self.candidate(candidate)
        if not search.candidates:
            self.words("The list is empty.")
        self.heading("What the figures mean", MINOR)
        self.words(search.calibration)
        if search.worth is not None:
            self.grid(search.worth)
        self.heading("Hashes", MINOR)
        self.facts(search.hashes, size=SMALL, label=1.5 * LABEL)

    def pictures(self, pictures: list[Picture]) -> None:
        """Pictures side by side, each with its caption below."""
        width, height = PROBE
        across = int((self.epw + GAP) // (width + GAP))
        for start in range(0, len(pictures), across):
            row = pictures[start : start + across]
            tallest = max(self._height(picture.caption, width, SMALL) for picture in row)
            self.keep(height + tallest + 4)
            top = self.get_y()
            for place, picture in enumerate(row):
                left = self.l_margin + place * (width + GAP)
                self._boxed(picture, left, top, PROBE)
                self.set_xy(left, top + height + 1.5)
                self._paragraph(picture.caption, SMALL, MARK if picture.synthetic else QUIET, width=width)
            self.set_y(top + height + tallest + 4)

    def candidate(self, candidate: CandidateShown) -> None:
        """The photo at the left, what is said of it beside."""
        width = self.epw - PHOTO[0] - 4
        decisions = [(text, SMALL + 0.5) for text in candidate.decisions]
        lines = [(candidate.evidence, TEXT), (candidate.score, SMALL), *decisions]
        heights = sum(self._height(text, width, size) for text, size in lines)
        needed = max(PHOTO[1], self._height(candidate.title, width, TEXT + 1, bold=True) + heights)
        self.keep(needed + 5)
        if self.get_y() > self._top:
            self.rule()
        top, page = self.get_y(), self.page_no()
        self._boxed(candidate.picture, self.l_margin, top, PHOTO)
        self.set_y(top)
        self._beside(f"{candidate.rank}. {candidate.title}", TEXT + 1, INK, bold=True)
        self._beside(candidate.evidence, TEXT, INK)
        self._beside(candidate.score, SMALL, QUIET)
        for text, size in decisions:
            self._beside(text, size, INK)
        self.set_y((max(top + PHOTO[1], self.get_y()) if self.page_no() == page else self.get_y()) + 2)

    def rule(self, below: float = 2.0) -> None:
        """A line across, with so many mm below it."""
        self.set_draw_color(RULE)
        self.line(self.l_margin, self.get_y(), self.w - self.r_margin, self.get_y())
        self.ln(below)

    def keep(self, height: float) -> None:
        """Begin a new page where less than so many mm are left of this one."""
        if self.will_page_break(min(height, self.eph / 2)):
            self.add_page()

    def _beside(self, text: str, size: float, colour: int, *, bold: bool = False) -> None:
        self.set_x(self.l_margin + PHOTO[0] + 4)
        self._paragraph(text, size, colour, bold=bold, width=self.epw - PHOTO[0] - 4)

    def _boxed(self, picture: Picture, left: float, top: float, size: tuple[float, float]) -> None:
        """A JPEG in the middle of a box of so many mm, or why there is none."""
        width, height = size
        self.set_fill_color(PALE)
        self.rect(left, top, width, height, style="F")
        if picture.jpeg is None:
            tall = self._height(picture.trouble, width - 4, SMALL)
            self.set_xy(left + 2, top + max(2.0, (height - tall) / 2))
            self._paragraph(picture.trouble, SMALL, QUIET, width=width - 4)
            return
        with Image.open(io.BytesIO(picture.jpeg)) as opened:
            scale = min(width / opened.width, height / opened.height)
            wide, tall = opened.width * scale, opened.height * scale
        self.image(io.BytesIO(picture.jpeg), left + (width - wide) / 2, top + (height - tall) / 2, wide, tall)

    def _face(self, size: float, colour: Colour = INK, *, bold: bool = False, family: str = "text") -> None:
        self.set_font(family, "B" if bold else "", size)
        self.set_text_color(*((colour,) if isinstance(colour, int) else colour))

    def _paragraph(
        self,
        text: str,
        size: float,
        colour: Colour = INK,
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

    def _clipped(self, text: str, room: float) -> str:
        """Text as the present face can show it, on one line of so many mm."""
        shown = self._fit(text)
        if self.get_string_width(shown) <= room:
            return shown
        while shown and self.get_string_width(shown + "…") > room:
            shown = shown[:-1]
        return shown + "…"

    def _fit(self, text: str) -> str:
        """Text as the present face can show it: in the order of reading, and nothing left out silently."""
        known = self.current_font.cmap  # type: ignore[union-attr]
        shown = "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in text)
        self.spelled |= shown != text
        return BidiParagraph(shown).get_reordered_string() if _has_right_to_left(shown) else shown


def _has_right_to_left(text: str) -> bool:
    import unicodedata

    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
