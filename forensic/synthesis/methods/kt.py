"""KT: two students learn photos and sketches from teachers of other tasks, and from each other.

Zhu, Wang, Gao, Li, Li: Face Photo-Sketch Synthesis via Knowledge Transfer, IJCAI 2019.

Few pairs are at hand, so what a large network has learned elsewhere is taken over. Two teachers, one that sees photos
and one that sees sketches, teach two students, photo to sketch and sketch to photo; each mimics one kind of knowledge
and transforms it into the other, and the students transfer theirs mutually. One model holds both students and goes
either way: ``source`` and ``target`` say only which way ``translate`` goes.

The paper's text was not at hand, its abstract was: the parts above are the paper's, these are choices:

- A student is CycleGAN's generator, smaller; its layers at a half and a quarter of the size follow the teacher of its
  source on the way down, and the teacher of its target, who sees the true image, on the way up (``distillation.py``).
- Knowledge is activations, compared by mean squares; images are compared by L1. The three weights are choices.
- Both teachers are VGG-19, trained on ImageNet, as far as their weights are brought in: the toolkit does not ship them.
  ``perceptual`` and ``sketch_teacher`` take any of its perceptual features instead, as the compact recipe does.
- Adam and the schedule are those of pix2pix.
"""

from torch import Tensor

from forensic.synthesis.distillation import Students
from forensic.synthesis.registry import method
from forensic.synthesis.translator import Batch, Faces, Modality, Recipe


@method("kt")
class KT(Students):
    """Knowledge transfer.

    Args:
        source: Modality of what ``translate`` takes.
        target: Modality of what ``translate`` gives.
        size: Pixels a side inside the networks, divisible by 4; ``translate`` resizes to it and back.
        width: Channels of a student's first layer.
        blocks: Residual blocks of a student.
        perceptual: Network of the photos' teacher.
        sketch_teacher: Network of the sketches' teacher; that of the photos' where None.
        lambda_rec: Weight of the reconstruction.
        lambda_teacher: Weight of what the teachers know.
        lambda_mutual: Weight of what the students learn from each other.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Zhu et al., Face Photo-Sketch Synthesis via Knowledge Transfer, IJCAI 2019"
    critics = ("regressors",)
    recipe = Recipe(
        epochs=200, flat=0.5, batch=1, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=15, tone=0.0
    )

    def __init__(
        self,
        *,
        source: Modality = "photo",
        target: Modality = "sketch",
        size: int = 256,
        width: int = 32,
        blocks: int = 6,
        perceptual: str = "vgg19",
        sketch_teacher: str | None = None,
        lambda_rec: float = 10.0,
        lambda_teacher: float = 1.0,
        lambda_mutual: float = 0.1,
    ) -> None:
        teachers: dict[Modality, str] = {"photo": perceptual, "sketch": sketch_teacher or perceptual}
        super().__init__(source=source, target=target, size=size, width=width, blocks=blocks, teachers=teachers)
        self.perceptual, self.sketch_teacher = perceptual, sketch_teacher
        self.lambda_rec, self.lambda_teacher, self.lambda_mutual = lambda_rec, lambda_teacher, lambda_mutual

    def student_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Both students' faces, their teachers' knowledge, and each other's."""
        return {
            "reconstruction": self.lambda_rec * self.reconstruction(batch, faces),
            "teachers": self.lambda_teacher * self.taught(batch, faces),
            "mutual": self.lambda_mutual * self.mutual(faces),
        }
