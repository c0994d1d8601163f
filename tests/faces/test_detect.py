import numpy as np
import pytest
from PIL import Image

from forensic.datasets import synthetic
from forensic.errors import FaceError, UsageError
from forensic.faces import Face, Finder, detect, read_landmarks
from forensic.faces.align import ARCFACE
from forensic.faces.detect import ATTEMPTS, Attempt, Detector, lay_out, plausible


class Fake:
    """A detector with prepared answers."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, image: Image.Image) -> list[Face]:
        return self.faces


def face(size: float = 1.0, method: str = "mtcnn") -> Face:
    landmarks = (ARCFACE * size).astype(np.float32)
    return Face(np.array([0, 0, 112 * size, 112 * size], np.float32), landmarks, 0.99, method)


PICTURE = Image.new("RGB", (300, 300), "white")


def test_layout_maps_the_image_to_the_canvas_and_back() -> None:
    image = Image.new("RGB", (100, 200))
    image.putpixel((50, 100), (255, 255, 255))
    canvas, scale, offset = lay_out(image, Attempt("test", side=400, margin=10))
    assert canvas.shape == (420, 420, 3)
    assert scale == 2
    row, column = np.unravel_index(canvas[..., 0].argmax(), canvas.shape[:2])
    np.testing.assert_allclose((np.array([column, row]) - offset) / scale, (50, 100), atol=1)


def test_darkening_turns_strokes_into_shades() -> None:
    paper = np.full((64, 64, 3), 255, np.uint8)
    paper[:, 32] = 0
    canvas, _, _ = lay_out(Image.fromarray(paper), Attempt("test", side=64, margin=0, blur=2.0))
    assert canvas[32, 34, 0] < 255
    assert canvas[32, 34, 0] > canvas[32, 32, 0]


def test_the_largest_face_is_taken_with_a_warning_unless_one_is_asked_for() -> None:
    finder = Finder(Fake(face(1.5), face(1.0)))
    found = finder.one(PICTURE)
    assert found.face.height == 168
    assert "2 faces" in found.warnings[0]
    assert "--face" in found.warnings[0]
    assert finder.one(PICTURE, face=2).face.height == 112
    assert finder.one(PICTURE, face=2).warnings == ()
    with pytest.raises(FaceError, match="face 3 was asked for, and 2 found"):
        finder.one(PICTURE, face=3)


def test_a_lenient_find_is_reported_and_a_sound_one_is_not() -> None:
    for attempt in ATTEMPTS:
        warnings = Finder(Fake(face(method=attempt.method))).one(PICTURE).warnings
        assert bool(warnings) != attempt.sound, attempt.method


def test_no_face_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(FaceError, match="--landmarks"):
        Finder(Fake()).one(PICTURE)
    assert isinstance(Finder(Fake()).find([PICTURE])[0], FaceError)


def test_landmarks_by_hand_skip_the_search() -> None:
    found = Finder(Fake()).one(PICTURE, landmarks=ARCFACE * 2)
    assert found.face.method == "manual"
    np.testing.assert_allclose(found.face.landmarks, ARCFACE * 2, rtol=1e-6)


@pytest.mark.parametrize(
    "points", [np.zeros((4, 2)), np.full((5, 2), np.nan), np.ones((5, 2)), ARCFACE[[3, 4, 2, 0, 1]], ARCFACE + 1000]
)
def test_landmarks_that_are_no_face_are_refused(points: np.ndarray) -> None:
    with pytest.raises(UsageError):
        Finder(Fake()).one(PICTURE, landmarks=points)


def test_read_landmarks_from_text_and_file(tmp_path) -> None:
    path = tmp_path / "points.json"
    path.write_text("[[1,2],[3,4],[5,6],[7,8],[9,10]]")
    np.testing.assert_array_equal(read_landmarks(path), read_landmarks("1,2 3,4 5,6 7,8 9,10"))
    for wrong in ("1,2 3,4", "a,b c,d e,f g,h i,j", "[[1,2]]", "1,2,3 4,5,6 7,8,9 1,2,3 4,5,6"):
        with pytest.raises(UsageError, match="five points"):
            read_landmarks(wrong)


def test_plausible_turns_with_the_face() -> None:
    turned = (ARCFACE @ (1, 1j)) * np.exp(0.6j)
    assert plausible(np.stack([turned.real, turned.imag], axis=1))
    assert not plausible(ARCFACE * (1, -1))


@pytest.mark.parametrize("kind", ["blank", "noise", "gradient"])
def test_mtcnn_finds_no_face_where_there_is_none(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    picture = {
        "blank": Image.new("RGB", (200, 200), "white"),
        "noise": Image.fromarray(noise),
        "gradient": Image.linear_gradient("L").convert("RGB"),
    }[kind]
    assert Detector().detect(picture) == []


@pytest.fixture(scope="module")
def without_mtcnn() -> Detector:
    """What is left when every attempt of MTCNN fails."""
    return Detector(attempts=())


@pytest.mark.parametrize("seed", range(4))
def test_the_priors_find_a_drawn_face_that_nothing_else_finds(without_mtcnn: Detector, seed: int) -> None:
    person, variation = synthetic.Person.sample(seed), synthetic.Variation.sample(seed, 0.5)
    truth = synthetic.landmarks(person, variation)
    drawing = synthetic.draw_sketch(person, variation, np.random.default_rng(seed), 0.0).convert("RGB")
    page = Image.new("RGB", (drawing.width + 300, drawing.height + 200), "white")
    page.paste(drawing, (180, 90))
    found = Finder(without_mtcnn).one(page)
    eyes = np.linalg.norm(truth[1] - truth[0])
    assert np.linalg.norm(found.face.landmarks - truth - (180, 90), axis=1).mean() < 0.15 * eyes
    assert found.face.method == detect.BY_PRIORS
    assert "lenient attempt 'priors'" in found.warnings[0]
    left, top, right, bottom = found.face.box
    assert left < truth[:, 0].min() + 180 < truth[:, 0].max() + 180 < right
    assert top < truth[:, 1].min() + 90 < truth[:, 1].max() + 90 < bottom


def test_the_priors_find_no_face_where_there_is_none(without_mtcnn: Detector) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (200, 160, 3)).astype(np.uint8))
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 200).astype(np.uint8), (150, 1))).convert("RGB")
    for image in (noise, ramp, PICTURE, Image.new("RGB", (1, 1))):
        assert without_mtcnn.detect(image) == []
