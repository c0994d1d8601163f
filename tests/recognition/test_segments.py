import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from forensic.recognition.index import Index
from forensic.recognition.segments import Codes, Segment, pack, unpack


def segment(rows: int = 20, dimensions: int = 4, seed: int = 0) -> Segment:
    vectors: NDArray[np.float32] = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    (made,) = Index.build(vectors, np.arange(rows) + 7).segments
    return made


def test_codes_are_the_nearest_whole_numbers() -> None:
    vectors = np.array([[1.27, -0.004, 0], [0.014, 0.127, 0]], np.float32)
    codes = Codes.of(vectors)
    np.testing.assert_allclose(codes.scale[:2], [0.01, 0.001], rtol=1e-6)
    assert codes.codes.tolist() == [[127, -4, 0], [1, 127, 0]]
    assert codes.residual == pytest.approx(0.4, abs=1e-3)
    assert codes.length == pytest.approx(np.hypot(127, 4))


def test_a_file_gives_the_same_segment_without_a_copy() -> None:
    made = segment()
    data = pack(made, space="s")
    read = unpack(data, space="s")
    assert read is not None
    for name in ("ids", "keys"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    (mine,), (theirs,) = read.parts, made.parts
    np.testing.assert_array_equal(mine.vectors, theirs.vectors)
    np.testing.assert_array_equal(mine.codes.codes, theirs.codes.codes)
    assert mine.codes[2:] == theirs.codes[2:]
    assert not mine.vectors.flags.owndata
    assert not mine.vectors.flags.writeable


def test_what_is_no_file_of_the_space_is_not_read() -> None:
    data = pack(segment(), space="s")
    assert unpack(data, space="t") is None
    assert unpack(b"", space="s") is None
    assert unpack(save({"vectors": np.eye(3, dtype=np.float32)}), space="s") is None
    for length in range(0, len(data), 37):
        assert unpack(data[:length], space="s") is None


def test_a_file_whose_arrays_do_not_fit_is_not_read() -> None:
    data = pack(segment(), space="s")
    header = {"format": "forensic-segment-1", "space": "s", "root": "", "residual": "1", "length": "1"}
    for name in ("ids", "keys", "scale", "codes", "vectors"):
        arrays = load(data)
        arrays[name] = arrays[name][:-1]
        assert unpack(save(arrays, metadata=header), space="s") is None
