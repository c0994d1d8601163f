"""What the paper's abstract states: two teachers, two students, three kinds of learning."""

from typing import Any

import pytest
import torch

from forensic.synthesis import Batch, create
from forensic.synthesis.methods.kt import KT


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def test_the_objective(make_tiny: Any, batch: Batch) -> None:
    method = make_tiny("kt", lambda_rec=3.0, lambda_teacher=5.0, lambda_mutual=7.0)
    faces = method(batch)
    terms = {name: value.item() for name, value in method.student_loss(batch, faces).items()}
    assert terms == pytest.approx(
        {
            "reconstruction": 3 * method.reconstruction(batch, faces).item(),
            "teachers": 5 * method.taught(batch, faces).item(),
            "mutual": 7 * method.mutual(faces).item(),
        },
        rel=1e-5,
    )
    assert set(method.players()) == {"students"}  # nobody plays against them


def test_each_modality_may_have_a_teacher_of_its_own() -> None:
    """Hints of photos are read with 64 channels (the embedder's), those of sketches with 128 and 256 (VGG's)."""
    method = create("kt", size=32, width=2, blocks=1, perceptual="embedder", sketch_teacher="hed-vgg16")
    assert isinstance(method, KT)
    read = {b: [layer.out_channels for layer in method.regressors[b].children()] for b in ("photo", "sketch")}
    assert read == {"sketch": [64, 64, 256, 128], "photo": [128, 256, 64, 64]}
    alone = create("kt", size=32, width=2, blocks=1, perceptual="embedder")
    assert isinstance(alone, KT)
    assert len(set(alone.consults.values())) == 1


def test_one_state_translates_both_ways(make_tiny: Any, batch: Batch) -> None:
    there = make_tiny("kt").eval()
    back = make_tiny("kt", seed=1, source="sketch", target="photo").eval()
    back.load_state_dict(there.translating_state(), strict=False)
    with torch.inference_mode():
        assert torch.equal(back.translate(batch.sketch), there.students["photo"](batch.sketch))
