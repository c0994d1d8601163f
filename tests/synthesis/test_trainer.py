import json
import signal
from dataclasses import replace

import pytest
import torch

from forensic import weights as store
from forensic.errors import ModelError, TrainingError, UsageError
from forensic.synthesis import Player, Recipe, trainer, weights
from forensic.synthesis.examples import Examples
from forensic.synthesis.trainer import Trainer

SHORT = Recipe(epochs=2, batch=2, shift=0)


def test_writes_log_board_samples_snapshots_and_weights(make_tiny, make_pairs, tmp_path) -> None:
    method = make_tiny("pix2pix", source="sketch", target="photo")
    Trainer(method, SHORT, make_pairs(3), held_out=make_pairs(2, seed=9), out=tmp_path).fit()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2]
    for player in ("generator", "discriminator"):
        rates = [line[f"{player}/learning_rate"] for line in log]
        assert rates == [SHORT.learning_rate, SHORT.learning_rate / 2]
    assert log[0].keys() >= {"generator/l1", "generator/adversarial", "discriminator/real", "held_out/l1"}
    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock",
        "checkpoint.safetensors",
        "log.jsonl",
        "pix2pix-sketch-to-photo.safetensors",
        "samples",
        "snapshots",
        "tensorboard",
    }
    assert len(list((tmp_path / "samples").iterdir())) == 2
    assert list((tmp_path / "tensorboard").iterdir())


def test_rate_is_flat_then_falls_linearly_to_nearly_nothing() -> None:
    recipe = Recipe(epochs=8, flat=0.5, learning_rate=1.0)
    rates = [recipe.learning_rate_at(epoch) for epoch in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert Recipe(epochs=3, flat=1.0, learning_rate=1.0).learning_rate_at(2) == 1.0


def test_a_recipe_is_checked() -> None:
    with pytest.raises(UsageError, match=r"Unknown recipe setting 'epoch'\. Known: epochs, flat"):
        Recipe().changed(epoch=3)
    with pytest.raises(TypeError):
        Recipe(epoch=3)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="epochs is 0, expected 1 or more"):
        replace(Recipe(), epochs=0)
    with pytest.raises(UsageError, match="learning_rate is inf, expected 0 to 1"):
        Recipe().changed(learning_rate=float("inf"))
    with pytest.raises(UsageError, match=r"batch is 2\.0, expected int"):
        Recipe().changed(batch=2.0)
    assert Recipe(tone=1).tone == 1
    with pytest.raises(UsageError, match="tone is 2"):
        Recipe(tone=2)
    with pytest.raises(AttributeError):
        Recipe().epochs = 3  # type: ignore[misc]
    assert Recipe().changed(betas=[0.1, 0.2]).betas == (0.1, 0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": SHORT.changed(epochs=3)}, "configuration: recipe epochs was 2, is 3. Give"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"settings": {"dropout": 0.0}}, "configuration: settings dropout was 0.5, is 0.0. Give"),
        ({"pairs": 2}, "data was .*pairs was 3, is 2"),
    ],
)
def test_resuming_with_a_changed_configuration_raises(make_tiny, make_pairs, tmp_path, change, message) -> None:
    Trainer(make_tiny("pix2pix"), SHORT, make_pairs(3), out=tmp_path).save()
    method = make_tiny("pix2pix", **change.get("settings", {}))
    data = make_pairs(change.get("pairs", 3))
    other = Trainer(method, change.get("recipe", SHORT), data, out=tmp_path, seed=change.get("seed", 0))
    with pytest.raises(TrainingError, match=message):
        other.start(resume=True)


def test_averaged_weights_are_the_running_mean(make_tiny, make_pairs) -> None:
    """The first step's weights, then 0.75 of the mean and 0.25 of each step's; what learns is not the mean."""
    pairs = make_pairs(2)
    trainer = Trainer(make_tiny("pix2pix"), SHORT.changed(average=0.75), pairs)
    name, weights = next(iter(trainer.method.translating_state().items()))
    mean = None
    for _ in range(3):
        trainer.step(pairs.batch())
        mean = weights.clone() if mean is None else 0.75 * mean + 0.25 * weights
    assert torch.allclose(trainer.result.translating_state()[name], mean, rtol=0, atol=1e-7)
    assert not torch.equal(trainer.result.translating_state()[name], weights)
    plain = Trainer(make_tiny("pix2pix"), SHORT, pairs)
    assert plain.result is plain.method


def test_weights_decay_as_the_recipe_says(make_tiny, make_pairs, monkeypatch) -> None:
    """Where no loss has a gradient, Adam follows that of the decay alone: every weight goes towards 0."""
    method = make_tiny("pix2pix")
    terms = {"none": sum(0 * parameter.sum() for parameter in method.generator.parameters())}
    monkeypatch.setattr(method, "generator_loss", lambda batch, faces: terms)
    trainer = Trainer(method, SHORT.changed(weight_decay=0.1, learning_rate=1e-3), make_pairs(1))
    before = {name: value.clone() for name, value in method.generator.named_parameters()}
    trainer.step(make_pairs(1).batch())
    for name, value in method.generator.named_parameters():
        far = before[name].abs() > 1e-2
        torch.testing.assert_close(value[far], (before[name] - 1e-3 * before[name].sign())[far])
    assert SHORT.weight_decay == 0


def test_what_a_player_does_after_its_steps(make_tiny, make_pairs, monkeypatch) -> None:
    method = make_tiny("pix2pix")
    done = []
    players = method.players()
    held = players["discriminator"]._replace(turns=2, after=lambda: done.append("discriminator"))
    turns = {"discriminator": held, "generator": players["generator"]._replace(after=lambda: done.append("generator"))}
    monkeypatch.setattr(method, "players", lambda: turns)
    Trainer(method, SHORT, make_pairs(1)).step(make_pairs(1).batch())
    assert done == ["discriminator", "discriminator", "generator"]


def test_a_finished_folder_is_not_overwritten(make_tiny, make_pairs, tmp_path) -> None:
    trainer = Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1), out=tmp_path)
    trainer.save()
    with pytest.raises(TrainingError, match="holds a training already"):
        trainer.start(resume=False)


@pytest.mark.parametrize("left", ["log.jsonl", "snapshots", "pix2pix-photo-to-sketch.safetensors"])
def test_a_finished_training_without_its_checkpoint_is_not_overwritten(make_tiny, make_pairs, tmp_path, left) -> None:
    """Checkpoints are large, and are deleted first."""
    Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1), out=tmp_path / "run").fit()
    (tmp_path / "run" / left).rename(tmp_path / left)
    before = sorted(tmp_path.rglob("*"))
    again = Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1), out=tmp_path)
    with pytest.raises(TrainingError, match=f"holds a training without its checkpoint \\({left}\\)"):
        again.start(resume=False)
    assert {*tmp_path.rglob("*")} - {tmp_path / ".lock"} == {*before}


def test_a_folder_is_trained_by_one_program_at_a_time(make_tiny, make_pairs, tmp_path) -> None:
    """One that is paused writes its checkpoint later, over that of another."""

    def trained():
        return Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1), out=tmp_path)

    first = trained()
    first.start(resume=False)
    for act in (lambda: trained().start(resume=True), lambda: trained().start(resume=False), lambda: trained().fit()):
        with pytest.raises(TrainingError, match=f"{tmp_path} is being trained by another program"):
            act()
    first.fit()
    last = trained()
    last.start(resume=True)
    last.fit()
    with pytest.raises(TrainingError, match="holds a training already"):
        trained().start(resume=False)
    trained().start(resume=True)  # what was refused holds nothing


def figures(folder):
    """The log's lines in their order, without the time that an epoch took."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [[(name, value) for name, value in line.items() if name != "seconds"] for line in lines]


def test_a_training_killed_before_it_saved_is_gone_on_with(make_tiny, make_pairs, monkeypatch, tmp_path) -> None:
    """The log has each epoch once, with the figures of an uninterrupted training; another seed does not mix in."""

    def trainer(folder, seed=0):
        return Trainer(make_tiny("pix2pix"), SHORT, make_pairs(3), seed=seed, out=tmp_path / folder)

    trainer("whole").fit()
    killed = trainer("killed")
    killed.start(resume=False)
    monkeypatch.setattr(killed, "save", lambda: None)  # as a kill leaves it: epochs in the log, none in a checkpoint
    killed.fit()
    assert len(figures(tmp_path / "killed")) == 2
    with pytest.raises(TrainingError, match="holds a training already"):
        trainer("killed", seed=1).start(resume=False)
    with pytest.raises(TrainingError, match="seed was 0, is 1"):
        trainer("killed", seed=1).start(resume=True)
    resumed = trainer("killed")
    resumed.start(resume=True)
    resumed.fit()
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    weights = [(tmp_path / name / "pix2pix-photo-to-sketch.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "harm", ['{"epoch": 3, "seco', '{"epoch": 1, "sec\n', "[1]\n", '{"epoch": null}\n', "\x00\x00\n"]
)
def test_a_line_of_the_log_that_is_damaged_is_left_out(make_tiny, make_pairs, tmp_path, harm) -> None:
    """As a full disk or a crash leaves it; the epochs before stay."""
    out = tmp_path / "run"
    Trainer(make_tiny("pix2pix"), SHORT, make_pairs(3), out=out).fit()
    whole = figures(out)
    with (out / "log.jsonl").open("a") as log:
        log.write(harm)
    resumed = Trainer(make_tiny("pix2pix"), SHORT, make_pairs(3), out=out)
    resumed.start(resume=True)
    resumed.fit()
    assert figures(out) == whole


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_program_saves_as_ctrl_c_does(make_tiny, make_pairs, monkeypatch, tmp_path, told) -> None:
    """As timeout, a cluster, a container or a closed terminal ends it; nohup's word counts."""
    cut = Trainer(make_tiny("pix2pix"), SHORT, make_pairs(5), out=tmp_path)
    cut.start(resume=False)
    step = cut.step
    monkeypatch.setattr(cut, "step", lambda batch: (step(batch), signal.raise_signal(told))[0])
    before = signal.signal(told, signal.SIG_DFL)  # these tests may run behind nohup themselves
    try:
        with pytest.raises(KeyboardInterrupt, match="stopped in epoch 1; go on with --resume"):
            cut.fit()
        assert signal.getsignal(told) == signal.SIG_DFL
        assert store.read(tmp_path / "checkpoint.safetensors")[1]["steps_done"] == 1
        signal.signal(told, signal.SIG_IGN)
        cut.fit()
        assert cut.epoch == SHORT.epochs
    finally:
        signal.signal(told, before)


def test_a_long_epoch_writes_checkpoints_that_are_gone_on_from(make_tiny, make_pairs, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(trainer, "_STEP_SAVE_SECONDS", -1.0)

    def trained(folder):
        return Trainer(make_tiny("pix2pix"), SHORT, make_pairs(5), out=tmp_path / folder)

    trained("whole").fit()
    killed = trained("killed")
    killed.start(resume=False)
    step = killed.step

    def step_until_killed(batch):
        if (killed.epoch, killed.steps_done) == (1, 2):
            raise RuntimeError("killed")
        return step(batch)

    monkeypatch.setattr(killed, "step", step_until_killed)
    with pytest.raises(RuntimeError, match="killed"):
        killed.fit()
    resumed = trained("killed")
    resumed.start(resume=True)
    assert (resumed.epoch, resumed.steps_done) == (1, 2)
    resumed.fit()
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    for file in ("checkpoint.safetensors", "pix2pix-photo-to-sketch.safetensors"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.mark.parametrize("stop", [1, 4])
def test_the_log_of_an_interrupted_epoch_is_that_of_an_uninterrupted_one(
    make_tiny, make_pairs, monkeypatch, tmp_path, stop
) -> None:
    """Interrupted twice in one epoch of three steps: its figures are means over all three."""

    def trainer(folder):
        return Trainer(make_tiny("pix2pix"), SHORT, make_pairs(5), held_out=make_pairs(1), out=tmp_path / folder)

    def interrupt(trained, steps):
        step, done = trained.step, []

        def counted(batch):
            report = step(batch)
            done.append(report)
            if len(done) == steps:
                signal.raise_signal(signal.SIGINT)
            return report

        monkeypatch.setattr(trained, "step", counted)
        with pytest.raises(KeyboardInterrupt):
            trained.fit()

    trainer("whole").fit()
    cut = trainer("cut")
    cut.start(resume=False)
    interrupt(cut, stop)
    again = trainer("cut")
    again.start(resume=True)
    interrupt(again, 1)
    last = trainer("cut")
    last.start(resume=True)
    last.fit()
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")


def test_resuming_needs_a_whole_checkpoint(make_tiny, make_pairs, tmp_path) -> None:
    trainer = Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1), out=tmp_path)
    with pytest.raises(ModelError, match="No file"):
        trainer.start(resume=True)
    trainer.save()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        trainer.start(resume=True)
    weights.save(make_tiny("pix2pix"), path)
    with pytest.raises(ModelError, match="not the checkpoint of a training"):
        trainer.start(resume=True)
    with pytest.raises(TrainingError, match="without the folder"):
        Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1)).resume()


def test_a_loss_that_is_not_finite_stops_before_it_harms(make_tiny, make_pairs, monkeypatch) -> None:
    method = make_tiny("pix2pix")
    trainer = Trainer(method, SHORT, make_pairs(2))
    before = {name: value.clone() for name, value in method.generator.state_dict().items()}
    monkeypatch.setattr(
        method, "generator_loss", lambda batch, faces: {"l1": faces["synthesized"].mean() * float("nan")}
    )
    with pytest.raises(TrainingError, match=r"not finite.*'generator/l1': nan"):
        trainer.fit()
    assert all(torch.equal(before[name], value) for name, value in method.generator.state_dict().items())


def test_a_gradient_that_is_no_number_stops_before_it_harms(make_tiny, make_pairs, monkeypatch, tmp_path) -> None:
    """A finite loss may have one: the slope of the root is infinite at 0."""
    method = make_tiny("pix2pix")
    wanted = method.generator_loss

    def poisoned(batch, faces):
        made = faces["synthesized"]
        return {**wanted(batch, faces), "root": (made - made.detach()).square().sum().sqrt()}

    monkeypatch.setattr(method, "generator_loss", poisoned)
    trained = Trainer(method, SHORT, make_pairs(2), out=tmp_path)
    before = {name: value.clone() for name, value in method.generator.state_dict().items()}
    with pytest.raises(TrainingError, match=r"The gradient of generator .*is not finite.*'generator/root': 0\.0"):
        trained.fit()
    assert all(torch.equal(before[name], value) for name, value in method.generator.state_dict().items())
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_a_player_that_cannot_move_all_its_parameters_is_told(make_tiny, make_pairs) -> None:
    method = make_tiny("pix2pix")
    method.generator.down[0].requires_grad_(False)
    with pytest.raises(
        TrainingError, match=r"'pix2pix': the player 'generator' has parameters that do not learn .*Aid"
    ):
        Trainer(method, SHORT, make_pairs(1))


def test_a_device_that_is_not_there_is_an_error(make_tiny, make_pairs) -> None:
    for device in ("cuda:99", "nonsense"):
        with pytest.raises(UsageError, match=f"'{device}' cannot be used"):
            Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1), device=device)


def test_examples_have_the_methods_size(make_tiny, make_pairs) -> None:
    with pytest.raises(TrainingError, match="64 pixels wide, the method works at 32"):
        Trainer(make_tiny("pix2pix"), SHORT, make_pairs(1, size=64))


def test_a_player_takes_all_its_turns_on_fresh_faces(make_tiny, make_pairs, monkeypatch) -> None:
    method = make_tiny("pix2pix")
    once = method.players()
    made = []
    forward = method.forward
    monkeypatch.setattr(method, "forward", lambda batch: made.append(1) or forward(batch))
    monkeypatch.setattr(
        method, "players", lambda: {"generator": Player(method.generator, once["generator"].loss, turns=3)}
    )
    trainer = Trainer(method, SHORT, make_pairs(2))
    trainer.step(next(trainer._batches()))
    assert len(made) == 3
    (state,) = {int(state["step"]) for state in trainer.optimizers["generator"].state.values()}
    assert state == 3


def test_bf16_trains_and_keeps_float32_weights(make_tiny, make_pairs) -> None:
    method = make_tiny("pix2pix")
    trainer = Trainer(method, SHORT, make_pairs(2), precision="bf16")
    trainer.fit()
    assert {parameter.dtype for parameter in method.parameters()} == {torch.float32}
    with pytest.raises(UsageError, match="Unknown precision 'fp16'"):
        Trainer(method, SHORT, make_pairs(2), precision="fp16")  # type: ignore[arg-type]


def test_the_data_are_known_by_their_pixels(make_pairs) -> None:
    data = make_pairs(2)
    assert data.digest() == make_pairs(2).digest()
    changed = data.photo.clone()
    changed[0, 0, 0, 0] += 1
    assert Examples(changed, data.sketch).digest() != data.digest()


def test_players_learn_at_their_own_rates(make_tiny, make_pairs) -> None:
    trainer = Trainer(make_tiny("pix2pix", discriminator_rate=0.5), SHORT, make_pairs(1))
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in trainer.optimizers.items()}
    assert rates == {"discriminator": SHORT.learning_rate / 2, "generator": SHORT.learning_rate}


def test_held_out_pairs_are_drawn_each_in_its_style(make_tiny, make_pairs, tmp_path) -> None:
    method = make_tiny("hida", style=1)
    data = Examples(*make_pairs(3)[:2], torch.tensor([2, 0, 1]))
    trainer = Trainer(method, SHORT.changed(epochs=1), data, held_out=data, out=tmp_path)
    trainer.fit()
    drawn = trainer._translated(data.batch())
    assert method.style == 1
    for index, style in enumerate((3, 1, 2)):
        method.style = style
        torch.testing.assert_close(drawn[index], method.translate(data.batch().photo)[index])
    distance = (drawn - data.batch().sketch).abs().mean().item()
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["held_out/l1"] == pytest.approx(distance, rel=1e-5)


def test_a_method_without_styles_does_not_see_them(make_tiny, make_pairs) -> None:
    data = make_pairs(2)
    reports = []
    for style in (None, torch.tensor([0, 1])):
        trainer = Trainer(make_tiny("pix2pix"), SHORT, Examples(data.photo, data.sketch, style))
        torch.manual_seed(0)
        reports.append(trainer.step(next(trainer._batches())))
    assert reports[0] == reports[1]
