"""What the server remembers of its own: who is signed in, which tokens there are, which jobs wait.

It lies beside the gallery's database as ``server/state.db``, encrypted if the gallery is, and holds nothing that has
to be kept for long: a restart needs it, a backup does not. It is written without waiting for the disk: what a killed
process acknowledged is there, what a power cut takes is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Engine, LargeBinary, String, Text, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from forensic.errors import GalleryError
from forensic.gallery import Gallery, database, serving
from forensic.gallery.models import Instant, now

VERSION = 2


class Base(DeclarativeBase):
    """The server's tables."""

    type_annotation_map = {datetime: Instant(), dict[str, Any]: JSON}  # noqa: RUF012 - SQLAlchemy's own name


class Visit(Base):
    """A browser that is signed in. The cookie's value itself is nowhere."""

    __tablename__ = "visits"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of the cookie
    user: Mapped[str | None]  # None: the system's account, in a gallery without users
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the user's password and role when it began
    csrf: Mapped[str] = mapped_column(String(64))
    began_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)


class Token(Base):
    """A program's token. The secret itself is nowhere."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user: Mapped[str | None]
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the user's password and role when it was made
    note: Mapped[str] = mapped_column(String(100))  # what it is for
    scopes: Mapped[str]  # names of rights, with spaces between
    made_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Job(Base):
    """Long work, waiting, under way or ended."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # random: tells nothing, cannot be guessed
    kind: Mapped[str] = mapped_column(String(16))
    user: Mapped[str]  # as the log names them
    role: Mapped[str | None] = mapped_column(String(16))
    request_id: Mapped[str] = mapped_column(String(32))
    asked: Mapped[dict[str, Any]]  # what to do
    status: Mapped[str] = mapped_column(String(16), index=True)
    answer: Mapped[dict[str, Any] | None]  # numbers and links; nobody's name
    error: Mapped[str | None] = mapped_column(Text)
    error_kind: Mapped[str | None] = mapped_column(String(32))
    made_at: Mapped[datetime] = mapped_column(default=now)
    order: Mapped[int] = mapped_column(index=True)  # 1, 2, 3, ... in the order of arrival
    tries: Mapped[int] = mapped_column(default=0)  # how often it was begun
    began_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Upload(Base):
    """A file that a waiting job needs; it goes when the job ends."""

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(String(32), index=True)
    name: Mapped[str]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Made(Base):
    """The answer to a write that carried an Idempotency-Key."""

    __tablename__ = "made"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of user and key
    request: Mapped[str] = mapped_column(String(64))  # SHA-256 of method, path and body
    status: Mapped[int | None]  # None while it is under way
    body: Mapped[str | None] = mapped_column(Text)
    headers: Mapped[dict[str, Any] | None]
    made_at: Mapped[datetime] = mapped_column(default=now)


class Failure(Base):
    """A sign-in that was refused."""

    __tablename__ = "failures"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(64), index=True)  # SHA-256 of a name or an address
    at: Mapped[datetime] = mapped_column(default=now)


class State:
    """The server's database.

    Args:
        gallery: Whose server it is.

    Raises:
        GalleryError: The file cannot be opened, or another server has it.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.path: Path = gallery.home / serving.FOLDER / serving.FILE
        key = None if gallery.sealing is None else gallery.sealing.database
        with database.in_words(str(self.path)):
            self._lock = serving.claim(gallery.home)
            self.path.touch(mode=0o600)
            self.engine: Engine = database.connect(self.path, key)
            event.listen(self.engine, "connect", _unhurried)
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self) -> None:
        try:
            with self.engine.execution_options(immediate=True).begin() as connection:
                found = connection.exec_driver_sql("PRAGMA user_version").scalar()
                if found in (0, VERSION):
                    Base.metadata.create_all(connection)
                    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
                    return
            fault = "was written by another version of this program"
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            fault = f"cannot be used ({getattr(error, 'orig', None) or error})"
        raise GalleryError(
            f"{self.path} {fault}. If the disk has room and this user may write it, remove the file: everybody then "
            "signs in again, and what was waiting is asked for again. Nothing of the gallery is in it."
        )

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that reads."""
        with database.in_words(str(self.path)), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction."""
        writer = self.engine.execution_options(immediate=True)
        with (
            database.in_words(str(self.path)),
            Session(writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        """Give the database's connections and the server's place back."""
        self.engine.dispose()
        self._lock.release()


def _unhurried(connection: Any, record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
