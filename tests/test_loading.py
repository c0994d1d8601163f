"""What a search keeps of a gallery: made anew where something changed, and nowhere else."""

import errno
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines.conftest import Memory as MemoryEngine
from gallery import making

from forensic import Gallery, engines, matching
from forensic.candidates import PARTLY
from forensic.errors import GalleryError, UsageError
from forensic.gallery import Space, describing, templates
from forensic.gallery import engines as gallery_engines
from forensic.loading import Loaded, Memory
from forensic.recognition.device_index import DeviceIndex
from forensic.recognition.index import KINDS, Index

EACH = 4
"""Photo numbers of a segment here."""
COUNT = 22


@pytest.fixture
def memory() -> Memory:
    return Memory(matching.load("direct+direct@patches"))


@pytest.fixture
def spaces(memory: Memory) -> tuple[Space, ...]:
    return tuple(
        Space(route.space, route.name, dimension, {"m": "e" * 64})
        for route, dimension in zip(memory.matcher.routes, (127, 500), strict=True)
    )


@pytest.fixture
def gallery(tmp_path: Path, spaces: tuple[Space, ...], monkeypatch: pytest.MonkeyPatch) -> Iterator[Gallery]:
    monkeypatch.setattr(templates, "SEGMENT", EACH)
    with Gallery(tmp_path / "gallery", create=True) as made:
        made.enroll([making.record(number, spaces=spaces) for number in range(COUNT)])
        yield made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the segments that are read from the database."""
    numbers: list[int] = []
    whole = Gallery.segment

    def noted(self: Gallery, space: str, number: int) -> Any:
        numbers.append(number)
        return whole(self, space, number)

    monkeypatch.setattr(Gallery, "segment", noted)
    return numbers


def agrees(loaded: Loaded, gallery: Gallery) -> None:
    """The index gives what one over all templates gives, and the root is that of the database."""
    spaces = [route.space for route in loaded.matcher.routes]
    every = [gallery.templates(space) for space in spaces]
    whole = Index.build(np.hstack([each.vectors for each in every]), every[0].photo_ids)
    queries = np.random.default_rng(0).normal(size=(3, 627)).astype(np.float32)
    for mine, theirs in zip(loaded.index.search(queries, 9), whole.search(queries, 9), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(loaded.index) == len(every[0].photo_ids) == gallery.size().photos
    assert loaded.root == gallery.root(spaces)


def files(gallery: Gallery) -> dict[str, int]:
    """Names and times of the index's files."""
    return {path.name: path.stat().st_mtime_ns for path in gallery.index_folder.iterdir()}


def test_a_second_start_reads_no_template(gallery: Gallery, memory: Memory, asked: list[int]) -> None:
    first = memory.of(gallery)
    agrees(first, gallery)
    assert sorted(asked) == sorted([0, 1, 2, 3, 4, 5] * 2)
    asked.clear()
    second = Memory(memory.matcher).of(gallery)
    agrees(second, gallery)
    assert not asked
    assert second.root == first.root


def test_an_enrollment_makes_the_last_segment_anew(
    gallery: Gallery, memory: Memory, asked: list[int], spaces: tuple[Space, ...]
) -> None:
    before = memory.of(gallery)
    kept = files(gallery)
    asked.clear()
    gallery.enroll([making.record(90, spaces=spaces)])
    after = memory.of(gallery)
    agrees(after, gallery)
    assert asked == [5, 5]  # photos 20 to 23, in both spaces
    assert after.root != before.root
    now = files(gallery)
    assert len(now.keys() & kept.keys()) == 10
    assert all(kept[name] == now[name] for name in now.keys() & kept.keys())
    assert len(now) == 12


def test_an_expunge_takes_out_the_files_of_its_segment_alone(
    gallery: Gallery, memory: Memory, asked: list[int]
) -> None:
    memory.of(gallery)
    kept = files(gallery)
    asked.clear()
    person = gallery.photos_by_number([9])[9].person.label
    gone = [photo.id for photo in gallery.photos(person)]
    gallery.expunge(person)
    left = files(gallery)
    assert left.items() < kept.items()
    assert {name.split("-")[1] for name in kept.keys() - left.keys()} == {str(number // EACH) for number in gone}
    agrees(memory.of(gallery), gallery)
    assert set(asked) == {number // EACH for number in gone}


def test_a_change_of_labels_makes_nothing_anew(gallery: Gallery, memory: Memory, asked: list[int]) -> None:
    memory.of(gallery)
    asked.clear()
    gallery.merge("P0001", "P0004")
    agrees(memory.of(gallery), gallery)
    assert not asked


def test_a_template_that_is_made_anew_changes_its_segment(
    gallery: Gallery, memory: Memory, asked: list[int], spaces: tuple[Space, ...]
) -> None:
    memory.of(gallery)
    asked.clear()
    gallery.add_templates(spaces[0], {6: making.template("other", spaces[0])})
    agrees(memory.of(gallery), gallery)
    assert asked == [6 // EACH]


def test_a_file_that_was_written_to_is_not_trusted(gallery: Gallery, memory: Memory, asked: list[int]) -> None:
    memory.of(gallery)
    asked.clear()
    path = sorted(gallery.index_folder.iterdir())[0]
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(bytes(content))
    agrees(Memory(memory.matcher).of(gallery), gallery)
    assert len(asked) == 1


def test_too_many_open_files_are_an_error_and_no_reason_to_make_the_index_anew(
    gallery: Gallery, memory: Memory, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.of(gallery)
    asked.clear()

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(mmap, "mmap", refused)
    with pytest.raises(GalleryError, match="ulimit -n"):
        Memory(memory.matcher).of(gallery)
    assert not asked


def test_a_search_goes_on_where_no_index_can_be_kept(
    gallery: Gallery, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = describing.write_private, 0

    def full(files: dict[Path, bytes]) -> None:
        """A disk with room for one file and a half."""
        nonlocal written
        written += 1
        if written > 1:
            for path, data in files.items():
                path.with_name(path.name + ".partial").write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(files)

    with monkeypatch.context() as patch:
        patch.setattr(describing, "write_private", full)
        agrees(memory.of(gallery), gallery)
    assert written == 12
    assert [name.partition(".")[2] for name in files(gallery)] == ["safetensors"]
    assert gallery.verify() == []
    agrees(Memory(memory.matcher).of(gallery), gallery)
    assert len(files(gallery)) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_an_approximate_index_says_so(gallery: Gallery, memory: Memory, kind: str) -> None:
    loaded = Memory(memory.matcher, kind).of(gallery)
    (warning,) = [text for text in loaded.warnings if text.startswith(PARTLY)]
    assert "somebody who is enrolled may be missing" in warning
    assert not any("approximate" in text for text in memory.of(gallery).warnings)
    agrees(loaded, gallery)  # so few are all looked at
    with pytest.raises(UsageError, match="hnsw, ivf-pq"):
        Memory(memory.matcher, "kd-tree")


def test_a_device_searches_what_there_is(gallery: Gallery, memory: Memory) -> None:
    """What was sent stays there, and an index of what is there now is made of it."""
    on_device = Memory(memory.matcher, device="cpu")
    first = on_device.of(gallery)
    assert isinstance(first.index, DeviceIndex)
    agrees(first, gallery)
    gallery.expunge(gallery.people()[0].label)
    second = on_device.of(gallery)
    assert second.index is not first.index
    agrees(second, gallery)
    assert on_device.of(gallery).index is second.index
    assert not any("approximate" in text for text in second.warnings)
    with pytest.raises(UsageError, match="An approximate index is the processor's"):
        Memory(memory.matcher, "hnsw", "cpu")
    with pytest.raises(UsageError, match="The device 'cuda:99' cannot be used here"):
        Memory(memory.matcher, device="cuda:99")


def test_an_engine_is_left_once_nobody_asks_it_any_more(
    gallery: Gallery, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    @contextmanager
    def connected(gallery: Gallery) -> Iterator[MemoryEngine]:
        url = gallery_engines.url_of(gallery)
        assert url is not None
        opened.append(url)
        try:
            yield servers[url]
        finally:
            opened.remove(url)

    urls = [f"milvus:https://{name}.example:19530" for name in "abc"]
    servers = {url: MemoryEngine() for url in urls}
    monkeypatch.setattr(engines, "open_engine", lambda url, name: servers[url])
    monkeypatch.setattr(gallery_engines, "connected", connected)
    gallery_engines.choose(gallery, urls[0])
    under_way = memory.of(gallery)
    gallery_engines.choose(gallery, urls[1])
    memory.of(gallery)
    assert opened == urls[:2]
    agrees(under_way, gallery)
    del under_way
    assert opened == urls[1:2]
    gallery_engines.choose(gallery, urls[2])
    memory.of(gallery)
    assert opened == urls[2:]
    gallery_engines.choose(gallery, None)
    agrees(memory.of(gallery), gallery)
    assert opened == []


def test_an_engine_is_brought_up_to_date_and_searched(
    gallery: Gallery, memory: Memory, asked: list[int], monkeypatch: pytest.MonkeyPatch, spaces: tuple[Space, ...]
) -> None:
    server = MemoryEngine()
    monkeypatch.setattr(engines, "open_engine", lambda url, name: server)
    gallery_engines.choose(gallery, "milvus:https://m.example:19530")
    agrees(memory.of(gallery), gallery)
    gallery.enroll([making.record(90, spaces=spaces)])
    gallery.expunge(gallery.photos_by_number([9])[9].person.label)
    agrees(memory.of(gallery), gallery)
    assert not asked
    gallery_engines.choose(gallery, None)
    agrees(memory.of(gallery), gallery)
    assert asked
