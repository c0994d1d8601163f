"""The campaign runner: what it measures, chunks and resume, and the data that it belongs to."""

import json
import shutil

import pytest
import torch
from PIL import Image

from forensic import datasets
from forensic.errors import DataError, UsageError
from forensic.synthesis import Recipe, create
from forensic.synthesis.examples import load
from forensic.synthesis.trainer import Trainer

SHORT = Recipe(epochs=3, batch=2, shift=0)


def tiny():
    torch.manual_seed(0)
    return create("pix2pix", size=32, width=4)


def charge(monkeypatch, method, clock, step_seconds, translate_seconds) -> None:
    """Let the clock go on instead of working: by so much for the images of a step, and for a translation."""

    def step(self, batch):
        clock.now += step_seconds(len(batch.photo))
        return {}

    def translate(images):
        clock.now += translate_seconds
        return images

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(method, "translate", translate)


def test_images_a_second_are_those_of_warm_steps(make_clock, make_pairs, monkeypatch) -> None:
    from campaign_data import Pairs
    from campaign_training import measure

    clock, method = make_clock(), tiny()
    slow = iter([50.0])  # the first step sets things up
    charge(monkeypatch, method, clock, lambda images: next(slow, 0.25) * images, 0.1)
    pairs = Pairs(make_pairs(6), make_pairs(2))
    speed = measure(method, SHORT, pairs, device="cpu", precision="fp32", clock=clock)
    assert speed.training == pytest.approx(4.0)
    assert speed.inference == {"1": pytest.approx(10.0)}
    from campaign_plan import epoch_seconds

    assert epoch_seconds(speed, 6, 2) == pytest.approx(1.7)


def test_a_method_with_stages_is_measured_in_all_of_them(make_clock, make_pairs, monkeypatch) -> None:
    from campaign_data import Pairs
    from campaign_training import measure

    clock, method, begun = make_clock(), tiny(), []
    monkeypatch.setattr(type(method), "begin", lambda self, epoch, epochs: begun.append(epoch))
    charge(monkeypatch, method, clock, lambda images: images * begun[-1], 1)
    recipe = SHORT.changed(epochs=6)
    speed = measure(method, recipe, Pairs(make_pairs(6), None), device="cpu", precision="fp32", clock=clock)
    assert begun == [1, 3, 5]
    assert speed.training == pytest.approx(3 / (1 + 3 + 5))


# Chunks


def pursue(folder, pairs, clock, until, **named):
    from campaign_training import pursue

    settings = {"device": "cpu", "precision": "fp32", "seed": 3, "about": {"run": "x"}, "clock": clock}
    return pursue(named.pop("method", None) or tiny(), SHORT, pairs, folder, until=until, **settings | named)


def test_chunks_end_as_an_uninterrupted_run_ends(make_clock, make_pairs, monkeypatch, tmp_path) -> None:
    from campaign_data import Pairs

    pairs, clock = Pairs(make_pairs(5), make_pairs(2, seed=9)), make_clock()
    before = Trainer.step

    def step(self, batch):
        clock.now += 1
        return before(self, batch)

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr("campaign_training.time_inference", lambda *_, **__: 1.0)
    Trainer(tiny(), SHORT, pairs.kept, held_out=pairs.held, seed=3, out=tmp_path / "whole").fit()
    records = []
    while not records or records[-1]["state"] != "finished":
        records.append(pursue(tmp_path / "parts", pairs, clock, clock.now + 2))
    assert [record["epochs"]["done"] for record in records] == [0, 1, 2, 2, 3]
    assert records[-1]["seconds"] == 9
    assert records[-1]["epochs"] == {"done": 3, "of": 3, "paper": 200}
    name = "pix2pix-photo-to-sketch.safetensors"
    whole, parts = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "parts"))
    assert parts == whole
    record = json.loads((tmp_path / "parts" / "run.json").read_text())
    assert record["weights"]["file"] == name
    assert [epoch for epoch, _ in record["held_out_l1"]] == [1, 2, 3]
    assert record["images_per_second"] == {"training": None, "inference": {"1": 1.0, "16": 1.0}}


def test_an_error_is_recorded_and_ctrl_c_goes_on(make_clock, make_pairs, monkeypatch, tmp_path) -> None:
    from campaign_data import Pairs

    pairs = Pairs(make_pairs(2), None)

    def fail(error):
        def step(self, batch):
            raise error

        monkeypatch.setattr(Trainer, "step", step)

    fail(MemoryError("no room"))
    record = pursue(tmp_path / "a", pairs, make_clock(), 1.0)
    assert (record["state"], record["error"]) == ("failed", "MemoryError: no room")
    assert json.loads((tmp_path / "a" / "run.json").read_text()) == record
    fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        pursue(tmp_path / "b", pairs, make_clock(), 1.0)
    assert json.loads((tmp_path / "b" / "run.json").read_text())["state"] == "unfinished"


class Fake:
    """Trains by the clock alone: seconds that each run needs, or an error."""

    def __init__(self, out, clock, needs):
        self.out, self.clock, self.needs, self.calls = out, clock, needs, []

    def __call__(self, planned, until):
        name, folder = planned["name"], self.out / "runs" / planned["name"]
        path = folder / "run.json"
        record = json.loads(path.read_text()) if path.is_file() else {"seconds": 0.0}
        self.calls.append(name)
        needs = self.needs[name]
        if isinstance(needs, str):
            record |= {"state": "failed", "error": needs}
        else:
            spent = min(needs - record["seconds"], until - self.clock.now)
            self.clock.now += spent
            record["seconds"] += spent
            record |= {"state": "finished" if record["seconds"] >= needs else "unfinished", "error": None}
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
        return record


def planned(budget, **seconds):
    runs = [{"name": name, "epochs": 9, "seconds": share} for name, share in seconds.items()]
    return {"asked": {"budget": budget}, "runs": runs}


def test_runs_go_in_order_in_chunks_and_a_failing_one_stops_none(make_clock, tmp_path) -> None:
    from campaign_plan import work

    clock = make_clock()
    train = Fake(tmp_path, clock, {"a": 30.0, "b": "no weights", "c": 25.0})
    plan, said = planned(100.0, a=30.0, b=30.0, c=30.0), []

    def call(**named):
        return work(plan, tmp_path, train, chunk=20.0, clock=clock, retry=named.get("retry", False), say=said.append)

    assert [call(), call(), call()] == [True, True, False]
    assert train.calls == ["a", "a", "b", "c", "c"]
    assert "b: failed, 0 of 9 epochs: no weights" in said
    assert clock.now == 55.0
    assert not call()
    assert len(train.calls) == 5
    train.needs["b"] = 10.0
    assert not call(retry=True)
    assert train.calls[5:] == ["b"]


def test_a_slow_run_gives_way_and_has_what_is_left(make_clock, tmp_path) -> None:
    from campaign_plan import work

    clock = make_clock()
    train = Fake(tmp_path, clock, {"a": 70.0, "b": 30.0})
    assert not work(planned(90.0, a=40.0, b=40.0), tmp_path, train, chunk=0, clock=clock, say=lambda _: None)
    assert train.calls == ["a", "b", "a"]
    assert clock.now == 90.0, "the budget is kept to"


# What must not change


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Calls ``campaign.py``; returns its status and what it said of errors."""
    import campaign
    import campaign_training

    monkeypatch.setattr(campaign_training, "time_inference", lambda *_, **__: 1.0)
    small = ["--size", "32", "--width", "4", "--default", "batch=4", "--default", "epochs=2", "--hold-out", "1"]

    def called(command, *arguments, data, runs=("cufs/pix2pix",)):
        given = [command, *map(str, runs), "--data", f"cufs={data}", "--out", str(tmp_path / "camp"), "--budget", "1h"]
        status = campaign.main([*given, *small, *arguments])
        return status, capsys.readouterr().err

    return called


def record_of(tmp_path, name="cufs/pix2pix"):
    return json.loads((tmp_path / "camp" / "runs" / name / "run.json").read_text())


def test_a_campaign_knows_its_data_by_what_the_files_hold(call, data, tmp_path) -> None:
    """Neither pixels that were kept nor a plan serve other pairs; a copy of the same files elsewhere is the same."""
    assert call("plan", data=data)[0] == 0
    changed, copied = tmp_path / "changed", tmp_path / "copied"
    for folder in (changed, copied):
        shutil.copytree(data, folder)
    with Image.open(data / "photos" / "c.png") as photo:
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(changed / "photos" / "c.png")
    status, said = call("run", data=changed)
    assert (status, (tmp_path / "camp" / "runs").exists()) == (UsageError.exit_code, False)
    assert "holds the plan of another campaign: pairs_sha256 cufs is " in said
    status, said = call("run", data=tmp_path / "absent")
    assert status == DataError.exit_code
    assert "No data folder" in said
    assert call("run", data=copied)[0] == 0
    before = record_of(tmp_path)
    status, said = call("plan", data=changed)
    assert status == UsageError.exit_code
    assert "cufs/pix2pix has begun with something else: pairs_sha256 is " in said
    assert record_of(tmp_path) == before
    shutil.rmtree(tmp_path / "camp" / "runs")  # planned again, it learns from the other pixels
    assert call("plan", data=changed)[0] == 0
    assert call("run", data=changed)[0] == 0
    assert record_of(tmp_path)["data_sha256"] != before["data_sha256"]


def test_a_campaign_learns_from_the_split_that_is_asked_for(call, data, monkeypatch, tmp_path) -> None:
    listed = datasets.pairs(data)

    def pairs(folder, *, resplit=False):
        return [
            pair._replace(split="train" if pair.identity in ("abc" if resplit else "def") else "test")
            for pair in listed
        ]

    monkeypatch.setitem(datasets.split_pairs.__globals__, "pairs", pairs)
    assert call("run", "--resplit", data=data)[0] == 0
    record = record_of(tmp_path)
    kept, _ = load([pair for pair in listed if pair.identity in "bc"], 32)  # a is held out
    assert (record["resplit"], record["data_sha256"]) == (True, kept.digest())
    status, said = call("run", data=data)
    assert status == UsageError.exit_code
    assert "resplit is True, given False" in said


def toml(path, width):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'[method]\nname = "pix2pix"\ndropout = {width}\n[recipe]\nflat = 0.5\n')
    return path


def test_files_of_one_name_are_refused_unless_they_say_the_same(call, data, tmp_path) -> None:
    import campaign_runs

    first, second = toml(tmp_path / "a" / "x.toml", 0.5), toml(tmp_path / "b" / "x.toml", 0.25)
    status, said = call("run", data=data, runs=[first, second])
    assert (status, (tmp_path / "camp").exists()) == (UsageError.exit_code, False)
    assert f"{first} and {second} both give a run cufs/x, with other settings. Rename a file" in said
    toml(second, 0.5)
    assert [run.name for run in campaign_runs.choose([str(first), str(second)], ["cufs"])] == ["cufs/x"]
    assert len(campaign_runs.choose(["cufs/sdgan*", "sdgan"], ["cufs"])) == len(
        campaign_runs.choose(["cufs/sdgan*"], ["cufs"])
    )


def test_a_changed_file_is_refused_and_the_record_stays(call, data, tmp_path) -> None:
    file = toml(tmp_path / "x.toml", 0.5)
    assert call("run", data=data, runs=[file])[0] == 0
    before = record_of(tmp_path, "cufs/x")
    assert before["state"] == "finished"
    toml(file, 0.25)
    status, said = call("run", data=data, runs=[file])
    assert status == UsageError.exit_code
    assert "another campaign: files cufs/x settings dropout is 0.5, given 0.25." in said
    status, said = call("plan", data=data, runs=[file])
    assert status == UsageError.exit_code
    assert "cufs/x has begun with something else: settings dropout is 0.5, given 0.25." in said
    file.write_text(file.read_text().replace("0.25", "0.5").replace("flat", "learning_rate"))
    assert (
        "files cufs/x recipe flat is 0.5, given None; files cufs/x recipe learning_rate is None, given 0.5"
        in (call("run", data=data, runs=[file])[1])
    )
    status, said = call("plan", "--seed", "1", data=data, runs=[toml(file, 0.5)])
    assert (status, "seed is 0, given 1" in said) == (UsageError.exit_code, True)
    assert record_of(tmp_path, "cufs/x") == before
    assert call("plan", "--budget", "2h", data=data, runs=[file])[0] == 0


def test_a_start_that_is_refused_leaves_what_describes_the_weights(
    make_clock, make_pairs, monkeypatch, tmp_path
) -> None:
    from campaign_data import Pairs

    monkeypatch.setattr("campaign_training.time_inference", lambda *_, **__: 1.0)
    pairs = Pairs(make_pairs(2), None)
    before = pursue(tmp_path, pairs, make_clock(), 1.0)
    torch.manual_seed(0)
    other = create("pix2pix", size=32, width=5)
    after = pursue(tmp_path, pairs, make_clock(), 1.0, method=other, about={"run": "y", "commit": "later"})
    assert (after["state"], after["error"][:42]) == ("failed", "TrainingError: Cannot resume with a change")
    assert after == before | {"state": "failed", "error": after["error"]}
    assert json.loads((tmp_path / "run.json").read_text()) == after
