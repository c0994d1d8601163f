"""What the paper and its code state, by hand on tiny tensors."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.ps2man import PS2MAN


@pytest.fixture
def method(make_tiny: Any) -> PS2MAN:
    return make_tiny("ps2man")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def halved(images: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(images, size=(32 // side, 32 // side), mode="bilinear", antialias=True)


def squared(scores: torch.Tensor, answer: float) -> float:
    return (scores - answer).square().mean().item()


def made(method: PS2MAN, batch: Batch) -> dict[str, list[torch.Tensor]]:
    """All twelve images, from the networks themselves, smallest first."""
    there, back = method.generators["photo_to_sketch"], method.generators["sketch_to_photo"]
    sketches, photos = there(batch.photo), back(batch.sketch)
    again = {"photo again": back(sketches[-1]), "sketch again": there(photos[-1])}
    return {"sketch": sketches, "photo": photos, **again}


def test_hidden_layers_give_images_of_a_quarter_and_a_half_of_the_size(method: PS2MAN, batch: Batch) -> None:
    for images in made(method, batch).values():
        assert [image.shape for image in images] == [(1, 3, 8, 8), (1, 3, 16, 16), (1, 3, 32, 32)]
        assert all(image.abs().max() <= 1 for image in images)


def test_the_smallest_image_is_of_the_features_after_the_residual_blocks(method: PS2MAN, batch: Batch) -> None:
    generator = method.generators["photo_to_sketch"]
    found: list[torch.Tensor] = []
    blocks = generator.get_submodule("layers.10")  # c7, norm, ReLU and their padding; twice three layers; the block
    blocks.register_forward_hook(lambda _module, _given, features: found.append(features))
    smallest = generator(batch.photo)[0]
    head = generator.get_submodule("heads.0")
    torch.testing.assert_close(smallest, head(found[0]).tanh())


def test_the_generators_objective(method: PS2MAN, batch: Batch) -> None:
    terms = {name: value.item() for name, value in method.generator_loss(batch, method(batch)).items()}
    assert set(terms) == {"adversarial", "synthesis", "cycle"}
    images, expected = made(method, batch), {"adversarial": 0.0, "synthesis": 0.0, "cycle": 0.0}
    for a, b in (("photo", "sketch"), ("sketch", "photo")):
        for index, side in enumerate((4, 2, 1)):
            x, y = halved(batch.of(a), side), halved(batch.of(b), side)  # type: ignore[arg-type]
            image = images[b][index]
            scores = method.discriminators[f"{b}_{side}"](torch.cat([x, image], dim=1))
            expected["adversarial"] += squared(scores, 1)
            expected["synthesis"] += 10 * (image - y).abs().mean().item()
            expected["cycle"] += 0.7 * (images[f"{a} again"][index] - x).abs().mean().item()
    assert terms == pytest.approx(expected, rel=1e-4)


def test_six_discriminators_see_pairs_at_their_sizes(method: PS2MAN, batch: Batch) -> None:
    terms = {name: value.item() for name, value in method.discriminator_loss(batch, method(batch)).items()}
    images, expected = made(method, batch), {"real": 0.0, "synthesized": 0.0}
    for a, b in (("photo", "sketch"), ("sketch", "photo")):
        for index, side in enumerate((4, 2, 1)):
            x, y = halved(batch.of(a), side), halved(batch.of(b), side)  # type: ignore[arg-type]
            D = method.discriminators[f"{b}_{side}"]
            expected["real"] += squared(D(torch.cat([x, y], dim=1)), 1) / 2
            expected["synthesized"] += squared(D(torch.cat([x, images[b][index]], dim=1)), 0) / 2
    assert terms == pytest.approx(expected, rel=1e-4)


def test_every_adversary_reaches_its_generator_and_only_the_cycle_the_other(method: PS2MAN, batch: Batch) -> None:
    def moved(terms: list[str]) -> set[str]:
        losses = method.generator_loss(batch, method(batch))
        method.zero_grad()
        sum((losses[term] for term in terms), torch.zeros(())).backward()
        named = method.generators.named_parameters()
        return {name for name, parameter in named if parameter.grad is not None and parameter.grad.any()}

    heads = {f"{way}.heads.{k}.weight" for way in ("photo_to_sketch", "sketch_to_photo") for k in range(2)}
    assert heads <= moved(["adversarial"])
    assert heads <= moved(["cycle"])
    faces = method(batch)
    method.zero_grad()
    (faces["sketch 4"].sum() + faces["sketch 2"].sum() + faces["sketch 1"].sum()).backward()
    assert all(parameter.grad is None for parameter in method.generators["sketch_to_photo"].parameters())
    method.zero_grad()
    method(batch)["photo again 1"].sum().backward()
    assert all(any(p.grad is not None for p in generator.parameters()) for generator in method.generators.values())


def test_one_state_translates_both_ways_and_holds_no_adversary(make_tiny: Any, batch: Batch) -> None:
    there = make_tiny("ps2man").eval()
    back = make_tiny("ps2man", seed=1, source="sketch", target="photo").eval()
    assert all(name.startswith("generators.") for name in there.translating_state())
    back.load_state_dict(there.translating_state(), strict=False)
    with torch.inference_mode():
        assert torch.equal(back.translate(batch.sketch), there.generators["sketch_to_photo"](batch.sketch)[-1])


def test_the_authors_networks() -> None:
    """c7s1-64, d128, d256, R256 x 9, u128, u64, c7s1-3; heads of 256 and 128 channels; patches of 16 pixels."""
    with torch.device("meta"):
        method = PS2MAN()
    for generator in method.generators.values():
        trunk = generator.get_submodule("layers")
        layers = [layer for layer in trunk.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        assert [layer.out_channels for layer in layers] == [64, 128, 256, *[256] * 18, 128, 64, 3]
        assert [head.in_channels for head in generator.get_submodule("heads").children()] == [256, 128]
    assert len(method.discriminators) == 6
    for D in method.discriminators.values():
        convolutions = [layer for layer in D.modules() if isinstance(layer, nn.Conv2d)]
        assert convolutions[0].in_channels == 6
        pixels = 1
        for layer in reversed(convolutions):
            pixels = layer.stride[0] * (pixels - 1) + layer.kernel_size[0]
        assert pixels == 16
    recipe = method.recipe
    assert (method.lambda_syn, method.mu) == (10, 0.7)
    assert (recipe.epochs, recipe.flat * recipe.epochs, recipe.batch, recipe.learning_rate) == (400, 100, 1, 2e-4)


def test_unknown_settings_are_refused() -> None:
    for settings in ({"size": 30}, {"size": 34}, {"patch": 17}, {"source": "sketch"}):
        with pytest.raises(UsageError):
            create("ps2man", **settings)
