"""Some templates of a gallery, as a search scans them and as a file keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numkong
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Keys = NDArray[np.uint64]
Bools = NDArray[np.bool_]

FORMAT = "forensic-segment-1"
EPS = float(np.finfo(np.float32).eps)
DTYPES = {"F32": np.float32, "I64": np.int64, "U64": np.uint64, "I8": np.int8}
LEVELS = 127


class Codes(NamedTuple):
    """Templates in one byte a number: x ≈ scale ∘ codes.

    Attributes:
        codes: int8, shape (n, d).
        scale: float32, shape (d,).
        residual: Length of the longest error of a row, |x / scale - codes|.
        length: Length of the longest row of codes.
    """

    codes: NDArray[np.int8]
    scale: Floats
    residual: float
    length: float

    @classmethod
    def of(cls, vectors: Floats) -> Self:
        """The codes of templates (n, d)."""
        scale: Floats = np.maximum(np.abs(vectors).max(axis=0, initial=0) / LEVELS, np.finfo(np.float32).tiny)
        exact = vectors / scale
        codes = np.rint(exact)
        residual, length = (float(np.linalg.norm(rows, axis=1).max(initial=0)) for rows in (exact - codes, codes))
        # What was divided in single precision is off by as much again.
        return cls(codes.astype(np.int8), scale, residual + 2 * EPS * (length + residual), length)


class Templates(NamedTuple):
    """Templates of one space, their codes, and what was kept with them.

    Attributes:
        vectors: float32, shape (n, d).
        codes: Of the vectors.
        root: Merkle root over the templates, hexadecimal; empty where nobody asked.
    """

    vectors: Floats
    codes: Codes
    root: str = ""


class Segment:
    """Rows of one or several spaces' templates of the same photos, side by side.

    Args:
        parts: Each space's templates, (n, d) each, in the same order.
        ids: What stands for each row in the answers, shape (n,).
        keys: Equal scores are ordered by these, shape (n,).
        kept: Which rows are searched, shape (n,); all if None.
    """

    def __init__(self, parts: Sequence[Templates], ids: Ids, keys: Keys, kept: Bools | None = None) -> None:
        self.parts, self.ids, self.keys, self.kept = tuple(parts), ids, keys, kept
        self._ends = np.cumsum([part.vectors.shape[1] for part in parts])[:-1]

    def __len__(self) -> int:
        return len(self.ids) if self.kept is None else int(np.count_nonzero(self.kept))

    @classmethod
    def beside(cls, segments: Sequence[Segment]) -> Segment:
        """One segment of several spaces' templates of the same photos.

        Raises:
            ValueError: They hold different photos, or in another order.
        """
        first, *others = segments
        if any(not np.array_equal(first.ids, other.ids) for other in others):
            raise ValueError("The segments hold different photos, or in another order.")
        return cls([part for segment in segments for part in segment.parts], first.ids, first.keys)

    def only(self, ids: NDArray[Any]) -> Segment:
        """The same, of which the rows with these ids are searched."""
        kept = np.isin(self.ids, ids)
        return type(self)(self.parts, self.ids, self.keys, kept if self.kept is None else kept & self.kept)

    def rows(self, which: NDArray[Any]) -> Floats:
        """Some rows, all spaces' side by side, shape (m, d)."""
        return np.hstack([part.vectors[which] for part in self.parts])

    def by_floats(self, query: Floats) -> Floats:
        """Inner products of all rows with a query (d,), in single precision, shape (n,); -inf where none is searched.

        This reads the rows as fast as the memory gives them, which a product of BLAS does not.
        """
        pairs = zip(self.parts, self.split(query), strict=True)
        return self._searched(summed([np.vecdot(part.vectors, each) for part, each in pairs]))

    def by_product(self, queries: Floats, rows: slice) -> Floats:
        """The same of some rows and queries (q, d) as products of matrices, shape (n, q)."""
        pairs = zip(self.parts, self.split(queries), strict=True)
        scores = summed([part.vectors[rows] @ each.T for part, each in pairs])
        if self.kept is not None:
            scores[~self.kept[rows]] = -np.inf
        return scores

    def by_codes(self, query: Sequence[Coded]) -> Floats:
        """As `by_floats`, of the codes and each part's query for them."""
        pairs = zip(self.parts, query, strict=True)
        return self._searched(summed([_products(each.codes, part.codes.codes, each.unit) for part, each in pairs]))

    def split(self, queries: Floats) -> list[Floats]:
        """The spaces' parts of queries (..., d)."""
        return np.split(queries, self._ends, axis=-1)

    def _searched(self, scores: Floats) -> Floats:
        if self.kept is not None:
            scores[~self.kept] = -np.inf
        return scores

    @cached_property
    def longest(self) -> float:
        """A bound on the rows' length."""
        return sum(
            (part.codes.length + part.codes.residual) * float(part.codes.scale.max(initial=0)) for part in self.parts
        )


class Coded(NamedTuple):
    """A query for one space's codes.

    Attributes:
        codes: int8, shape (d,).
        unit: The query times the scale is the codes times this, but for an error.
        slack: How far the codes' inner products may be from the templates', at most.
    """

    codes: NDArray[np.int8]
    unit: float
    slack: float


class Coder:
    """Codes queries for the codes of many segments at once, each of which has a scale of its own."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._split = segments[0].split
        self._columns = []
        for part in range(len(segments[0].parts)):
            codes = [segment.parts[part].codes for segment in segments]
            lengths = np.array([(each.residual, each.length) for each in codes])
            self._columns.append((np.stack([each.scale for each in codes]), lengths))

    def of(self, query: Floats) -> list[tuple[Coded, ...]]:
        """For each segment the parts of a query (d,).

        With query ∘ scale = unit (codes + e), e its rounding error, and x = scale ∘ (c + r) for a row, the inner
        product is off by (query ∘ scale) . r + unit e . c, which Cauchy and Schwarz bound.
        """
        made = []
        for part, (scale, lengths) in zip(self._split(query), self._columns, strict=True):
            scaled = part * scale
            unit = np.maximum(np.abs(scaled).max(axis=1) / LEVELS, np.finfo(np.float32).tiny)
            codes = np.rint(scaled / unit[:, None])
            error = np.linalg.norm(scaled - unit[:, None] * codes, axis=1)
            slack = np.linalg.norm(scaled, axis=1) * lengths[:, 0] + error * lengths[:, 1]
            rows = zip(codes.astype(np.int8), unit.tolist(), slack.tolist(), strict=True)
            made.append([Coded(*row) for row in rows])
        return list(zip(*made, strict=True))


def rounding(query: Floats, longest: float) -> float:
    """How far an inner product in single precision of a query (d,) and a row may be from its exact value, at most."""
    return (len(query) + 3) * EPS * float(np.linalg.norm(query)) * longest


def pack(segment: Segment, *, space: str) -> bytes:
    """A segment of one space as a file: raw numbers behind a text header (safetensors), nothing that can run."""
    (part,) = segment.parts
    codes = part.codes
    header = {"format": FORMAT, "space": space, "root": part.root}
    header |= {"residual": repr(codes.residual), "length": repr(codes.length)}
    arrays: dict[str, NDArray[Any]] = {"vectors": part.vectors, "codes": codes.codes, "scale": codes.scale}
    return save(arrays | {"ids": segment.ids, "keys": segment.keys}, metadata=header)


def unpack(buffer: Any, *, space: str) -> Segment | None:
    """The segment that a file holds, without a copy of it; None if it is none of this space.

    Args:
        buffer: The file's bytes, or the file mapped into memory.
        space: Digest of the templates' space.
    """
    view = memoryview(buffer)
    start = 8 + int.from_bytes(view[:8], "little")
    try:
        header = json.loads(bytes(view[8:start]))
        said = header.pop("__metadata__", {})
        if [said.get(key) for key in ("format", "space")] != [FORMAT, space]:
            return None
        arrays = {name: _array(view[start:], **one) for name, one in header.items()}
        codes = Codes(arrays["codes"], arrays["scale"], float(said["residual"]), float(said["length"]))
        vectors, ids, keys = arrays["vectors"], arrays["ids"], arrays["keys"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    n, d = vectors.shape if vectors.ndim == 2 else (-1, -1)
    shapes = [codes.codes.shape, codes.scale.shape, ids.shape, keys.shape]
    if shapes != [(n, d), (d,), (n,), (n,)]:
        return None
    return Segment([Templates(vectors, codes, said.get("root", ""))], ids, keys)


def _array(data: memoryview, *, dtype: str, shape: list[int], data_offsets: tuple[int, int]) -> NDArray[Any]:
    """An array as safetensors' header describes it."""
    return np.frombuffer(data[slice(*data_offsets)], DTYPES[dtype]).reshape(shape)


def _products(query: NDArray[np.int8], codes: NDArray[np.int8], unit: float) -> Floats:
    """Inner products of a query (d,) with rows (n, d) in units, shape (n,)."""
    products: Floats = np.asarray(numkong.cdist(query[None], codes, "dot", out_dtype="float32"))[0]
    products *= np.float32(unit)
    return products


def summed(scores: Sequence[Floats]) -> Floats:
    """The sum of some arrays, in the first one's place."""
    total, *others = scores
    for other in others:
        total += other
    return total
