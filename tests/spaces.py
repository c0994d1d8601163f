"""Galleries that lack a route's templates, for tests: no call of the program leaves one so."""

from sqlalchemy import delete

from forensic.gallery import Gallery
from forensic.gallery.models import TemplateSpace


def drop(gallery: Gallery, digest: str) -> None:
    """Remove the space with this digest, with its templates."""
    with gallery.writing() as session:
        session.execute(delete(TemplateSpace).where(TemplateSpace.digest == digest))
