"""FSIM and SSIM against independent recomputations; what needs weights; the embedding."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from quality.noisy import noise
from scipy import ndimage

from forensic.errors import FaceError, ImageError, ModelError
from forensic.quality import checkpoints, gauges
from forensic.quality.frechet import frechet_distance
from forensic.quality.metrics import METRICS
from forensic.quality.pairing import Pair, to_grey
from forensic.synthesis.examples import pad


def phase_congruency(image: np.ndarray) -> np.ndarray:
    """Kovesi's phase congruency with FSIM's parameters, computed orientation by orientation."""
    axes = [np.fft.fftfreq(side) for side in image.shape]  # sides are even: the same as MATLAB's shifted range
    down, right = np.meshgrid(*axes, indexing="ij")
    radius, angle = np.hypot(down, right), np.arctan2(-down, right)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    spectrum = np.fft.fft2(image)
    radius[0, 0] = 1
    bands = [np.exp(-(np.log(radius * 6 * 2**s) ** 2) / (2 * np.log(0.55) ** 2)) * low_pass for s in range(4)]
    energies, amplitudes = np.zeros(image.shape), np.zeros(image.shape)
    for direction in np.arange(4) * np.pi / 4:
        turned = np.abs(np.angle(np.exp(1j * (angle - direction))))
        spread = np.exp(-(turned**2) / (2 * (np.pi / 4 / 1.2) ** 2))
        filters = np.array([band * spread for band in bands])
        filters[:, 0, 0] = 0
        responses = np.fft.ifft2(spectrum * filters)
        whole = responses.sum(axis=0)
        mean = whole / (np.abs(whole) + 1e-4)
        product = responses * mean.conj()
        energy = (product.real - np.abs(product.imag)).sum(axis=0)
        power = np.median(np.abs(responses[0]) ** 2) / np.log(2) / (filters[0] ** 2).sum()
        kernels = np.fft.ifft2(filters).real * math.sqrt(image.size)
        # The square of a sum holds every mixed product twice: 2 * (squares) + 4 * (products) is twice the square.
        rayleigh = math.sqrt(power * (kernels.sum(axis=0) ** 2).sum())
        threshold = rayleigh * (math.sqrt(np.pi / 2) + 2 * math.sqrt(2 - np.pi / 2)) / 1.7
        energies += np.maximum(energy - threshold, 0)
        amplitudes += np.abs(responses).sum(axis=0)
    return energies / amplitudes


def reference_fsim(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """FSIM and FSIMc of RGB images (height, width, 3) below 384 pixels, by Zhang et al.'s definitions."""
    yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    planes = [np.moveaxis(image.astype(float) @ yiq.T, -1, 0) for image in (first, second)]
    scharr = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    congruency = [phase_congruency(plane[0]) for plane in planes]
    gradient = [
        np.hypot(*(ndimage.convolve(plane[0], kernel, mode="constant") for kernel in (scharr, scharr.T)))
        for plane in planes
    ]

    def alike(pair: list[np.ndarray], constant: float) -> np.ndarray:
        return (2 * pair[0] * pair[1] + constant) / (pair[0] ** 2 + pair[1] ** 2 + constant)

    weights = np.maximum(*congruency)
    likeness = alike(congruency, 0.85) * alike(gradient, 160)
    chroma = alike([plane[1] for plane in planes], 200) * alike([plane[2] for plane in planes], 200)
    coloured = likeness * (chroma.astype(complex) ** 0.03).real
    return (likeness * weights).sum() / weights.sum(), (coloured * weights).sum() / weights.sum()


@pytest.mark.parametrize("size", [(200, 250), (128, 96)])
def test_fsim_follows_the_authors_conventions(size: tuple[int, int]) -> None:
    first, second = noise(0, size), Image.blend(noise(0, size), noise(1, size), 0.4)
    pair = Pair("grey", first, second)
    expected, _ = reference_fsim(np.asarray(first), np.asarray(second))
    assert 0.3 < expected < 0.98
    assert gauges.fsim(pair) == pytest.approx(expected, abs=1e-5)
    assert gauges.fsimc(pair) == pytest.approx(gauges.fsim(pair), abs=1e-9)


def test_fsimc_counts_colours() -> None:
    first, second = noise(0, colour=True), Image.blend(noise(0, colour=True), noise(1, colour=True), 0.4)
    pair = Pair("colour", first, second)
    expected, coloured = reference_fsim(np.asarray(first), np.asarray(second))
    assert coloured < expected
    assert gauges.fsim(pair) == pytest.approx(expected, abs=2e-4)  # rgb2gray rounds, FSIM's own luminance does not
    assert gauges.fsimc(pair) == pytest.approx(coloured, abs=1e-3)  # piq's YIQ has four digits, the authors' three


def test_ssim_is_the_valid_region_with_a_gaussian_window() -> None:
    first, second = noise(0), Image.blend(noise(0), noise(1), 0.3)
    x, y = (to_grey(image).astype(float) for image in (first, second))
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    kernel = np.outer(window, window) / window.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.convolve(values, kernel)[5:-5, 5:-5]

    (mx, my), (c1, c2) = (mean(x), mean(y)), ((0.01 * 255) ** 2, (0.03 * 255) ** 2)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    expected = ((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()
    assert gauges.ssim(Pair("a", first, second)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", [gauges.ssim, gauges.fsim, gauges.fsimc, gauges.scoot_of])
def test_an_image_is_its_own_likeness(metric) -> None:
    assert metric(Pair("a", noise(3, colour=True), noise(3, colour=True))) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", [gauges.fsim, gauges.fsimc, gauges.scoot_of])
def test_a_blank_image_is_an_error_where_the_metric_is_undefined(metric) -> None:
    with pytest.raises(ImageError, match="the synthesized image has one single grey"):
        metric(Pair("a", Image.new("RGB", (200, 250), "white"), noise(0)))


def test_grey_is_matlabs() -> None:
    colours = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [77, 77, 77]]], np.uint8)
    assert to_grey(Image.fromarray(colours)).tolist() == [[255, 0, 76, 150, 29, 77]]


@pytest.mark.parametrize("net", ["alex", "squeeze", "vgg"])
def test_lpips_never_makes_do_without_its_weights(net: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"needs [\w-]+-[0-9a-f]{{8}}\.pth \(https://.*put it in {tmp_path}"):
        gauges.lpips_by(net)


def test_every_metric_that_lacks_weights_says_so() -> None:
    made, missing = gauges.prepare(METRICS, "photo")
    there = {name for gauge in made for name in gauge.implementations}
    assert set(missing) == {"lpips-alex", "lpips-squeeze", "lpips-vgg", "fid", "inception-score"}
    assert there | set(missing) == set(METRICS)
    assert "pt_inception-2015-12-05-6726825d.pth" in missing["fid"]


def test_a_file_of_another_hash_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    # SHA-256 of nothing begins with e3b0c442
    (folder / "good-e3b0c442.pth").touch()
    (folder / "bad-12345678.pth").touch()
    assert checkpoints.find("https://example.org/good-e3b0c442.pth") == folder / "good-e3b0c442.pth"
    with pytest.raises(ModelError, match=r"SHA-256 e3b0c.*get it again from https://example.org/bad"):
        checkpoints.find("https://example.org/bad-12345678.pth")


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, state: dict[str, torch.Tensor]) -> None:
    """Random weights where published ones belong, and a check that lets them pass: for the plumbing alone."""
    path = tmp_path / "torch" / "hub" / "checkpoints" / url.rsplit("/", 1)[-1]
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    monkeypatch.setattr(checkpoints, "find", lambda url: path)


def test_lpips_runs_with_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

    torch.manual_seed(0)
    stand_in(tmp_path, monkeypatch, SqueezeNet1_1_Weights.IMAGENET1K_V1.url, squeezenet1_1().state_dict())
    distance = gauges.lpips_by("squeeze")
    assert distance(Pair("same", noise(0), noise(0))) == 0
    assert distance(Pair("other", noise(0), noise(1))) > 0


def test_fid_and_inception_score_run_with_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from piq.feature_extractors import fid_inception

    torch.manual_seed(0)
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(fid_inception, "load_state_dict_from_url", lambda url, progress: None)
        patch.setattr(torch.nn.Module, "load_state_dict", lambda module, state: made.append(module))
        with gauges._quiet():
            fid_inception.InceptionV3()
    (network,) = made
    stand_in(tmp_path, monkeypatch, fid_inception.FID_WEIGHTS_URL, network.state_dict())
    gauge = gauges.Inception()
    for seed in range(3):
        assert gauge.add(Pair("a", noise(seed, (64, 64)), noise(seed, (64, 64)))) == {}
    found = gauge.finish()
    assert found["fid"].value == pytest.approx(0, abs=1e-6)
    assert "3 images for 2048 dimensions" in found["fid"].note
    assert found["inception-score"].value is None
    assert "at least 20 pairs" in found["inception-score"].note

    features = np.random.default_rng(0).normal(size=(40, 2048)) * 20  # logits that differ between images
    gauge._synthesized, gauge._target = list(features), list(np.repeat(features[:1], 40, axis=0))
    score = gauge.finish()["inception-score"]
    logits = features @ network.fc.weight.detach().double().numpy().T
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    expected = np.mean(
        [np.exp((part * np.log(part / part.mean(axis=0))).sum(axis=1).mean()) for part in shares.reshape(10, 4, -1)]
    )
    assert score.value == pytest.approx(expected, rel=1e-6)
    assert "targets themselves have 1.0000" in score.note


def test_the_embedding_tells_people_apart_and_reads_both_paddings() -> None:
    gauge = gauges.Embedding("photo")
    same = gauge.add(Pair("same", noise(0), noise(0)))["embedding-cosine"]
    assert same == pytest.approx(1, abs=1e-6)
    padded = gauge.add(Pair("padded", pad(noise(0)), pad(noise(0))))
    assert padded["embedding-cosine"] == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(gauge._target[0], gauge._target[1])
    with pytest.raises(FaceError, match="aligned"):
        gauge.add(Pair("free", noise(0, (300, 300)), noise(0, (300, 300))))
    gauge.add(Pair("other", noise(1), noise(2)))
    found = gauge.finish()["embedding-frechet"]
    assert found.value == pytest.approx(frechet_distance(gauge._synthesized, gauge._target))
    assert "compare only" in found.note
