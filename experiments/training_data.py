"""The pairs that anything which ships may learn from: one place, so that no test person slips in."""

from pathlib import Path

from forensic import datasets
from forensic.datasets import Pair


def training_pairs(data: Path) -> list[tuple[str, Pair]]:
    """CUFS's training pairs, and FS2K's that are training pairs both officially and in the identity-disjoint re-split.

    Args:
        data: Folder with ``cufs`` and ``fs2k``.

    Returns:
        Each pair behind its source: ``cuhk``, ``ar``, ``xm2vts`` or ``fs2k``.
    """
    cufs = [(pair.subset, pair) for pair in datasets.pairs(data / "cufs") if pair.split == "train"]
    apart = {pair.identity for pair in datasets.pairs(data / "fs2k", resplit=True) if pair.split == "train"}
    official = (pair for pair in datasets.pairs(data / "fs2k") if pair.split == "train")
    return [*cufs, *(("fs2k", pair) for pair in official if pair.identity in apart)]
