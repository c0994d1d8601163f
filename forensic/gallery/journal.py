"""The journal of what is not settled: files that may lie there with no photo, and traces of whoever was expunged.

Files and rows cannot change in one step. So it is noted before which files may be without a row for a moment; whoever
takes the writer's lock next settles that, after a kill too. The lock is held in all that changes something here.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from forensic.gallery import database, originals, people, templates
from forensic.gallery.backup import keyfiles
from forensic.gallery.locks import Locked
from forensic.gallery.models import LooseObject
from forensic.gallery.objects import ObjectStore

if TYPE_CHECKING:
    from forensic.gallery.storage import Storage

log = logging.getLogger(__name__)
SLOW = 5.0
"""Seconds that a try to remove files takes where a server takes requests and never answers them: it takes minutes, and
holds the writer's lock meanwhile."""
REST = 20
"""Such a place is left alone for so many times as long as the try took."""


def settle_left(gallery: Storage) -> None:
    """Finish what a killed process left, unless another one is writing: then the journal is its own."""
    with gallery._reading() as session:
        loose = session.scalars(select(LooseObject).limit(1)).first() is not None
        if not loose and not keyfiles.owed(session) and not originals.is_unfinished(session):
            return
    with suppress(Locked, OSError), gallery._lock(patience=0):
        try:
            settle(gallery)
        except OSError as error:  # what is out of reach is the next writer's to settle; its file's name is a hash
            where, reason = gallery.objects.place, error.strerror or error
            log.warning("What no photo has any more may be in %s still (%s): the next use tries again.", where, reason)


def settle(gallery: Storage, patience: float = 0) -> bool:
    """Remove files that no photo names, keys of backups, and traces of what was expunged.

    While a reader keeps the log of old pages from being emptied, that alone is tried again: the journal remembers
    that all pages were rewritten since.

    Args:
        gallery: Whose.
        patience: Seconds to wait for readers.

    Returns:
        False if a reader kept the traces from being wiped; the journal then keeps them for the next writer.

    Raises:
        OSError: Files cannot be removed; the journal keeps them too.
    """
    with gallery._reading() as session:
        loose = session.scalars(select(LooseObject)).all()
        kept = people.known(session, [row.sha256 for row in loose])
        owed, place = keyfiles.owed(session), originals.row(session)
    if owed:
        keyfiles.shred(gallery._transaction, gallery._name)  # what stays out of reach stays on record
    originals.settle(gallery, place)
    if not loose:
        return True
    try:
        _remove(gallery.objects, {row.sha256 for row in loose} - set(kept))
    except OSError:  # as on a disk that is not mounted: they stay in the journal, and all else is wiped
        _wipe(gallery, loose, patience)
        raise
    if not _wipe(gallery, loose, patience):
        return False
    with gallery._transaction() as session:
        session.execute(delete(LooseObject))
    # The hashes are gone from the log too.
    return not any(row.expunged for row in loose) or database.scrub(gallery.engine, vacuum=False, patience=patience)


def _remove(store: ObjectStore, hashes: Iterable[str]) -> None:
    if store.failure is not None:
        error, until = store.failure
        if time.monotonic() < until:
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), error.filename)
    began = time.monotonic()
    try:
        store.remove(hashes)
    except OSError as error:
        taken = time.monotonic() - began
        store.failure = (error, time.monotonic() + REST * taken) if taken > SLOW else None
        raise
    store.failure = None


def _wipe(gallery: Storage, loose: Iterable[LooseObject], patience: float) -> bool:
    """Wipe what was expunged from the database and its index; False if a reader kept the traces."""
    expunged = [row for row in loose if row.expunged]
    if not expunged:
        return True
    gallery._drop_stale_indexes()
    vacuum = not all(row.rewritten for row in expunged)
    wiped = database.scrub(gallery.engine, vacuum=vacuum, patience=patience)
    if vacuum and (wiped or gallery.engine.dialect.name == "sqlite"):  # PostgreSQL rewrites nothing that is being read
        with gallery._transaction() as session:
            session.execute(update(LooseObject).where(LooseObject.expunged).values(rewritten=True))
    return wiped


def note(session: Session, hashes: Iterable[str], *, expunged: bool) -> None:
    """Write down that these files may soon lie there with no photo; what is noted stays noted."""
    noted = {loose.sha256: loose for loose in session.scalars(select(LooseObject))}
    for sha256 in hashes:
        if sha256 not in noted:
            session.add(LooseObject(sha256=sha256, expunged=expunged))
        elif expunged:
            noted[sha256].expunged, noted[sha256].rewritten = True, False


def add(gallery: Storage, data: Mapping[str, bytes], insert: Callable[[Session], None]) -> None:
    """Store originals and, in one transaction, the rows that name them."""
    with gallery._transaction() as session:
        note(session, data, expunged=False)
    gallery.objects.write(data)
    with gallery._transaction() as session:
        insert(session)
        for some in templates.chunks(list(data)):
            added = LooseObject.sha256.in_(some)
            session.execute(delete(LooseObject).where(added, LooseObject.expunged.is_(False)))
