"""Where the parts of a face are that a network draws one by one: boxes around landmarks, the rest, the background."""

import torch
from torch import Tensor
from torch.nn import functional as F

from forensic.faces import priors

BOXES = {"left_eye": (40, 56), "right_eye": (40, 56), "nose": (48, 48), "mouth": (40, 64)}
"""Height and width of the parts that are cut out of a face of 256 x 256; left as the image shows it."""
PARTS = (*BOXES, "rest", "background")
"""The boxes, what they leave of the person, and what is behind."""
SIZE = 256
RAISED = ((0.0, -4.0), (0.0, -4.0), (0.0, -8.0), (0.0, 0.0))
"""How far each box's middle lies from its landmark, x and y, at 256 x 256."""


def boxes(size: int, multiple: int) -> dict[str, tuple[int, int]]:
    """``BOXES`` in faces of another size, each side rounded up to a multiple.

    >>> boxes(128, 4)["mouth"], boxes(32, 2)["left_eye"]
    ((20, 32), (6, 8))
    """

    def fitted(side: int) -> int:
        return multiple * -(-side * size // (SIZE * multiple))

    return {part: (fitted(height), fitted(width)) for part, (height, width) in BOXES.items()}


def masks(maps: priors.Maps, sides: dict[str, tuple[int, int]]) -> Tensor:
    """Where each part is.

    Args:
        maps: What the priors' network says of faces (n, 3, size, size).
        sides: Height and width of each box, as `boxes` gives them.

    Returns:
        (n, 6, size, size), 0 or 1, in the order of ``PARTS``. Boxes may overlap; one that the landmarks put beyond the
        edge is moved into the image. The rest is of the person and in no box.
    """
    size = 2 * maps.landmarks.shape[-1]
    left, right, nose, mouth, corner = priors.locate(maps.landmarks.float()).places.unbind(dim=1)
    middles = torch.stack([left, right, nose, (mouth + corner) / 2], dim=1)  # (n, 4, 2), x and y
    middles = middles + middles.new_tensor(RAISED) * size / SIZE
    extent = torch.tensor(list(sides.values()), device=middles.device)  # (4, 2), height and width
    begin = (middles.flip(2) - extent / 2).round().clamp(min=0).minimum(size - extent)[..., None]
    place = torch.arange(size, device=middles.device)
    rows, columns = ((begin <= place) & (place < begin + extent[..., None])).float().unbind(dim=2)
    boxed = rows[..., :, None] * columns[..., None, :]
    parsing = F.interpolate(maps.parsing.float(), size=(size, size), mode="bilinear").softmax(dim=1)
    background = priors.PARSING_CLASSES.index("background")
    behind = (parsing[:, background : background + 1] >= 0.5).float()
    return torch.cat([boxed, (1 - behind) * (1 - boxed.amax(dim=1, keepdim=True)), behind], dim=1)
