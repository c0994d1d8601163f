import numpy as np
import pytest
import torch
from PIL import Image

from forensic.datasets import Pair
from forensic.errors import DataError
from forensic.synthesis import Batch, Recipe, examples


@pytest.fixture
def cufs_like(tmp_path):
    """Three pairs of 200 x 250 noise."""
    draw = np.random.default_rng(0)
    pairs = []
    for index in range(3):
        paths = [tmp_path / f"{index}-{kind}.png" for kind in ("photo", "sketch")]
        for path in paths:
            Image.fromarray(draw.integers(0, 256, (250, 200, 3), dtype=np.uint8)).save(path)
        pairs.append(Pair(str(index), "", "train", paths[0], paths[1], {}))
    return pairs


def test_crops_are_padded_in_the_fields_place(cufs_like) -> None:
    loaded, left_out = examples.load(cufs_like)
    assert left_out == []
    assert loaded.photo.shape == loaded.sketch.shape == (3, 3, 256, 256)
    assert loaded.photo.dtype == torch.uint8
    original = np.asarray(Image.open(cufs_like[1].sketch))
    face = loaded.sketch[1].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(face[3:253, 28:228], original)
    np.testing.assert_array_equal(face[3:253, :28], np.repeat(original[:, :1], 28, axis=1))
    np.testing.assert_array_equal(face[253:, 28:228], np.repeat(original[-1:], 3, axis=0))


def test_no_pair_is_an_error() -> None:
    with pytest.raises(DataError, match="None of 0 pairs"):
        examples.load([])


def test_an_epoch_is_a_pure_function_of_seed_and_epoch(make_pairs) -> None:
    data, recipe = make_pairs(5), Recipe(batch=2, tone=0.5)

    def epoch(seed: int, number: int, start: int = 0) -> list[Batch]:
        return list(examples.batches(data, "photo", recipe, seed=seed, epoch=number, start=start))

    first, again = epoch(1, 0), epoch(1, 0)
    assert [len(batch.photo) for batch in first] == [2, 2, 1]
    assert all(torch.equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first[2], epoch(1, 0, start=2)[0], strict=True))
    for other in (epoch(1, 1), epoch(2, 0)):
        assert not torch.equal(first[0].photo, other[0].photo)


def test_every_pair_comes_once_an_epoch_and_stays_a_pair(make_pairs) -> None:
    data = make_pairs(6)
    recipe = Recipe(batch=4, shift=15, flip=True)
    seen = list(examples.batches(data, "photo", recipe, seed=0, epoch=0))
    photos, sketches = torch.cat([b.photo for b in seen]), torch.cat([b.sketch for b in seen])
    # The sketches are the photos' grey negatives: any shift and flip that both share keeps that true.
    torch.testing.assert_close(sketches[:, 0], -photos.mean(dim=1), rtol=0, atol=0.02)
    order = examples.plan(6, recipe, 0, 0).order
    assert sorted(order.tolist()) == list(range(6))


def test_shifts_and_mirrors_by_hand() -> None:
    face = torch.arange(16.0).view(1, 1, 4, 4)
    no, yes = torch.tensor([False]), torch.tensor([True])
    right = examples.moved(face, no, torch.tensor([[1, 0]]))
    assert right[0, 0, 0].tolist() == [0, 0, 1, 2]
    up = examples.moved(face, no, torch.tensor([[0, -2]]))
    assert up[0, 0, :, 0].tolist() == [8, 12, 12, 12]
    mirrored = examples.moved(face, yes, torch.tensor([[1, 0]]))
    assert mirrored[0, 0, 0].tolist() == [3, 3, 2, 1]
    assert torch.equal(examples.moved(face, no, torch.tensor([[0, 0]])), face)


def test_tone_changes_the_source_alone(make_pairs) -> None:
    data = make_pairs(3)
    still = Recipe(batch=3, shift=0, flip=False)
    plain = next(examples.batches(data, "sketch", still, seed=0, epoch=0))
    toned = next(examples.batches(data, "sketch", still.changed(tone=1.0), seed=0, epoch=0))
    assert torch.equal(plain.photo, toned.photo)
    assert not torch.equal(plain.sketch, toned.sketch)
    assert toned.sketch.abs().max() <= 1
    by_hand = examples.toned(torch.full((1, 3, 1, 1), 0.4), torch.tensor([[0.5, 0.1, 0.0, 0.05, 1.0]]))
    assert by_hand.flatten().tolist() == pytest.approx([0.7, 0.75, 1.0])


def test_an_unaligned_pair_is_aligned_or_left_out_with_its_reason(cufs_like, tmp_path, monkeypatch) -> None:
    from types import SimpleNamespace

    from forensic.errors import FaceError

    class Finder:
        def find(self, found):
            if found[0].size == (60, 60):
                return [FaceError("no face"), SimpleNamespace(portrait=Image.new("RGB", (256, 256)))]
            return [SimpleNamespace(portrait=Image.new("RGB", (256, 256), colour)) for colour in ("red", "white")]

    monkeypatch.setattr("forensic.faces.Finder", Finder)
    pairs = [*cufs_like]
    for name, side in (("other", 50), ("faceless", 60)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
        pairs.append(Pair(name, "", "train", tmp_path / f"{name}.png", tmp_path / f"{name}.png", {}))
    loaded, left_out = examples.load(pairs, 64)
    assert loaded.photo.shape == (4, 3, 64, 64)
    assert loaded.photo[3, :, 32, 32].tolist() == [255, 0, 0]
    assert left_out == ["faceless (faceless.png, faceless.png): no face"]
