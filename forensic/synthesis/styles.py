"""Methods that draw in several styles."""

import hashlib
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis.translator import Adversarial


class Styled(Adversarial):
    """A translator with a style: callers may set ``style`` before they call ``translate``.

    Args:
        style: One of ``styles``.

    Raises:
        UsageError: There is no such style.
    """

    styles: ClassVar[tuple[int, ...]]
    """Numbers of the styles; a batch names them by their place here."""

    def __init__(self, style: int) -> None:
        super().__init__()
        self._made_with = self.style = style

    @property
    def style(self) -> int:
        """The style that ``translate`` draws in, one of ``styles``.

        Raises:
            UsageError: It is set to another one.
        """
        return self._style

    @style.setter
    def style(self, style: int) -> None:
        if style not in self.styles:
            known = ", ".join(map(str, self.styles))
            raise UsageError(f"{self.name}: style is {style!r}, expected one of {known}.")
        self._style = style

    def labels(self, images: Tensor, style: Tensor | None) -> Tensor:
        """Places in ``styles``, (n,) int64: a batch's ``style``, or for every image the own one where that is None."""
        return images.new_full((len(images),), self.styles.index(self.style)).long() if style is None else style

    def one_hot(self, images: Tensor, style: Tensor | None) -> Tensor:
        """`labels` as (n, styles), like the images in type and place."""
        return F.one_hot(self.labels(images, style), len(self.styles)).to(images)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides the output: in a style other than the weight file's it is another one."""
        whole = super().digest
        if self.file_digest is None or self.style == self._made_with:
            return whole
        return hashlib.sha256(f"{whole}, style {self.style}".encode()).hexdigest()
