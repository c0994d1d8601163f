"""The engine that searches a gallery's templates, if not memory: which one, what it is sent, what it must forget.

The gallery's database says which engine it is, so that nobody who can write the folder alone can have templates sent
elsewhere. An engine is a cache as an index is, but one that lies elsewhere: an expunge puts on record, in its own
transaction, which photos the engine has to forget, and they stay on record until it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, aliased

from forensic.errors import GalleryError, NotFound, StaleIndex, UsageError
from forensic.gallery.casework.casework_models import Identity
from forensic.gallery.models import EngineDebt, Photo, Template, TemplateEngine, TemplateSpace
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.templates import check, chunks, find_space

if TYPE_CHECKING:
    from forensic.engines import Changes, Engine, Listing, Served
    from forensic.engines.protocol import Floats
    from forensic.gallery.storage import Storage

CURE = "'forensic gallery engine --sync' removes them, and so does the next expunge."
PLAIN = (
    "An engine holds templates in the clear, and this gallery is encrypted: faces can be rebuilt from templates. Give "
    "--unencrypted if the engine's machine may have them and its disk is encrypted otherwise."
)
FETCHED = 10_000


class Status(NamedTuple):
    """A gallery's engine.

    Attributes:
        url: Which one; None where templates are searched in memory.
        rows: How many templates it holds, by layout.
        owed: How many expunged photos it may still hold.
    """

    url: str | None
    rows: dict[str, int]
    owed: int


def chosen(session: Session) -> str | None:
    """The URL of the gallery's engine; None where templates are searched in memory."""
    return session.scalars(select(TemplateEngine.url)).one_or_none()


def owed(session: Session) -> list[int]:
    """Numbers of the expunged photos that the engine may still hold."""
    return list(session.scalars(select(EngineDebt.photo).order_by(EngineDebt.photo)))


def owe(session: Session, photos: Sequence[int]) -> None:
    """Put on record that the engine has to forget photos, in the transaction that deletes them."""
    if photos and chosen(session) is not None:
        session.add_all(EngineDebt(photo=number) for number in photos)


def problems(session: Session) -> list[Problem]:
    """What the engine owes."""
    if not (count := session.scalars(select(func.count(EngineDebt.photo))).one()):
        return []
    return [Problem("engine", chosen(session) or "", f"May hold templates of {count} expunged photos. {CURE}")]


def url_of(gallery: Storage) -> str | None:
    """The URL of the gallery's engine; None where templates are searched in memory."""
    with gallery.reading() as session:
        return chosen(session)


@contextmanager
def connected(gallery: Storage) -> Iterator[Engine]:
    """The gallery's engine.

    Raises:
        NotFound: The gallery has none.
        GalleryError: It cannot be reached.
    """
    if (url := url_of(gallery)) is None:
        raise NotFound(f"The gallery in {gallery.folder} has no engine: forensic gallery engine URL.")
    with _opened(gallery, url) as engine:
        yield engine


@contextmanager
def _opened(gallery: Storage, url: str) -> Iterator[Engine]:
    from forensic.engines import open_engine

    with gallery.reading() as session:
        name = session.get_one(Identity, 1).gallery
    engine = open_engine(url, name)
    try:
        yield engine
    finally:
        engine.close()


@needs(Right.ENCRYPT)
def choose(gallery: Storage, url: str | None, *, unencrypted: bool = False, lost: bool = False) -> None:
    """Have templates searched in an engine; whatever an earlier one holds is removed first.

    Args:
        gallery: The gallery.
        url: As `forensic.engines.parse` takes it; None for the memory of who searches.
        unencrypted: Send the templates of an encrypted gallery all the same.
        lost: Do not ask the earlier engine to forget: it is no more, which is somebody's word, and goes into the log.

    Raises:
        UsageError: The URL names no engine, or the gallery is encrypted.
        GalleryError: The new engine cannot be used, or the old one cannot be reached; then all is as it was.
    """
    from forensic.engines import parse

    new = None if url is None else parse(url)
    if new is not None and gallery.sealing is not None and not unencrypted:
        raise UsageError(PLAIN)
    with gallery._exclusive():
        with gallery.reading() as session:
            old = chosen(session)
        if new == old:
            return
        if new is not None:
            with _opened(gallery, new) as engine:
                engine.layouts()
        if old is not None and not lost:
            with _opened(gallery, old) as engine:
                for layout in engine.layouts():
                    engine.collection(layout).destroy()
        with gallery._transaction() as session:
            session.execute(delete(TemplateEngine))
            session.execute(delete(EngineDebt))
            if new is not None:
                session.add(TemplateEngine(id=1, url=new))
            gallery.note(session, "engine", url=new or "", **({"lost": True} if lost else {}))


@needs(Right.VIEW)
def status(gallery: Storage) -> Status:
    """Which engine there is, and what it holds."""
    with gallery.reading() as session:
        url, debts = chosen(session), owed(session)
    if url is None:
        return Status(None, {}, 0)
    with connected(gallery) as engine:
        rows = {layout: engine.collection(layout).count() for layout in engine.layouts()}
    return Status(url, rows, len(debts))


def check_none(gallery: Storage) -> None:
    """Let no gallery be encrypted whose templates an engine holds in the clear."""
    if (url := url_of(gallery)) is not None:
        raise GalleryError(
            f"The engine {url} holds the gallery's templates in the clear: 'forensic gallery engine --none' first. "
            "Once the gallery is encrypted, an engine can be chosen again with --unencrypted."
        )


def held(gallery: Storage, photos: Sequence[int]) -> int:
    """How many rows of some photos the engine holds, in all of its collections."""
    from forensic.engines import held_of

    with connected(gallery) as engine:
        return sum(held_of(engine.collection(layout), photos) for layout in engine.layouts())


def settle(gallery: Storage) -> str:
    """Let the engine forget what it owes; the lock is held.

    Returns:
        Why it could not, which stays on record; empty where it could, or owes nothing.
    """
    from forensic.engines import forget

    with gallery._reading() as session:
        debts = owed(session)
    if not debts:
        return ""
    try:
        with connected(gallery) as engine:
            forget(engine, debts)
        with gallery._transaction() as session:
            session.execute(delete(EngineDebt))
    except (GalleryError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error)
        return f"templates of {len(debts)} expunged photos may remain in the engine. {reason} Then {CURE}"
    return ""


def layout_of(digests: Sequence[str]) -> str:
    """The name of the layout in which templates of these spaces lie side by side."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


@needs(Right.VIEW)
def synchronize(
    gallery: Storage, digests: Sequence[str], *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Changes:
    """Bring the engine's collection of some template spaces to the gallery's state; first let it forget what it owes.

    Nobody else writes to the gallery meanwhile, or a photo that is expunged could be sent after it was forgotten.

    Args:
        gallery: The gallery; this must not be called in a snapshot of it.
        digests: Of the spaces whose templates lie side by side; photos that lack one of them are left out. With none,
            the engine just forgets what it owes.
        progress: Called with how many templates were sent, of how many.

    Raises:
        NotFound: The gallery has no engine, or none of the spaces.
        GalleryError: The engine cannot be reached or used, or stored templates were altered.
    """
    from forensic.engines import Changes
    from forensic.engines import synchronize as bring

    with gallery._exclusive():
        if fault := settle(gallery):
            raise GalleryError(f"The engine cannot be brought up to date: {fault}")
        if not digests:
            return Changes(0, 0)
        with gallery.reading() as session, connected(gallery) as engine:
            spaces = [_space(session, digest) for digest in digests]
            collection = engine.collection(layout_of(digests), sum(space.dimension for space in spaces))
            there = listing(session, digests)
            return bring(collection, there, lambda some: _vectors(session, spaces, some), progress=progress)


@needs(Right.VIEW)
def served(gallery: Storage, digests: Sequence[str], engine: Engine) -> Served:
    """The templates of some spaces, to be searched in an engine that holds them as they are at this moment.

    Args:
        gallery: The gallery; a snapshot of it may be under way.
        digests: Of the spaces whose templates lie side by side.
        engine: The gallery's, from `connected`; it has to stay open while the answer is used.

    Raises:
        StaleIndex: It holds others: `synchronize` first.
        GalleryError: It cannot be reached.
    """
    from forensic.engines import Served, fingerprint

    with gallery.reading() as session:
        there = listing(session, digests)
        dimension = sum(_space(session, digest).dimension for digest in digests)
    layout, state = layout_of(digests), fingerprint(there)
    if layout in engine.layouts():
        collection = engine.collection(layout, dimension)
        if collection.state() == state and collection.count() == len(there.ids):  # others may have removed rows
            return Served(collection, there.ids, state)
    raise StaleIndex(
        f"The engine {engine.name} does not hold the gallery's templates as they are now. Send them: "
        "forensic gallery engine --sync"
    )


def listing(session: Session, digests: Sequence[str]) -> Listing:
    """The photos that have a template in each of some spaces, in the order of their hashes, each with one seal."""
    import numpy as np

    from forensic.engines import Listing

    held = [aliased(Template) for _ in digests]
    query = select(Photo.id, Photo.sha256, *(one.seal for one in held)).select_from(Photo)
    for one, digest in zip(held, digests, strict=True):
        space = select(TemplateSpace.id).where(TemplateSpace.digest == digest).scalar_subquery()
        query = query.join(one, and_(one.photo_id == Photo.id, one.space_id == space))
    parts = [Listing(np.empty(0, np.int64), np.empty(0, "S64"), np.empty(0, "S64"))]
    query = query.order_by(Photo.sha256).execution_options(yield_per=FETCHED)  # all rows at once would be large
    for rows in session.execute(query).partitions():
        seals = [hashlib.sha256(b"".join(sealed)).hexdigest() for _, _, *sealed in rows]
        numbers, photos = [row[0] for row in rows], [row[1] for row in rows]
        parts.append(Listing(np.array(numbers, np.int64), np.array(photos, "S64"), np.array(seals, "S64")))
    return Listing(*map(np.concatenate, zip(*parts, strict=True)))


def _vectors(session: Session, spaces: Sequence[TemplateSpace], photos: Sequence[int]) -> Floats:
    """Templates of some photos in all of the spaces, side by side, after a check of their seals."""
    import numpy as np

    place = {number: row for row, number in enumerate(photos)}
    parts = []
    for space in spaces:
        part = np.empty((len(photos), space.dimension), np.float32)
        for some in chunks(photos):
            query = select(Template.photo_id, Template.vector, Template.seal, Photo.sha256).join(Photo)
            query = query.where(Template.space_id == space.id, Template.photo_id.in_(some))
            for number, vector, sealed, photo in session.execute(query):
                check(space, photo, vector, sealed)
                part[place[number]] = np.frombuffer(vector, "<f4")
        parts.append(part)
    return np.hstack(parts)


def _space(session: Session, digest: str) -> TemplateSpace:
    if (found := find_space(session, digest)) is None:
        raise NotFound(f"The gallery has no templates of the space {digest[:12]}...: forensic gallery reindex.")
    return found
