"""Make the export of a case."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import forensic
from forensic import images
from forensic.casefile import archive, content, page, pdf, wording
from forensic.casefile.layout import (
    CASE,
    HTML,
    LOG,
    MANIFEST,
    MAX_BYTES,
    MAX_FILES,
    MAX_TEXT,
    PDF,
    SIGNATURE,
    Listed,
    Manifest,
)
from forensic.casefile.probes import Decode
from forensic.casefile.verifying import Contents
from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, address
from forensic.gallery.casework import disclosing
from forensic.gallery.objects import partial, write_private
from forensic.report import CANDIDATE_SIDE, jpeg
from forensic.text import printable


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: The ZIP file.
        manifest: What is in it.
        size: Bytes.
        hidden: Verdicts that were left out, because the operator may not see them.
    """

    path: Path
    manifest: Manifest
    size: int
    hidden: int


class Packed(NamedTuple):
    """An export that is not written yet.

    Attributes:
        content: The ZIP file's bytes.
        manifest: What is in it.
        hidden: As for `Exported`.
    """

    content: bytes
    manifest: Manifest
    hidden: int


def export(gallery: Gallery, reference: str, out: Path) -> Exported:
    """Write a case as one signed ZIP file, which is on record in the gallery's log.

    Args:
        gallery: Where the case is.
        reference: The case.
        out: A new file; only its owner may read it.

    Raises:
        UsageError: The file is there already or cannot be written, or the case is too large for one file.
        GalleryError: There is no such case, or what the gallery holds of it is not as its log has it.
    """
    with reserved(out):
        made = pack(gallery, reference)
        write(out, made.content)
    return Exported(out, made.manifest, len(made.content), made.hidden)


@contextmanager
def reserved(out: Path) -> Iterator[None]:
    """A place to write to, known to be one before anything is on record; nothing is left beside it.

    Raises:
        UsageError: The file is there already, would lie in a gallery, or cannot be written.
    """
    address.check_outside(out)
    beside = partial(out)
    try:
        if out.exists():
            raise UsageError(f"{out} is there already. Give another --out FILE.")
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise unwritable(out, error) from None
    try:
        yield
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def write(out: Path, content: bytes) -> None:
    """Write a file that only its owner may read.

    Raises:
        UsageError: It cannot be written: the disk filled up meanwhile.
    """
    try:
        write_private({out: content})
    except OSError as error:
        raise unwritable(out, error) from None


def unwritable(out: Path, error: OSError) -> UsageError:
    """What is said of a place that nothing can be written to."""
    return UsageError(f"{out} cannot be written ({error.strerror}). Give another --out FILE.")


def pack(gallery: Gallery, reference: str, *, decode: Decode = images.decode) -> Packed:
    """The export of a case, put on record and signed.

    Args:
        gallery: Where the case is.
        reference: The case.
        decode: Opens pictures.

    Raises:
        UsageError, GalleryError: As `export` does.
    """
    held = disclosing.gather(gallery, reference)
    assert held.case is not None
    made = datetime.now(UTC).isoformat(timespec="seconds")
    origin = wording.Origin(held.head, gallery.operator.name, made, forensic.__version__)
    files = _files(gallery, held, origin, decode)
    manifest = Manifest(
        gallery=held.head.gallery,
        public_key=held.head.public_key,
        case=held.case.reference,
        operator=origin.operator,
        made=made,
        version=origin.version,
        head=held.head,
        files=tuple(Listed.of(name, files[name]) for name in sorted(files)),
    )
    hidden = _check(files, manifest)
    signature = disclosing.sign(gallery, held, manifest.to_bytes())
    return Packed(archive.pack({MANIFEST: manifest.to_bytes(), SIGNATURE: signature, **files}), manifest, hidden)


def thumbnails(gallery: Gallery, held: disclosing.Held, decode: Decode = images.decode) -> dict[int, bytes]:
    """Number of each candidate's photo that is still enrolled -> a small JPEG of it."""
    return {
        number: jpeg(decode(gallery.photo_bytes(photo), photo.file_name).image, CANDIDATE_SIDE)
        for number, photo in sorted(held.photos.items())
    }


def _files(gallery: Gallery, held: disclosing.Held, origin: wording.Origin, decode: Decode) -> dict[str, bytes]:
    """Everything but the manifest, by name."""
    pictures = thumbnails(gallery, held, decode)
    report = wording.exported(held, pictures, origin, decode)
    return {
        HTML: page.render(report),
        PDF: pdf.render(report),
        CASE: content.plain(held),
        **content.records(held),
        **{content.thumbnail_name(number): picture for number, picture in pictures.items()},
    }


def _check(files: dict[str, bytes], manifest: Manifest) -> int:
    """Sign nothing that a check would refuse; how many verdicts are hidden.

    Raises:
        UsageError: There is more than an export can hold.
        GalleryError: What the gallery holds is not as its log has it.
    """
    texts = {name: data for name, data in files.items() if name in (CASE, LOG) or name.startswith("searches/")}
    names = sum(len(name.encode()) for name in files)
    total = sum(map(len, files.values())) + 2 * names + 100 * len(files) + len(manifest.to_bytes())
    largest = max([len(manifest.to_bytes()), *map(len, texts.values())])
    if len(files) > MAX_FILES - 2 or total > MAX_BYTES or largest > MAX_TEXT:
        raise UsageError(
            f"Case {printable(manifest.case)} has {len(files):,} files of {total:,} bytes, the longest record of "
            f"{largest:,}: more than an export holds ({MAX_FILES:,}, {MAX_BYTES:,}, {MAX_TEXT:,})."
        )
    contents = Contents(manifest, texts, {listed.name: listed.sha256 for listed in manifest.files})
    if problems := list(contents.problems()):
        first = problems[0]
        raise GalleryError(
            f"The gallery does not hold this case as its log has it ({printable(first.subject)}: {first.message}) "
            "Nothing was exported: see 'forensic gallery verify'."
        )
    return contents.hidden
