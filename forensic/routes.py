"""Routes: the ways to bring a probe and a gallery into one modality.

A route is data, not a branch in the code. Its name says all:

- ``direct``: both sides described as they are, by an embedder adapted across modalities;
- ``untrained``: the same with the embedder that the default one started from, for comparison;
- ``sketch-to-photo:METHOD``: the probe is translated into a photo;
- ``photo-to-sketch:METHOD``: the gallery is translated into sketches, at enrollment;

each with ``@EMBEDDER`` behind it for another embedder than the default.

What happens to the gallery's side makes a route's **template space**: its digest covers every model and setting
that made the templates. Routes that leave the gallery alone share one space; templates of different spaces are
never compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from forensic import images
from forensic.errors import UsageError
from forensic.faces import Aligned
from forensic.recognition import embedding
from forensic.recognition.embedding import Embedder, Modality

if TYPE_CHECKING:
    from forensic.synthesis.translator import Translator

Side = Literal["probe", "gallery"]
DEFAULT = "direct"
FORMS = "direct, untrained, sketch-to-photo:METHOD or photo-to-sketch:METHOD, with @EMBEDDER for another embedder"
ALIGNMENT = "mtcnn-5-points/1"
"""Changes when faces are found or aligned differently, since templates change with it: also when ``LANDMARKS`` does."""
LANDMARKS = "61c588b1ef5d4b3ca952477c7b894d3296aee946f25bc9426cfa37e7d6f8d100"
"""SHA-256 of the face priors, whose landmarks align the few faces that MTCNN does not find."""

_NAME = re.compile(r"(direct|untrained|(sketch)-to-photo:([\w-]+)|(photo)-to-sketch:([\w-]+))(?:@([\w.-]+))?")


@dataclass(frozen=True)
class Route:
    """One way to compare a sketch with photos.

    Attributes:
        name: The route's name.
        embedder: Describes faces.
        translator: Translates one side, if the route has one.
        translated: Which side that is.
    """

    name: str
    embedder: Embedder
    translator: Translator | None = None
    translated: Side | None = None

    @property
    def models(self) -> dict[str, str]:
        """Name and SHA-256 of every model that takes part."""
        models = {self.embedder.name: self.embedder.digest}
        if self.translator is not None:
            models[self.translator.name] = self.translator.digest
        return models

    @property
    def space(self) -> str:
        """Digest of everything that makes a gallery's templates, 64 hexadecimal digits."""
        made_by = {"alignment": ALIGNMENT, "embedder": self.embedder.digest}
        if self.translator is not None and self.translated == "gallery":
            made_by["translator"] = self.translator.digest
        return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()

    @property
    def gallery_route(self) -> str:
        """The plainest route with this template space: what to name in ``forensic gallery reindex --route``."""
        if self.translated != "probe":
            return self.name
        suffix = "" if self.embedder.name == embedding.DEFAULT else f"@{self.embedder.name}"
        return f"{DEFAULT}{suffix}"

    def modality(self, side: Side) -> Modality:
        """What a side's faces are when they reach the embedder."""
        if self.translated is None:
            return "sketch" if side == "probe" else "photo"
        return "photo" if self.translated == "probe" else "sketch"

    def describe(self, faces: Sequence[Aligned], side: Side) -> NDArray[np.float32]:
        """Templates of faces, unit rows, shape (n, dimension)."""
        if self.translator is None or self.translated != side:
            views = [self.embedder.view(face) for face in faces]
        else:
            views = [self.embedder.view(self.synthesize(face)) for face in faces]
        return self.embedder.embed(views, self.modality(side))

    def portraits(self, faces: Sequence[Aligned], side: Side) -> Tensor:
        """The 256 x 256 portraits of a side as the route compares them, shape (n, 3, 256, 256) in [-1, 1]."""
        if self.translator is None or self.translated != side:
            return images.to_tensor([face.portrait for face in faces])
        return images.to_tensor([self.synthesize(face) for face in faces])

    @torch.inference_mode()
    def synthesize(self, face: Aligned) -> Image.Image:
        """The translated portrait of one face: synthetic, not evidence.

        One at a time, so that the result never depends on the batch.
        """
        assert self.translator is not None
        return images.to_image(self.translator.translate(images.to_tensor([face.portrait]))[0])


def load(name: str = DEFAULT, *, device: str = "cpu") -> Route:
    """The route of that name, with its models loaded and their hashes checked.

    Raises:
        UsageError: No route has that name, or its method cannot translate that way.
        ModelError: Weights are missing or damaged.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(f"Unknown route {name!r}. Expected {FORMS}.")
    form, probe, probe_method, gallery, gallery_method, embedder_name = found.groups()
    if form == "untrained":
        return Route(name, embedding.load(embedding.UNTRAINED, device=device))
    embedder = embedding.load(embedder_name or embedding.DEFAULT, device=device)
    if form == "direct":
        return Route(name, embedder)

    from forensic.synthesis import weights

    if method := probe_method or gallery_method:
        _check_no_exemplars(method)
    if probe:
        return Route(name, embedder, weights.load(probe_method, source="sketch", target="photo"), "probe")
    assert gallery
    return Route(name, embedder, weights.load(gallery_method, source="photo", target="sketch"), "gallery")


def _check_no_exemplars(method: str) -> None:
    """Exemplars are faces of persons, which no weight file holds: a route could not name them by a hash."""
    from forensic.synthesis.registry import find
    from forensic.synthesis.translator import Exemplary

    if issubclass(find(method), Exemplary):
        raise UsageError(
            f"Method {method!r} works by exemplars and makes no route. Translate with it beforehand: "
            f"forensic synthesize {method} IMAGES --exemplars DIR --out DIR"
        )
