"""The tables of casework: who works here, what was done, which cases and searches there are.

They name people and photos of the gallery by number alone, and no row depends on one: what was done stays on record
when a person is expunged, and then says nothing of who it was.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forensic.gallery.models import Base, now


class Identity(Base):
    """One row: which gallery this is, and the key that its log is signed with."""

    __tablename__ = "identity"

    id: Mapped[int] = mapped_column(primary_key=True)
    gallery: Mapped[str] = mapped_column(String(32))  # random, hexadecimal
    public_key: Mapped[str] = mapped_column(String(64))  # Ed25519, hexadecimal


class AuditEntry(Base):
    """One act. ``entry`` is canonical JSON, which states its number and the hash before it; see `audit`."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 1, 2, 3, ...
    entry: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))  # SHA-256 of ``entry``
    signature: Mapped[str] = mapped_column(String(128))  # Ed25519 over the hash


class User(Base):
    """Somebody who may use the gallery; a removed one stays, so that the name is never given out again."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str]  # argon2id, with its salt and cost
    active: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Case(Base):
    """A case: what the searches of it are for, and by what right."""

    __tablename__ = "cases"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    purpose: Mapped[str]
    legal_basis: Mapped[str]
    opened_by: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(default=now)


class Sketch(Base):
    """A case's sketch with its picture. It is evidence of the case, never a photo of the gallery."""

    __tablename__ = "sketches"
    __table_args__ = (UniqueConstraint("case_id", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    file_name: Mapped[str]
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    kind: Mapped[str] = mapped_column(String(16))  # viewed, composite or forensic
    made_by: Mapped[str | None]  # the artist, or the software
    described_by: Mapped[str | None]  # who described the face
    drawn_on: Mapped[str | None]
    added_by: Mapped[str]
    added_at: Mapped[datetime] = mapped_column(default=now)


class SearchRecord(Base):
    """One search. ``record`` is canonical JSON and never changes; the log holds its hash."""

    __tablename__ = "searches"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"), index=True)
    record: Mapped[str] = mapped_column(Text)


class Decision(Base):
    """What one examiner says of one candidate of a search."""

    __tablename__ = "decisions"
    __table_args__ = (UniqueConstraint("search_id", "rank", "examiner"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("searches.id"), index=True)
    rank: Mapped[int]
    examiner: Mapped[str]
    verdict: Mapped[str] = mapped_column(String(16))  # exclude, inconclusive or lead
    reason: Mapped[str]
    salt: Mapped[str] = mapped_column(String(32))  # random: the log holds a hash that does not give the verdict away
    decided_at: Mapped[datetime] = mapped_column(default=now)
