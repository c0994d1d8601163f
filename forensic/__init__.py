"""Match a witness's face sketch against a gallery of mugshots.

from forensic import Gallery, Identifier

with Gallery("gallery", create=True) as gallery:
    identifier = Identifier(gallery)
    identifier.enroll("mugshots")
    identifier.identify("sketch.png", k=10)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensic.candidates import Candidate, Search
    from forensic.gallery import Gallery
    from forensic.identify import Identifier

__version__ = "0.1.0"
__all__ = ["Candidate", "Gallery", "Identifier", "Search", "__version__"]

_HOMES = {
    "Candidate": "forensic.candidates",
    "Gallery": "forensic.gallery",
    "Identifier": "forensic.identify",
    "Search": "forensic.candidates",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line starts without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
