"""URLs of databases; no server is needed."""

import builtins

import pytest

from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, address


@pytest.mark.plain
@pytest.mark.parametrize(
    "text", ["", "nonsense s3cret", "postgresql://u:s3cret@h:x/db", "mysql://u:s3cret@h/db", "file:///s3cret"]
)
def test_urls_that_are_none(tmp_path, text):
    with pytest.raises(GalleryError, match="expected postgresql://USER@HOST/DATABASE") as caught:
        Gallery(tmp_path / "new", create=True, url=text or " ")
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_passwords_are_not_recorded(tmp_path, scheme):
    address.record(tmp_path, address.parse(f"{scheme}://u:s3cret@h:5/db?sslmode=require&password=s3cret"))
    assert (tmp_path / "database.url").read_text() == "postgresql+psycopg://u@h:5/db?sslmode=require\n"
    found = address.find(tmp_path, f"{scheme}://u:other@h:5/db?sslmode=require")
    assert (found.settled, found.url.password) == (True, "other")


def test_without_the_driver(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(GalleryError, match=r"pip install 'forensic-sketch\[postgresql\]'"):
        Gallery(tmp_path / "new", create=True, url="postgresql://h/db")


def test_outputs_lie_outside_of_galleries(tmp_path, gallery):
    (tmp_path / "beside").mkdir()
    (tmp_path / "link").symlink_to(gallery.folder)
    for path in (tmp_path / "new" / "a", tmp_path / "beside" / "a", gallery.folder.with_name("gallery.html")):
        address.check_outside(path)
    for path in (gallery.folder, gallery.folder / "a", tmp_path / "link" / "a", tmp_path / "beside/../gallery/x/y"):
        with pytest.raises(UsageError, match=f"lies in the gallery {gallery.folder}, "):
            address.check_outside(path)
