import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from forensic import weights
from forensic.datasets import synthetic
from forensic.datasets.synthetic import Person, Variation
from forensic.errors import ModelError, UsageError
from forensic.faces import PORTRAIT, priors, warp
from forensic.faces.align import similarity
from forensic.faces.priors import MIRRORED, PARSING_CLASSES, PriorNetwork, Priors, locate, merged
from forensic.images import to_tensor


@pytest.fixture(scope="module")
def people() -> list[tuple[Image.Image, np.ndarray]]:
    """Aligned photos and drawings of people that nobody is, and where their landmarks truly are."""
    made = []
    for seed in range(6):
        person, variation = Person.sample(seed), Variation.sample(seed, 0.5)
        truth = synthetic.landmarks(person, variation)
        drawn = synthetic.draw_sketch(person, variation, np.random.default_rng(seed), 0.0)
        for picture in (synthetic.draw_photo(person, variation), drawn):
            a, t = similarity(truth, PORTRAIT.landmarks)
            moved = truth @ (1, 1j) * a + t
            image = warp(picture.convert("RGB"), truth, PORTRAIT)
            made.append((image, np.stack([moved.real, moved.imag], axis=1)))
    return made


def test_landmarks_are_found_on_photos_and_drawings(people) -> None:
    images, truth = zip(*people, strict=True)
    points = priors.landmarks(to_tensor(list(images)))
    eyes = PORTRAIT.landmarks[1, 0] - PORTRAIT.landmarks[0, 0]
    distance = np.linalg.norm(points.places.numpy() - np.stack(truth), axis=2).mean(axis=1) / eyes
    assert np.median(distance) < 0.1
    assert distance.max() < 0.25
    assert points.confidence.median() > 0.5


def test_parts_lie_where_the_landmarks_are(people) -> None:
    """The right eye is the person's own: on the image's left."""
    maps = Priors({"parsing": "priors"})(to_tensor([image for image, _ in people]))["parsing"]
    for k, (_, points) in enumerate(people):
        for point, parts in zip(points[:3], (["right eye", "skin"], ["left eye", "skin"], ["nose"]), strict=True):
            x, y = point.round().astype(int)
            around = maps[k, :, y - 4 : y + 5, x - 4 : x + 5].mean(dim=(1, 2))
            likely = [PARSING_CLASSES[c] for c in around.topk(2).indices]
            assert set(parts) & set(likely), (k, parts, likely)
        assert maps[k, 0, 5:40, 2:12].mean() > 0.8  # a corner is background


def test_saliency_and_depth_separate_the_face_from_what_is_behind(people) -> None:
    found = Priors({"saliency": "priors", "depth": "priors"})(to_tensor([image for image, _ in people]))
    for maps in found.values():
        assert maps.shape == (len(people), 1, 256, 256)
        assert maps.min() >= 0
        assert maps.max() <= 1
        assert (maps[:, 0, 150, 128] > maps[:, 0, 10, 5] + 0.3).all()
    depth = found["depth"][:, 0]
    nose, ears = depth[:, 150:170, 120:136].mean(dim=(1, 2)), depth[:, 150:170, 68:76].mean(dim=(1, 2))
    assert (nose > ears).all()


def test_parsing_is_a_distribution_and_turns_with_the_image(people) -> None:
    parse = Priors({"parsing": "priors"})
    faces = to_tensor([people[0][0]])
    maps, mirrored = parse(faces)["parsing"], parse(faces.flip(-1))["parsing"]
    torch.testing.assert_close(maps.sum(dim=1), torch.ones(1, 256, 256))
    agree = maps.argmax(dim=1) == mirrored.flip(-1)[:, list(MIRRORED)].argmax(dim=1)
    assert agree.float().mean() > 0.93


def test_gradients_reach_the_images_and_not_the_network() -> None:
    parse = Priors({"parsing": "priors", "depth": "priors"})
    images = torch.zeros(1, 3, 64, 64, requires_grad=True)
    maps = parse(images)
    (maps["parsing"][:, 4].mean() + maps["depth"].mean()).backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in parse.parameters())


def test_the_own_network_runs_once_for_all_of_its_kinds(monkeypatch) -> None:
    parse, calls = Priors(dict.fromkeys(priors.KINDS, "priors")), []
    parse.network.register_forward_hook(lambda *_: calls.append(1))
    assert set(parse(torch.zeros(1, 3, 32, 32))) == set(priors.KINDS)
    assert calls == [1]


def test_locate_finds_the_middle_of_a_peak() -> None:
    """A Gaussian around (10.3, 20.6) cells; cells are two pixels wide and begin at half a cell."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    heat = -((columns - 10.3).square() + (rows - 20.6).square()) / (2 * 1.0)
    points = locate(heat.expand(1, 5, -1, -1))
    assert points.places[0, 0].tolist() == pytest.approx([2 * 10.3 + 1, 2 * 20.6 + 1], abs=0.1)
    assert points.confidence.min() > 0.95
    assert locate(torch.zeros(1, 5, 32, 32)).confidence.max() < 0.1


def test_merged_adds_up_by_name() -> None:
    likely = F.softmax(torch.randn(2, 19, 3, 3), dim=1)
    both = merged(likely, {"eyes": ("left eye", "right eye"), "hair": ("hair",)})
    torch.testing.assert_close(both[:, 0], likely[:, 4] + likely[:, 5])
    torch.testing.assert_close(both[:, 1], likely[:, 13])


def test_the_mirror_table_is_its_own_inverse_and_swaps_sides() -> None:
    assert [MIRRORED[k] for k in MIRRORED] == list(range(19))
    for k, name in enumerate(PARSING_CLASSES):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert PARSING_CLASSES[MIRRORED[k]] == swapped


def test_pack_and_read_give_the_same_maps(tmp_path) -> None:
    network = PriorNetwork(widths=(4, 8, 8, 8, 8), decoder=8).eval()
    path = tmp_path / "priors.safetensors"
    path.write_bytes(priors.pack(network))
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for mine, theirs in zip(network(images), priors.read(path, "a hash")(images), strict=True):
            torch.testing.assert_close(mine, theirs, atol=0.02, rtol=0.02)


def test_shipped_weights_are_small_and_have_a_card() -> None:
    (entry,) = (entry for entry in weights.entries(priors.KIND) if entry.shipped)
    assert weights.verified(entry).stat().st_size <= 8 * 2**20
    assert entry.path.with_suffix(".md").is_file()
    assert priors.digest("depth") == entry.sha256


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="Unknown prior 'hair'"):
        Priors({"hair": "priors"})
    with pytest.raises(ModelError, match=r"No parsing network 'bisenet' is installed \(there are: priors\)"):
        Priors({"parsing": "bisenet"})


def test_damaged_weights_are_refused(tmp_path) -> None:
    path = tmp_path / "priors.safetensors"
    path.write_bytes(priors.pack(PriorNetwork(widths=(4, 8, 8, 8, 8), decoder=8)))
    state, about = weights.read(path)
    weights.write(path, {key: value for key, value in state.items() if key != "context.bias"}, about)
    with pytest.raises(ModelError, match="does not fit the network of the face priors"):
        priors.read(path, "another hash")
