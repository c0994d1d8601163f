"""Data sets as lists of files: photo-sketch pairs, splits and protocols."""

from forensic.datasets.pairs import Pair, Split, pairs

__all__ = ["Pair", "Split", "pairs"]
