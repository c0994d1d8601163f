"""What is in the export of a case: the names of its files, how much there may be, and the signed manifest.

``manifest.json``   what the other files are (name, length, SHA-256), whose gallery, who made it, and when
``manifest.sig``    Ed25519 over ``DOMAIN`` and the manifest's SHA-256 in hexadecimal, 64 bytes
``case.json``       the case, its sketches, candidates and decisions, as plain data
``report.html``, ``report.pdf``   the same for people
``log.jsonl``       the audit log's entries of the case, a line each, with hash and signature
``searches/N.json`` a search's record, to the byte as it was hashed for the log
``sketches/N-NAME`` a sketch's own bytes
``thumbnails/photo-N.jpg``   a candidate's photo, small, where the person was still enrolled
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from forensic.errors import DataError
from forensic.gallery.log.audit import Head, canonical

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
CASE, HTML, PDF, LOG = "case.json", "report.html", "report.pdf", "log.jsonl"
NAMES = re.compile(
    r"(?:case\.json|report\.html|report\.pdf|log\.jsonl"
    r"|searches/[0-9]{1,18}\.json|sketches/[0-9]{1,18}-[\w.-]{1,100}|thumbnails/photo-[0-9]{1,18}\.jpg)"
)
"""Every name that a file beside the manifest may have: none leads out of a folder that it is unpacked to."""
SIGNATURE_BYTES = 64
MAX_FILES = 20_000
MAX_BYTES = 2**31 - 1
"""Of a whole export."""
MAX_TEXT = 16 * 2**20
"""Bytes of one file that is read as text: manifest, case, log, a record."""


class Listed(NamedTuple):
    """One file as the manifest states it.

    Attributes:
        name: Within the archive.
        length: Bytes.
        sha256: Of its content, hexadecimal.
    """

    name: str
    length: int
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Listed:
        """A file as it is."""
        return cls(name, len(content), hashlib.sha256(content).hexdigest())


class Manifest(NamedTuple):
    """What is signed.

    Attributes:
        gallery: Random id of the gallery.
        public_key: Of the gallery's audit log, Ed25519, hexadecimal.
        case: The case's reference.
        operator: Who made the export.
        made: When, in ISO 8601.
        version: Of the program.
        head: The signed end of the audit log at that moment.
        files: All other files but the signature, by name.
    """

    gallery: str
    public_key: str
    case: str
    operator: str
    made: str
    version: str
    head: Head
    files: tuple[Listed, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        stated = self._asdict() | {
            "format": FORMAT,
            "head": self.head._asdict(),
            "files": [listed._asdict() for listed in self.files],
        }
        return canonical(stated).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """The manifest that somebody hands over; its signature is another matter.

        Raises:
            DataError: It is none, or one of another format.
        """
        stated = parse(content)
        if isinstance(stated, dict) and stated.get("format") not in (None, FORMAT):
            raise DataError(f"It is of format {stated['format']!r:.40}; this program reads {FORMAT}: use a newer one.")
        try:
            del stated["format"]
            head, files = Head(**stated.pop("head")), [Listed(**line) for line in stated.pop("files")]
            manifest = cls(**stated, head=head, files=tuple(files))
            sound = _is_typed(manifest) and manifest.to_bytes() == content
        except (TypeError, KeyError, AttributeError, ValueError):
            sound = False
        if not sound:
            raise DataError("It is not written as exports are.")
        return manifest

    @property
    def sha256(self) -> str:
        """Hash of its bytes, which is signed and which the gallery's log names."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def parse(content: bytes) -> Any:
    """JSON from a stranger.

    Raises:
        DataError: It is none.
    """
    try:
        return json.loads(content.decode("ascii"))
    except (ValueError, RecursionError):
        raise DataError("It is not written as exports are.") from None


def fingerprint(public_key: str) -> str:
    """A key in a form to be compared by eye or over the telephone: 32 digits of its SHA-256, in fours.

    >>> fingerprint("00" * 32)
    '6668 7aad f862 bd77 6c8f c18b 8e9f 8e20'
    """
    digest = hashlib.sha256(bytes.fromhex(public_key)).hexdigest()
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))


def file_name_of_sketch(number: int, file_name: str) -> str:
    """Where a sketch lies: its own name without anything that a file system could take amiss.

    >>> file_name_of_sketch(3, "../zeuge 2/スケッチ.png")
    'sketches/3-zeuge_2_スケッチ.png'
    """
    safe = re.sub(r"[^\w.-]+", "_", file_name).lstrip("._")
    stem, dot, suffix = safe.rpartition(".")
    safe = f"{stem[: 60 - len(suffix)]}.{suffix}" if dot and len(suffix) <= 8 else safe[:60]
    return f"sketches/{number}-{safe or 'sketch'}"


def _is_typed(manifest: Manifest) -> bool:
    """Whether every value is of its kind; what follows relies on that."""
    values: Mapping[str, object] = manifest._asdict()
    texts = [value for key, value in values.items() if key not in ("head", "files")]
    texts += [manifest.head.gallery, manifest.head.hash, manifest.head.public_key, manifest.head.signature]
    texts += [text for listed in manifest.files for text in (listed.name, listed.sha256)]
    numbers = [manifest.head.number, *(listed.length for listed in manifest.files)]
    return all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
