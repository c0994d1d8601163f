"""One folder, one database, one writer at a time, and nothing half done after a crash.

The folder holds ``gallery.db`` (the truth; or ``database.url``, which names the server that has it), ``objects/`` (the
originals, where they were not moved elsewhere; see ``originals``), ``index/`` (a cache that may be deleted),
``audit.key`` (signs the log) and ``lock`` (held by whoever writes). In an encrypted gallery the first, and all but the
lock and ``database.url``, lie in ``sealed/``, and ``gallery.key`` says so. An original outlasts a power cut before the
row that names it is committed, and its row is gone before it is unlinked; the ``journal`` tells which files may lie in
between, and whoever takes the lock next settles them.
"""

import copy
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, bindparam, delete, select
from sqlalchemy.orm import Session

from forensic.errors import GalleryError
from forensic.gallery import address, database, journal, originals, serving, templates
from forensic.gallery.casework.casework_models import Identity, User
from forensic.gallery.cipher import encryption
from forensic.gallery.cipher.keys import UserKey
from forensic.gallery.locks import Locked, busy, locked
from forensic.gallery.log import audit
from forensic.gallery.log.changes import Changes
from forensic.gallery.models import IndexFile
from forensic.gallery.objects import PARTIAL, PLAIN, Codec, FolderStore, ObjectStore, private_folders
from forensic.gallery.rights import Operator, Role, Standing

log = logging.getLogger(__name__)
DATABASE_FILES = {address.FILE + end for end in ("", "-wal", "-shm", "-journal")}
OUTSIDE = {  # what lies in a gallery's folder even where all else is sealed
    *(name + end for name in (address.RECORD, encryption.KEY_FILE, encryption.UNFINISHED) for end in ("", PARTIAL)),
    *("lock", encryption.SEALED),
}
STANDING = select(
    select(User.id).exists(), select(User.role).where(User.name == bindparam("name"), User.active).scalar_subquery()
)
"""Whether there are users, and the role of one: every call asks, so that a right taken away is gone at once."""
OWN_NAMES = OUTSIDE | DATABASE_FILES | {originals.FOLDER, "index", serving.FOLDER, audit.KEY_FILE}


class Storage:
    """A gallery's folder and its transactions; ``Gallery`` says what is done in them."""

    def __init__(
        self,
        folder: Path | str,
        *,
        create: bool = False,
        url: str | None = None,
        patience: float = 60,
        key: UserKey | None = None,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.sealing = encryption.unlock(self.folder, key)
        self.home = self.folder / encryption.SEALED if self.sealing else self.folder
        self.codec: Codec = self.sealing or PLAIN
        self.objects: ObjectStore = FolderStore(self.home / originals.FOLDER, self.codec)
        self.patience = patience
        self.is_new = False
        self.operator = Operator.of_system()
        self._seen = threading.local()  # the session of a thread that is in a snapshot, and who may do what in it
        self._signer = audit.Signer(self.home, self.codec)
        self.changes = Changes()
        with database.in_words(str(self.folder)):
            self._address = address.find(self.folder, url, home=self.home)
        self._name = self._address.name
        if create:
            with database.in_words(self._name):
                self._lay_out()
        elif not self._is_made():
            raise GalleryError(
                f"No gallery in {self.folder}. 'forensic enroll PHOTOS --gallery {self.folder}' makes one there, "
                "or name another with --gallery."
            )
        own = self.sealing.database if self.sealing and self._address.file else None  # a server encrypts by itself
        self.engine = database.connect(self._address.url, own)
        self._writer: Engine | Connection = self.engine  # what transactions run on while the lock is held
        try:
            with database.in_words(self._name):
                self._settle_schema()
                self.objects = originals.find(self)
                journal.settle_left(self)
                self._settle_encryption()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def acting_as(self, operator: Operator) -> Self:
        """This gallery for somebody else: it shares connections and keys, and closing either closes both."""
        other = copy.copy(self)
        other.operator = operator
        return other

    def close(self) -> None:
        """Give the database's connections back."""
        self.engine.dispose()

    def strange(self) -> list[Path]:
        """What lies in the folder and is not the gallery's."""
        own = {self.folder: OWN_NAMES} if self.sealing is None else {self.folder: OUTSIDE, self.home: OWN_NAMES}
        return [path for folder, names in own.items() for path in sorted(folder.iterdir()) if path.name not in names]

    # Opening

    def _is_made(self) -> bool:
        file = self._address.file
        return self.folder.is_dir() and self._address.settled and (file is None or file.exists())

    def _lay_out(self) -> None:
        if self.folder.is_dir():
            strange = sorted({path.name for path in self.folder.iterdir()} - OWN_NAMES)
            if strange and not self._is_made():
                raise GalleryError(
                    f"{self.folder} is no gallery and holds other things ({', '.join(strange[:3])}); "
                    "give a new or an empty folder."
                )
        private_folders(self.folder, self.home, self.home / originals.FOLDER, self.index_folder)
        self.folder.chmod(0o700)  # photos of people: nobody else's business
        if self._address.file:  # the database's side files take their mode from it
            # Only a new one: to close a file that SQLite has open in this process takes SQLite's locks away.
            with suppress(FileExistsError):
                os.close(os.open(self._address.file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _settle_schema(self) -> None:
        revision = database.revision(self.engine)
        if revision == database.HEAD and self._address.settled:
            return
        if revision is not None and revision > database.HEAD:
            raise GalleryError(
                f"The gallery in {self.folder} was written by a newer version (schema {revision}, this one knows "
                f"{database.HEAD}): upgrade this program."
            )
        with self._lock():  # no revision: its making was cut off, or is under way in another process
            revision = database.revision(self.engine)
            if revision is None and any(self.objects.names()):
                raise GalleryError(
                    f"The gallery's database {self._name} is empty, and originals are there: it was lost, or is "
                    "another one. Bring it back, or restore the gallery from a backup."
                )
            if not self._address.settled:
                self._claim(empty=revision is None)
            if revision != database.HEAD:
                self.is_new = revision is None
                self._check_upgrade(revision)
                for path in self._index_files():  # of an older gallery: nothing vouches for them
                    path.unlink()
                database.migrate(self._writer, self._begin_log)

    def _check_upgrade(self, revision: str | None) -> None:
        """Tell of an upgrade, which no older version can take back, and refuse it under a server's feet."""
        if revision is None:
            return
        if serving.is_running(self.home):
            raise GalleryError(
                f"A server of an older version is serving the gallery in {self.folder}, which this one would upgrade: "
                "end it first."
            )
        log.warning(
            "The gallery in %s is brought from schema %s to %s: older versions cannot open it any more.",
            self.folder,
            revision,
            database.HEAD,
        )

    def _claim(self, *, empty: bool) -> None:
        """Write down which server's database is this folder's, before anything is in it; the lock is held."""
        self._address = address.find(
            self.folder, self._address.url.render_as_string(hide_password=False), home=self.home
        )
        if self._address.settled:  # by another process, meanwhile
            return
        if not empty:
            raise GalleryError(
                f"The database {self._name} is that of a gallery in another folder: open that one, or give an empty "
                f"database. If its originals were moved to {self.folder}, move its file {address.RECORD} there too."
            )
        address.record(self.folder, self._address.url)
        self._address = self._address._replace(settled=True)

    def _begin_log(self, connection: Connection) -> None:
        """The first entry, with the tables: where it is missing later, somebody removed it."""
        with Session(connection) as session:
            self._signer.begin(session, **({"key_id": self.sealing.key_id} if self.sealing else {}))
            session.flush()

    def _settle_encryption(self) -> None:
        """Finish what was killed while it encrypted the gallery or rotated its key; a running one holds the lock."""
        from forensic.gallery.cipher import encrypting

        if encrypting.is_unfinished(self):
            with suppress(Locked), self._lock(patience=0):
                encrypting.finish(self)

    # Who, and what was done

    def standing(self) -> Standing:
        """Whether the gallery has users, and which role the operator has among them at this moment."""
        known: dict[Operator, Standing] | None = getattr(self._seen, "standings", None)
        if known is None:
            return self._standing()
        if self.operator not in known:  # one state of the database, one answer
            known[self.operator] = self._standing()
        return known[self.operator]

    def _standing(self) -> Standing:
        with self.asking() as connection:
            known, role = connection.execute(STANDING, {"name": self.operator.name}).one()
        return Standing(known, None if role is None or self.operator.role is None else Role(role))

    def note(self, session: Session, action: str, **details: object) -> None:
        """Record an act of the operator, in the transaction that does it; numbers name people, never labels."""
        request = {"request": self.operator.request} if self.operator.request else {}
        self._signer.append(session, self.operator.name, action, **details, **request)

    def signature(self, session: Session, digest: str, *, domain: bytes) -> bytes:
        """The gallery's Ed25519 signature over a hash of something other than an entry of the log."""
        return bytes.fromhex(self._signer.sign(session.get_one(Identity, 1), digest, domain=domain))

    # Transactions

    @contextmanager
    def _lock(self, patience: float | None = None) -> Iterator[None]:
        seconds = self.patience if patience is None else patience
        with ExitStack() as held:
            held.enter_context(locked(self.folder, seconds))
            try:
                self._writer = held.enter_context(database.sole_writer(self.engine, seconds))
            except TimeoutError as error:
                raise busy(self.folder, seconds) from error
            self.check_place()
            yield

    def check_place(self) -> None:
        """Stop whoever opened a plain gallery that was encrypted since: what they see is no longer the gallery.

        Raises:
            GalleryError: It was, or ``gallery.key`` is gone.
        """
        if (self.folder / encryption.KEY_FILE).exists() is not (self.sealing is not None):
            what = "was encrypted" if self.sealing is None else f"lost its {encryption.KEY_FILE}"
            raise GalleryError(f"The gallery in {self.folder} {what} after it was opened: open it again.")

    def _check_schema(self) -> None:
        """Stop a process that goes on while a newer version has taken the gallery over: it would write too little."""
        if (there := database.version(self.engine)) != database.HEAD:
            raise GalleryError(
                f"The gallery in {self.folder} was upgraded by a newer version after it was opened (schema {there}, "
                f"this one knows {database.HEAD}): end this program, and start the newer one."
            )

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database throughout; what it returns can be used after it."""
        if (seen := getattr(self._seen, "session", None)) is not None:
            yield seen
            return
        self.check_place()
        with database.in_words(self._name), self._reading() as session:
            yield session

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """For a query or two, without a session, which takes longer than they do."""
        if (seen := getattr(self._seen, "session", None)) is not None:
            yield seen.connection()
            return
        self.check_place()
        with database.in_words(self._name), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One state of the database for everything that this thread reads in it, whatever others write meanwhile.

        Nothing may be written in it: a writer wipes traces, and would wait for this reader's end.
        """
        with self.reading() as session:
            self._seen.session, self._seen.standings = session, {}
            try:
                yield
            finally:
                self._seen.session = self._seen.standings = None

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One durable transaction under the writer's lock: all of it is stored, or none."""
        with self._exclusive(), self._transaction() as session:
            yield session

    @contextmanager
    def frozen(self, prepare: Callable[[Session], None]) -> Iterator[Session]:
        """A reading session that sees what ``prepare`` leaves, and nothing that anybody writes after it.

        Args:
            prepare: Called in a writing transaction, which is stored before the session begins.
        """
        with database.in_words(self._name), ExitStack() as stack:
            with self._exclusive():
                with self._transaction() as session:
                    prepare(session)
                reader = stack.enter_context(self._reading())
                reader.execute(select(Identity.id))  # the first query fixes what the session sees
            yield reader

    @contextmanager
    def _exclusive(self, patience: float | None = None) -> Iterator[None]:
        with database.in_words(self._name), self._lock(patience):
            self._check_schema()
            with suppress(OSError):  # what is out of reach stays in the journal
                journal.settle(self)
            yield

    @contextmanager
    def still(self, *, vacuum: bool = False) -> Iterator[bool]:
        """Nobody writes meanwhile, what was expunged is wiped, and the database's file is whole without its log.

        Args:
            vacuum: write all of the file anew first.

        Yields:
            False if a reader kept the log from being emptied.
        """
        with self._exclusive():
            yield database.scrub(self.engine, vacuum=vacuum)

    # The index's cache

    @property
    def index_folder(self) -> Path:
        """Where indexes may be kept between runs; ``expunge`` takes out what held whoever is gone."""
        return self.home / "index"

    def _index_files(self) -> list[Path]:
        """The files there; folders are not the gallery's but some system's, such as ``@eaDir`` or ``lost+found``."""
        return [path for path in self.index_folder.glob("*") if path.is_symlink() or path.is_file()]

    def _drop_stale_indexes(self) -> None:
        """Remove what is no file of a segment's present state; the lock is held.

        Files go first: a crash may leave a row without a file, but no file that nothing is noted of.
        """
        with self._reading() as session:
            kept = templates.segment_files(session)
        for path in self._index_files():
            if path.name not in kept:
                path.unlink(missing_ok=True)
        with self._transaction() as session:
            session.execute(delete(IndexFile).where(IndexFile.name.not_in(kept)))
