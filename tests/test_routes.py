import numpy as np
import pytest
import torch

from forensic import images, routes
from forensic.datasets.synthetic import Made
from forensic.errors import ModelError, UsageError
from forensic.faces import Aligned, Finder, priors


@pytest.fixture(scope="module")
def face(people: list[Made]) -> Aligned:
    return Finder().one(images.read(people[0].photos[0]).image)


@pytest.mark.parametrize(
    "name", ["", "direkt", "sketch-to-photo:", "photo-to-sketch", "direct@", "sketch-to-sketch:pencil"]
)
def test_unknown_names_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError, match="sketch-to-photo:METHOD"):
        routes.load(name)


def test_the_landmarks_of_the_priors_belong_to_the_alignment() -> None:
    """Whoever changes the priors' weights changes templates: ALIGNMENT and LANDMARKS change with them."""
    assert priors.digest("parsing") == routes.LANDMARKS


@pytest.mark.parametrize("name", ["sketch-to-photo:lle", "photo-to-sketch:lle"])
def test_exemplars_make_no_route(name: str) -> None:
    with pytest.raises(UsageError, match="--exemplars DIR"):
        routes.load(name)


def test_a_method_cannot_translate_the_wrong_way() -> None:
    with pytest.raises(UsageError, match="pencil"):
        routes.load("sketch-to-photo:pencil")
    with pytest.raises(UsageError, match="nosuch"):
        routes.load("photo-to-sketch:nosuch")


def test_an_absent_embedder_names_its_command() -> None:
    with pytest.raises(ModelError, match="forensic models"):
        routes.load("direct@vggface2")


def test_spaces_follow_what_makes_the_gallerys_templates() -> None:
    """Translating the probe leaves the gallery's templates alone; translating the gallery does not."""
    direct, probe = routes.load("direct"), routes.load("sketch-to-photo:pix2pix")
    gallery = routes.load("photo-to-sketch:pencil")
    assert direct.space == probe.space
    assert direct.space != gallery.space
    assert probe.gallery_route == "direct"
    assert gallery.gallery_route == "photo-to-sketch:pencil"
    assert set(probe.models) == {direct.embedder.name, "pix2pix"}


def test_modalities(face: Aligned) -> None:
    """Each side is described as what it is when it reaches the embedder."""
    expected = {
        "direct": ("sketch", "photo"),
        "sketch-to-photo:pix2pix": ("photo", "photo"),
        "photo-to-sketch:pencil": ("sketch", "sketch"),
    }
    for name, (probe, gallery) in expected.items():
        route = routes.load(name)
        assert (route.modality("probe"), route.modality("gallery")) == (probe, gallery)


def test_only_the_translated_side_is_translated(face: Aligned) -> None:
    route = routes.load("photo-to-sketch:pencil")
    drawn, left = route.portraits([face], "gallery"), route.portraits([face], "probe")
    torch.testing.assert_close(left, images.to_tensor([face.portrait]))
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert not torch.equal(drawn, left)
    template = route.describe([face], "gallery")
    assert template.shape == (1, route.embedder.dimension)
    assert not np.allclose(template, route.describe([face], "probe"))
