"""Which file belongs to which."""

from pathlib import Path

import numpy as np
import pytest
from quality.noisy import noise

from forensic.errors import DataError, ImageError
from forensic.quality.pairing import match, read
from forensic.synthesis.examples import pad


def test_files_belong_together_by_stem(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    for name in ("a-synthetic.png", "b.png", "c-synthetic.png", "left-synthetic.png"):
        (made / name).touch()
    for name in ("a.jpg", "b.png", "c-synthetic.png", "over.jpg"):
        (targets / name).touch()
    found = match(made, targets)
    assert [(files.name, files.synthesized.name, files.target.name) for files in found.pairs] == [
        ("a", "a-synthetic.png", "a.jpg"),
        ("b", "b.png", "b.png"),
        ("c-synthetic", "c-synthetic.png", "c-synthetic.png"),
    ]
    assert found.synthesized_only == [made / "left-synthetic.png"]
    assert found.target_only == [targets / "over.jpg"]


def test_what_cannot_be_matched(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    with pytest.raises(DataError, match="is no folder"):
        match(made / "nowhere", targets)
    (made / "a.png").touch()
    (targets / "b.png").touch()
    with pytest.raises(DataError, match="rename the files"):
        match(made, targets)
    (targets / "a.png").touch()
    (made / "a-synthetic.png").touch()
    with pytest.raises(DataError, match=r"a-synthetic\.png and .*a\.png both stand for 'a'"):
        match(made, targets)


def test_padding_is_cropped_away(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    face = noise(0)
    pad(face).save(made / "a-synthetic.png")
    face.save(targets / "a.png")
    (files,) = match(made, targets).pairs
    pair = read(files)
    assert pair.synthesized.size == (200, 250)
    np.testing.assert_array_equal(np.asarray(pair.synthesized), np.asarray(face))
    with pytest.raises(ImageError, match=r"256 x 256 and .* is 200 x 250\. Give"):
        read(files, crop=False)
    noise(0, (199, 250)).save(targets / "a.png")
    with pytest.raises(ImageError, match=r"200 x 250 and .* 199 x 250 after cropping"):
        read(files)
    for folder in folders:
        noise(0, (63, 80)).save(next(folder.iterdir()))
    with pytest.raises(ImageError, match="at least 64"):
        read(files)
