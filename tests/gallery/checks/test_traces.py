"""Bytes that are searched for in files which others may be writing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensic.gallery.checks import traces
from forensic.gallery.checks.traces import PHOTO, Traces

SHORT = st.binary(min_size=1, max_size=6)


@given(content=st.binary(max_size=60), needle=SHORT, runs=st.lists(SHORT, min_size=1, max_size=4, unique=True))
def test_files_read_in_pieces_have_what_they_have_as_a_whole(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, needle: bytes, runs: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    (folder / "file").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "PIECE", 7)
        named = [what for _, what in Traces(((needle, "a text"),)).found(folder) if needle not in b"file"]
        photos = [what for _, what in Traces((), (tuple(runs),)).found(folder)]
    assert named == (["a text"] if needle in content and needle not in b"file" else [])
    assert photos == ([PHOTO] if sum(run in content for run in runs) > len(runs) // 2 else [])


def test_a_file_that_is_cut_short_or_goes_meanwhile_ends_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a database's log does; where the file was mapped, the process was killed."""
    monkeypatch.setattr(traces, "PIECE", 8192)
    for name in "abc":
        (tmp_path / name).write_bytes(b"x" * 8192 + b"needle" + b"x" * 8192)
    file = (tmp_path / "a").open("rb", buffering=0)
    with file:
        pieces = traces._pieces(file, 5)
        assert len(next(pieces)) == 8192
        (tmp_path / "a").write_bytes(b"")
        assert list(pieces) == []
    found = Traces(((b"needle", "a text"),)).found(tmp_path)
    assert next(found) == (tmp_path / "b", "a text")
    (tmp_path / "c").unlink()
    assert list(found) == []
