"""Who draws what in experiments/augmenters.py, and how its page compares them."""

import numpy as np
import pytest
import torch

from forensic.errors import UsageError

SIZE = 8


def photos(pairs: int, further: int) -> torch.Tensor:
    """Photo k is k / 255 bright."""
    return (torch.arange(pairs + further) / 255).view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE)


def test_a_generator_draws_further_photos_alone() -> None:
    import augmenters

    made = np.stack([np.full((SIZE, SIZE), 100 + k, dtype=np.uint8) for k in range(3)])
    hand = augmenters.Generated({SIZE: made}, filters=False)
    assert not hand.draws_pairs
    drawn = hand(photos(2, 3), [4, 2], np.random.default_rng(0))
    assert (255 * drawn[:, 0, 0, 0]).round().tolist() == [102, 100]  # the third and the first further photo


def test_beside_filters_it_draws_every_other_further_photo_and_no_pair() -> None:
    import augmenters

    made = np.full((50, SIZE, SIZE), 200, dtype=np.uint8)
    hand = augmenters.Generated({SIZE: made}, filters=True)
    assert hand.draws_pairs
    drawn = hand(photos(10, 50), range(60), np.random.default_rng(0))
    generated = (255 * drawn).round().eq(200).all(dim=(1, 2, 3))
    assert not generated[:10].any()
    assert 10 < generated[10:].sum() < 40


def test_generators_that_saw_the_left_out_source_are_refused() -> None:
    import augmenters

    for left in ("cufs", "cuhk"):
        with pytest.raises(UsageError, match=f"sdgan was trained on .*; {left} is left out"):
            augmenters.hand_called("filters+sdgan", left, [])
    with pytest.raises(UsageError, match="What isegan was trained on is not stated"):
        augmenters.hand_called("isegan", "fs2k", [])
    assert not augmenters.hand_called("photo", "fs2k", [])[0].draws_pairs


def test_the_page_takes_the_mean_of_seeds_and_pairs_the_gains() -> None:
    import augmenters

    def run(*hits: int) -> dict[str, object]:
        return {"people": list("abcd"), "hits": {system: list(hits) for system in augmenters.SYSTEMS}, "sha256": ""}

    runs = {
        "fs2k 100 photo 0": run(1, 0, 0, 0),
        "fs2k 100 photo 1": run(1, 1, 0, 0),
        "fs2k 100 sdgan 0": run(1, 1, 1, 0),
        "fs2k 100 sdgan 1": run(1, 1, 1, 1),
    }
    page = "\n".join(augmenters.page({"runs": runs, "gallery": 9, "made_by": {}}))
    assert "| `photo` | 37.5 | 25.0 50.0 |  |" in page
    assert "| `sdgan` | 87.5 | 75.0 100.0 | +50.0 [" in page
    assert "4 sketches of 4 people" in page
    assert "More than `photo`, with an interval above 0: `sdgan`." in page
