"""Quality metrics against their definitions, hand-made values and independent recomputations."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import linalg, ndimage

from forensic.errors import DataError, FaceError, ImageError, ModelError, UsageError
from forensic.quality import checkpoints, gauges
from forensic.quality.frechet import frechet_distance
from forensic.quality.measuring import measure
from forensic.quality.metrics import METRICS
from forensic.quality.pairing import Pair, match, read, to_grey
from forensic.quality.scoot import OFFSETS, cooccurrences, features, quantized, scoot
from forensic.synthesis.examples import pad


@pytest.fixture(autouse=True)
def _no_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def noise(seed: int, size: tuple[int, int] = (200, 250), *, colour: bool = False) -> Image.Image:
    """Smooth noise of all greys or colours."""
    shape = (size[1] // 5 + 1, size[0] // 5 + 1, 3 if colour else 1)
    small = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(np.broadcast_to(small, (*shape[:2], 3)).copy()).resize(size)


def grey(seed: int, size: tuple[int, int] = (200, 250)) -> np.ndarray:
    return to_grey(noise(seed, size))


# SCOOT


def test_cooccurrences_are_those_of_matlab_by_hand() -> None:
    levels = np.array([[0, 0, 1], [1, 2, 3], [1, 3, 2]])
    by_hand = {
        (0, 1): {(0, 0): 1, (0, 1): 1, (1, 2): 1, (2, 3): 1, (1, 3): 1, (3, 2): 1},
        (-1, 1): {(1, 0): 1, (2, 1): 1, (1, 2): 1, (3, 3): 1},
        (-1, 0): {(1, 0): 1, (2, 0): 1, (3, 1): 1, (1, 1): 1, (3, 2): 1, (2, 3): 1},
        (-1, -1): {(2, 0): 1, (3, 0): 1, (3, 1): 1, (2, 2): 1},
    }
    for offset, expected in by_hand.items():
        found = cooccurrences(levels, offset)
        assert {(i, j): found[i, j] for i, j in np.argwhere(found).tolist()} == expected, offset


def test_quantisation_is_matlabs() -> None:
    greys = np.arange(256, dtype=np.uint8)[None]
    levels = quantized(greys)[0]
    assert levels.min() == 0
    assert levels.max() == 5
    assert (np.flatnonzero(np.diff(levels)) + 1).tolist() == [43, 85, 128, 170, 213]


def brute_force_scoot(target: np.ndarray, synthesized: np.ndarray) -> float:
    """The measure pixel by pixel, from the authors' description."""
    total = 0.0
    height, width = target.shape
    for k in range(4):
        for m in range(4):
            edges = slice(height * k // 4, height * (k + 1) // 4), slice(width * m // 4, width * (m + 1) // 4)
            statistics = []
            for block in (target[edges].tolist(), synthesized[edges].tolist()):
                counts = [[0.0] * 6 for _ in range(6)]
                for y, row in enumerate(block):
                    for x, value in enumerate(row):
                        for down, right in OFFSETS:
                            if 0 <= y + down < len(block) and 0 <= x + right < len(row):
                                i, j = (min(6 * v // 255, 5) for v in (value, block[y + down][x + right]))
                                counts[i][j] += 0.25
                rounded = [[math.floor(count + 0.5) for count in row] for row in counts]
                whole = sum(map(sum, rounded))
                contrast = sum((i - j) ** 2 * rounded[i][j] for i in range(6) for j in range(6)) / whole
                energy = sum((count / whole) ** 2 for row in rounded for count in row)
                statistics.append((contrast, energy))
            total += sum((a - b) ** 2 for a, b in zip(*statistics, strict=True))
    return 1 / (1 + math.sqrt(total))


@pytest.mark.parametrize("size", [(40, 50), (37, 45)])
def test_scoot_is_its_definition(size: tuple[int, int]) -> None:
    for seed in range(4):
        target, synthesized = grey(2 * seed, size), grey(2 * seed + 1, size)
        assert scoot(target, synthesized) == pytest.approx(brute_force_scoot(target, synthesized), abs=1e-12)


def test_scoot_is_one_for_itself_and_symmetric() -> None:
    a, b = grey(0), grey(1)
    assert features(a).shape == (32,)
    assert scoot(a, a) == 1
    assert scoot(a, b) == scoot(b, a)
    assert 0 < scoot(a, b) < 1


def test_scoot_knows_strokes_from_their_blur() -> None:
    """A sketch with other strokes of the same kind is nearer than a blurred one: what the measure was made for."""
    draw = np.random.default_rng(0)
    strokes, others = (draw.integers(0, 2, (250, 200)).astype(np.uint8) * 255 for _ in range(2))
    blurred = ndimage.gaussian_filter(strokes, 2)
    assert scoot(strokes, others) > 0.5 > scoot(strokes, blurred)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((250, 200), 200, np.uint8), "one single grey"),
        (np.eye(7, dtype=np.uint8), "at least 8 x 8"),
        (np.eye(90), "uint8"),
        (grey(1, (200, 251)), "one size"),
    ],
)
def test_what_scoot_refuses(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scoot(grey(0), image)


# FSIM and SSIM


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


# Frechet distance


def with_moments(mean: np.ndarray, deviations: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Features with exactly this mean and this diagonal covariance."""
    raw = np.random.default_rng(seed).normal(size=(count, len(mean)))
    orthogonal, _ = np.linalg.qr(raw - raw.mean(axis=0))
    return orthogonal * math.sqrt(count - 1) * deviations + mean


@pytest.mark.parametrize("count", [6, 40])
def test_frechet_distance_of_diagonal_covariances(count: int) -> None:
    means = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.0, 1.0, 0.5, -1.0])
    deviations = np.array([1.0, 2.0, 0.5, 0.0]), np.array([3.0, 1.0, 0.25, 1.0])
    sets = [with_moments(mean, spread, count, 1) for mean, spread in zip(means, deviations, strict=True)]
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(*sets) == pytest.approx(expected)


def test_frechet_distance_is_the_formula_with_a_matrix_root() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(50, 6)) @ draw.normal(size=(6, 6)), draw.normal(size=(30, 6)) + 1
    sa, sb = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(sa @ sb)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sa + sb - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_of_fewer_images_than_dimensions() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(5, 400)), draw.normal(size=(7, 400))
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(4 * 400)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    for wrong in (a[:1], a[:, :3], a * np.nan):
        with pytest.raises(ValueError, match=r"Expected|finite"):
            frechet_distance(wrong, b)


# Weights


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


# The embedding


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


# Files


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made, targets = tmp_path / "made", tmp_path / "targets"
    made.mkdir()
    targets.mkdir()
    return made, targets


def test_files_belong_together_by_stem(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    for name in ("a-synthetic.png", "b.png", "c-synthetic.png", "left-synthetic.png"):
        (made / name).touch()
    for name in ("a.jpg", "b.png", "c-synthetic.png", "over.jpg"):
        (targets / name).touch()
    found = match(made, targets)
    assert [(files.name, files.synthesized.name, files.target.name) for files in found.pairs] == [
        ("a", "a-synthetic.png", "a.jpg"),
        ("b", "b.png", "b.png"),
        ("c-synthetic", "c-synthetic.png", "c-synthetic.png"),
    ]
    assert found.synthesized_only == [made / "left-synthetic.png"]
    assert found.target_only == [targets / "over.jpg"]


def test_what_cannot_be_matched(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    with pytest.raises(DataError, match="is no folder"):
        match(made / "nowhere", targets)
    (made / "a.png").touch()
    (targets / "b.png").touch()
    with pytest.raises(DataError, match="rename the files"):
        match(made, targets)
    (targets / "a.png").touch()
    (made / "a-synthetic.png").touch()
    with pytest.raises(DataError, match=r"a-synthetic\.png and .*a\.png both stand for 'a'"):
        match(made, targets)


def test_padding_is_cropped_away(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    face = noise(0)
    pad(face).save(made / "a-synthetic.png")
    face.save(targets / "a.png")
    (files,) = match(made, targets).pairs
    pair = read(files)
    assert pair.synthesized.size == (200, 250)
    np.testing.assert_array_equal(np.asarray(pair.synthesized), np.asarray(face))
    with pytest.raises(ImageError, match=r"256 x 256 and .* is 200 x 250\. Give"):
        read(files, crop=False)
    noise(0, (199, 250)).save(targets / "a.png")
    with pytest.raises(ImageError, match=r"200 x 250 and .* 199 x 250 after cropping"):
        read(files)
    for folder in folders:
        noise(0, (63, 80)).save(next(folder.iterdir()))
    with pytest.raises(ImageError, match="at least 64"):
        read(files)


def test_measure_means_deviations_and_intervals(folders: tuple[Path, Path]) -> None:
    made, targets = folders
    for seed in range(4):
        Image.blend(noise(seed), noise(9), 0.1 * seed).save(made / f"{seed}.png")
        noise(seed).save(targets / f"{seed}.png")
    told = []
    found = measure(made, targets, metrics=["ssim"], progress=lambda *done: told.append(done))
    values = [values["ssim"] for _, values in found.rows]
    (figure,) = found.figures
    assert values[0] == pytest.approx(1)
    assert figure.n == 4
    assert figure.value == pytest.approx(np.mean(values))
    assert figure.sd == pytest.approx(np.std(values, ddof=1))
    assert figure.interval is not None
    assert min(values) <= figure.interval[0] < figure.value < figure.interval[1] <= 1
    assert told == [(done, 4) for done in range(1, 5)]
    assert found.sizes == {(200, 250): 4}


def test_measure_with_one_pair_has_no_spread(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        noise(0).save(folder / "a.png")
    cosine, frechet = measure(*folders, metrics=["embedding-cosine", "embedding-frechet"]).figures
    assert cosine.sd is None
    assert cosine.interval is None
    assert frechet.value is None
    assert "at least 2 pairs" in frechet.missing


def test_measure_without_anything_to_measure(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        (folder / "a.png").write_text("no image")
    with pytest.raises(ImageError, match="None of 1 pairs"):
        measure(*folders, metrics=["ssim"])
    with pytest.raises(UsageError, match=r"Unknown metric 'psnr'\. Known: ssim, "):
        measure(*folders, metrics=["psnr"])
    with pytest.raises(ModelError, match=r"Nothing can be measured: fid needs pt_inception"):
        measure(*folders, metrics=["fid"])
