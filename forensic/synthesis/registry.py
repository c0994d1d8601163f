"""Methods by name. A module in ``methods/`` that uses ``@method`` is found without being listed anywhere."""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

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
        UsageError: An unknown name, or a setting that the method does not have.
    """
    cls = find(name)
    known = inspect.signature(cls).parameters
    for setting in settings:
        if setting not in known:
            raise UsageError(f"Method {name!r} has no setting {setting!r}. It has: {', '.join(known) or 'none'}.")
    return cls(**settings)
