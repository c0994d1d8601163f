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
        pairs = zip(self.parts, self._split(query), strict=True)
        return self._searched(sum(np.vecdot(part.vectors, each) for part, each in pairs))

    def by_product(self, queries: Floats) -> Floats:
        """The same of queries (q, d) as products of matrices, shape (n, q)."""
        pairs = zip(self.parts, self._split(queries), strict=True)
        return self._searched(sum(part.vectors @ each.T for part, each in pairs))

    def by_codes(self, query: Floats) -> Floats:
        """Inner products of the rows' codes with the query's, likewise."""
        pairs = self._coded(query)
        return self._searched(sum(each.unit * _products(each.codes, part.codes.codes) for part, each in pairs))

    def slack(self, query: Floats, *, codes: bool) -> float:
        """How far from its exact value an approximate score may be, at most."""
        rounding = (len(query) + 3) * EPS * float(np.linalg.norm(query)) * self._longest
        if not codes:
            return rounding
        # By Cauchy and Schwarz, with the query ∘ scale = unit (c + e), e its own error:
        #   query . x - unit c . codes = (query ∘ scale) . (x / scale - codes) + unit e . codes
        return rounding + sum(
            each.length * part.codes.residual + each.error * part.codes.length for part, each in self._coded(query)
        )

    def _coded(self, query: Floats) -> list[tuple[Templates, _Query]]:
        pairs = zip(self.parts, self._split(query), strict=True)
        return [(part, _Query.of(each * part.codes.scale)) for part, each in pairs]

    def _split(self, queries: Floats) -> list[Floats]:
        return np.split(queries, self._ends, axis=-1)

    def _searched(self, scores: Any) -> Floats:
        made: Floats = np.asarray(scores, np.float32)
        if self.kept is not None:
            made[~self.kept] = -np.inf
        return made

    @cached_property
    def _longest(self) -> float:
        """A bound on the rows' length."""
        return sum(
            (part.codes.length + part.codes.residual) * float(part.codes.scale.max(initial=0)) for part in self.parts
        )


class _Query(NamedTuple):
    """A query for one space's codes: unit (codes + an error).

    Attributes:
        codes: int8, shape (d,).
        unit: What a step of the codes stands for.
        length: Of the query.
        error: Of the error, in the query's own units.
    """

    codes: NDArray[np.int8]
    unit: float
    length: float
    error: float

    @classmethod
    def of(cls, query: Floats) -> Self:
        unit = float(np.abs(query).max(initial=0)) / LEVELS or 1.0
        codes = np.rint(query / np.float32(unit))
        error = query - np.float32(unit) * codes
        return cls(codes.astype(np.int8), unit, *(float(np.linalg.norm(each)) for each in (query, error)))


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


def _products(query: NDArray[np.int8], codes: NDArray[np.int8]) -> NDArray[np.float64]:
    """Exact inner products of a query (d,) with rows (n, d), shape (n,)."""
    products: NDArray[np.float64] = np.asarray(numkong.cdist(query[None], codes, "dot"))[0]
    return products
