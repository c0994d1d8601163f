"""What the exemplar methods share, against loops over pixels; and what all of them keep."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from invented import noise

from forensic.errors import DataError, ModelError, UsageError
from forensic.images import luminance
from forensic.synthesis import create, load, names, registry, save
from forensic.synthesis.patchwork import Grid, Patchwork, _before_cut, averaged, cut, grid, quilted, seams, starts

METHODS = [name for name in names() if issubclass(registry.find(name), Patchwork)]
SMALL: dict[str, dict[str, Any]] = {
    "fast-rslcr": {"patch": 8, "overlap": 4, "search": 0, "kept": 2},
    "lle": {"patch": 8, "overlap": 4, "search": 2},
    "mrf": {"patch": 6, "overlap": 3, "search": 2, "candidates": 4},
    "mwf": {"patch": 6, "overlap": 3, "search": 2, "neighbours": 4},
    "rslcr": {"patch": 8, "overlap": 4, "search": 0},
    "ssd": {"patch": 8, "step": 4, "search": 2, "neighbours": 3},
}


def small(name: str, **settings: Any) -> Patchwork:
    made = create(name, **SMALL[name], **settings)
    assert isinstance(made, Patchwork)
    return made


def cut_from(image: torch.Tensor, places: Grid, size: int) -> torch.Tensor:
    """Every patch of an image (3, h, w), by slices."""
    corners = itertools.product(places.rows, places.columns)
    return torch.stack([image[:, y : y + size, x : x + size] for y, x in corners])


def test_patches_reach_the_end() -> None:
    assert starts(side=10, patch=4, step=3) == [0, 3, 6]
    assert starts(side=11, patch=4, step=3) == [0, 3, 6, 7]
    assert starts(side=4, patch=4, step=3) == [0]
    assert grid(5, 6, 4, 2).places.tolist() == [[0, 0], [0, 2], [1, 0], [1, 2]]


def test_patches_are_cut_where_they_are_asked_for() -> None:
    faces = noise(3, 11, 9, seed=0)
    where = torch.tensor([[[0, 0, 0], [2, 7, 5]], [[1, 3, 2], [2, 0, 5]]])
    made = cut(faces, where, 4)
    for i, j in itertools.product(range(2), range(2)):
        m, y, x = where[i, j].tolist()
        assert torch.equal(made[i, j], faces[m, :, y : y + 4, x : x + 4])


@pytest.mark.parametrize("size", [5, 8])
def test_nearest_are_those_of_a_search_by_hand(size: int) -> None:
    photos, sketches, probe = noise(3, 15, 13, seed=0), noise(3, 15, 13, seed=1), noise(1, 15, 13, seed=2)
    method = Patchwork("photo", "sketch", patch=5, step=2, search=3, sizes=(5, 8)).fit(photos, sketches)
    places = torch.tensor([[0, 0], [4, 2], [15 - size, 13 - size]])
    x, grey = (luminance(faces)[:, 0].double() for faces in (probe, photos))
    found = method.nearest(x[0].float(), places, 6, size)
    for (top, left), candidates in zip(places.tolist(), found.tolist(), strict=True):
        t = x[0, top : top + size, left : left + size]
        by_hand = [
            (float((grey[m, y : y + size, c : c + size] - t).square().sum()), [m, y, c])
            for m in range(3)
            for y in range(max(0, top - 3), min(15 - size, top + 3) + 1)
            for c in range(max(0, left - 3), min(13 - size, left + 3) + 1)
        ]
        assert candidates == [place for _, place in sorted(by_hand)[:6]]


def test_overlaps_are_averaged() -> None:
    patches = torch.stack([torch.full((3, 2, 2), value) for value in (1.0, 3.0)])
    made = averaged(patches, torch.tensor([[0, 0], [0, 1]]), (2, 3))
    assert torch.equal(made, torch.tensor([1.0, 2.0, 3.0]).expand(3, 2, 3))


def test_patches_of_one_image_agree_and_give_it_back() -> None:
    image = noise(1, 13, 16, seed=0)[0]
    places = grid(13, 16, 5, 3)
    patches = cut_from(image, places, 5)
    assert torch.equal(quilted(patches, places), image)
    torch.testing.assert_close(averaged(patches, places.places, (13, 16)), image)
    shared = list(seams(patches[:, None], places))
    assert all(torch.equal(a, b) for _, _, a, b in shared)
    rows, columns = len(places.rows), len(places.columns)
    edges = {pair for first, second, *_ in shared for pair in zip(first.tolist(), second.tolist(), strict=True)}
    across = {(i * columns + j, i * columns + j + 1) for i in range(rows) for j in range(columns - 1)}
    down = {(i * columns + j, (i + 1) * columns + j) for i in range(rows - 1) for j in range(columns)}
    assert edges == across | down


def test_cuts_are_those_of_least_error() -> None:
    error = torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0))
    columns = _before_cut(error).sum(dim=2)
    for one, path in zip(error, columns.tolist(), strict=True):
        costs = {
            steps: sum(float(one[i, j]) for i, j in enumerate(steps))
            for steps in itertools.product(range(3), repeat=4)
            if all(abs(a - b) <= 1 for a, b in itertools.pairwise(steps))
        }
        assert tuple(path) == min(costs, key=lambda steps: costs[steps])


def test_every_pixel_of_a_quilt_is_of_a_patch_that_covers_it() -> None:
    places = grid(10, 11, 5, 3)
    patches = torch.arange(len(places.places), dtype=torch.float32)[:, None, None, None].expand(-1, 3, 5, 5)
    made = quilted(patches, places)[0]
    for y, x in itertools.product(range(10), range(11)):
        top, left = places.places[int(made[y, x])].tolist()
        assert top <= y < top + 5
        assert left <= x < left + 5
    assert made.unique().numel() == len(patches)


@pytest.mark.parametrize("name", METHODS)
def test_the_other_way_is_the_sides_exchanged(name: str) -> None:
    photos, sketches, probe = noise(3, 20, 18, seed=0), noise(3, 20, 18, seed=1), noise(1, 20, 18, seed=2)
    there = small(name, source="sketch", target="photo").fit(photos, sketches).translate(probe)
    assert torch.equal(there, small(name).fit(sketches, photos).translate(probe))


@pytest.mark.parametrize("name", METHODS)
def test_an_exemplar_gives_its_own_sketch(name: str) -> None:
    photos, sketches = noise(3, 24, 21, seed=0), noise(3, 24, 21, seed=1)
    made = small(name).fit(photos, sketches).translate(photos[1:2])
    torch.testing.assert_close(made, sketches[1:2], rtol=0, atol=0.02)


@pytest.mark.parametrize("name", METHODS)
def test_without_exemplars_it_says_how_to_give_them(name: str) -> None:
    for method in (create(name), load(name)):
        with pytest.raises(ModelError, match=rf"'{name}'.*fit\(photos, sketches\)"):
            method.translate(noise(1, 256, 256, seed=0))


@pytest.mark.parametrize("name", METHODS)
def test_exemplars_decide_the_digest_but_are_in_no_file(name: str, tmp_path: Path) -> None:
    photos, sketches = noise(3, 24, 24, seed=0), noise(3, 24, 24, seed=1)
    bare, one, same, other = (small(name) for _ in range(4))
    one.fit(photos, sketches)
    same.fit(sketches, photos).fit(photos.clone(), sketches)
    other.fit(photos, photos)
    assert one.digest == same.digest
    assert len({bare.digest, one.digest, other.digest}) == 3
    assert not one.state_dict()
    save(one, tmp_path / "method.safetensors")
    assert (tmp_path / "method.safetensors").stat().st_size < 2000


@pytest.mark.parametrize("name", METHODS)
def test_what_does_not_fit_is_refused(name: str) -> None:
    gap = {"step": 9} if name == "ssd" else {"overlap": -1}
    for settings in ({**gap}, {"search": -1}, {"target": "photo"}, {"patch": 0}):
        with pytest.raises(UsageError):
            create(name, **{**SMALL[name], **settings})
    faces = noise(3, 24, 24, seed=0)
    for photos, sketches in ((faces, faces[..., :20]), (faces[..., :5, :5], faces[..., :5, :5]), (faces[0], faces[0])):
        with pytest.raises(DataError, match=name):
            small(name).fit(photos, sketches)
    with pytest.raises(UsageError, match="size"):
        small(name).fit(faces, faces).translate(noise(1, 26, 24, seed=0))


def test_a_candidate_is_in_the_window_around_its_place() -> None:
    method = Patchwork("photo", "sketch", patch=4, step=4, search=3)
    assert [method.window(place, side=20, size=4) for place in (0, 8, 16)] == [(0, 3), (5, 11), (13, 16)]
