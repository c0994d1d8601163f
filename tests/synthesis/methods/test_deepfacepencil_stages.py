"""The three stages of training (section 3.3): who moves, on what, how fast, and after an interruption."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from forensic.synthesis import Batch, create
from forensic.synthesis.methods.deepfacepencil import DeepFacePencil
from forensic.synthesis.trainer import Losses, Trainer


def small(**settings: Any) -> DeepFacePencil:
    torch.manual_seed(0)
    made = create("deepfacepencil", **{"size": 32, "width": 4, "blocks": 2, **settings})
    assert isinstance(made, DeepFacePencil)
    return made


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def moved(before: dict[str, torch.Tensor], network: nn.Module) -> set[str]:
    """Submodules whose weights are others than before."""
    return {name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(before[name], value)}


MOVES = {
    0: {"C", "D", "pooling", "E_m", "E_a", "residual", "decoder"},
    1: {"C", "D", "E_a", "residual", "decoder"},
    2: {"D", "pooling", "E_m"},
    3: {"D", "pooling", "E_m", "E_a", "residual", "decoder"},
}


def test_the_three_stages(make_pairs: Any) -> None:
    """Section 3.3: G_a and D; SAP, the encoder of G_m and D; everything. C is ready by then."""
    method = small()
    trainer = Trainer(method, method.recipe, make_pairs(2))
    batch = make_pairs(2).batch()
    for stage, epoch in ((0, None), (1, 0), (2, 2), (3, 4)):
        if epoch is not None:
            method.begin(epoch, 6)
        assert method.stage == stage
        before = weights_of(method)
        report = trainer.step(batch)
        assert moved(before, method) == MOVES[stage]
        judged = {term.split("/")[1].split("_")[0] for term in report} - {"GFM", "told"}
        assert judged == {1: {"auxiliary"}, 2: {"synthesized"}}.get(stage, {"auxiliary", "synthesized"})
        assert ("G/GFM" in report) == (stage != 1)


def test_the_learning_rate_falls_in_the_second_half_of_each_stage() -> None:
    method = small(stages=(1, 1, 2))
    rates = []
    for epoch in range(16):
        method.begin(epoch, 16)
        rates.append((method.stage, round(method.players()["G"].rate, 3)))
    short = [1.0, 1.0, 0.667, 0.333]
    assert rates == [
        *((1, rate) for rate in short),
        *((2, rate) for rate in short),
        *((3, rate) for rate in (1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2)),
    ]


def test_every_stage_has_an_epoch() -> None:
    for stages in ((1, 1, 1), (1, 1, 50), (50, 1, 1), (1, 50, 1)):
        for epochs in (3, 4, 7):
            method, found = small(stages=stages), []
            for epoch in range(epochs):
                method.begin(epoch, epochs)
                found.append(method.stage)
            assert found == sorted(found)
            assert set(found) == {1, 2, 3}
    method.begin(0, 2)
    assert method.stage == 0


@pytest.mark.parametrize("settings", [{"stages": (0, 0, 1)}, {"dual": False}])
def test_without_stages_everything_is_trained_at_once(settings: dict[str, Any]) -> None:
    method = small(**settings)
    for epoch in range(4):
        method.begin(epoch, 4)
        assert method.stage == 0
        assert list(method.players()) == ["C", "G", "D"]
    assert method.players()["G"].rate == pytest.approx(1 / 3)


@pytest.mark.parametrize("stop_at", [3, 4, 6])
def test_stages_resume_where_they_stopped(
    stop_at: int, make_pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps an epoch, an epoch a stage: stops in stage 2, before stage 3, and at the end."""

    def trainer(out: Path) -> Trainer:
        method = small(drawings="boundaries")
        return Trainer(method, method.recipe.changed(epochs=3, batch=1, shift=8), make_pairs(2), out=out, seed=5)

    straight = trainer(tmp_path / "straight")
    straight.fit()
    interrupted = trainer(tmp_path / "interrupted")
    count, step = itertools.count(1), interrupted.step

    def step_then_interrupt(batch: Batch) -> Losses:
        report = step(batch)
        if next(count) == stop_at:
            import signal

            signal.raise_signal(signal.SIGINT)
        return report

    monkeypatch.setattr(interrupted, "step", step_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit()
    torch.rand(7)
    resumed = trainer(tmp_path / "interrupted")
    resumed.start(resume=True)
    resumed.fit()
    assert resumed.method.stage == 3  # type: ignore[attr-defined]
    assert not moved(weights_of(straight.method), resumed.method)
    first, second = (tmp_path / name / "checkpoint.safetensors" for name in ("straight", "interrupted"))
    assert first.read_bytes() == second.read_bytes()
