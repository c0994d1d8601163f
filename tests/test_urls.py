from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3

from forensic import Gallery, Identifier, enrollment, images, urls
from forensic.datasets.synthetic import Made
from forensic.errors import DataError, ImageError, UsageError
from forensic.preparing import Failure, read


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """fsspec's file system in memory, which users cannot name, in the place of one far away."""
    import fsspec

    monkeypatch.setitem(urls.PROTOCOLS, "memory", "")
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://host/a.jpg",
        "zip://a.jpg::s3://bucket/b.zip",
        "s3://bucket/b.zip::file:///etc/passwd",
        "simplecache://a",
        "memory://a/b.jpg",
        "s3://bucket/../a.jpg",
        "s3://bucket/./a.jpg",
        "s3://bucket//a.jpg",
        "s3://",
        "s3://bucket/a.jpg?versionId=1",
        "s3://bucket/*.jpg",
        "file://host/a.jpg",
        "file:///a/../b.jpg",
        "s3://bucket/a\x1b[2J.jpg",
        "s3://bucket/a\\b.jpg",
    ],
)
def test_urls_that_could_lead_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"expected a|three slashes") as caught:
        urls.check(url)
    assert str(caught.value).isprintable()
    with pytest.raises(UsageError):
        urls.read_bytes(url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        urls.check("s3://key:secret@bucket/a.jpg")
    assert "secret" not in str(caught.value)


def test_a_folder_far_away(memory: Any, people: list[Made]) -> None:
    data = people[0].photos[0].read_bytes()
    for name in ("b.jpg", "inner/a.jpg", ".hidden/c.jpg", "inner/.d.jpg"):
        memory.pipe(f"/shots/{name}", data)
    memory.pipe("/shots-other/x.jpg", data)
    memory.pipe("/shots/odd?.jpg", data)
    *found, odd = enrollment.items_of(["memory://shots"])
    assert [(item.person, item.url, item.file_name) for item in found] == [
        ("b", "memory://shots/b.jpg", "b.jpg"),
        ("a", "memory://shots/inner/a.jpg", "a.jpg"),
    ]
    assert [item.url for item in enrollment.items_of(["memory://shots/b.jpg"])] == ["memory://shots/b.jpg"]
    content = read(found[0])
    assert isinstance(content, tuple)
    assert content[0] == data
    refused = read(odd)
    assert isinstance(refused, Failure)
    assert "expected a plain URL" in refused.reason
    with pytest.raises(UsageError, match="does not exist"):
        enrollment.items_of(["memory://nowhere"])


def test_a_bucket(people: list[Made], tmp_path: Path) -> None:
    with s3.running() as server:
        bucket = server.bucket("shots")
        for number, person in enumerate(people[:2]):
            bucket.put(f"2031/{number}.jpg", person.photos[0].read_bytes())
        bucket.put("2031/notes.txt", b"no photo")
        with Gallery(tmp_path / "gallery", create=True) as gallery:
            summary = Identifier(gallery).enroll("s3://shots/2031/")
            assert summary.enrolled == 2
            assert [failure.file for failure in summary.failures] == ["s3://shots/2031/notes.txt"]
            assert sorted(photo.file_name for photo in gallery.photos()) == ["0.jpg", "1.jpg"]
            assert {gallery.photo_bytes(number) for number in (1, 2)} == {
                person.photos[0].read_bytes() for person in people[:2]
            }
        with pytest.raises(UsageError, match="does not exist"):
            enrollment.items_of(["s3://shots/2032/"])


def test_bounds_are_those_of_files(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/shots/a.jpg", b"0123456789")
    memory.pipe("/shots/empty.jpg", b"")
    assert urls.read_bytes("memory://shots/a.jpg", 2, 5) == b"234"
    assert urls.read_bytes("memory://shots/a.jpg", 2) == b"23456789"
    for name, reason in (("empty.jpg", "is empty"), ("absent.jpg", "cannot be read")):
        with pytest.raises(ImageError, match=reason):
            urls.read_bytes(f"memory://shots/{name}")
    with pytest.raises(ImageError, match="not a file"):
        urls.read_bytes("memory://shots")
    monkeypatch.setattr(images, "MAX_BYTES", 9)
    with pytest.raises(ImageError, match="10 bytes, and at most 9 are read"):
        urls.read_bytes("memory://shots/a.jpg")
    failure = read(enrollment.Item("A", Path("a.jpg"), {}, url="memory://shots/a.jpg"))
    assert isinstance(failure, Failure)
    assert failure.file == "memory://shots/a.jpg"
    assert failure.reason.startswith("10 bytes"), "the file is not named twice"


def test_a_missing_package_is_named() -> None:
    pytest.importorskip("fsspec")
    for package in ("s3fs", "gcsfs"):
        try:
            __import__(package)
        except ImportError:
            protocol = next(each for each, needs in urls.PROTOCOLS.items() if needs == package)
            with pytest.raises(UsageError, match=f"pip install {package}"):
                urls.read_bytes(f"{protocol}://bucket/a.jpg")


def test_files_by_url_are_files(people: list[Made], people_folder: Path, tmp_path: Path) -> None:
    by_path = enrollment.items_of([people_folder / "photos"])
    by_url = enrollment.items_of([f"file://{people_folder}/photos"])
    assert [item.path for item in by_url] == [item.path for item in by_path]
    assert [read(item) for item in by_url] == [read(item) for item in by_path]
    with pytest.raises(UsageError, match="does not exist"):
        enrollment.items_of([f"file://{tmp_path}/absent"])


def test_a_table_leads_only_where_it_may(people: list[Made], tmp_path: Path) -> None:
    photo = people[0].photos[0]
    table = tmp_path / "people.csv"
    table.write_text(f"person,file\nA,file://{photo}\n")
    for stores in ((), ("file:///elsewhere/",), (f"file://{str(photo.parent)[:-1]}",)):
        with pytest.raises(DataError, match=r"people.csv, line 2: .* in none of the folders .* --store URL"):
            enrollment.items_of_csv(table, stores=stores)
    (item,) = enrollment.items_of_csv(table, stores=(f"file://{photo.parent}",))
    assert (item.person, item.url) == ("A", f"file://{photo}")
    table.write_text(f"person,file\nA,file://{photo.parent}/../x.jpg\n")
    with pytest.raises(UsageError, match="plain URL"):
        enrollment.items_of_csv(table, stores=(f"file://{photo.parent}",))
