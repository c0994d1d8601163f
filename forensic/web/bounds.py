"""Bounds on what comes in, for pages and API alike."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

LARGEST = 2**31 - 1
"""Largest number of a case, a person, a search ...: what every database can hold."""
NUL_FREE = r"^[^\u0000]*$"


def unbroken(text: str) -> str:
    r"""A text with ends of lines of one character each: a browser counts them so, and sends two.

    >>> unbroken("first\r\nsecond")
    'first\nsecond'
    """
    return text.replace("\r\n", "\n") if isinstance(text, str) else text  # before it is known to be a text


Number = Annotated[int, Field(ge=1, le=LARGEST)]
Line = Annotated[str, StringConstraints(max_length=200, pattern=NUL_FREE)]
"""A name, a reference, a word or two."""
Words = Annotated[str, StringConstraints(max_length=4000, pattern=NUL_FREE), BeforeValidator(unbroken)]
"""Some sentences."""
