"""What methods share that learn both directions at once, without pairs: two translations that undo each other.

The trainer gives such a method the photo and the sketch of one person at a time; none of its terms compares the two.
"""

from torch import Tensor, nn

from forensic.synthesis.losses import l1, sum_of
from forensic.synthesis.translator import DIRECTIONS, Adversarial, Batch, Faces, Modality, resized


class Cyclic(Adversarial):
    """A translator of both directions, each with a generator of its own.

    One model goes either way: ``source`` and ``target`` say only which way ``translate`` goes.

    Attributes:
        generators: By direction, ``photo_to_sketch`` and ``sketch_to_photo``: images (n, 3, size, size) to as many.
    """

    two_way = True
    generators: nn.ModuleDict

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        return resized(self._G(self.source, self.target, resized(images, self.size)), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Of x and y: G(x), F(y), F(G(x)) and G(F(y))."""
        faces: Faces = {b: self._G(a, b, batch.of(a)) for a, b in DIRECTIONS}
        faces |= {f"{a} again": self._G(b, a, faces[b]) for a, b in DIRECTIONS}
        return faces | {"synthesized": faces[self.target]}

    def cycle(self, batch: Batch, faces: Faces) -> Tensor:
        """Cycle consistency: distance of what comes back from what went, summed over the directions."""
        return sum_of(l1(faces[f"{a} again"], batch.of(a)) for a, _ in DIRECTIONS)

    def _G(self, a: Modality, b: Modality, images: Tensor) -> Tensor:
        made: Tensor = self.generators[f"{a}_to_{b}"](images)
        return made
