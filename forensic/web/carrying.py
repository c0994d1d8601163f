"""What a page shows of somebody goes along with its form, so that an act on what has changed since is refused."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from forensic.errors import UsageError
from forensic.gallery.log.audit import canonical
from forensic.gallery.models import Person, Photo
from forensic.gallery.records import Shown
from forensic.web.bounds import Line, Number

_SHOWN = TypeAdapter(tuple[Line, Number, frozenset[Number]])


def packed(person: Person, photos: Iterable[Photo]) -> str:
    """Somebody with all photos as a page shows them, for a hidden field of its form."""
    return canonical([person.label, person.id, sorted(photo.id for photo in photos)])


def shown(text: str) -> Shown:
    """Whom a form was about, as its page showed them.

    Raises:
        UsageError: It is no text of `packed`.

    >>> shown('["A-17",31,[44]]')
    Shown(label='A-17', number=31, photos=frozenset({44}))
    """
    try:
        return Shown(*_SHOWN.validate_json(text))
    except ValidationError:
        raise UsageError("This form does not say what its page showed: look at the page again.") from None
