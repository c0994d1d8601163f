"""What the paper and its release state, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.faces import parts, priors
from forensic.synthesis import Batch, create, perceptual
from forensic.synthesis.blocks import ResidualDense
from forensic.synthesis.methods.fsgan import FSGAN, SHARES, Fusion, inside, together

PARTS = ("left_eye", "right_eye", "nose", "mouth", "rest", "background")


@pytest.fixture
def method(make_tiny: Any) -> FSGAN:
    return make_tiny("fsgan", scales=2)


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(2, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch, torch.tensor([0, 2]))


def by_part(maps: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(zip(PARTS, maps.chunk(6, dim=1), strict=True))


def box(mask: torch.Tensor) -> tuple[slice, slice]:
    """Rows and columns of a box (h, w)."""
    rows, columns = mask.nonzero().min(dim=0).values.tolist(), mask.nonzero().max(dim=0).values.tolist()
    return slice(rows[0], columns[0] + 1), slice(rows[1], columns[1] + 1)


def test_the_releases_networks() -> None:
    """Six networks of three halvings and nine dense blocks, and the second stage around a coarse one of four."""
    with torch.device("meta"):
        method = FSGAN(perceptual="none")
    assert tuple(method.generators["parts"]) == PARTS  # type: ignore[arg-type]
    blocks = [layer for layer in method.generators["parts"]["nose"].modules() if isinstance(layer, ResidualDense)]  # type: ignore[index]
    assert len(blocks) == 9
    assert [layer.in_channels for layer in blocks[0].dense] == [512, 768, 1024, 1280]  # type: ignore[union-attr]
    assert blocks[0].fuse.in_channels == 1536
    whole = method.generators["whole"]
    assert isinstance(whole, Fusion)
    coarse = [layer for layer in whole.coarse.modules() if isinstance(layer, ResidualDense)]
    assert (len(coarse), coarse[0].fuse.out_channels) == (9, 2048)
    assert (whole.expand.in_channels, whole.expand.out_channels) == (131, 128)
    assert sum(isinstance(layer, ResidualDense) for layer in whole.draw.modules()) == 3
    assert set(method.discriminators) == {"whole", "style", *PARTS}
    assert next(method.discriminators["mouth"].parameters()).shape[:2] == (32, 6)


def test_a_residual_dense_block_by_hand() -> None:
    torch.manual_seed(0)
    block, x = ResidualDense(2, growth=1), torch.randn(1, 2, 4, 4)
    known = x
    for convolution in block.dense:
        known = torch.cat([known, convolution(known).clamp(min=0)], dim=1)
    torch.testing.assert_close(block(x), F.instance_norm(x + block.fuse(known)).clamp(min=0))


def test_boxes_lie_around_the_landmarks() -> None:
    """Landmarks of a face of 256 x 256, each heatmap a single peak; the background is the upper half."""
    landmarks = torch.full((1, 5, 128, 128), -40.0)
    peaks = [(50, 60), (80, 60), (65, 80), (55, 95), (75, 95)]  # x, y of the map, cells of two pixels
    for k, (x, y) in enumerate(peaks):
        landmarks[0, k, y, x] = 40.0
    parsing = torch.zeros(1, 19, 128, 128)
    parsing[:, 0, :64] = 9.0
    parsing[:, 1, 64:] = 9.0
    empty = torch.zeros(1, 1, 128, 128)
    found = by_part(parts.masks(priors.Maps(parsing, empty, empty, landmarks), parts.boxes(256, 8)))
    middles = {"left_eye": (101, 117), "right_eye": (161, 117), "nose": (131, 153), "mouth": (131, 191)}
    for part, (x, y) in middles.items():
        rows, columns = box(found[part][0, 0])
        height, width = {"left_eye": (40, 56), "right_eye": (40, 56), "nose": (48, 48), "mouth": (40, 64)}[part]
        assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)
        assert ((rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2) == (y, x)
        assert found[part].sum() == height * width
    assert found["background"][0, 0, :126].all()
    assert not found["background"][0, 0, 130:].any()
    covered = torch.stack([found[part] for part in middles]).amax(dim=0)
    assert torch.equal(found["rest"], (1 - covered) * (1 - found["background"]))


def test_boxes_beyond_the_edge_are_moved_in() -> None:
    landmarks = torch.full((1, 5, 16, 16), -40.0)
    landmarks[0, :, 0, 0] = 40.0
    empty = torch.zeros(1, 1, 16, 16)
    maps = priors.Maps(torch.zeros(1, 19, 16, 16), empty, empty, landmarks)
    found = by_part(parts.masks(maps, parts.boxes(32, 2)))
    assert found["left_eye"][0, 0, :6, :8].all()
    assert found["left_eye"].sum() == 48


def test_each_network_draws_its_own_part_of_the_photo(method: FSGAN, batch: Batch) -> None:
    method.eval()
    faces = method(batch)
    drawn, masks = by_part(faces["parts"]), by_part(faces["masks"])
    networks: Any = method.generators["parts"]
    for n in range(2):
        for part in PARTS[:4]:
            rows, columns = box(masks[part][n, 0])
            expected = torch.ones(3, 32, 32)
            expected[:, rows, columns] = networks[part](batch.photo[n : n + 1, :, rows, columns])[0]
            torch.testing.assert_close(drawn[part][n], expected)
    mask = masks["background"].expand(-1, 3, -1, -1) == 1
    made = networks["background"](torch.where(mask, batch.photo, torch.tensor(-1.0)))
    torch.testing.assert_close(drawn["background"], torch.where(mask, made, torch.tensor(1.0)))


def test_where_parts_overlap_the_darker_pixel_counts() -> None:
    drawn = torch.ones(1, 18, 1, 2)
    drawn[0, 0:3, 0, 0], drawn[0, 6:9, 0, 0] = 0.5, -0.25
    assert together(drawn)[0, :, 0].tolist() == [[-0.25, 1.0]] * 3


def test_a_parts_difference_is_the_mean_of_the_faces_own() -> None:
    """4 on one pixel, 1 on three: halves of a batch in two processes have the same mean as the whole."""
    mask = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).view(3, 1, 1, 3)
    drawn = torch.tensor([4.0, 1.0, 9.0]).view(3, 1, 1, 1).expand(3, 3, 1, 3)
    assert inside(drawn, torch.zeros_like(drawn), mask).item() == pytest.approx((4 + 1 + 0) / 3)


def test_the_style_steers_the_whole_and_not_the_parts(method: FSGAN, batch: Batch) -> None:
    method.eval()
    one, other = method(batch), method(batch._replace(style=torch.tensor([1, 2])))
    assert torch.equal(one["parts"], other["parts"])
    assert not torch.equal(one["synthesized"][0], other["synthesized"][0])
    torch.testing.assert_close(one["synthesized"][1], other["synthesized"][1])
    method.style = 3
    unsaid = method(batch._replace(style=None))
    torch.testing.assert_close(unsaid["synthesized"][1], one["synthesized"][1])


def test_the_second_stage_by_hand() -> None:
    torch.manual_seed(0)
    fusion = Fusion(2, halvings=1, blocks=3, styles=3)
    sketches, style = torch.randn(1, 3, 16, 16), torch.tensor([[0.0, 1.0, 0.0]])
    half = F.avg_pool2d(sketches, 3, stride=2, padding=1, count_include_pad=False)
    coarse = fusion.coarse(half)
    assert coarse.shape == (1, 4, 8, 8)
    weight, bias = fusion.expand.weight[:, :, 0, 0], fusion.expand.bias
    vector = torch.cat([coarse, torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)], dim=1)
    expanded = torch.einsum("oc,nchw->nohw", weight, vector) + bias.view(1, -1, 1, 1)  # type: ignore[union-attr]
    torch.testing.assert_close(fusion(sketches, style), fusion.draw(fusion.enter(sketches) + expanded))


def test_the_generators_objective(method: FSGAN, batch: Batch) -> None:
    """L1 100, of parts 25, the rest of the person 1.8 times; matching likewise; log scores of seven discriminators."""
    faces = method(batch)
    Y, made = batch.sketch, faces["synthesized"]
    drawn, masks = by_part(faces["parts"]), by_part(faces["masks"])
    terms = {name: value.item() for name, value in method.generator_loss(batch, faces).items()}
    assert terms["l1"] == pytest.approx(100 * (made - Y).abs().mean().item(), rel=1e-4)
    local = adversarial = matching = 0.0
    for part in ("whole", *PARTS):
        share = 1.8 if part == "rest" else 1.0
        if part != "whole":
            for n in range(2):  # each face's own mean
                mask = masks[part][n].expand(3, -1, -1) == 1
                apart = (drawn[part][n][mask] - Y[n][mask]).abs()
                local += 25 * share * apart.mean().item() / 2 if mask.any() else 0.0
        pairs = [torch.cat([batch.photo, y], dim=1) for y in (made, Y)]
        if part in PARTS[:4]:
            cuts = [[pair[n][:, *box(masks[part][n, 0])] for n in range(2)] for pair in pairs]
            pairs = [torch.stack(cut) for cut in cuts]
        elif part != "whole":
            pairs = [torch.where(masks[part] == 1, pair, torch.tensor(-1.0)) for pair in pairs]
        seen, true = (method.discriminators[part](pair) for pair in pairs)
        for scale in range(2):
            adversarial += share * F.softplus(-seen[scale][-1]).mean().item()
            weight = 100 if part == "whole" else 25 * share
            for ours, theirs in zip(seen[scale][:-1], true[scale][:-1], strict=True):
                matching += weight / 2 * (ours - theirs).abs().mean().item()
    assert terms["local"] == pytest.approx(local, rel=1e-4)
    assert terms["adversarial"] == pytest.approx(adversarial, rel=1e-4)
    assert terms["matching"] == pytest.approx(matching, rel=1e-3)
    chances = method.discriminators["style"](made).softmax(dim=1)
    assert terms["style"] == pytest.approx(-(chances[0, 0].log() + chances[1, 2].log()).item() / 2, rel=1e-4)


def test_the_discriminators_objective(method: FSGAN, batch: Batch) -> None:
    faces = method(batch)
    losses = method.discriminator_loss(batch, faces)
    judge = nn.functional.binary_cross_entropy_with_logits
    expected = 0.0
    for part, share in {"whole": 1.0, **SHARES}.items():
        seen = method._seen(batch, faces["masks"], faces["synthesized"].detach())[part]
        expected += share * sum(judge(layers[-1], torch.zeros_like(layers[-1])).item() for layers in seen) / 2
    assert losses["synthesized"].item() == pytest.approx(expected, rel=1e-4)
    logits = [method.discriminators["style"](y) for y in (batch.sketch, faces["synthesized"])]
    style = sum(F.cross_entropy(found, batch.style).item() for found in logits) / 2  # type: ignore[arg-type]
    assert losses["style"].item() == pytest.approx(style, rel=1e-4)
    torch.stack(list(losses.values())).sum().backward()
    assert all(weight.grad is None for weight in method.generators.parameters())


def test_perceptual_features_at_three_sizes_and_of_the_first_stage(make_tiny: Any, batch: Batch) -> None:
    method = make_tiny("fsgan", perceptual="embedder")
    faces = method(batch)
    Y, made = batch.sketch, faces["synthesized"]
    terms = method.generator_loss(batch, faces)
    network = perceptual.load("embedder")

    def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
        weights = {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}
        seen, true = network(a, tuple(weights)), network(b, tuple(weights))
        return sum(weight * (seen[name] - true[name]).abs().mean().item() for name, weight in weights.items())

    def halved(images: torch.Tensor) -> torch.Tensor:
        return images.unflatten(3, (-1, 2)).mean(dim=4).unflatten(2, (-1, 2)).mean(dim=3)

    quarters = (halved(halved(made)), halved(halved(Y)))
    sizes = [likeness(made, Y), likeness(halved(made), halved(Y)), likeness(*quarters)]
    assert terms["perceptual"].item() == pytest.approx(50 * sum(sizes) / 3, rel=1e-3)
    stage1 = torch.stack(faces["parts"].chunk(6, dim=1)).min(dim=0).values
    assert terms["local_perceptual"].item() == pytest.approx(12.5 * likeness(stage1, Y), rel=1e-3)
    assert method.consults["perceptual"] == network.digest


def test_landmarks_are_needed_to_translate(method: FSGAN) -> None:
    assert method.needs == {"parsing": priors.digest("parsing")}
    assert method.consults == method.needs
    assert not any("prior" in name for name in method.state_dict())


def test_the_releases_schedule(method: FSGAN) -> None:
    """150 epochs at 2e-4, discriminators at a hundredth of it, which move first."""
    assert (FSGAN.recipe.epochs, FSGAN.recipe.batch, FSGAN.recipe.betas) == (150, 1, (0.5, 0.999))
    assert {FSGAN.recipe.learning_rate_at(epoch) for epoch in (0, 149)} == {2e-4}
    assert [(name, player.rate) for name, player in method.players().items()] == [
        ("discriminators", 0.01),
        ("generators", 1.0),
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"size": 100}, "size is 100, expected a power of two"),
        ({"size": 64, "halvings": 3}, "halvings 3, blocks 9, width 64, scales 2; at size 64 expected 1 to 2"),
        ({"style": 4}, "style is 4, expected one of 1, 2, 3"),
    ],
)
def test_bad_values_are_refused(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        create("fsgan", **settings)
