"""What measures: each gauge holds one model, or none, and gives one or several metrics.

A gauge whose weights are missing raises ``ModelError`` when it is made.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from forensic.errors import FaceError, ImageError, ModelError
from forensic.faces.align import FIELD_CROP
from forensic.quality import checkpoints
from forensic.quality.frechet import frechet_distance
from forensic.quality.pairing import PADDED, Pair
from forensic.quality.scoot import scoot

if TYPE_CHECKING:
    from torch import Tensor

    from forensic.recognition.embedding import Modality

SPLITS = 10
"""Parts over which the Inception Score is averaged."""


class SetValue(NamedTuple):
    """A metric of two sets of images.

    Attributes:
        value: The figure; None where the images do not suffice for it.
        note: What to mind in reading it, or why there is none.
    """

    value: float | None
    note: str = ""


class Gauge(ABC):
    """Measures pairs one after another.

    Attributes:
        implementations: What computes each of its metrics, with its version.
    """

    implementations: Mapping[str, str]

    @abstractmethod
    def add(self, pair: Pair) -> dict[str, float]:
        """Values of the metrics that each pair has; features for those of whole sets are kept.

        Raises:
            ImageError: The pair is of no use to this gauge, because an image is blank.
            FaceError: The gauge cannot tell where the face is.
        """

    def finish(self) -> dict[str, SetValue]:
        """Values of the metrics of whole sets, over all pairs that were added."""
        return {}


class PairGauge(Gauge):
    """One metric of pairs, by a function."""

    def __init__(self, name: str, function: Callable[[Pair], float], implementation: str) -> None:
        self.implementations = {name: implementation}
        self._name, self._function = name, function

    def add(self, pair: Pair) -> dict[str, float]:
        """The metric of a pair."""
        return {self._name: self._function(pair)}


def ssim(pair: Pair) -> float:
    """SSIM in grey (Wang et al. 2004): Gaussian window 11, sigma 1.5, mean over the window's valid positions."""
    import piq

    return float(piq.ssim(*_grey_tensors(pair), kernel_size=11, kernel_sigma=1.5, data_range=1.0))


def fsim(pair: Pair) -> float:
    """FSIM in grey (Zhang et al. 2011), in (0, 1].

    Raises:
        ImageError: An image has one single grey: it has no phase to be congruent.
    """
    import piq

    _check_contrast(pair)
    return float(piq.fsim(*_grey_tensors(pair), data_range=1.0, chromatic=False))


def fsimc(pair: Pair) -> float:
    """FSIMc, FSIM with the chrominance; of grey images it equals FSIM.

    Raises:
        ImageError: An image has one single grey.
    """
    import piq

    _check_contrast(pair)
    return float(piq.fsim(*_colour_tensors(pair), data_range=1.0, chromatic=True))


def scoot_of(pair: Pair) -> float:
    """SCOOT in grey.

    Raises:
        ImageError: An image has one single grey.
    """
    _check_contrast(pair)
    synthesized, target = pair.greys
    return scoot(target, synthesized)


def lpips_by(net: str) -> Callable[[Pair], float]:
    """LPIPS (Zhang et al. 2018), version 0.1, on a backbone: ``alex``, ``squeeze`` or ``vgg``.

    Raises:
        ModelError: The backbone's ImageNet weights are not in torch's cache.
    """
    import torch
    from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

    published = {"alex": AlexNet_Weights, "squeeze": SqueezeNet1_1_Weights, "vgg": VGG16_Weights}
    checkpoints.find(published[net].IMAGENET1K_V1.url)
    with _quiet():
        import lpips

        network = lpips.LPIPS(net=net, verbose=False)

    @torch.inference_mode()
    def distance(pair: Pair) -> float:
        return float(network(*(2 * image.float() - 1 for image in _colour_tensors(pair))))

    return distance


class Inception(Gauge):
    """FID (Heusel et al. 2017) and Inception Score (Salimans et al. 2016) on the network of 2015-12-05.

    These are TensorFlow's weights as pytorch-fid converted them, not torchvision's: figures by the one network say
    nothing beside figures by the other.
    """

    def __init__(self) -> None:
        import torch
        from piq.feature_extractors import fid_inception

        path = checkpoints.find(fid_inception.FID_WEIGHTS_URL)
        with _quiet():
            self._network = fid_inception.InceptionV3().eval()
        self._classes = torch.load(path, map_location="cpu", weights_only=True)["fc.weight"].double().numpy()
        network = f"Inception of pytorch-fid ({path.name}) in piq {version('piq')}"
        self.implementations = {
            "fid": f"{network}; distance with scipy {version('scipy')}",
            "inception-score": f"{network}; piq's inception_score of the logits without bias, {SPLITS} splits",
        }
        self._synthesized: list[Any] = []
        self._target: list[Any] = []

    def add(self, pair: Pair) -> dict[str, float]:
        """Keep both images' 2048 features."""
        import torch

        with torch.inference_mode():
            described = [self._network(image.float())[0].flatten() for image in _colour_tensors(pair)]
        self._synthesized.append(described[0].double().numpy())
        self._target.append(described[1].double().numpy())
        return {}

    def finish(self) -> dict[str, SetValue]:
        """FID of the two sets, Inception Score of the synthesized one."""
        return {"fid": set_distance(self._synthesized, self._target), "inception-score": self._score()}

    def _score(self) -> SetValue:
        import torch
        from piq.isc import inception_score

        count = len(self._synthesized)
        if count < 2 * SPLITS:  # the score of a split of one image is 1, whatever it shows
            return SetValue(None, f"needs at least {2 * SPLITS} pairs, two a split; there are {count}")
        scores = []
        for features in (self._synthesized, self._target):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Implicit dimension choice for softmax")
                mean, _ = inception_score(torch.from_numpy(np.array(features) @ self._classes.T), num_splits=SPLITS)
            scores.append(float(mean))
        return SetValue(scores[0], f"{SPLITS} splits of {count // SPLITS}; the targets themselves have {scores[1]:.4f}")


class Embedding(Gauge):
    """The project's own embedder: cosine of each pair, and Frechet distance of the sets.

    Args:
        modality: What the images of both folders are.
    """

    def __init__(self, modality: Modality) -> None:
        from forensic.recognition import embedding

        self._embedder = embedding.load()
        self._modality = modality
        named = f"forensic's {self._embedder.name} ({self._embedder.digest[:12]}), both sides as {modality}"
        self.implementations = {
            "embedding-cosine": named,
            "embedding-frechet": f"{named}; distance with scipy {version('scipy')}",
        }
        self._synthesized: list[Any] = []
        self._target: list[Any] = []

    def add(self, pair: Pair) -> dict[str, float]:
        """Cosine of a pair; both embeddings are kept."""
        synthesized, target = (self._embed(image) for image in (pair.synthesized, pair.target))
        self._synthesized.append(synthesized)
        self._target.append(target)
        return {"embedding-cosine": float(synthesized @ target)}

    def finish(self) -> dict[str, SetValue]:
        """Frechet distance of the two sets' embeddings."""
        return {"embedding-frechet": set_distance(self._synthesized, self._target)}

    def _embed(self, image: Image.Image) -> Any:
        view = self._embedder.view(_portrait(image))
        return self._embedder.embed([view], self._modality)[0].astype(np.float64)


def _lpips(net: str) -> Callable[[Modality], Gauge]:
    return lambda _: PairGauge(f"lpips-{net}", lpips_by(net), f"lpips {version('lpips')}, weights 0.1, RGB in [-1, 1]")


def _scoot(_: Modality) -> Gauge:
    return PairGauge("scoot", scoot_of, f"forensic {version('forensic-sketch')}, after ScootMeasure.m, grey")


def _pixels(name: str, function: Callable[[Pair], float], settings: str) -> Callable[[Modality], Gauge]:
    return lambda _: PairGauge(name, function, f"piq {version('piq')}, {settings}")


_MAKERS: dict[tuple[str, ...], Callable[[Modality], Gauge]] = {
    ("ssim",): _pixels("ssim", ssim, "grey, Gaussian window 11 with sigma 1.5, valid region"),
    ("fsim",): _pixels("fsim", fsim, "grey"),
    ("fsimc",): _pixels("fsimc", fsimc, "colour"),
    ("scoot",): _scoot,
    ("lpips-alex",): _lpips("alex"),
    ("lpips-squeeze",): _lpips("squeeze"),
    ("lpips-vgg",): _lpips("vgg"),
    ("fid", "inception-score"): lambda _: Inception(),
    ("embedding-cosine", "embedding-frechet"): Embedding,
}


def prepare(names: Collection[str], modality: Modality) -> tuple[list[Gauge], dict[str, str]]:
    """Gauges for the metrics that can be measured.

    Args:
        names: Metrics of `forensic.quality.metrics.METRICS`.
        modality: What the images are, for the metrics on the project's embedder.

    Returns:
        The gauges, and for each other metric of ``names`` why it cannot be measured.
    """
    gauges: list[Gauge] = []
    missing: dict[str, str] = {}
    for given, make in _MAKERS.items():
        wanted = [name for name in given if name in names]
        if not wanted:
            continue
        try:
            gauges.append(make(modality))
        except ModelError as problem:
            missing |= dict.fromkeys(wanted, str(problem))
    return gauges, missing


def set_distance(synthesized: list[Any], target: list[Any]) -> SetValue:
    """Frechet distance of two lists of features of one length, with a warning where they are too few."""
    count = len(synthesized)
    if count < 2:
        return SetValue(None, f"needs at least 2 pairs; there are {count}")
    dimension = len(synthesized[0])
    note = f"{count} images for {dimension} dimensions: compare only with figures of equally many"
    return SetValue(frechet_distance(synthesized, target), note if count <= dimension else "")


def _portrait(image: Image.Image) -> Image.Image:
    """The 256 x 256 portrait that embedders expect."""
    from forensic.synthesis.examples import pad

    if image.size == FIELD_CROP:
        return pad(image)
    if image.size == PADDED:
        return image
    raise FaceError("needs aligned faces of 256 x 256 or 200 x 250 pixels")


def _check_contrast(pair: Pair) -> None:
    for grey, which in zip(pair.greys, ("synthesized image", "target"), strict=True):
        if grey.min() == grey.max():
            raise ImageError(f"the {which} has one single grey everywhere, for which the metric is undefined")


def _grey_tensors(pair: Pair) -> list[Tensor]:
    """Synthesized and target, each (1, 1, height, width), float64 in [0, 1]."""
    import torch

    return [torch.from_numpy(grey)[None, None].double() / 255 for grey in pair.greys]


def _colour_tensors(pair: Pair) -> list[Tensor]:
    """Synthesized and target, each (1, 3, height, width), float64 in [0, 1]."""
    import torch

    sides = (torch.from_numpy(np.array(image)) for image in (pair.synthesized, pair.target))
    return [side.permute(2, 0, 1)[None].double() / 255 for side in sides]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torchvision says of the old arguments that lpips and piq call it with."""
    with warnings.catch_warnings():
        for start in ("The parameter 'pretrained' is deprecated", "Arguments other than a weight enum"):
            warnings.filterwarnings("ignore", message=start, category=UserWarning)
        warnings.filterwarnings("ignore", message="The default weight initialization of inception_v3")
        yield
