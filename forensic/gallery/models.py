"""The tables. A change here needs a migration in ``migrations/versions`` (a test compares the two)."""

from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; SQLite has no time zones, so the zone is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring the moment to UTC before it is stored."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that what was stored is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Base of all tables; ids are never used again, so that a stale id cannot name another photo."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        datetime: Instant(),
        dict[str, str]: JSON,
        list[str]: JSON,
        list[list[float]]: JSON,
        Any: JSON,
    }


class Photo(Base):
    """One enrolled photo; its original lies in the object store under ``sha256``."""

    __tablename__ = "photos"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    file_name: Mapped[str]
    format: Mapped[str] = mapped_column(String(16))
    width: Mapped[int]
    height: Mapped[int]
    date_taken: Mapped[str | None]
    source: Mapped[str | None]
    landmarks: Mapped[list[list[float]]]  # 5 x 2, pixels of the upright photo
    detector: Mapped[str] = mapped_column(String(64))
    detector_score: Mapped[float] = mapped_column(Double)
    warnings: Mapped[list[str]]
    quality: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # None: enrolled before it was kept
    enrolled_at: Mapped[datetime] = mapped_column(default=now)

    person: Mapped["Person"] = relationship(lazy="joined", innerjoin=True)


class Person(Base):
    """One person, named by the label that the user gives; lives as long as a photo of it is enrolled."""

    __tablename__ = "people"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    sex: Mapped[str | None]
    birth_year: Mapped[int | None]
    case_reference: Mapped[str | None] = mapped_column(index=True)
    keep_until: Mapped[date | None]  # the last day on which the person may be kept
    extra: Mapped[dict[str, str]]  # every other column of the user's table
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)

    # Counted where a person is asked for, not again for each photo's person: there, it cannot be read.
    photo_count: Mapped[int] = column_property(
        select(func.count(Photo.id)).where(Photo.person_id == id).correlate_except(Photo).scalar_subquery(),
        deferred=True,
    )


class Distinct(Base):
    """A person's word that two people are two, so that they are not reported as duplicates again."""

    __tablename__ = "distinct_people"
    __table_args__ = (UniqueConstraint("first_id", "second_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    first_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))  # the smaller one
    second_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    noted_at: Mapped[datetime] = mapped_column(default=now)


class TemplateSpace(Base):
    """Templates that may be compared with each other: one route with the exact models that it used."""

    __tablename__ = "template_spaces"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(128), unique=True)
    route: Mapped[str]
    dimension: Mapped[int]
    models: Mapped[dict[str, str]]  # model's name -> SHA-256
    revision: Mapped[int]  # another number after every change of the space's templates or their labels


class Template(Base):
    """One photo's template in one space."""

    __tablename__ = "templates"
    __table_args__ = (UniqueConstraint("space_id", "photo_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[int] = mapped_column(ForeignKey("template_spaces.id", ondelete="CASCADE"))
    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)  # little-endian float32
    seal: Mapped[bytes] = mapped_column(LargeBinary)  # SHA-256 over space, photo and vector: whose template it is


class Segment(Base):
    """Some templates of a space, those of photos with consecutive numbers: when they changed last.

    One that is not in the table has not changed since the table was made.
    """

    __tablename__ = "segments"
    __table_args__ = (UniqueConstraint("space_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[int] = mapped_column(ForeignKey("template_spaces.id", ondelete="CASCADE"))
    number: Mapped[int]  # the photos' numbers divided by `templates.SEGMENT`
    revision: Mapped[int]


class Cohort(Base):
    """An agency's own cohort under one route: templates of unlabelled sketches, tied to no person."""

    __tablename__ = "cohorts"
    KEY_LENGTH: ClassVar[int] = 128

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_LENGTH), unique=True)  # digest of the models that described them
    route: Mapped[str]
    dimension: Mapped[int]
    revision: Mapped[int]  # another number after every change


class CohortSketch(Base):
    """One sketch's template in a cohort; the picture is not kept."""

    __tablename__ = "cohort_sketches"
    __table_args__ = (UniqueConstraint("cohort_id", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    cohort_id: Mapped[int] = mapped_column(ForeignKey("cohorts.id", ondelete="CASCADE"))
    sha256: Mapped[str] = mapped_column(String(64))  # of the sketch's file, so that none counts twice
    vector: Mapped[bytes] = mapped_column(LargeBinary)  # little-endian float32


class LooseObject(Base):
    """The journal: a file that may lie in the object store although no photo's row names it."""

    __tablename__ = "loose_objects"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    expunged: Mapped[bool]  # removed on purpose, so its traces in the database are wiped too
    rewritten: Mapped[bool] = mapped_column(default=False)  # all pages were, since; the log of old ones is left to wipe


class IndexFile(Base):
    """A file of the index's cache, as it was written."""

    __tablename__ = "index_files"

    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    modified_ns: Mapped[int | None] = mapped_column(BigInteger)  # the time that the file was given when it was written


class TemplateEngine(Base):
    """One row, or none: the engine that holds the gallery's templates, beside the database; see `engines`."""

    __tablename__ = "engine"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]  # without a password


class EngineDebt(Base):
    """A photo that was expunged, and whose templates the engine may still hold."""

    __tablename__ = "engine_debts"

    photo: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # its number; the row itself is gone


class OriginalsPlace(Base):
    """One row, or none: where the originals lie; see `originals`. A URL of NULL is the gallery's own folder."""

    __tablename__ = "originals"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str | None]  # without a password
    claim: Mapped[str | None]  # what the place says of whose it is; NULL for the gallery's own folder
    unfinished: Mapped[bool]  # `left` may hold originals that are to go
    left: Mapped[str | None]  # URL of what a move copies to, and, once that is done, of what it came from
    left_claim: Mapped[str | None]


class Clock(Base):
    """One row: the last revision given out, so that a space that is dropped and made again gets a new one."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int]


class BackupKey(Base):
    """A key that seals one person's record, or one photo with its templates, in backups; it goes with its row.

    A person has several after a merge: those of everybody who turned out to be this person. When that person is split
    again, both have all of them, and the expunge of either one destroys them.
    """

    __tablename__ = "backup_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    photo_id: Mapped[int | None] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)  # 256 random bits


class Backup(Base):
    """A folder that backups go to, and the file that holds the keys to them."""

    __tablename__ = "backups"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)  # random, hexadecimal
    destination: Mapped[str]
    key_file: Mapped[str]
    owes: Mapped[bool]  # keys were deleted here, and may be in the file still
    number: Mapped[int | None]  # of the last snapshot
    made_at: Mapped[datetime | None]
    head: Mapped[int | None]  # number of the last entry of the log in it


class AccuracyReport(Base):
    """An evaluation's results, as a JSON document."""

    __tablename__ = "accuracy_reports"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    data: Mapped[Any]
