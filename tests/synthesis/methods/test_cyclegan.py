"""What the paper states, by hand on tiny tensors, and the history of synthesized faces."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from forensic.errors import UsageError
from forensic.synthesis import Batch, create
from forensic.synthesis.methods.cyclegan import CycleGAN, Pool
from forensic.synthesis.trainer import Trainer


@pytest.fixture
def method(make_tiny: Any) -> CycleGAN:
    return make_tiny("cyclegan")


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(3)
    photo, sketch = (2 * torch.rand(1, 3, 32, 32, generator=draw) - 1 for _ in range(2))
    return Batch(photo, sketch)


def squared(scores: torch.Tensor, answer: float) -> float:
    return (scores - answer).square().mean().item()


def test_equation_3(method: CycleGAN, batch: Batch) -> None:
    terms = {name: value.item() for name, value in method.generator_loss(batch, method(batch)).items()}
    assert set(terms) == {"adversarial", "cycle", "identity"}
    x, y = batch.photo, batch.sketch
    G, F = method.generators["photo_to_sketch"], method.generators["sketch_to_photo"]
    D_X, D_Y = method.discriminators["photo"], method.discriminators["sketch"]
    assert terms["adversarial"] == pytest.approx(squared(D_Y(G(x)), 1) + squared(D_X(F(y)), 1), rel=1e-4)
    cycle = (F(G(x)) - x).abs().mean() + (G(F(y)) - y).abs().mean()  # equation 2
    assert terms["cycle"] == pytest.approx(10 * cycle.item(), rel=1e-4)
    identity = (G(y) - y).abs().mean() + (F(x) - x).abs().mean()  # section 5.2
    assert terms["identity"] == pytest.approx(5 * identity.item(), rel=1e-4)


def test_equation_1_for_the_discriminators(method: CycleGAN, batch: Batch) -> None:
    faces = method(batch)
    terms = {name: value.item() for name, value in method.discriminator_loss(batch, faces).items()}
    D_X, D_Y = method.discriminators["photo"], method.discriminators["sketch"]
    real = squared(D_X(batch.photo), 1) + squared(D_Y(batch.sketch), 1)
    assert terms["real"] == pytest.approx(real / 2, rel=1e-4)
    synthesized = squared(D_X(faces["photo"]), 0) + squared(D_Y(faces["sketch"]), 0)
    assert terms["synthesized"] == pytest.approx(synthesized / 2, rel=1e-4)


def test_without_identity(batch: Batch, make_tiny: Any) -> None:
    method = make_tiny("cyclegan", identity=0.0)
    assert set(method.generator_loss(batch, method(batch))) == {"adversarial", "cycle"}


def face(tone: float) -> torch.Tensor:
    return torch.full((1, 3, 2, 2), tone)


def test_the_pool_gives_new_faces_until_it_is_full_and_then_half_of_the_time_an_earlier_one() -> None:
    torch.manual_seed(0)
    pool = Pool(5, 2)
    for tone in range(5):
        assert torch.equal(pool(face(tone)), face(tone))
    given, kept = [], {0, 1, 2, 3, 4}
    for tone in range(5, 305):
        out = int(pool(face(tone))[0, 0, 0, 0])
        assert out in kept | {tone}
        if out != tone:
            kept = kept - {out} | {tone}
        assert kept == {int(value) for value in pool.faces[:, 0, 0, 0]}
        given.append(out == tone)
    assert 110 < sum(given) < 190


def test_a_pool_of_none_changes_nothing() -> None:
    assert torch.equal(Pool(0, 2)(face(1)), face(1))


def test_the_discriminators_see_what_the_pool_gives(
    method: CycleGAN, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = torch.rand(1, 3, 32, 32)
    for pool in method.pools.values():
        monkeypatch.setattr(pool, "forward", lambda _new: earlier)
    expected = sum(squared(D(earlier), 0) for D in method.discriminators.values())
    terms = method.discriminator_loss(batch, method(batch))
    assert terms["synthesized"].item() == pytest.approx(expected / 2, rel=1e-4)


def test_training_with_a_full_pool_resumes_exactly(make_pairs: Any, tmp_path: Path) -> None:
    def trainer(out: Path, seed: int) -> Trainer:
        torch.manual_seed(seed)
        method = create("cyclegan", size=32, width=4, blocks=1, pool=2)
        assert isinstance(method, CycleGAN)
        return Trainer(method, method.recipe.changed(epochs=3), make_pairs(4), out=out, seed=5)

    straight = trainer(tmp_path / "straight", seed=1)
    straight.fit()
    interrupted = trainer(tmp_path / "interrupted", seed=1)
    step, done = interrupted.step, []

    def step_then_interrupt(batch: Batch) -> dict[str, float]:
        import signal

        report = step(batch)
        done.append(1)
        if len(done) == 6:  # amid the second epoch, the pools full
            signal.raise_signal(signal.SIGINT)
        return report

    interrupted.step = step_then_interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit()
    torch.rand(7)
    resumed = trainer(tmp_path / "interrupted", seed=99)
    resumed.start(resume=True)
    pool = resumed.method.get_submodule("pools.sketch")
    assert int(pool.filled) == 2  # type: ignore[arg-type]
    resumed.fit()
    expected = straight.method.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.method.state_dict().items())


def test_weight_files_hold_no_faces() -> None:
    method = create("cyclegan", size=32, width=4, pool=2)
    assert all(name.startswith("generators.") for name in method.translating_state())


def test_one_state_translates_both_ways(make_tiny: Any, batch: Batch) -> None:
    there = make_tiny("cyclegan").eval()
    back = make_tiny("cyclegan", seed=1, source="sketch", target="photo").eval()
    back.load_state_dict(there.translating_state(), strict=False)
    with torch.inference_mode():
        assert torch.equal(back.translate(batch.sketch), there.generators["sketch_to_photo"](batch.sketch))


def test_the_papers_networks() -> None:
    """c7s1-64, d128, d256, R256 x 9, u128, u64, c7s1-3; C64-C128-C256-C512 (appendix 7.2)."""
    with torch.device("meta"):
        method = CycleGAN()
    for generator in method.generators.values():
        layers = [layer for layer in generator.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        assert [layer.out_channels for layer in layers] == [64, 128, 256, *[256] * 18, 128, 64, 3]
        assert [layer.kernel_size[0] for layer in layers] == [7, *[3] * 22, 7]
        counted = 49 * 3 * 64 + 128 + 9 * 64 * 128 + 256 + 9 * 128 * 256 + 512
        counted += 18 * (9 * 256 * 256 + 512) + 9 * 256 * 128 + 256 + 9 * 128 * 64 + 128 + 49 * 64 * 3 + 3
        assert sum(parameter.numel() for parameter in generator.parameters()) == counted
    for D in method.discriminators.values():
        channels = [layer.out_channels for layer in D.modules() if isinstance(layer, nn.Conv2d)]
        assert channels == [64, 128, 256, 512, 1]
    assert CycleGAN(size=128, width=4).blocks == 6
    assert (method.lambda_cycle, method.identity, method.pool) == (10, 0.5, 50)
    recipe = method.recipe
    assert (recipe.epochs, recipe.flat, recipe.batch, recipe.learning_rate) == (200, 0.5, 1, 2e-4)


def test_unknown_settings_are_refused() -> None:
    for settings in ({"size": 30}, {"pool": -1}, {"patch": 71}, {"source": "sketch"}):
        with pytest.raises(UsageError):
            create("cyclegan", **settings)
