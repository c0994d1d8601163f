"""Training settings in a TOML file: which method, and what differs from its paper.

    [method]
    name = "sdgan"
    width = 24

    [recipe]
    epochs = 45

[method] holds the method's name and arguments of its constructor, [recipe] fields of `Recipe`; both may be missing.
"""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from forensic.errors import UsageError


class Configuration(NamedTuple):
    """What such a file says.

    Attributes:
        method: The method's name, where it says so.
        settings: Arguments of the method's constructor.
        recipe: Fields of its recipe.
    """

    method: str | None
    settings: dict[str, Any]
    recipe: dict[str, Any]

    def method_or(self, given: str | None, file: Path | None) -> str:
        """The method's name, which may be given beside the file.

        Raises:
            UsageError: Neither names a method, or they name two.
        """
        if given is None and self.method is None:
            raise UsageError('Which method? Give METHOD, or a --config whose [method] table has name = "METHOD".')
        if given is not None and self.method not in (None, given):
            raise UsageError(f"{file} is for the method {self.method!r}, not {given!r}.")
        return given or self.method or ""


def read(path: Path) -> Configuration:
    """A file's configuration; that names and values are known is checked where they are used.

    Raises:
        UsageError: It cannot be read, is no TOML, or has other tables than [method] and [recipe].
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{path} is not a readable TOML file: {problem}.") from problem
    for name, value in tables.items():
        if name not in ("method", "recipe") or not isinstance(value, dict):
            raise UsageError(f"{path} has {name!r} at its top; expected the tables [method] and [recipe].")
    settings, recipe = tables.get("method", {}), tables.get("recipe", {})
    method = settings.pop("name", None)
    if not isinstance(method, str | None):
        raise UsageError(f"{path}: the method's name is {method!r}, expected a word.")
    return Configuration(method, settings, recipe)
