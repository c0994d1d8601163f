import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from forensic import images, weights
from forensic.backbones.mobilefacenet import MobileFaceNet
from forensic.datasets.synthetic import Made
from forensic.errors import ModelError
from forensic.faces import CROP, PORTRAIT, warp
from forensic.recognition import embedding
from forensic.recognition.embedding import Head


@pytest.fixture
def trunk() -> MobileFaceNet:
    """A network of random weights whose normalisation statistics are not trivial."""
    torch.manual_seed(0)
    network = MobileFaceNet()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs embedder weights in a folder of the test's own."""
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))

    def put(content: bytes, name: str = "test") -> weights.Entry:
        return weights.install(name, embedding.KIND, content, {})

    return put


def faces(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_mobilefacenet_has_the_papers_size() -> None:
    """Chen et al. state 0.99 M parameters; ReLU in place of PReLU takes a few thousand away."""
    count = sum(parameter.numel() for parameter in MobileFaceNet().parameters())
    assert 0.95e6 < count < 1.1e6


def test_a_template_is_mirrored_centred_projected_and_unit(trunk: MobileFaceNet, install) -> None:
    """Oracle: the same steps written out with the network as it was before it was packed."""
    generator = torch.Generator().manual_seed(2)
    means = {"photo": torch.rand(128, generator=generator) * 0.1, "sketch": torch.rand(128, generator=generator) * 0.1}
    projection = torch.randn(128, 20, generator=generator)
    install(embedding.pack(trunk.state_dict(), "mobilefacenet", Head(means, projection)))
    made = embedding.load("test").embed(faces(), "sketch")

    halved = MobileFaceNet()
    halved.load_state_dict({k: v.half().float() if v.is_floating_point() else v for k, v in trunk.state_dict().items()})
    halved.eval()
    with torch.inference_mode():
        grey = (0.299 * faces()[:, :1] + 0.587 * faces()[:, 1:2] + 0.114 * faces()[:, 2:]).repeat(1, 3, 1, 1)
        grey = grey * 127.5 / 128
        feature = normalize(normalize(halved(grey)) + normalize(halved(grey.flip(-1))))
        expected = normalize((feature - means["sketch"]) @ projection).numpy()
    assert made.shape == (3, 20)
    np.testing.assert_allclose(made, expected, atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)


def test_company_changes_no_bit(trunk: MobileFaceNet, install) -> None:
    install(embedding.pack(trunk.state_dict(), "mobilefacenet"))
    embedder = embedding.load("test")
    together = embedder.embed(faces(5), "photo")
    alone = np.concatenate([embedder.embed(face[None], "photo") for face in faces(5)])
    np.testing.assert_array_equal(together, alone)
    assert embedder.embed([], "photo").shape == (0, 128)


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(ModelError, match="forensic models fetch vggface2"):
        embedding.load("vggface2")


def test_altered_weights_are_not_opened(trunk: MobileFaceNet, install) -> None:
    entry = install(embedding.pack(trunk.state_dict(), "mobilefacenet"))
    content = bytearray(entry.path.read_bytes())
    content[-1] ^= 1
    entry.path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        embedding.load("test")


def test_weights_that_do_not_fit_are_refused(trunk: MobileFaceNet, install) -> None:
    state = trunk.state_dict()
    install(embedding.pack({k: v for k, v in state.items() if k != "conv3.bias"}, "mobilefacenet"))
    with pytest.raises(ModelError, match=r"conv3\.bias"):
        embedding.load("test")
    install(weights.pack({"x": torch.zeros(1)}, {"kind": "translator"}), "other")
    with pytest.raises(ModelError, match="not an embedder"):
        embedding.load("other")


def test_the_shipped_embedder_is_whole_and_has_a_card() -> None:
    entry = next(entry for entry in weights.entries(embedding.KIND) if entry.name == embedding.DEFAULT)
    assert entry.shipped
    assert weights.verified(entry).stat().st_size <= 8e6
    card = entry.path.with_suffix(".md").read_text(encoding="utf-8")
    assert entry.sha256 in card
    assert "research" in card


def test_the_shipped_embedder_knows_people_across_modalities(people: list[Made]) -> None:
    """Drawn people are not what it was trained on; most sketches are nearest to their own photo all the same."""
    from forensic.faces import Finder

    finder, embedder = Finder(), embedding.load()
    photos = [finder.one(images.read(made.photos[0]).image) for made in people]
    sketches = [finder.one(images.read(made.sketch).image) for made in people if made.sketch]
    scores = embedder.embed([embedder.view(face) for face in sketches], "sketch") @ (
        embedder.embed([embedder.view(face) for face in photos], "photo").T
    )
    assert (scores.argmax(axis=1) == np.arange(len(people))).mean() >= 0.75
    view = embedder.view(photos[0])
    through = embedder.view(photos[0].portrait)
    assert view.size == through.size == (112, 112)
    assert np.abs(np.asarray(view).astype(float) - np.asarray(through)).mean() < 4


def test_the_inception_architecture_is_facenets(install) -> None:
    """Alternatives come as facenet-pytorch's InceptionResnetV1: a random one packs, loads and describes."""
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    network = InceptionResnetV1(pretrained=None).eval()
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("logits")}
    install(embedding.pack(state, "inception-resnet-v1"))
    embedder = embedding.load("test")
    assert embedder.dimension == 512
    made = embedder.embed(torch.zeros(1, 3, 160, 160), "photo")
    assert made.shape == (1, 512)
    assert np.isfinite(made).all()


def test_manifest_trouble_is_a_model_error(install, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir(exist_ok=True)
    (tmp_path / "weights" / "manifest.json").write_text(json.dumps({"test": {"file": 3}}))
    with pytest.raises(ModelError, match="manifest"):
        weights.entries()


def test_the_frames_of_alternatives_hold_the_face() -> None:
    blank = warp(images.Image.new("RGB", (256, 256)), PORTRAIT.landmarks, CROP)
    assert blank.size == (112, 112)
    for architecture in embedding.ARCHITECTURES.values():
        inside = (architecture.frame.landmarks > 0) & (architecture.frame.landmarks < architecture.frame.size)
        assert inside.all()
