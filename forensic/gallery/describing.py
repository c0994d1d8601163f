"""The templates of a gallery, and the files of the indexes over them."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import select

from forensic.errors import GalleryError
from forensic.gallery import templates
from forensic.gallery.locks import Locked
from forensic.gallery.models import IndexFile, TemplateSpace
from forensic.gallery.objects import partial, private_folders, sync, write_private
from forensic.gallery.photos import Photos
from forensic.gallery.records import Part, Space, Templates
from forensic.gallery.rights import Right, needs
from forensic.gallery.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

INDEX = "index"


class Describing(Storage):
    """The part of ``Gallery`` that keeps templates, and files of indexes over them.

    An index is a cache of the database. It is kept in segments, each of which holds the photos with some consecutive
    numbers: who enrolls or expunges somebody makes a segment or two stale, and the others stay as they are.
    """

    @needs(Right.VIEW)
    def spaces(self) -> list[TemplateSpace]:
        """The template spaces, by route."""
        with self.reading() as session:
            return list(session.scalars(select(TemplateSpace).order_by(TemplateSpace.route, TemplateSpace.digest)))

    @needs(Right.VIEW)
    def templates(self, space: str) -> Templates:
        """All templates of the space with this digest; none for an unknown one."""
        with self.reading() as session:
            return templates.load(session, space)

    @needs(Right.VIEW)
    def missing(self, space: str) -> Photos:
        """Photos without a template in the space with this digest, in the order of their content hashes."""
        return Photos(self, templates.missing(space))

    @needs(Right.ENROLL)
    def add_templates(self, space: Space, vectors: Mapping[int, NDArray[np.float32]]) -> int:
        """Store templates (photo id -> unit vector) in one durable transaction, in place of earlier ones.

        Returns:
            How many were stored; photos that were expunged meanwhile are passed over.
        """
        with self.writing() as session:
            stored = templates.add(session, space, vectors)
            self.note(session, "templates", space=space.digest, photos=sorted(map(int, vectors)))
        return stored

    def revision(self, space: str) -> int:
        """A number that changes with the space's templates and their labels; 0 for an unknown space."""
        with self.reading() as session:
            row = templates.find_space(session, space)
            return 0 if row is None else row.revision

    def state(self, spaces: Iterable[str]) -> tuple[int, ...]:
        """Numbers that change with all that searches of these spaces hang on, if one of them is complete.

        That is which photos there are, whose they are, their templates, and the cohorts.
        """
        with self.reading() as session:
            return templates.state(session, spaces)

    @needs(Right.VIEW)
    def segments(self, space: str) -> dict[int, int]:
        """Numbers of the segments of the space with this digest, each with its revision; none for an unknown space."""
        with self.reading() as session:
            return templates.revisions(session, space)

    @needs(Right.VIEW)
    def segment(self, space: str, number: int) -> Part:
        """The templates of one segment of a space.

        Raises:
            GalleryError: the space is unknown, or templates were altered.
        """
        with self.reading() as session:
            return templates.load_segment(session, space, number)

    @needs(Right.VIEW)
    def count(self, space: str) -> int:
        """How many templates the space with this digest has."""
        with self.reading() as session:
            return templates.count(session, space)

    def root(self, spaces: Iterable[str]) -> str:
        """Merkle root over the templates of the spaces with these digests: the gallery as a search sees it."""
        with self.reading() as session:
            return templates.root(session, spaces)

    @needs(Right.VIEW)
    def save_index(self, name: str, data: bytes, *, space: str, revision: int) -> bool:
        """Keep an index as ``index_folder / name`` unless its space has changed since ``revision``.

        The lock is held, so that no index of someone just expunged can be left behind. Nobody waits for it: an index
        is only a cache, and while others write it would be out of date at once. Where its file cannot be written, as on
        a full disk, a search goes on without it.

        Returns:
            Whether it was kept.
        """
        with suppress(Locked), self._exclusive(patience=0):
            if self.revision(space) != revision:
                return False
            path = self.index_folder / name
            try:
                self._write_index(path, data)
            except OSError:  # a full disk, say
                with suppress(OSError):
                    partial(path).unlink(missing_ok=True)
                return False
            return True
        return False

    def _write_index(self, path: Path, data: bytes) -> None:
        private_folders(self.index_folder)
        path.unlink(missing_ok=True)  # a crash may leave none, but never one of another hash
        sync([self.index_folder])
        moment, digest = time.time_ns(), hashlib.sha256(data).hexdigest()
        with self._transaction() as session:
            session.merge(IndexFile(name=path.name, sha256=digest, modified_ns=moment))
        write_private({path: self.codec.seal(data, INDEX, path.name)})
        os.utime(path, ns=(moment, moment))

    @needs(Right.VIEW)
    def load_index(self, name: str) -> bytes | None:
        """The index that was kept under a name last; None if there is none, or what lies there is not it."""
        try:
            data = self.codec.unseal((self.index_folder / name).read_bytes(), INDEX, name)
        except (OSError, ValueError):
            return None
        with self.reading() as session:
            kept = session.get(IndexFile, name)
        return data if kept is not None and kept.sha256 == hashlib.sha256(data).hexdigest() else None

    @needs(Right.VIEW)
    def map_index(self, name: str) -> mmap.mmap | bytes | None:
        """As `load_index`, but read from the disk where it is needed.

        A file that has not been written to since is not hashed: that would take longer than to search it a hundred
        times. What a disk spoils by itself, ``verify`` finds. A sealed file cannot be mapped, and is read whole.

        Raises:
            GalleryError: the process has too many files open; a mapped one stays open.
        """
        if self.sealing is not None:
            return self.load_index(name)
        with self.reading() as session:
            kept = session.get(IndexFile, name)
        try:
            with (self.index_folder / name).open("rb") as file:
                if kept is not None and os.fstat(file.fileno()).st_mtime_ns == kept.modified_ns:
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) == errno.EMFILE:
                raise GalleryError(
                    "The index cannot be opened: this process may not have more files open, and the index is one for "
                    f"each {templates.SEGMENT:,} photos and route. Raise the limit: ulimit -n 65536"
                ) from None
        return self.load_index(name)

    @needs(Right.VIEW)
    def drop_stale_indexes(self) -> None:
        """Remove the files of segments as they were earlier, unless somebody is writing."""
        with suppress(Locked), self._exclusive(patience=0):
            self._drop_stale_indexes()
