import os
from pathlib import Path

import pytest

from forensic.datasets import pairs
from forensic.errors import DataError


def write(folder: Path, table: str | None, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"not opened")
    if table is not None:
        (folder / "pairs.csv").write_text(table)
    return folder


CUFS = "identity,subset,split,photo,sketch\nar-1,ar,test,photos/1.jpg,sketches/1.jpg\n"
FS2K = (
    "identity,source,split,style,gender,photo,sketch\n"
    "a,1,train,0,1,photos/1.jpg,sketches/1.jpg\n"
    "b,3,test,2,0,photos/2.jpg,sketches/2.jpg\n"
)


def test_cufs(tmp_path) -> None:
    (pair,) = pairs(write(tmp_path, CUFS, "photos/1.jpg", "sketches/1.jpg"))
    files = tmp_path / "photos/1.jpg", tmp_path / "sketches/1.jpg"
    assert pair == ("ar-1", "ar", "test", *files, {}, "ar-1", "ar-1")
    assert pairs(tmp_path, resplit=True) == [pair]


def test_fs2k_has_source_and_style_as_subset_and_the_rest_as_attributes(tmp_path) -> None:
    files = [f"{side}/{number}.jpg" for side in ("photos", "sketches") for number in (1, 2)]
    first, second = pairs(write(tmp_path, FS2K, *files))
    assert (first.subset, first.split, second.subset, second.split) == ("1-0", "train", "3-2", "test")
    assert first.attributes == {"source": "1", "style": "0", "gender": "1"}


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("ar-2,ar,test,photos/1.jpg,sketches/2.jpg", "lines 2 and 3: one photo of two identities, 'ar-1' and 'ar-2'"),
        ("ar-1,ar,train,photos/2.jpg,sketches/2.jpg", "lines 2 and 3: 'ar-1' is on both sides of the split"),
        ("ar-2,all,test,photos/2.jpg,sketches/2.jpg", "line 3: a subset cannot be called 'all'"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path, second: str, words: str) -> None:
    files = [f"{side}/{number}.jpg" for side in ("photos", "sketches") for number in (1, 2)]
    with pytest.raises(DataError, match=words):
        pairs(write(tmp_path, f"{CUFS}{second}\n", *files))


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path) -> None:
    (pair,) = pairs(write(tmp_path, "\ufeff" + CUFS, "photos/1.jpg", "sketches/1.jpg"))
    assert pair.identity == "ar-1"


def test_a_plain_folder_pairs_equal_stems(tmp_path) -> None:
    write(tmp_path, None, "photos/b.jpg", "photos/a.png", "sketches/a.jpg", "sketches/b.tif", "photos/.hidden")
    found = pairs(str(tmp_path))
    assert [pair.identity for pair in found] == [pair.person for pair in found] == ["a", "b"]
    assert {pair.split for pair in found} == {"train"}
    assert found[0].photo == tmp_path / "photos/a.png"
    assert found[0].sketch == tmp_path / "sketches/a.jpg"


@pytest.mark.parametrize(
    ("table", "files", "message"),
    [
        (None, (), "No folder .*photos"),
        (None, ("photos/a.png",), "No folder .*sketches"),
        (None, ("photos/a.png", "sketches/b.png"), "2 files have no partner.*'a'"),
        (None, ("photos/a.png", "photos/a.jpg", "sketches/a.png"), "several files with the stem 'a'"),
        ("identity,split\n", (), "lacks the column photo, sketch"),
        ("identity,split,photo,sketch\n", (), "holds no photo-sketch pair"),
        ("identity,split,photo,sketch\nx,dev,p,s\n", ("p", "s"), "line 2: split is 'dev'"),
        ("identity,split,photo,sketch\nx,test,p,s\n", ("p",), "line 2: there is no file .*s"),
        ("identity,split,photo,sketch\nx,test,p,s\n ,test,p,s\n", ("p", "s"), "line 3: the identity is empty"),
        ("identity,split,photo,sketch\nx,test,p\n", ("p",), "line 2: expected as many fields"),
        ("identity,split,photo,sketch\nx,test,p,s,t\n", ("p", "s"), "line 2: expected as many fields"),
    ],
)
def test_what_is_laid_out_otherwise_is_an_error(tmp_path, table, files, message) -> None:
    with pytest.raises(DataError, match=message):
        pairs(write(tmp_path, table, *files))


def test_a_table_in_another_encoding_is_an_error(tmp_path) -> None:
    (tmp_path / "pairs.csv").write_bytes("identity,split,photo,sketch\nJosé,test,p,s\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"pairs\.csv cannot be read as a CSV table in UTF-8"):
        pairs(tmp_path)


def test_a_missing_or_empty_folder_is_an_error(tmp_path) -> None:
    with pytest.raises(DataError, match="No data folder"):
        pairs(tmp_path / "none")
    (tmp_path / "photos").mkdir()
    (tmp_path / "sketches").mkdir()
    with pytest.raises(DataError, match="holds no photo-sketch pair"):
        pairs(tmp_path)


@pytest.mark.data
@pytest.mark.skipif("FORENSIC_DATA" not in os.environ, reason="FORENSIC_DATA is not set")
def test_the_research_sets_have_their_published_splits() -> None:
    folder = Path(os.environ["FORENSIC_DATA"])
    cufs, fs2k = pairs(folder / "cufs"), pairs(folder / "fs2k")
    assert [sum(pair.split == split for pair in cufs) for split in ("train", "test")] == [268, 338]
    assert [sum(pair.split == split for pair in fs2k) for split in ("train", "test")] == [1058, 1046]
    assert {pair.subset for pair in cufs} == {"ar", "cuhk", "xm2vts"}
