"""Published weights of the metrics' networks: found in torch's cache and checked, never downloaded, never made up."""

import hashlib
import re
from pathlib import Path

from forensic.errors import ModelError


def find(url: str) -> Path:
    """The checked file of published weights in torch's cache.

    Args:
        url: Where it is published. As torch has it, the name ends in the first digits of the file's SHA-256.

    Raises:
        ModelError: It is not there, or is another file; the message says which is needed and where to put it.
    """
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise ModelError(f"needs {path.name} ({url}); put it in {folder}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stated = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)
    if not stated or not digest.startswith(stated[1]):
        raise ModelError(f"{path} has the SHA-256 {digest}, which is not that of its name; get it again from {url}")
    return path
