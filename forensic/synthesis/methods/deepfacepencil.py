"""DeepFacePencil: freehand sketch to photo, by two generators and spatial attention pooling.

Li, Chen, Yang, Chen, Cheng, Zha: DeepFacePencil: Creating Face Images from Freehand Sketches, ACM MM 2020.

The main generator G_m draws the photo x from a deformed sketch S_dfm, the auxiliary one G_a from the edge-aligned
sketch S_syn; they share residual blocks and decoder. SAP widens the strokes before G_m, by how much is learned from
place to place. What the paper leaves open or contradicts, resolved as its authors' code does where that agrees with it:

- S_syn is the boundaries of the photo's parsing (``strokes.py``). The paper's S_dfm is S_syn with its points shifted
  (``drawings="boundaries"``), for want of drawings by hand; here the pairs bring these, and they are S_dfm by default.
- d = 11 is in pixels of CelebAMask's masks, 512 x 512, which the authors' code shifts; that is 5.5 pixels at 256. The
  strokes are drawn at 256 and made smaller with their edges smoothed: below that size they are thinner and paler.
- Equation 2 leaves out Conv and has F₁ at full size; C halves three times, so F₁ to F₃ are enlarged by 2, 4 and 8.
- Section 3.2 speaks of one weight for each relaxed sketch, equation 3 of a product with R: a weight for each channel of
  R (``attention="branches"`` is the other reading).
- C is 'pre-trained': it learns in the first stage and stays as it is from then on. It sees one channel.
- G_m's encoder is its own: it is trained from scratch while G_a's is fixed. Residual blocks and decoder are one and the
  same; in the authors' code they begin alike and part. D goes on from the first stage; section 3.3 can be read as
  training it anew.
- Equation 7 takes the first four residual blocks; the code takes the first four convolutions (``T="encoder"``). Both
  sides of it move.
- The losses of both sketches are added (equation 8). The generators' adversarial loss is the non-saturating form; the
  code's is least squares (``criterion``). D sees the sketch that the photo was made from.
- Epochs of a stage: 200, half of them at the full learning rate, as in the base, pix2pixHD.
"""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import priors
from forensic.synthesis import networks, strokes
from forensic.synthesis.aids import Aid
from forensic.synthesis.attention import Attention, Classifier, SpatialAttentionPooling
from forensic.synthesis.losses import Bounded, feature_matching, judged, l1
from forensic.synthesis.registry import method
from forensic.synthesis.translator import (
    SIZE,
    Adversarial,
    Batch,
    Faces,
    Modality,
    Player,
    Recipe,
    check_directions,
    resized,
)

MATCHED = 4  # layers of equation 7
MADE_FROM = {"auxiliary": "aligned", "synthesized": "deformed"}  # G_a(S_syn) and G_m(S_dfm)


class Drawn(dict[str, Tensor]):
    """Faces by name, and what the generators make of the two sketches on the way."""

    G_a: Sequence[Tensor] = ()
    G_m: Sequence[Tensor] = ()


@method("deepfacepencil")
class DeepFacePencil(Adversarial):
    """Dual generators with spatial attention pooling.

    The switches ``SAP``, ``dual`` and ``d`` are the rows of the paper's Table 1 (``rows``), in this method's objective:
    its baseline is pix2pixHD's generator, trained with edge-aligned sketches alone, or with both kinds.

    The three stages of section 3.3 follow the epochs that ``begin`` is told; before it is called, everything is trained
    at once (stage 0). In stage 1 what ``translate`` gives means nothing yet.

    Args:
        source: Modality of the input, ``"sketch"``.
        target: Modality of the output, ``"photo"``.
        size: Pixels a side inside the networks, divisible by 16 and ``2 ** halvings``; ``translate`` resizes to it
            and back.
        width: Channels of the first layers of the generators and C, divisible by the number of kernels.
        discriminator_width: Channels of D's first layers; where None four thirds of ``width``: pix2pixHD's 64.
        halvings: Down-sampling layers of each encoder, and up-sampling layers of the decoder; where None the paper's 4,
            or as many as leave four pixels.
        blocks: Residual blocks.
        kernels: Kernel sizes of the pooling, r; odd.
        reach: Kernel size of the first convolutions in SAP; odd.
        SAP: Whether spatial attention pooling precedes G_m.
        dual: Whether there are two generators; else G_m alone draws from both sketches, and there are no stages.
        drawings: What S_dfm is: ``"artists"``, the pair's sketch, or ``"boundaries"``, S_syn deformed, as in the paper.
        d: Largest offset of a stroke's points, in pixels of a face of 512 x 512.
        attention: Reading of equation 3.
        T: Layers that equation 7 compares.
        criterion: Adversarial loss: the paper's logarithms, or the code's least squares.
        lambda_rec: Weight of the reconstruction; equation 8 has none.
        lambda_dfm: Weight of the discriminator feature matching, the paper's λ.
        mu: Weight of the generator feature matching, μ.
        stages: How the epochs are shared among the three stages, in parts; only the last may stand alone.
        parsing: Network of the boundaries; only training needs it.
        discriminator_rate: The discriminator's learning rate in units of the generators'.

    Raises:
        UsageError: A setting is out of its range.
    """

    paper = "Li et al., DeepFacePencil: Creating Face Images from Freehand Sketches, ACM MM 2020"
    critics = ("D", "E_a")
    # Section 4.1; each stage's learning rate falls in its second half, which ``begin`` sees to.
    recipe = Recipe(
        epochs=600, flat=1.0, batch=32, learning_rate=2e-4, betas=(0.5, 0.999), flip=True, shift=0, tone=0.0
    )
    rows: ClassVar[dict[str, dict[str, object]]] = {
        "Baseline": {"SAP": False, "dual": False, "drawings": "boundaries", "d": 0.0},
        "Baseline_deform": {"SAP": False, "dual": False, "drawings": "boundaries"},
        "Ours": {"drawings": "boundaries"},
    }

    def __init__(
        self,
        *,
        source: Modality = "sketch",
        target: Modality = "photo",
        size: int = 256,
        width: int = 48,
        discriminator_width: int | None = None,
        halvings: int | None = None,
        blocks: int = 9,
        kernels: Sequence[int] = (1, 5, 9, 13),
        reach: int = 13,
        SAP: bool = True,
        dual: bool = True,
        drawings: Literal["boundaries", "artists"] = "artists",
        d: float = 11.0,
        attention: Attention = "channels",
        T: Literal["residual", "encoder"] = "residual",
        criterion: Bounded = "log",
        lambda_rec: float = 1.0,
        lambda_dfm: float = 10.0,
        mu: float = 10.0,
        stages: Sequence[int] = (1, 1, 1),
        parsing: str = priors.OWN,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        check_directions(source, target)
        if source != "sketch":
            raise UsageError(f"deepfacepencil: source is {source!r}, expected 'sketch'; it makes photos alone.")
        self.source, self.target, self.size, self.width = source, target, size, width
        self.discriminator_width = discriminator_width or 4 * width // 3
        self.halvings = min(4, max(size, 8).bit_length() - 3) if halvings is None else halvings
        self.blocks, self.kernels, self.reach = blocks, tuple(kernels), reach
        self.SAP, self.dual, self.drawings, self.d = SAP, dual, drawings, d
        self.attention, self.T, self.criterion, self.parsing = attention, T, criterion, parsing
        self.lambda_rec, self.lambda_dfm, self.mu, self.stages = lambda_rec, lambda_dfm, mu, tuple(stages)
        self.discriminator_rate, self.stage, self._rate = discriminator_rate, 0, 1.0
        self._check()
        if SAP:
            self.C = Classifier(width)
            self.pooling = SpatialAttentionPooling(width, self.kernels, reach, attention)
        self.E_m = nn.ModuleList(networks.halving(width if SAP else 3, width, self.halvings))
        self.E_a = nn.ModuleList(networks.halving(3, width, self.halvings) if dual else [])
        self.residual = nn.ModuleList(networks.ResidualBlock(width * 2**self.halvings) for _ in range(blocks))
        self.decoder = nn.Sequential(*networks.doubling(width, 3, self.halvings))
        self.D = networks.MultiScaleDiscriminator(inputs=6, width=self.discriminator_width, scales=3)
        networks.normal_init(nn.ModuleList([self.E_m, self.E_a, self.residual, self.decoder]))
        self._priors = Aid(lambda: priors.Priors({"parsing": parsing}))

    def _check(self) -> None:
        size, levels, sides, stages = self.size, self.halvings, (*self.kernels, self.reach), self.stages
        least = max(32, 2 ** (levels + 1))
        if levels < 1 or size < least or size % 16 or size % 2**levels:
            wrong = f"size {size} with {levels} halvings; expected {least} or more, divisible by 16 and {2**levels}"
        elif not self.kernels or any(side % 2 == 0 or not 0 < side < size for side in sides):
            wrong = f"kernels {self.kernels}, reach {self.reach}; expected odd ones below {size}"
        elif self.blocks < 1 or self.width % len(self.kernels):
            wrong = f"blocks {self.blocks}, width {self.width}; expected 1 or more, a multiple of {len(self.kernels)}"
        elif self.d < 0 or len(stages) != 3 or min(stages) < 0 or not stages[2] or bool(stages[0]) != bool(stages[1]):
            wrong = f"d {self.d}, stages {stages}; expected 0 or more, three like (1, 1, 1) or (0, 0, 1)"
        else:
            return
        raise UsageError(f"deepfacepencil: {wrong}.")

    @property
    def consults(self) -> dict[str, str]:
        """The network of the boundaries; a finished G_m needs it no more."""
        return dict(self._priors.ready().digests)

    def begin(self, epoch: int, epochs: int) -> None:
        """Take the stage and the learning rate of an epoch; with fewer than three epochs there are no stages."""
        bounds = [0, epochs]
        if self.dual and self.stages[0] and epochs >= 3:
            first, second, _ = (epochs * done / sum(self.stages) for done in accumulate(self.stages))
            end = min(max(round(first), 1), epochs - 2)
            bounds[1:1] = end, min(max(round(second), end + 1), epochs - 1)
        index = bisect(bounds, epoch) - 1
        self.stage = index + 1 if len(bounds) > 2 else 0
        halved = Recipe(epochs=bounds[index + 1] - bounds[index], flat=0.5, learning_rate=1.0)
        self._rate = halved.learning_rate_at(epoch - bounds[index])

    def translate(self, images: Tensor) -> Tensor:
        """Photos of sketches: G_m(S), (n, 3, 256, 256) in [-1, 1]."""
        return resized(self._G_m(resized(images, self.size))[0], images.shape[-1])

    def forward(self, batch: Batch) -> Faces:
        """S_syn, S_dfm, and the photos that the stage judges, made of them."""
        S_syn, S_dfm = self._sketches(batch)
        faces = Drawn(aligned=S_syn, deformed=S_dfm)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.stage != 2):  # where G_a is fixed
            faces["auxiliary"], faces.G_a = self._drawn(self.E_a, S_syn) if self.dual else self._G_m(S_syn)
        if self.stage != 1:
            faces["synthesized"], faces.G_m = self._G_m(S_dfm)
        return faces

    def players(self) -> dict[str, Player]:
        """Who moves in the stage: C until SAP needs it, the generators, and D after them as in the authors' code."""
        players = {}
        if self.SAP and self.stage < 2:
            players["C"] = Player(self.C, self.C_loss, rate=self._rate)
        first = [self.pooling, self.E_m] if self.SAP else [self.E_m]
        shared = [self.residual, self.decoder]
        moving = {1: [self.E_a, *shared], 2: first}.get(self.stage, [*first, self.E_a, *shared])
        players["G"] = Player(nn.ModuleList(moving), self.G_loss, rate=self._rate)
        players["D"] = Player(self.D, self.D_loss, rate=self.discriminator_rate * self._rate)
        return players

    def C_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """C tells S_syn (0) from S_dfm (1)."""
        told = torch.cat([self.C(faces["aligned"])[-1], self.C(faces["deformed"])[-1]])
        answers = torch.arange(2, device=told.device).repeat_interleave(len(batch.photo))
        return {"told_apart": F.cross_entropy(told, answers)}

    def D_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 5 as D's minimization, for each generator that the stage judges."""
        x, terms = batch.of(self.target), {}
        for name in self._judged():
            S = faces[MADE_FROM[name]]
            terms[f"{name}_real"] = self._scored(self._seen(S, x), real=True)
            terms[f"{name}_fake"] = self._scored(self._seen(S, faces[name].detach()), real=False)
        return terms

    def G_loss(self, batch: Batch, faces: Faces) -> dict[str, Tensor]:
        """Equation 8, as far as the stage goes."""
        x, terms = batch.of(self.target), {}
        for name in self._judged():
            S, made = faces[MADE_FROM[name]], faces[name]
            seen = self._seen(S, made)
            with torch.no_grad():
                true = self._seen(S, x)
            terms[f"{name}_reconstruction"] = self.lambda_rec * l1(made, x)  # equation 4
            terms[f"{name}_adversarial"] = self._scored(seen, real=True)  # equation 5
            terms[f"{name}_DFM"] = self.lambda_dfm * DFM(seen, true)  # equation 6
        if self.dual and self.stage != 1:
            assert isinstance(faces, Drawn)
            terms["GFM"] = self.mu * GFM(faces.G_a, faces.G_m)  # equation 7
        return terms

    def _judged(self) -> tuple[str, ...]:
        return {1: ("auxiliary",), 2: ("synthesized",)}.get(self.stage, tuple(MADE_FROM))

    def _seen(self, S: Tensor, x: Tensor) -> list[list[Tensor]]:
        """D_i^q(S, x) for every discriminator i and layer q."""
        seen: list[list[Tensor]] = self.D(torch.cat([S, x], dim=1))
        return seen

    def _scored(self, seen: list[list[Tensor]], *, real: bool) -> Tensor:
        """One side of equation 5: the mean over the discriminators."""
        return judged(seen, real=real, criterion=self.criterion) / len(seen)

    @torch.no_grad()
    def _sketches(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """S_syn and S_dfm, each (n, 3, size, size) in [-1, 1]; the shifts come from torch's global generator."""
        photo = resized(batch.photo, min(SIZE, 2 * self.size))
        parsing = resized(self._priors.at(photo)(photo)["parsing"].float(), SIZE)
        lines = strokes.sketches(parsing.argmax(dim=1), self.d * SIZE / strokes.MASK)
        aligned, moved = (resized(S.to(photo), self.size).expand(-1, 3, -1, -1) for S in lines)
        return aligned, batch.sketch if self.drawings == "artists" else moved

    def _G_m(self, S: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The photo of a sketch, and the layers of equation 7."""
        if not self.SAP:
            return self._drawn(self.E_m, S)
        with torch.no_grad():  # C learns from its own loss alone
            *F_C, _ = self.C(S)
        return self._drawn(self.E_m, self.pooling(S, F_C))

    def _drawn(self, E: nn.ModuleList, S: Tensor) -> tuple[Tensor, list[Tensor]]:
        levels = networks.every_level(E, S)
        blocks = networks.every_level(self.residual, levels[-1])
        return self.decoder(blocks[-1]), (blocks if self.T == "residual" else levels)[:MATCHED]


def DFM(seen: list[list[Tensor]], true: list[list[Tensor]]) -> Tensor:
    """Discriminator feature matching (equation 6) over all layers but the scores; scalar."""
    matched = [feature_matching(D[:-1], D_x[:-1]) / len(D[:-1]) for D, D_x in zip(seen, true, strict=True)]
    return torch.stack(matched).mean()


def GFM(G_a: Sequence[Tensor], G_m: Sequence[Tensor]) -> Tensor:
    """Generator feature matching (equation 7) of layers of the same shapes; scalar."""
    return feature_matching(G_a, G_m) / len(G_a)
