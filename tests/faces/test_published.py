"""Adapters of published networks, with small random state dicts of the right names and shapes."""

import hashlib
import io
import pickle
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from forensic import models, weights
from forensic.backbones.bisenet import BiSeNet
from forensic.backbones.mobilenet_v1 import MobileNetV1
from forensic.backbones.u2net import U2Net
from forensic.errors import ModelError
from forensic.faces import published
from forensic.faces.align import PORTRAIT
from forensic.faces.priors import PARSING_CLASSES
from forensic.faces.published import BISENET_CLASSES, BiSeNetParsing, ThreeDDFADepth, U2NetSaliency

CONVERTER = Path(__file__).parents[2] / "experiments" / "convert_3ddfa.py"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))
    torch.manual_seed(0)


def imported(content: bytes, name: str, folder: Path) -> weights.Entry:
    path = folder / "published"
    path.write_bytes(content)
    return models.import_file(path, name=name, sha256=hashlib.sha256(content).hexdigest())


def saved(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "network", "kind", "channels"),
    [("bisenet", BiSeNet, "parsing", 19), ("u2netp", lambda: U2Net("small"), "saliency", 1)],
)
def test_a_published_checkpoint_becomes_a_prior(
    name: str, network: Any, kind: str, channels: int, tmp_path: Path
) -> None:
    state = network().state_dict()
    entry = imported(saved({f"module.{key}": value for key, value in state.items()}), name, tmp_path)
    assert (entry.kind, entry.about["architecture"]) == (kind, name)
    prior = published.load(entry)
    assert (prior.name, prior.digest) == (name, entry.sha256)
    assert not prior.train().training
    faces = (torch.rand(1, 3, 64, 64) * 2 - 1).requires_grad_()
    maps = prior(faces)
    assert maps.shape == (1, channels, 64, 64)
    assert 0 <= maps.min() <= maps.max() <= 1
    if kind == "parsing":
        torch.testing.assert_close(maps.sum(dim=1), torch.ones(1, 64, 64))
    maps[:, :1].square().mean().backward()
    assert faces.grad is not None
    assert faces.grad.abs().max() > 0
    assert not [parameter for parameter in prior.parameters() if parameter.grad is not None]


class Says(nn.Module):
    """A network that always gives the same answer, and keeps what it was asked."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer, self.asked = answer, torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        self.asked = images
        return self.answer.expand(len(images), -1, *images.shape[2:])


def test_every_class_keeps_its_meaning() -> None:
    assert sorted(BISENET_CLASSES) == sorted(PARSING_CLASSES)
    assert [BISENET_CLASSES.index(name) for name in ("skin", "glasses", "nose", "neck", "hair", "hat")] == [
        *(1, 6, 10, 14, 17, 18)
    ]
    prior = BiSeNetParsing("bisenet", "")
    for k, name in enumerate(BISENET_CLASSES):
        prior.network = Says(100.0 * nn.functional.one_hot(torch.tensor(k), 19).view(1, 19, 1, 1))
        assert PARSING_CLASSES[int(prior(torch.zeros(1, 3, 8, 8)).mean(dim=(2, 3)).argmax())] == name


def test_networks_see_images_as_in_their_publishers_tests() -> None:
    parsing, saliency = BiSeNetParsing("bisenet", ""), U2NetSaliency("u2netp", "", size="small")
    grey = torch.zeros(1, 3, 8, 8)
    for prior, side, value in ((parsing, 512, 0.5), (saliency, 320, 1.0)):  # U2-Net's test divides by the maximum
        prior.network = Says(torch.zeros(1, 19, 1, 1))
        prior(grey)
        expected = (value - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
        torch.testing.assert_close(prior.network.asked, expected.view(1, 3, 1, 1).expand(1, 3, side, side))


def test_a_portrait_is_dark_lines_on_white_and_maps_are_stretched() -> None:
    ramp = torch.linspace(0.2, 0.6, 320).view(1, 1, 1, 320)
    plain = U2NetSaliency("u2netp", "", size="small")
    plain.network = Says(ramp)
    foreground = plain(torch.zeros(1, 3, 320, 320))
    assert (foreground[0, 0, 0, 0].item(), foreground[0, 0, 0, -1].item()) == (0, 1)
    drawing = U2NetSaliency("u2net-portrait", "", size="small", portrait=True)
    assert drawing.side == 512
    drawing.side, drawing.network = 320, Says(ramp)
    torch.testing.assert_close(drawing(torch.zeros(1, 3, 320, 320)), 1 - foreground)
    plain.network = Says(torch.full((1, 1, 1, 1), 0.3))
    assert plain(torch.zeros(1, 3, 8, 8)).abs().max() == 0


@pytest.mark.parametrize("name", ["bisenet", "u2net", "u2net-portrait"])
def test_missing_tensors_are_named(name: str, tmp_path: Path) -> None:
    state = U2Net("small").state_dict()
    del state["outconv.weight"]
    with pytest.raises(ModelError, match="does not fit"):
        imported(saved(state), name, tmp_path)
    with pytest.raises(ModelError, match=r"lacks 1 tensors \(outconv.weight\)"):
        published.pack(state, "u2netp")
    assert not weights.entries("saliency")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    packed = weights.pack({"a": torch.zeros(1)}, {"kind": "parsing", "architecture": "segformer"})
    with pytest.raises(ModelError, match="not a published prior"):
        published.load(weights.install("other", "parsing", packed, {}))
    packed = published.pack(U2Net("small").state_dict(), "u2netp")
    with pytest.raises(ModelError, match="its manifest says parsing"):
        published.load(weights.install("u2netp", "parsing", packed, {}))


TRIANGLES = np.array([[0, 1, 2], [1, 3, 2]], np.int32)


def square_face() -> dict[str, np.ndarray]:
    """A model whose face is always a square of half the crop, nearer on its right, whatever the image shows."""
    corners = np.array([[31, 89.5, 0], [91, 89.5, 10], [31, 29.5, 0], [91, 29.5, 10]], np.float32) - (0.5, -1, 0)
    network = {key: value.numpy() for key, value in MobileNetV1().state_dict().items()}
    network |= {"fc.weight": np.zeros((62, 1024), np.float32), "fc.bias": np.zeros(62, np.float32)}
    mean = np.zeros(62, np.float32)
    mean[:12] = np.eye(3, 4).ravel()
    return {
        "mean": mean,
        "deviation": np.ones(62, np.float32),
        "u": corners.astype(np.float32).ravel(),
        "shape": np.zeros((12, 40), np.float32),
        "expression": np.zeros((12, 10), np.float32),
        "triangles": TRIANGLES,
        **{f"network.{key}": value for key, value in network.items() if "num_batches" not in key},
    }


def npz(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [128, 256])
def test_depth_lies_where_the_mesh_is(size: int, tmp_path: Path) -> None:
    prior = published.load(imported(npz(square_face()), "3ddfa-v2", tmp_path))
    assert isinstance(prior, ThreeDDFADepth)
    depth = prior(torch.rand(1, 3, size, size) * 2 - 1)
    assert depth.shape == (1, 1, size, size)
    left, top, side = published._square(depth)
    middle = (top + side / 2, left + side / 2)
    eyes = PORTRAIT.landmarks[:2].mean(axis=0) * size / 256
    assert top < eyes[1] < top + side / 2
    rows, columns = np.nonzero(depth[0, 0].numpy())
    np.testing.assert_allclose((rows.mean() + 0.5, columns.mean() + 0.5), middle, atol=1.0)
    np.testing.assert_allclose((np.ptp(rows), np.ptp(columns)), side / 2, atol=2.0)
    across = depth[0, 0, int(middle[0])]
    lit = across[across > 0]
    assert (lit.diff() > 0).all()
    assert lit[-1] > 0.95
    with pytest.raises(ValueError, match="square"):
        prior(torch.zeros(1, 3, 64, 80))


def test_the_face_is_cut_out_and_black_beyond_the_border() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4) / 16
    torch.testing.assert_close(published._cut(image, 1, 1, 2, 2), image[:, :, 1:3, 1:3])
    assert published._cut(image, -8, 0, 4, 4).eq(-1).all()


def test_a_wrong_depth_file_is_refused(tmp_path: Path) -> None:
    for content, message in (
        (b"nothing", "not an npz"),
        (npz({"u": np.array([Path()], dtype=object)}), "not an npz"),
        (npz({"u": np.zeros(3, np.float32)}), r"lacks \['triangles'\]"),
        (npz({key: value for key, value in square_face().items() if key != "network.fc.bias"}), "network.fc.bias"),
        (npz(square_face() | {"triangles": TRIANGLES + 1}), "beyond its 4"),
    ):
        with pytest.raises(ModelError, match=message):
            imported(content, "3ddfa-v2", tmp_path)
    assert not weights.entries("depth")


def test_the_rasterizer_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.uniform((-4, -4, 0), (20, 16, 1), (12, 3)).astype(np.float32)
    triangles = rng.integers(0, 12, (9, 3)).astype(np.int32)
    expected = np.zeros((12, 16))
    for triangle in vertices[triangles].astype(float):
        plane = np.c_[triangle[:, :2], np.ones(3)].T
        if abs(np.linalg.det(plane)) < 1e-9:
            continue
        for row in range(12):
            for column in range(16):
                inside = np.linalg.solve(plane, (column + 0.5, row + 0.5, 1))
                if (inside >= 0).all():
                    expected[row, column] = max(expected[row, column], inside @ triangle[:, 2])
    np.testing.assert_allclose(published.rasterize(vertices, triangles, (12, 16)), expected, atol=1e-5)


def test_official_files_are_converted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not CONVERTER.is_file():
        pytest.skip("experiments/ is not part of this copy")
    face = square_face()
    state = {key.replace("network.", "module."): torch.from_numpy(face[key]) for key in face if key.startswith("net")}
    state = {key.replace("fc.", "fc_param."): value for key, value in state.items()} | {"module.other": torch.ones(1)}
    (tmp_path / "mb1.pth").write_bytes(saved({"state_dict": state, "epoch": 3}))
    angle, height = (grid.ravel() for grid in np.meshgrid(np.linspace(-1.4, 1.4, 40), np.linspace(-1, 1, 30)))
    u = np.stack([np.sin(angle), height, np.cos(angle)], axis=1).astype(np.float32)
    basel = {"u": u.reshape(-1, 1), "w_shp": np.zeros((3600, 40)), "w_exp": np.zeros((3600, 10)), "tri": TRIANGLES}
    (tmp_path / "bfm.pkl").write_bytes(pickle.dumps(basel))
    (tmp_path / "std.pkl").write_bytes(pickle.dumps({"mean": face["mean"], "std": face["deviation"]}))
    files = [str(tmp_path / name) for name in ("mb1.pth", "bfm.pkl", "std.pkl", "3ddfa.npz")]
    monkeypatch.setattr(sys, "argv", ["convert", *files])
    runpy.run_path(str(CONVERTER), run_name="__main__")
    command = capsys.readouterr().out.split()
    entry = models.import_file(Path(files[-1]), name=command[5], sha256=command[7])
    prior = published.load(entry)
    corners = u[prior.get_buffer("triangles").numpy()]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert areas.sum() == pytest.approx(2 * 2.8, rel=0.01)  # the whole half pipe, once


def test_the_converter_makes_nothing_but_arrays(tmp_path: Path) -> None:
    if not CONVERTER.is_file():
        pytest.skip("experiments/ is not part of this copy")
    read = runpy.run_path(str(CONVERTER))["read_pickle"]
    path = tmp_path / "file.pkl"
    for hostile in (Path("attacked"), np.load, eval):
        path.write_bytes(pickle.dumps(hostile))
        with pytest.raises(pickle.UnpicklingError, match="only numpy arrays"):
            read(path)
