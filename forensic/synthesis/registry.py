"""Methods by name. A module in ``methods/`` that uses ``@method`` is found without being listed anywhere."""

import difflib
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from forensic.errors import UsageError
from forensic.synthesis.translator import Translator

T = TypeVar("T", bound=type[Translator])
_methods: dict[str, type[Translator]] = {}


def method(name: str) -> Callable[[T], T]:
    """Class decorator that registers a translator under a name.

    Raises:
        ValueError: The name is taken.
    """

    def register(cls: T) -> T:
        if name in _methods:
            raise ValueError(f"Two methods are named {name!r}: {_methods[name].__qualname__} and {cls.__qualname__}.")
        cls.name = name
        _methods[name] = cls
        return cls

    return register


@cache
def _discover() -> None:
    package = importlib.import_module("forensic.synthesis.methods")
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)


def names() -> list[str]:
    """Names of all methods, sorted."""
    _discover()
    return sorted(_methods)


def find(name: str) -> type[Translator]:
    """The class of a method.

    Raises:
        UsageError: No method has this name.
    """
    if name not in names():
        nearest = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise UsageError(f"Unknown method {name!r}.{hint} Known: {', '.join(names())}.")
    return _methods[name]


def create(name: str, **settings: Any) -> Translator:
    """A fresh, untrained translator.

    Args:
        name: A name that ``names`` lists.
        **settings: Arguments of its constructor; the paper's values stand for those not given.

    Raises:
        UsageError: An unknown name, a setting that the method does not have, or a value of another type or range.
    """
    cls = find(name)
    known = get_type_hints(cls.__init__)
    known = {setting: known.get(setting, Any) for setting in inspect.signature(cls).parameters}
    for setting in settings:
        if setting not in known:
            raise UsageError(f"Method {name!r} has no setting {setting!r}. It has: {', '.join(known) or 'none'}.")
    # Defaults too: a weight file brings them back as settings that were given.
    for setting, value in {**_defaults(cls), **settings}.items():
        if not fits(value, known[setting]):
            raise UsageError(f"Method {name!r}: {setting} is {value!r}, expected {described(known[setting])}.")
        usual = BOUNDS.get(setting, (0, math.inf) if known[setting] is float else (-math.inf, math.inf))
        least, most = cls.bounds.get(setting, usual)
        if type(value) in (int, float) and not (math.isfinite(value) and least <= value <= most):
            expected = f"{least} or more" if most == math.inf else f"{least} to {most}"
            raise UsageError(f"Method {name!r}: {setting} is {value}, expected {expected}.")
    return cls(**settings)


def _defaults(cls: type[Translator]) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}


BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("width", "depth", "hidden"), (1, math.inf)),
    "size": (32, math.inf),
    "blocks": (0, math.inf),
    "dropout": (0, 1),
}
"""The least and the greatest value of settings that several methods have. Of all others a float is 0 or more: they are
weights of losses and rates, with less of which a training would go away from its target. A method's own `bounds` go
before these."""


def fits(value: Any, kind: Any) -> bool:
    """Whether a value, as TOML or JSON brings it, is of a constructor's annotated type.

    >>> fits(2, float), fits(True, int), fits("no", bool), fits([70, 16], tuple[int, int]), fits([5], list[int])
    (True, False, False, True, True)
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return any(value == argument and type(value) is type(argument) for argument in arguments)  # True equals 1
    if origin in (Union, UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin in (tuple, list, Sequence):
        if not isinstance(value, list | tuple) or not value:
            return False
        if origin is not tuple or Ellipsis in arguments:
            return all(fits(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    if kind is float:
        return type(value) in (int, float)
    return kind is Any or type(value) is kind


def described(kind: Any) -> str:
    """A type in words.

    >>> described(Literal["map", "cosine"]), described(int | None), described(tuple[int, int])
    ("'map' or 'cosine'", 'int or None', 'tuple[int, int]')
    """
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(described, get_args(kind)))
    if kind is type(None):
        return "None"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
