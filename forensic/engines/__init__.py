"""Servers that hold the templates of galleries too large for one machine's memory, and exact search through them.

An engine is a cache, as an index is: the gallery's database is the truth, and a collection can be dropped and filled
again. It brings candidates; scores and their order are computed here, so that every engine gives the same answer.
"""

from forensic.engines.address import open_engine, parse
from forensic.engines.protocol import Collection, Engine, Listing, Rows
from forensic.engines.searching import Served, search
from forensic.engines.synchronizing import Changes, fingerprint, forget, held_of, synchronize

__all__ = [
    "Changes",
    "Collection",
    "Engine",
    "Listing",
    "Rows",
    "Served",
    "fingerprint",
    "forget",
    "held_of",
    "open_engine",
    "parse",
    "search",
    "synchronize",
]
