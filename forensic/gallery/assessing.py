"""Photos' quality inside one transaction. ``Gallery`` is the door to these functions."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from forensic.gallery.models import Photo
from forensic.gallery.templates import chunks


def lacking(session: Session) -> list[Photo]:
    """Photos without measures, ordered by content hash."""
    return list(session.scalars(select(Photo).where(Photo.quality.is_(None)).order_by(Photo.sha256)))


def note(session: Session, found: Mapping[int, Mapping[str, Any]]) -> int:
    """Store measures by photo id, in place of earlier ones; photos that were expunged meanwhile are passed over.

    Returns:
        How many were stored.
    """
    stored = 0
    for some in chunks([int(number) for number in found]):
        for photo in session.scalars(select(Photo).where(Photo.id.in_(some))):
            photo.quality = dict(found[photo.id])
            stored += 1
    return stored
