"""Data sets as lists of files: photo-sketch pairs, splits and protocols."""

from forensic.datasets.pairs import CrossPhoto, Pair, Split, cross_photo, pairs, split_pairs

__all__ = ["CrossPhoto", "Pair", "Split", "cross_photo", "pairs", "split_pairs"]
