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


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.photo, second.photo) and torch.equal(first.sketch, second.sketch)


def test_no_pair_is_an_error() -> None:
    with pytest.raises(DataError, match="None of 0 pairs"):
        examples.load([])


def test_an_epoch_is_a_pure_function_of_seed_and_epoch(make_pairs) -> None:
    data, recipe = make_pairs(5), Recipe(batch=2, tone=0.5)

    def epoch(seed: int, number: int, start: int = 0) -> list[Batch]:
        return list(examples.batches(data, "photo", recipe, seed=seed, epoch=number, start=start))

    first, again = epoch(1, 0), epoch(1, 0)
    assert [len(batch.photo) for batch in first] == [2, 2, 1]
    assert all(same(x, y) for x, y in zip(first, again, strict=True))
    assert same(first[2], epoch(1, 0, start=2)[0])
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
                return [FaceError("no face. Give --landmarks."), SimpleNamespace(portrait=Image.new("RGB", (256, 256)))]
            return [SimpleNamespace(portrait=Image.new("RGB", (256, 256), colour)) for colour in ("red", "white")]

    monkeypatch.setattr("forensic.faces.Finder", Finder)
    pairs = [*cufs_like]
    for name, side in (("other", 50), ("faceless", 60)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
        pairs.append(Pair(name, "", "train", tmp_path / f"{name}.png", tmp_path / f"{name}.png", {}))
    loaded, left_out = examples.load(pairs, 64)
    assert loaded.photo.shape == (4, 3, 64, 64)
    assert loaded.photo[3, :, 32, 32].tolist() == [255, 0, 0]
    (one,) = left_out
    assert one.pair.identity == "faceless"
    assert str(one) == f"faceless (faceless.png, faceless.png): no face. {examples._ADVICE}"
    assert "--" not in str(one)


def test_styles_are_read_where_they_are_asked_for(cufs_like) -> None:
    assert examples.load(cufs_like, 32, styles=3)[0].style is None  # these data state none
    styled = [pair._replace(attributes={"style": style}) for pair, style in zip(cufs_like, "201", strict=True)]
    loaded, _ = examples.load(styled, 32, styles=3)
    assert loaded.style is not None
    assert loaded.style.tolist() == [2, 0, 1]
    plain, _ = examples.load(styled, 32)
    assert plain.style is None
    assert plain.digest() == examples.load(cufs_like, 32)[0].digest() != loaded.digest()
    assert loaded.digest() != examples.Examples(*loaded[:2], torch.tensor([0, 2, 1])).digest()
    for wrong in ("3", "pencil", "-1", ""):
        styled[1] = styled[1]._replace(attributes={"style": wrong})
        with pytest.raises(DataError, match=rf"1: style is '{wrong}', expected one of 0, 1, 2"):
            examples.load(styled, 32, styles=3)


def test_the_style_of_a_pair_that_is_left_out_goes_with_it(cufs_like, tmp_path, monkeypatch) -> None:
    from types import SimpleNamespace

    from forensic.errors import FaceError

    monkeypatch.setattr("forensic.faces.Finder", lambda: SimpleNamespace(find=lambda found: [FaceError("no face")] * 2))
    Image.new("RGB", (60, 60)).save(tmp_path / "faceless.png")
    faceless = Pair("x", "", "train", tmp_path / "faceless.png", tmp_path / "faceless.png", {"style": "1"})
    styled = [
        cufs_like[0]._replace(attributes={"style": "2"}),
        faceless,
        cufs_like[1]._replace(attributes={"style": "0"}),
    ]
    loaded, left_out = examples.load(styled, 32, styles=3)
    assert len(left_out) == 1
    assert loaded.style is not None
    assert loaded.style.tolist() == [2, 0]


def test_a_batch_keeps_each_style_with_its_pair(make_pairs) -> None:
    data = examples.Examples(*make_pairs(5)[:2], torch.tensor([0, 1, 2, 1, 0]))
    recipe = Recipe(batch=2)
    order = examples.plan(5, recipe, seed=4, epoch=1).order
    seen = [batch.style for batch in examples.batches(data, "sketch", recipe, seed=4, epoch=1)]
    assert [len(style) for style in seen] == [2, 2, 1]
    assert torch.equal(torch.cat(seen), data.style[order])
    assert all(batch.style is None for batch in examples.batches(make_pairs(2), "photo", recipe, seed=0, epoch=0))
    some = data.batch(slice(1, 3))
    assert some.photo.shape == (2, 3, 32, 32)
    assert some.photo.dtype == torch.float32
    assert some.style.tolist() == [1, 2]
    assert data.to(torch.device("cpu")).style.tolist() == [0, 1, 2, 1, 0]
