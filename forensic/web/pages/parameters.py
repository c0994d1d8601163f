"""What stands in addresses: numbers, and where a list goes on."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from forensic.web.bounds import LARGEST

LENGTH = 50
"""Rows of one page of a list."""

Number = Annotated[int, Path(ge=1, le=LARGEST)]
Before = Annotated[int | None, Query(ge=1, le=LARGEST)]
"""A list shows what is older than the thing with this number."""
