"""Forms whose fields are not known beforehand, such as an agency's own columns."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from forensic.errors import UsageError
from forensic.gallery.records import PERSON_FIELDS, PHOTO_FIELDS
from forensic.web.access import form_of
from forensic.web.bounds import unbroken


def typed(value: str) -> str:
    """A field's text with what `bounds.Words` makes of any: ends of lines of one character, no NUL.

    Raises:
        UsageError: It holds a NUL, which no database does.
    """
    if "\0" in value:
        raise UsageError("A field holds a NUL character: type it anew.")
    return unbroken(value)


async def _fields(request: Request) -> dict[str, str]:
    given = await form_of(request)
    return {typed(name): typed(value) for name, value in given.items() if isinstance(value, str) and name != "csrf"}


Fields = Annotated[dict[str, str], Depends(_fields)]
"""Every field of a form that holds text, by its name."""


def whole(text: str, most: int) -> int | None:
    """A whole number from 1 to ``most``; None for any other text, of whatever length.

    >>> whole("7", 9), whole("0", 9), whole("-1", 9), whole("9" * 5000, 9)
    (7, None, None, None)
    """
    fits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    return number if fits and 1 <= (number := int(text)) <= most else None


def columns(fields: dict[str, str]) -> dict[str, str]:
    """The metadata that a form gives: fields of these names, and one column of the agency's own.

    Empty fields say nothing; a column that is named and has no value is asked for or taken away.

    Raises:
        UsageError: There is a value for a column without a name.

    >>> columns({"name": "", "sex": "F", "column": "hair", "value": "dark", "page": "2"})
    {'sex': 'F', 'hair': 'dark'}
    """
    known = {key: fields[key].strip() for key in (*PERSON_FIELDS, *PHOTO_FIELDS) if fields.get(key, "").strip()}
    column, value = own_column(fields)
    return known | ({column: value} if column else {})


def own_column(fields: dict[str, str]) -> tuple[str, str]:
    """The agency's own column that a form names, and its value; either may be empty.

    Raises:
        UsageError: There is a value for a column without a name.
    """
    column, value = fields.get("column", "").strip(), fields.get("value", "").strip()
    if value and not column:
        raise UsageError("A value was given without the name of its column: name the column too.")
    return column, value
