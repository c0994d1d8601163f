from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from facenet_pytorch.models.utils.detect_face import detect_face
from PIL import Image
from torchvision.ops import nms

from forensic import weights
from forensic.datasets.synthetic import Person, Variation, draw_photo, draw_sketch
from forensic.errors import ModelError
from forensic.faces import mtcnn
from forensic.faces.detect import ATTEMPTS, MIN_FACE, Attempt, lay_out
from forensic.faces.mtcnn import Cascade, suppress


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade()


@pytest.fixture(scope="module")
def published() -> list[torch.nn.Module]:
    return [network().eval() for network in (PNet, RNet, ONet)]


def pictures() -> dict[str, Image.Image]:
    person, variation = Person.sample(3), Variation.sample(3, 0.5)
    photo = draw_photo(person, variation).convert("RGB")
    sketch = draw_sketch(person, variation, np.random.default_rng(3), 0.0).convert("RGB")
    other = draw_photo(Person.sample(5), Variation.sample(5, 0.5)).convert("RGB").resize((120, 150))
    crowd = Image.new("RGB", (600, 400), "white")
    crowd.paste(photo, (20, 40))
    crowd.paste(other, (400, 20))
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    return {"photo": photo, "sketch": sketch, "crowd": crowd, "noise": Image.fromarray(noise)}


@pytest.mark.parametrize("name", pictures())
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.method)
def test_it_finds_what_facenet_pytorch_finds(
    cascade: Cascade, published: list[torch.nn.Module], attempt: Attempt, name: str
) -> None:
    canvas, _, _ = lay_out(pictures()[name], attempt)
    with torch.inference_mode():
        (boxes,), (points,) = detect_face(
            canvas[None], MIN_FACE, *published, attempt.thresholds, mtcnn.FACTOR, torch.device("cpu")
        )
    found = cascade(canvas, attempt.thresholds, MIN_FACE)
    assert len(found.boxes) == len(found.landmarks) == len(found.scores) == len(boxes)
    if len(boxes):
        expected = np.asarray(boxes, np.float64)
        np.testing.assert_allclose(found.boxes, expected[:, :4], atol=2e-3)
        np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-5)
        np.testing.assert_allclose(found.landmarks, np.asarray(points, np.float64), atol=2e-3)


def test_the_pictures_put_every_stage_to_the_test(cascade: Cascade) -> None:
    counts = {
        name: len(cascade(lay_out(p, ATTEMPTS[0])[0], (0.6, 0.7, 0.7), MIN_FACE).boxes)
        for name, p in pictures().items()
    }
    assert counts["photo"] == 1
    assert counts["crowd"] == 2
    assert counts["noise"] == 0


@pytest.mark.parametrize("side", [1, 39, 40, 41])
def test_an_image_of_the_smallest_faces_size_or_less_is_no_error(cascade: Cascade, side: int) -> None:
    assert cascade(np.full((side, side, 3), 128, np.uint8), (0.6, 0.7, 0.7), MIN_FACE).landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize("most", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("count", [0, 1, 300, 3000])
def test_suppression_is_torchvisions(most: float, count: int) -> None:
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 100, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 60, (count, 2))], axis=1).astype(np.float32)
    scores = rng.uniform(0, 1, count).astype(np.float32)
    expected = nms(torch.from_numpy(boxes), torch.from_numpy(scores), most).numpy()
    np.testing.assert_array_equal(suppress(boxes, scores, most), expected)


def test_a_box_within_another_is_one_face_by_the_smaller_box_alone() -> None:
    boxes = np.array([[0, 0, 99, 99], [10, 10, 29, 29], [95, 95, 194, 194]], np.float32)
    scores = np.array([0.9, 0.8, 0.95], np.float32)
    assert suppress(boxes, scores, 0.7).tolist() == [2, 0, 1]
    assert suppress(boxes, scores, 0.7, within=True).tolist() == [2, 0]


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = weights.shipped(mtcnn.NAME)
    monkeypatch.setattr(weights, "shipped", lambda name: entry._replace(sha256="0" * 64))
    with pytest.raises(ModelError, match=r"mtcnn\.safetensors has SHA-256 374f"):
        Cascade()


def test_nobodys_own_file_takes_the_place_of_the_shipped_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path))
    weights.install(mtcnn.NAME, "detector", b"something else", {})
    Cascade()
    assert weights.shipped(mtcnn.NAME).shipped
    with pytest.raises(ModelError, match="not among the shipped ones"):
        weights.shipped("somebody's")
