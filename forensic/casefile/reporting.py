"""Make the report of a case or of one search, as a PDF file or an HTML page; each copy is on record."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from forensic import images
from forensic.casefile import page, pdf, wording
from forensic.casefile.probes import Decode, Probes
from forensic.casefile.writing import reserved, thumbnails
from forensic.casefile.writing import write as write_file
from forensic.errors import UsageError
from forensic.gallery import Gallery
from forensic.gallery.casework import disclosing


class Form(StrEnum):
    """What a report is written as."""

    PDF = "pdf"
    HTML = "html"


class Made(NamedTuple):
    """A report.

    Attributes:
        content: Its bytes, whose SHA-256 the log names.
        name: A file name for it, by number: it names nobody.
    """

    content: bytes
    name: str


def of_case(
    gallery: Gallery, reference: str, form: Form, *, probes: Probes | None = None, decode: Decode = images.decode
) -> Made:
    """The report of a case as it is on record, as far as the operator may see it.

    The same record gives the same bytes: what is stated of time is that of the case's last act.

    Args:
        gallery: Where the case is.
        reference: The case.
        form: What it is written as.
        probes: Makes the pictures of probes; with models of their own by default.
        decode: Opens pictures.

    Raises:
        NotFound: There is no such case.
        GalleryError: A candidate's photo is damaged, or somebody was expunged meanwhile.
    """
    held = disclosing.gather(gallery, reference)
    looked = probes or Probes.of_models(decode=decode)
    report = wording.of_case(held, thumbnails(gallery, held, decode), gallery.operator, looked, decode)
    content = pdf.render(report) if form is Form.PDF else page.render(report)
    disclosing.note_report(gallery, held, content)
    assert held.case is not None
    return Made(content, f"case-{held.case.id}.{form}")


def of_search(
    gallery: Gallery, number: int, form: Form, *, probes: Probes | None = None, decode: Decode = images.decode
) -> Made:
    """The report of one search, see `of_case`.

    Raises:
        NotFound: There is no such search.
        GalleryError: A candidate's photo is damaged, or somebody was expunged meanwhile.
    """
    held = disclosing.gather_search(gallery, number)
    looked = probes or Probes.of_models(decode=decode)
    report = wording.of_search(held, thumbnails(gallery, held, decode), gallery.operator, looked)
    content = pdf.render(report) if form is Form.PDF else page.render(report)
    disclosing.note_report(gallery, held, content, search=number)
    return Made(content, f"search-{number}.{form}")


def form_of(out: Path) -> Form:
    """What a report is written as, by the end of its file's name.

    Raises:
        UsageError: It is neither PDF nor HTML.

    >>> form_of(Path("Search-12.PDF"))
    <Form.PDF: 'pdf'>
    """
    try:
        return Form(out.suffix.lower().removeprefix("."))
    except ValueError:
        raise UsageError(f"{out} is neither a .pdf nor a .html file. Give --out one of the two ends.") from None


def write(out: Path, make: Callable[[Form], Made]) -> Made:
    """Write a report to a new file that only its owner may read.

    Args:
        out: The file; the end of its name says what is made.
        make: Makes the report.

    Raises:
        UsageError: The file is there already, cannot be written, or is neither a .pdf nor a .html.
        GalleryError: As `of_case` does.
    """
    form = form_of(out)
    with reserved(out):
        made = make(form)
        write_file(out, made.content)
    return made
