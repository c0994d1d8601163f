"""Files of figures: whole or not at all, and never in the place of a link or a device."""

import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from forensic import Gallery
from forensic.cli import run
from forensic.commands import files
from forensic.errors import UsageError


def test_a_file_is_written_anew_and_alone_in_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "made" / "a.csv"
    for text in ("a,b\r\n1,2\r\n", "å\n"):
        files.check_place(file)
        files.write(file, text)
        assert file.read_bytes() == text.encode()
    assert os.listdir(file.parent) == ["a.csv"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Such as /dev/stdout, in whose place an administrator's command would put a file."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    files.write(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"


def test_a_pipe_gets_the_text(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    files.write(pipe, "text")
    reader.join(10)
    assert read == ["text"]


@pytest.mark.parametrize("name", ["file/a.csv", "folder"])
def test_what_cannot_be_written_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for act in (files.check_place, lambda file: files.write(file, "text")):
        with pytest.raises(UsageError, match="cannot be written"):
            act(tmp_path / name)


@pytest.mark.parametrize(
    "arguments",
    [
        ("demo", "--out"),
        ("gallery", "key", "new", "--out"),
        ("synthesize", "pencil", "PHOTO", "--out"),
        ("train", "pix2pix", "--data", "DATA", "--out"),
        ("quality", "DATA", "DATA", "--csv"),
        ("evaluate", "--data", "DATA", "--json"),
    ],
    ids=" ".join,
)
def test_nothing_is_written_into_a_gallery(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No expunge would reach it there."""
    folder = tmp_path / "gallery"
    with Gallery(folder, create=True):
        pass
    (tmp_path / "DATA").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "PHOTO", "PNG")
    before = sorted(folder.rglob("*"))
    given = [str(tmp_path / one) if one.isupper() else one for one in arguments]
    status, told = run([*given, str(folder / "made")]), capsys.readouterr().err
    assert (status, f"lies in the gallery {folder}" in told) == (2, True), told
    assert sorted(folder.rglob("*")) == before
