"""Students of frozen teachers: what methods share that learn both directions from networks of other tasks.

A student that turns a into b has a mimicking half, whose features follow what a teacher sees in the image of a, and a
transforming half, whose features follow what a teacher sees in the true image of b. The two students, one for each
direction, then hold the same two kinds of knowledge, and learn them from each other as well.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis import perceptual as features
from forensic.synthesis.aids import Aid
from forensic.synthesis.losses import l1
from forensic.synthesis.networks import ResNet, normal_init
from forensic.synthesis.translator import (
    DIRECTIONS,
    Adversarial,
    Batch,
    Faces,
    Modality,
    Player,
    check_directions,
    resized,
)

LAYERS = {1: "conv2_2", 2: "conv3_4"}
"""How often a student has halved its image -> the layer that a teacher is asked for, by VGG-19's names.

At full size a student is free."""
TAUGHT = (1, 2, 2, 1)
"""The levels of a student's hints: two of the mimicking half, two of the transforming one."""


class Lesson(dict[str, Tensor]):
    """Faces by name, and each student's hints at the levels of ``TAUGHT``, by the student's target."""

    known: Mapping[Modality, list[Tensor]]


class Students(Adversarial):
    """Two students, one for each direction, and their teachers.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, divisible by 4; ``translate`` resizes to it and back.
        width: Channels of a student's first layer.
        blocks: Residual blocks of a student.
        teachers: The teacher of each modality, by the names of perceptual features.

    Raises:
        UsageError: A setting is out of its range, or no features are called so.
    """

    two_way = True

    def __init__(
        self,
        *,
        source: Modality,
        target: Modality,
        size: int,
        width: int,
        blocks: int,
        teachers: Mapping[Modality, str],
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if size < 32 or size % 4:
            raise UsageError(f"{self.name}: size {size} is not 32 or more and divisible by 4.")
        self.source, self.target, self.size, self.width, self.blocks = source, target, size, width, blocks
        self.students = nn.ModuleDict({b: ResNet(width=width, blocks=blocks) for _, b in DIRECTIONS})
        # Teachers have other channels than students: a hint is compared after a 1 x 1 convolution (Romero et al.,
        # FitNets, ICLR 2015).
        self.regressors = nn.ModuleDict({b: regressors(width, teachers[a], teachers[b]) for a, b in DIRECTIONS})
        self._teachers = {modality: Aid(partial(features.load, name)) for modality, name in teachers.items()}

    @property
    def consults(self) -> dict[str, str]:
        """The teachers."""
        return {f"teacher of {modality}": aid.ready().digest for modality, aid in self._teachers.items()}

    def translate(self, images: Tensor) -> Tensor:
        """Faces in the target modality, (n, 3, 256, 256) in [-1, 1]."""
        return resized(self.students[self.target](resized(images, self.size)), images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """Both students' faces, under the modality that they are of."""
        known, faces = {}, Lesson()
        for a, b in DIRECTIONS:
            _, *known[b], _, faces[b] = self.students[b].stages(batch.of(a))  # type: ignore[operator]
        faces.known = known
        faces["synthesized"] = faces[self.target]
        return faces

    def players(self) -> dict[str, Player]:
        """Both students, with what reads their hints."""
        return {"students": Player(nn.ModuleList([self.students, self.regressors]), self.student_loss)}

    def student_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """The method's objective."""
        raise NotImplementedError

    def reconstruction(self, batch: Batch, faces: Faces) -> Tensor:
        """Mean absolute difference from the true faces, summed over the students; scalar."""
        return torch.stack([l1(faces[b], batch.of(b)) for _, b in DIRECTIONS]).sum()

    def taught(self, batch: Batch, faces: Faces) -> Tensor:
        """Mean squared difference of every hint from its teacher, summed over hints and students; scalar."""
        with torch.no_grad():
            seen = {m: aid.at(batch.photo)(batch.of(m), [*LAYERS.values()]) for m, aid in self._teachers.items()}
        terms = []
        for a, b in DIRECTIONS:
            for stage, (modality, level) in enumerate(zip((a, a, b, b), TAUGHT, strict=True)):
                truth = seen[modality][LAYERS[level]]
                hint = self._teachers[modality].ready().framed(_known(faces)[b][stage], truth)
                terms.append(F.mse_loss(self.regressors[b].get_submodule(str(stage))(hint), truth))
        return torch.stack(terms).sum()

    def mutual(self, faces: Faces) -> Tensor:
        """Mean squared difference of what the two students know of one modality, summed over hints; scalar.

        What one has on its way down from a photo, the other has on its way up to it; gradients reach both.
        """
        known = _known(faces)
        pairs = zip(known["photo"], reversed(known["sketch"]), strict=True)
        return torch.stack([F.mse_loss(one, other) for one, other in pairs]).sum()


def regressors(width: int, mimicked: str, transformed: str) -> nn.ModuleList:
    """A 1 x 1 convolution for each of a student's hints, to the channels of its teacher's layer.

    Args:
        width: Channels of the student's first layer.
        mimicked: Teacher of its source.
        transformed: Teacher of its target.

    Raises:
        UsageError: No features are called so.
    """
    teachers = (mimicked, mimicked, transformed, transformed)
    made = nn.ModuleList(
        nn.Conv2d(width * 2**level, features.channels(teacher, int(LAYERS[level][4])), 1)
        for level, teacher in zip(TAUGHT, teachers, strict=True)
    )
    normal_init(made)
    return made


def _known(faces: Faces) -> Mapping[Modality, list[Tensor]]:
    assert isinstance(faces, Lesson)
    return faces.known
