"""Anchors: a time-stamping authority's word (RFC 3161) that the end of the log was there at a certain time.

Whoever holds the gallery's key can write its log anew, but not with an old date of somebody else's. An anchor is an
entry of the log with the authority's token over the hash of an earlier entry; only that hash leaves the gallery.
Nothing but `anchor` uses the network, and only when it is called.
"""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from forensic import regular
from forensic.errors import DataError, GalleryError, UsageError
from forensic.gallery.casework.casework_models import AuditEntry
from forensic.gallery.log import audit
from forensic.gallery.log.audit import Entry, Line
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage
from forensic.text import printable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse
    from sqlalchemy.orm import Session

TOLERANCE = timedelta(minutes=5)
"""How far the authority's clock and the gallery's may be apart."""
SECONDS = 30
"""How long an authority may take."""
MAX_REPLY = 2**20
SHA256 = "2.16.840.1.101.3.4.2.1"
GRANTED = 0
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


class Anchor(NamedTuple):
    """What was anchored.

    Attributes:
        number: Of the log's entry whose hash was stamped.
        hash: That hash.
        at: The authority's time.
        tsa: The authority's address.
    """

    number: int
    hash: str
    at: datetime
    tsa: str


class Anchored(NamedTuple):
    """What a check of all anchors found.

    Attributes:
        problems: What is wrong.
        checked: Anchors whose tokens were checked against the authority's certificate.
        unchecked: Anchors that no certificate was given for.
    """

    problems: list[Problem]
    checked: int
    unchecked: int


@needs(Right.AUDIT)
def anchor(gallery: Storage, tsa: str, roots: Sequence[Certificate] = ()) -> Anchor:
    """Have the end of the log stamped by an authority, and write its token into the log.

    Args:
        gallery: Whose log.
        tsa: The authority's address, http or https.
        roots: Certificates that the token's signature has to lead to; without one it is not checked now.

    Raises:
        UsageError: The address is none.
        GalleryError: The authority cannot be reached, refuses, or answers with a token of something else.
    """
    _check_address(tsa)
    with gallery.reading() as session:
        head = audit.head(session)
        text = session.get_one(AuditEntry, head.number).entry
    entry = audit.read(text)
    if audit.fault_of(Line(head.number, text, head.hash, head.signature), entry, head, None):
        raise GalleryError("The end of the log was altered; 'forensic audit verify' says more. Nothing was written.")
    token = _asked(tsa, text)
    if fault := _fault(token, head.hash, roots, after=datetime.fromisoformat(entry["at"])):
        raise GalleryError(f"The answer of {tsa} cannot be used: it {fault}. Nothing was written.")
    with gallery.writing() as session:
        row = session.get(AuditEntry, head.number)
        if row is None or row.hash != head.hash:
            raise GalleryError("The log was changed while its end was stamped; 'forensic audit verify' says how.")
        stamp = {"hash": head.hash, "tsa": tsa, "token": base64.b64encode(token).decode()}
        gallery.note(session, "anchor", number=head.number, **stamp)
    return Anchor(head.number, head.hash, _parsed(token).tst_info.gen_time.astimezone(UTC), tsa)


@needs(Right.AUDIT)
def verify(gallery: Storage, roots: Sequence[Certificate] = ()) -> Anchored:
    """Check every anchor: what it stamps is an entry of this log, and with certificates, who stamped it and when.

    Args:
        gallery: Whose log; the chain itself is checked by `audit.verify`.
        roots: Certificates of authorities; each token has to lead to one of them.
    """
    with gallery.reading() as session:
        entries = audit.entries(session, action="anchor")
        problems = [
            Problem("anchor", f"entry {entry['number']}", f"Its anchor {fault}.")
            for entry in reversed(entries)
            if (fault := _fault_of_anchor(session, entry, roots))
        ]
    checked = len(entries) if roots else 0
    return Anchored(problems, checked, len(entries) - checked)


def _fault_of_anchor(session: Session, entry: Entry, roots: Sequence[Certificate]) -> str:
    """What is wrong with an entry that holds an anchor; empty where nothing is."""
    said = entry["details"]
    try:
        row = session.get(AuditEntry, int(said["number"]))
        token = base64.b64decode(said["token"], validate=True)
        if row is None or row.hash != said["hash"]:
            return "is of an entry that this log does not have"
        after, before = (datetime.fromisoformat(at) for at in (audit.read(row.entry)["at"], entry["at"]))
    except (KeyError, TypeError, ValueError):
        return "is not written as anchors are"
    return _fault(token, row.hash, roots, after=after, before=before)


def certificates(path: Path) -> list[Certificate]:
    """The certificates in a PEM or DER file.

    Raises:
        DataError: There is none.
    """
    try:
        return certificates_of(regular.read(path), str(path))
    except OSError as error:
        raise _no_certificate(str(path), error) from None


def certificates_of(content: bytes, name: str) -> list[Certificate]:
    """The certificates in PEM or DER; ``name`` is what errors call them.

    Raises:
        DataError: There is none.
    """
    from cryptography import x509

    try:
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_certificates(content)
        return [x509.load_der_x509_certificate(content)]
    except ValueError as error:
        raise _no_certificate(name, error) from None


def to_pem(roots: Sequence[Certificate]) -> str:
    """Certificates as `certificates_of` reads them."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(root.public_bytes(Encoding.PEM).decode() for root in roots)


def _no_certificate(name: str, error: Exception) -> DataError:
    return DataError(f"{name} holds no certificate ({error}). Give the authority's root, in PEM or DER.")


def _check_address(tsa: str) -> None:
    """Refuse what is no plain address; names and passwords in it would end in the log."""
    try:
        parts = urlsplit(tsa)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and tsa.isprintable()
    except ValueError:
        sound = False
    if not sound:
        raise UsageError(f"{tsa!r} is no address of a time-stamping authority: expected http://... or https://...")


def _asked(tsa: str, entry: str) -> bytes:
    """The authority's answer about an entry, of which it gets the hash alone; whether it is one about this question.

    Raises:
        GalleryError: It cannot be reached, or refuses.
    """
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    question = TimestampRequestBuilder().data(entry.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
    request = urllib.request.Request(tsa, question.as_bytes(), {"Content-Type": QUERY, "Accept": REPLY})  # noqa: S310
    again = "Check the address, or try again later. Nothing was written."
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - http and https alone
            reply = answer.read(MAX_REPLY + 1)
    except urllib.error.HTTPError as error:
        raise GalleryError(
            f"The time-stamping authority {tsa} refused ({error.code} {error.reason}). {again}"
        ) from None
    except (OSError, ValueError, HTTPException) as error:
        reason = printable(str(getattr(error, "reason", error)))
        raise GalleryError(f"The time-stamping authority {tsa} cannot be reached ({reason}). {again}") from None
    try:
        response = _parsed(reply)
        if response.status != GRANTED:
            words = printable("; ".join(response.status_string)) or f"status {response.status}"
            raise GalleryError(f"The time-stamping authority {tsa} refused ({words}). {again}")
        same = response.tst_info.nonce == question.nonce
    except ValueError:
        raise GalleryError(f"What {tsa} answered is no time stamp (RFC 3161). {again}") from None
    if not same:
        raise GalleryError(f"What {tsa} answered is an answer to another question. {again}")
    return bytes(response.as_bytes())


def _fault(
    token: bytes,
    digest: str,
    roots: Sequence[Certificate],
    *,
    after: datetime,
    before: datetime | None = None,
) -> str:
    """What is wrong with a token over an entry; empty where nothing is.

    Args:
        token: The authority's answer, DER.
        digest: Hash of the entry that it has to stamp.
        roots: Where its signature has to lead to; none for no check of it.
        after: When that entry was written.
        before: When the anchor was written; None for now.
    """
    try:
        response = _parsed(token)
        info, imprint = response.tst_info, response.tst_info.message_imprint
    except ValueError:
        return "holds no time stamp (RFC 3161)"
    if imprint.hash_algorithm.dotted_string != SHA256 or imprint.message.hex() != digest:
        return "stamps something else than the entry's hash"
    at = info.gen_time.astimezone(UTC)
    if at < after - TOLERANCE:
        return f"is of an earlier time ({_moment(at)}) than the entry that it stamps ({_moment(after)})"
    if before is not None and at > before + TOLERANCE:
        return f"is of a later time ({_moment(at)}) than the entry that holds it ({_moment(before)})"
    return _unsigned(response, digest, roots) if roots else ""


def _unsigned(response: TimeStampResponse, digest: str, roots: Sequence[Certificate]) -> str:
    """Why the token's signature does not lead to one of the certificates; empty where it does."""
    from rfc3161_client import VerificationError, VerifierBuilder

    try:
        VerifierBuilder(roots=list(roots)).build().verify(response, bytes.fromhex(digest))
    except (VerificationError, ValueError) as error:
        return f"is not signed by an authority of the given certificate ({error})"
    return ""


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _parsed(token: bytes) -> TimeStampResponse:
    """An authority's answer; `ValueError` where it is none, or, from its ``tst_info``, where it stamps nothing."""
    from rfc3161_client import decode_timestamp_response

    return decode_timestamp_response(token)
