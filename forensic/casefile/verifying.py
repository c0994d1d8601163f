"""Check the export of a case by itself: without the gallery, the network, or anything but the file and a key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from forensic.casefile.archive import Archive
from forensic.casefile.layout import (
    CASE,
    HTML,
    LOG,
    MANIFEST,
    MAX_TEXT,
    NAMES,
    PDF,
    SIGNATURE,
    SIGNATURE_BYTES,
    Listed,
    Manifest,
    parse,
)
from forensic.errors import DataError
from forensic.gallery.casework.disclosing import DOMAIN
from forensic.gallery.log import audit, statements
from forensic.gallery.log.audit import Entry, Head, Line
from forensic.gallery.records import Problem

WHOLE = {CASE, HTML, PDF, LOG}


class Verified(NamedTuple):
    """What a check found.

    Attributes:
        problems: What is wrong; empty for a sound export.
        manifest: None where it cannot be read.
        entries: How many entries of the log were checked.
        hidden: Verdicts that whoever made the export could not see; the log's hashes of them cannot be opened.
    """

    problems: list[Problem]
    manifest: Manifest | None
    entries: int
    hidden: int


def verify(path: Path, *, public_key: str | None = None, head: Head | None = None) -> Verified:
    """Everything that is wrong with an export.

    Args:
        path: The ZIP file.
        public_key: The gallery's key as it is known from elsewhere, hexadecimal: shows who signed.
        head: An exported head of the gallery's log, which holds the key.

    Raises:
        DataError: The file is no export of a case at all.
    """
    with Archive(path) as archive:
        if MANIFEST not in archive.files:
            raise DataError(f"{path.name!r} is no export of a case: there is no {MANIFEST} in it.")
        try:
            content = archive.read(MANIFEST, MAX_TEXT)
            manifest = Manifest.from_bytes(content)
        except DataError as error:
            return Verified([Problem("manifest", MANIFEST, str(error))], None, 0, 0)
        problems = [*_signature(archive, manifest), *_key(manifest, public_key, head)]
        texts: dict[str, bytes] = {}
        hashes: dict[str, str] = {}
        problems += _files(archive, manifest, texts, hashes)
    contents = Contents(manifest, texts, hashes)
    problems += contents.problems()
    return Verified(problems, manifest, len(contents.lines), contents.hidden)


def _signature(archive: Archive, manifest: Manifest) -> Iterator[Problem]:
    try:
        signature = archive.read(SIGNATURE, SIGNATURE_BYTES).hex()
    except DataError as error:
        yield Problem("signature", SIGNATURE, f"{error}.")
        return
    if not audit.is_signed(manifest.public_key, manifest.sha256, signature, domain=DOMAIN):
        yield Problem("signature", SIGNATURE, f"It is not the key's over {MANIFEST}: one of the two was altered.")


def _key(manifest: Manifest, public_key: str | None, head: Head | None) -> Iterator[Problem]:
    """Whether the key, and with a head the gallery, is the one that was expected."""
    expected = public_key if head is None else head.public_key
    if expected not in (None, manifest.public_key):
        yield Problem("key", manifest.public_key, f"Another key than the expected one ({expected}) signed this.")
    if head is not None and head.gallery != manifest.gallery:
        yield Problem("key", manifest.gallery, "The exported head is of another gallery.")
    at = manifest.head
    if (at.gallery, at.public_key) != (manifest.gallery, manifest.public_key) or not _is_sound(at):
        yield Problem("log", "head", "The end of the log that the manifest states is not signed by the same key.")


def _is_sound(head: Head) -> bool:
    return audit.is_signed(head.public_key, head.hash, head.signature)


def _files(archive: Archive, manifest: Manifest, texts: dict[str, bytes], hashes: dict[str, str]) -> Iterator[Problem]:
    """Compare each file with the manifest; keep the text of those that are text, and the hashes of all."""
    listed = {one.name: one for one in manifest.files}
    names = [one.name for one in manifest.files]
    for name in sorted({name for name in names if names.count(name) > 1} if len(listed) < len(names) else ()):
        yield Problem("file", name, "The manifest names it twice.")
    for name in sorted(name for name in listed if not NAMES.fullmatch(name)):
        yield Problem("file", name, "No export has a file of this name.")
    for name in sorted((listed.keys() | WHOLE) - archive.files.keys()):
        yield Problem("file", name, "It is missing.")
    for name in sorted(archive.files.keys() - listed.keys() - {MANIFEST, SIGNATURE}):
        yield Problem("file", name, "It is not in the manifest: somebody added it.")
    for name in sorted(listed.keys() & archive.files.keys()):
        try:
            found = _read(archive, name, texts)
        except DataError as error:
            yield Problem("file", name, f"It was altered: {error}.")
            continue
        hashes[name] = found.sha256
        if found != listed[name]:
            yield Problem("file", name, "It was altered: length or SHA-256 is not the manifest's.")


def _read(archive: Archive, name: str, texts: dict[str, bytes]) -> Listed:
    """A file as it is; its content goes to ``texts`` if it is to be looked into."""
    if name in (CASE, LOG) or name.startswith("searches/"):
        texts[name] = archive.read(name, MAX_TEXT)
        return Listed.of(name, texts[name])
    digest, length = hashlib.sha256(), 0
    for part in archive.chunks(name):
        digest.update(part)
        length += len(part)
    return Listed(name, length, digest.hexdigest())


class Contents:
    """What an export says of a case, to be compared with what the log's own entries say.

    Args:
        manifest: Whose gallery and key.
        texts: `CASE`, `LOG` and the searches' records, by name, as far as they are there.
        hashes: SHA-256 of every file.
    """

    def __init__(self, manifest: Manifest, texts: Mapping[str, bytes], hashes: Mapping[str, str]) -> None:
        self.manifest = manifest
        self.texts = texts
        self.hashes = hashes
        self.lines: list[Line] = []
        self.hidden = 0

    def problems(self) -> Iterator[Problem]:
        """Entries that were altered, and statements that the entries do not bear out."""
        if not {CASE, LOG} <= self.texts.keys():
            return  # that they are missing was said
        try:
            self.lines = [Line(**parse(line)) for line in self.texts[LOG].splitlines()]
            numbers = [line.number for line in self.lines]
            sound = all(type(number) is int for number in numbers) and numbers == sorted(set(numbers))
        except (DataError, TypeError):
            sound = False
        if not sound:
            self.lines = []
            yield Problem("log", LOG, "It is not written as exports are.")
            return
        entries = [audit.read(str(line.entry)) for line in self.lines]
        yield from self._entries(entries)
        try:
            said, logged = parse(self.texts[CASE]), statements.logged(filter(None, entries))
            differences = list(statements.differences(logged, self._stated(said, logged)))
            reference = said["case"]["reference"]
        except (DataError, TypeError, KeyError, AttributeError, ValueError):
            yield Problem("record", CASE, "It is not written as exports are.")
            return
        if reference != self.manifest.case:
            yield Problem("manifest", MANIFEST, f"It names another case than {CASE}.")
        for subject, fault in differences:
            yield Problem("record", subject, f"It {fault}, by the log's entry of its time.")

    def _entries(self, entries: list[Entry]) -> Iterator[Problem]:
        """Each entry by itself, and with its neighbour where that is here too."""
        head = self.manifest.head
        signer = head._replace(gallery=self.manifest.gallery, public_key=self.manifest.public_key)
        before: Line | None = None
        for line, entry in zip(self.lines, entries, strict=True):
            previous = before.hash if before and before.number + 1 == line.number else None
            fault = _typed_fault(line) or audit.fault_of(line, entry, signer, previous)
            if not fault and (line.number > head.number or (line.number == head.number and line.hash != head.hash)):
                fault = "is not of the log whose end the manifest states"
            if fault:
                yield Problem("log", f"entry {line.number}", f"It {fault}.")
            before = line

    def _stated(self, said: Any, logged: Mapping[str, object]) -> dict[str, object]:
        """Name -> hash of what is stated here; of a hidden verdict, the log's, which cannot be opened."""
        case = said["case"]
        number = case["number"]
        about = (case[key] for key in ("reference", "purpose", "legal_basis", "opened_by"))
        there: dict[str, object] = {f"case {number}": statements.hash_of_case(*about)}
        for sketch in said["sketches"]:
            about = (sketch[key] for key in ("file_name", "kind", "made_by", "described_by", "drawn_on", "added_by"))
            found = self.hashes.get(sketch["file"], "")
            there[f"sketch {sketch['number']}"] = statements.hash_of_sketch(number, sketch["sha256"], found, about)
        for search in said["searches"]:
            record = self.texts.get(search["file"], b"").decode()
            there[f"search {search['number']}"] = statements.hash_of_search(number, record)
            for decision in search["decisions"]:
                name = statements.decision(search["number"], decision["rank"], decision["examiner"])
                if decision["salt"] is None:
                    self.hidden += 1
                    there[name] = logged.get(name)
                else:
                    there[name] = statements.hash_of_decision(
                        *(decision[key] for key in ("salt", "verdict", "reason", "at"))
                    )
        return there


def _typed_fault(line: Line) -> str:
    texts = (line.entry, line.hash, line.signature)
    return "" if all(isinstance(text, str) for text in texts) else "is no entry"
