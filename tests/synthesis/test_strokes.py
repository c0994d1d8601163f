"""Boundaries traced, thinned, shifted and drawn: by hand on small maps, and as properties on random ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forensic.errors import UsageError
from forensic.synthesis.strokes import Stroke, deformed, drawn, sketches, traced


def disc(side: int = 64, radius: float = 20.0) -> np.ndarray:
    y, x = np.mgrid[:side, :side] + 0.5
    return (np.hypot(x - side / 2, y - side / 2) < radius).astype(np.int64)


def boundary(labels: np.ndarray) -> np.ndarray:
    """Pixels that have a neighbour of another region, of eight."""
    padded = np.pad(labels, 1, mode="edge")
    height, width = labels.shape
    shifted = [padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.any([side != labels for side in shifted], axis=0)


def grown(ink: np.ndarray, by: int) -> np.ndarray:
    tensor = torch.from_numpy(ink).float()[None, None]
    return torch.nn.functional.max_pool2d(tensor, 2 * by + 1, stride=1, padding=by)[0, 0].numpy() > 0


def test_two_halves_have_one_straight_stroke() -> None:
    labels = np.zeros((6, 8), dtype=int)
    labels[:, 3:] = 1
    (stroke,) = traced(labels)
    assert not stroke.closed
    assert {tuple(point) for point in stroke.points} == {(3.0, 0.0), (3.0, 6.0)}
    ink = drawn([stroke], 6, 8)
    assert ink[:, 3].all()
    assert ink.sum() == 6


def test_a_region_inside_another_has_one_closed_stroke() -> None:
    labels = np.zeros((20, 20), dtype=int)
    labels[5:15, 4:16] = 7
    (stroke,) = traced(labels, tolerance=0.0)
    assert stroke.closed
    assert stroke.points.min(axis=0).tolist() == [4, 5]
    assert stroke.points.max(axis=0).tolist() == [16, 15]


def test_strokes_are_cut_where_three_regions_meet() -> None:
    labels = np.zeros((10, 10), dtype=int)
    labels[:, 5:] = 1
    labels[5:, :] = 2
    strokes = traced(labels)
    assert len(strokes) == 3
    ends = [tuple(point) for stroke in strokes for point in stroke.points[[0, -1]]]
    assert ends.count((5.0, 5.0)) == 3
    assert set(ends) == {(5.0, 5.0), (5.0, 0.0), (0.0, 5.0), (10.0, 5.0)}


def test_regions_that_touch_at_corners_are_traced_once() -> None:
    """A chessboard: every side between two pixels, 2 * 4 * 3 of them, is part of just one stroke."""
    labels = np.indices((4, 4)).sum(axis=0) % 2
    length = sum(np.abs(np.diff(stroke.points, axis=0)).sum() for stroke in traced(labels, tolerance=0.0, speck=0))
    assert length == pytest.approx(24, abs=4)  # a ring's last piece is not counted, nor the bits cut off its corners


def test_specks_are_left_out_and_one_region_has_no_strokes() -> None:
    labels = np.zeros((20, 20), dtype=int)
    assert traced(labels) == []
    labels[5:8, 5:8] = 1  # twelve sides
    assert traced(labels, speck=13) == []
    assert len(traced(labels, speck=12)) == 1
    labels[0, :3] = 2  # ends at the image's edge: part of a longer line, perhaps
    assert len(traced(labels, speck=13)) == 1


def test_a_disc_is_drawn_where_it_is_with_few_points() -> None:
    (stroke,) = traced(disc())
    assert stroke.closed
    assert 6 <= len(stroke.points) <= 24
    y, x = np.nonzero(drawn([stroke], 64, 64))
    away = np.abs(np.hypot(x + 0.5 - 32, y + 0.5 - 32) - 20)
    assert away.max() < 2
    assert away.mean() < 0.7
    assert len(x) > 2 * np.pi * 20 * 0.85


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.floats(0, 3))
def test_drawings_follow_the_boundaries(seed: int, regions: int, tolerance: float) -> None:
    """Cells around random places: all ink lies near a boundary, and every boundary near ink."""
    draw = np.random.default_rng(seed)
    places = draw.uniform(0, 48, (regions, 2))
    labels = np.square(np.stack(np.mgrid[:48, :48], axis=-1)[:, :, None] - places).sum(axis=-1).argmin(axis=-1)
    ink, true = drawn(traced(labels, tolerance=tolerance, speck=0), 48, 48), boundary(labels)
    reach = 3 + int(2 * tolerance)
    assert not (ink & ~grown(true, reach)).any()
    assert not (true & ~grown(ink, reach)).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 11))
def test_offsets_are_uniform_within_d(seed: int, d: float) -> None:
    strokes = [Stroke(np.zeros((40, 2)), True), Stroke(np.ones((30, 2)), False)]
    moved = deformed(strokes, d, generator=torch.Generator().manual_seed(seed))
    assert [len(stroke.points) for stroke in moved] == [40, 30]
    assert [stroke.closed for stroke in moved] == [True, False]
    offsets = np.concatenate([after.points - before.points for before, after in zip(strokes, moved, strict=True)])
    assert np.abs(offsets).max() <= d
    assert np.abs(offsets).max() > 0.8 * d
    assert abs(offsets.mean()) < 0.3 * d
    assert len(np.unique(offsets)) == 140  # each coordinate by its own


def test_the_same_seed_gives_the_same_sketch() -> None:
    labels = torch.from_numpy(np.stack([disc(), disc(radius=10.0)]))
    torch.manual_seed(3)
    aligned, first = sketches(labels, 4.0)
    torch.manual_seed(3)
    again, second = sketches(labels, 4.0)
    _, third = sketches(labels, 4.0)
    assert torch.equal(aligned, again)
    assert torch.equal(first, second)
    assert not torch.equal(second, third)
    assert aligned.shape == first.shape == (2, 1, 64, 64)
    assert aligned.unique().tolist() == [-1, 1]
    assert (aligned == -1).float().mean() < 0.1


def test_without_offsets_the_twins_are_the_same() -> None:
    aligned, moved = sketches(torch.from_numpy(disc())[None], 0.0)
    assert torch.equal(aligned, moved)


def test_larger_offsets_leave_the_boundary_farther() -> None:
    labels = disc()
    y, x = np.mgrid[:64, :64] + 0.5
    away = np.abs(np.hypot(x - 32, y - 32) - 20)
    distances = []
    for d in (0.0, 3.0, 9.0):
        moved = deformed(traced(labels), d, generator=torch.Generator().manual_seed(0))
        ink = drawn(moved, 64, 64)
        distances.append(away[ink].mean())
        assert away[ink].max() < 3 + 2 * d
    assert distances[0] < distances[1] < distances[2]


def test_what_leaves_the_image_is_cut_off() -> None:
    outside = Stroke(np.array([[-20.0, 5.0], [4.0, 5.0], [30.0, 5.0]]), closed=False)
    ink = drawn([outside], 10, 10)
    assert ink[5].all()
    assert ink.sum() == 10
    assert not drawn([], 10, 10).any()


def test_points_that_coincide_are_drawn() -> None:
    assert drawn([Stroke(np.full((4, 2), 3.5), closed=True)], 8, 8).sum() == 1
    assert drawn([Stroke(np.full((2, 2), 3.5), closed=False)], 8, 8).sum() == 1


def test_a_line_passes_through_its_points_smoothly() -> None:
    points = np.array([[5.5, 5.5], [30.5, 8.5], [40.5, 30.5], [12.5, 40.5]])
    for closed in (False, True):
        ink = drawn([Stroke(points, closed)], 50, 50)
        assert ink[points[:, 1].astype(int), points[:, 0].astype(int)].all()
        y, x = np.nonzero(ink)
        near = (np.abs(x[:, None] - x) <= 1) & (np.abs(y[:, None] - y) <= 1)
        assert (near.sum(axis=1) >= 2).all()  # no gaps


def test_bad_values_are_refused() -> None:
    with pytest.raises(UsageError, match="expected 0 or more"):
        deformed([], -1.0)
    with pytest.raises(UsageError, match=r"expected \(height, width\)"):
        traced(np.zeros((1, 4, 4), dtype=int))
