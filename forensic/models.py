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
        architecture: An architecture of `forensic.recognition.embedding`.
        url: Where they are published.
        sha256: Hash of the published file; None where nobody here could check it, and then the person who
            brings the file states its hash.
        licence: Terms.
        needed_by: What uses them.
    """

    name: str
    architecture: str
    url: str
    sha256: str | None
    licence: str
    needed_by: str


_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
KNOWN = (
    Known(
        "mobilefacenet",
        "mobilefacenet",
        "https://github.com/foamliu/MobileFaceNet/releases/download/v1.0/mobilefacenet.pt",
        "90a00ba1d8b0b688af3deb731ed53dca582e6106805d1bc3cfdef55f570493f4",
        "Apache-2.0 (foamliu/MobileFaceNet at a6cc9032a659)",
        "the route 'untrained', the first row of every evaluation",
    ),
    Known(
        "vggface2",
        "inception-resnet-v1",
        f"{_FACENET}20180402-114759-vggface2.pt",
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "code MIT; trained on VGGFace2, research use",
        "the routes '...@vggface2'",
    ),
    Known(
        "casia-webface",
        "inception-resnet-v1",
        f"{_FACENET}20180408-102900-casia-webface.pt",
        None,
        "code MIT; trained on CASIA-WebFace, research use",
        "the routes '...@casia-webface'",
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
        if model.sha256 == digest:
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
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}). Give the published file.") from None
    model = identify(content) if name is None else known(name)
    return _install(model, content, sha256)


def fetch(
    name: str, *, sha256: str | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> weights.Entry:
    """Download a model from where it is published, check it, convert it and install it.

    Raises:
        ModelError: It is not for download, cannot be reached, or has another hash.
    """
    model = known(name)
    if not model.url.endswith(".pt"):
        raise ModelError(
            f"{name} is not published as a file for download. Get its file from {model.url} and import it: "
            f"forensic models import FILE --name {name}"
        )
    _expected(model, sha256)  # rather now than after a hundred megabytes
    try:
        with urllib.request.urlopen(model.url, timeout=30) as response:
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


def _expected(model: Known, stated: str | None) -> str:
    expected = model.sha256 or stated
    if expected is None:
        raise ModelError(
            f"The hash of {model.name} is not known here. State the one that its publisher gives: --sha256 HEX"
        )
    return expected.lower()


def _install(model: Known, content: bytes, stated: str | None) -> weights.Entry:
    expected, digest = _expected(model, stated), hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise ModelError(
            f"The file for {model.name} has SHA-256 {digest}, expected {expected}. It is another version, or damaged."
        )
    from forensic.recognition import embedding

    packed = embedding.pack(_state(content, model), model.architecture)
    about = {"origin": model.url, "origin_sha256": digest, "licence": model.licence}
    entry = weights.install(model.name, embedding.KIND, packed, about)
    try:
        embedding.load(model.name)
    except ModelError:
        weights.uninstall(model.name)
        raise
    return entry


def _state(content: bytes, model: Known) -> dict[str, Any]:
    """The published state dict, opened as tensors and nothing else."""
    import torch

    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types on files that are no state dicts
        raise ModelError(f"The file for {model.name} holds more than tensors, or is damaged ({error}).") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"The file for {model.name} is not a state dict.")
    # The classification layer of a face network names its training people; a template does not need it.
    return {key: value for key, value in state.items() if not key.startswith("logits.")}
