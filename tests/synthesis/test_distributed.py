"""Several processes train what one trains: torchrun and gloo as users have them, two processes on a CPU."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from invented import noise, pair_folder
from shared_training import TRAININGS, trainer

from forensic import cli
from forensic import weights as store
from forensic.errors import UsageError
from forensic.synthesis import shares, strokes
from forensic.synthesis.distributed import LOST, Processes, start
from forensic.synthesis.trainer import Trainer
from forensic.synthesis.translator import Batch

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
FEW = ["fcn", "pix2pix", "cyclegan", "drit"]
"""One player that compares the faces of a batch; then dropout, a history of faces, drawn attributes."""


@contextmanager
def torchrun(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [*TORCHRUN, *map(str, arguments)]
    run = subprocess.Popen(command, env=os.environ | ENVIRONMENT, stdout=-1, stderr=-1, text=True)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.terminate()
            run.communicate(timeout=60)


def ended(run: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = run.communicate(timeout=240)
    return out, err


def off(name: str, path: Path, **named: object) -> tuple[float, float]:
    """How far the weights of two processes are from those of one, and those of one with half the batch.

    In units of how far the one has come from where it began. Adam takes nearly as large a step where a gradient is
    all rounding noise, so this is not nearly as small as the rounding.
    """
    alone, other = trainer(name, **named), trainer(name, batch=2, **named)

    def gathered(state: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([value.double().flatten() for _, value in sorted(state.items())])

    before = gathered(alone.result.state_dict())
    alone.fit()
    other.fit()
    expected = gathered(alone.result.state_dict())
    distances = [(gathered(state) - expected).norm() for state in (store.read(path)[0], other.result.state_dict())]
    together, halved = (float(distance / (expected - before).norm()) for distance in distances)
    return together, halved


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    with torchrun(ROOT / "tests" / "shared_training.py", tmp_path, *FEW) as run:
        _, err = ended(run)
    assert run.returncode == 0, err
    for name in FEW:
        together, halved = off(name, tmp_path / f"{name}.safetensors")
        assert together < 0.02 < 0.4 < halved, name
    together, halved = off("pix2pix", tmp_path / "bf16.safetensors", precision="bf16")
    assert together < 0.4 < halved
    went_on(tmp_path)


def went_on(folder: Path) -> None:
    """An interrupted and resumed training has the checkpoint of one that never stopped, to the bit."""
    for file in ("checkpoint.safetensors", "pix2pix-photo-to-sketch.safetensors"):
        assert (folder / "whole" / file).read_bytes() == (folder / "resumed" / file).read_bytes()
    assert len((folder / "resumed" / "log.jsonl").read_text().splitlines()) == 2


@pytest.mark.slow
def test_two_processes_train_every_method_as_one(tmp_path: Path) -> None:
    with torchrun(ROOT / "tests" / "shared_training.py", tmp_path, *TRAININGS) as run:
        _, err = ended(run)
    assert run.returncode == 0, err
    for name in TRAININGS:
        together, halved = off(name, tmp_path / f"{name}.safetensors")
        assert together < 0.05 < 0.2 < halved, name


def log_lines(out: Path) -> int:
    log = out / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def wait_for_epochs(run: subprocess.Popen[str], out: Path, count: int) -> None:
    end = time.monotonic() + 200
    while log_lines(out) < count:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def process_of_rank(parent: int, rank: int) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended, or is another user's
            continue
        if above == parent and f"RANK={rank}".encode() in environment:
            return int(folder.name)
    raise AssertionError(f"No process of rank {rank}.")


def endless(folder: Path) -> tuple[list[object], Path]:
    """A training that lasts until it is stopped: what follows ``python``, and its folder."""
    data, out = pair_folder(folder / "data", "abc"), folder / "out"
    command = ["train", "pix2pix", "--data", data, "--out", out, "--size", 32, "--width", 4]
    return ["-m", "forensic", *command, "--epochs", 100_000, "--set", "batch=2"], out


@pytest.mark.slow
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_torchrun_saves_and_ends_all_processes(tmp_path: Path, told: signal.Signals) -> None:
    command, out = endless(tmp_path)
    with torchrun(*command) as run:
        wait_for_epochs(run, out, 1)
        run.send_signal(told)  # torchrun passes it on
        printed, err = ended(run)
    assert run.returncode != 0
    assert err.count("Interrupted. What was stored is whole; stopped in epoch") == 1
    assert "forensic/synthesis" not in err  # no traceback of ours
    assert printed == ""
    assert store.read(out / "checkpoint.safetensors")[1]["epoch"] >= 1


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for the process in /proc")
def test_a_killed_process_ends_all_and_leaves_the_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes go on from what one saved, and one of them is killed."""
    command, out = endless(tmp_path)
    step = Trainer.step

    def step_and_interrupt(self: Trainer, batch: Batch) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return step(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", step_and_interrupt)
        assert cli.run([str(word) for word in command[2:]]) == cli.INTERRUPTED
    checkpoint = (out / "checkpoint.safetensors").read_bytes()
    with torchrun(*command, "--resume") as run:
        wait_for_epochs(run, out, 2)
        os.kill(process_of_rank(run.pid, 1), signal.SIGKILL)
        printed, err = ended(run)
    assert run.returncode != 0
    assert err.count(f"Error: {LOST}") == 1
    assert "forensic/synthesis" not in err
    assert printed == ""
    assert (out / "checkpoint.safetensors").read_bytes() == checkpoint
    assert store.read(out / "checkpoint.safetensors")[1]["steps_done"] == 1
    assert not list(out.glob(".*.part"))  # nothing half written


@pytest.mark.slow
def test_wrong_settings_are_told_once(tmp_path: Path) -> None:
    data = pair_folder(tmp_path / "data", "abc")
    for options, told in [
        (["--set", "batch=3"], "2 processes cannot share a batch of 3 pairs evenly. Give a multiple of 2"),
        (["--set", "batch=2", "--size", 33], "33"),
    ]:
        with torchrun("-m", "forensic", "train", "pix2pix", "--data", data, "--out", tmp_path / "out", *options) as run:
            _, err = ended(run)
        assert run.returncode != 0
        assert err.count("Error: ") - err.count("ChildFailedError: ") == 1, err
        assert told in err
        assert "forensic/synthesis" not in err
        assert "forcefully" not in err  # both end by themselves


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts the second of two processes."""
    values = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)


class Told:
    """The store of the processes, in which another one has told so many errors or none."""

    def __init__(self, before: int) -> None:
        self.count = before

    def add(self, key: str, amount: int) -> int:
        self.count += amount
        return self.count


@pytest.mark.parametrize(
    ("device", "there", "message"),
    [
        ("cuda", 1, "2 processes were started on a machine with 1 CUDA devices.*Give --nproc-per-node 1"),
        ("cuda", 0, "with 0 CUDA devices.*or --device cpu|--device cpu"),
        ("cuda:1", 2, "--device cuda:1 with 2 processes: expected cpu or cuda"),
    ],
)
def test_every_process_needs_a_device_of_its_own(
    launched: None, monkeypatch: pytest.MonkeyPatch, device: str, there: int, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    before = signal.getsignal(signal.SIGTERM)
    try:
        for told in (0, 1):
            monkeypatch.setattr(
                "forensic.synthesis.distributed.rendezvous", lambda url, told=told: iter([(Told(told), 1, 2)])
            )
            with pytest.raises(SystemExit if told else UsageError, match="2" if told else message), start(device):
                pass
    finally:
        signal.signal(signal.SIGTERM, before)


def test_processes_that_would_train_alone_are_refused(launched: None) -> None:
    with pytest.raises(UsageError, match="no use for several processes"):
        trainer("fcn")


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [1, 2, 4, 7])
def test_shares_cover_a_batch(world: int, total: int) -> None:
    all_shares = [shares.share(total, rank, world, lambda rows: rows) for rank in range(world)]
    covered = [row for share in all_shares if share.weight for row in range(share.first, share.last)]
    assert covered == list(range(total))
    assert sum(share.weight for share in all_shares) == pytest.approx(1)
    assert all(share.last - share.first >= 1 for share in all_shares)


def in_layout(features: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    return features.contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_does_not_depend_on_the_share_or_the_layout(layout: torch.memory_format) -> None:
    """A graphics card has channels last, in which torch would draw in another order."""
    dropout = shares.Dropout(0.5)
    plain = noise(5, 4, 4, seed=0)
    features = in_layout(plain, layout)
    torch.manual_seed(1)
    whole = dropout(features)
    assert (whole == 0).any()
    after = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.nn.Dropout(0.5)(plain), whole)
    assert whole.is_contiguous(memory_format=layout)
    for rank in range(2):
        share = shares.share(5, rank, 2, lambda rows: rows)
        torch.manual_seed(1)
        with shares.taken(share):
            own = dropout(share.own(features))
            assert torch.equal(own, share.own(whole))
            assert own.is_contiguous(memory_format=layout)
            assert torch.equal(torch.get_rng_state(), after)
            assert torch.equal(dropout.eval()(share.own(features)), share.own(features))
            dropout.train()
            with pytest.raises(ValueError, match=r"4 rows where the process has [23] of the batch's 5"):
                dropout(features[:4])


def test_strokes_do_not_depend_on_the_share() -> None:
    side = torch.arange(64)
    faces = torch.stack([(side[:, None] * k + side > 64 + 8 * k).long() for k in (1, 2, 3)])
    faces[1, 20:40, 20:40] = 2  # more strokes than the others
    counts = torch.tensor([sum(len(stroke.points) for stroke in strokes.traced(face.numpy())) for face in faces])
    torch.manual_seed(1)
    whole = strokes.sketches(faces, 4.0)
    after = torch.get_rng_state()
    for rank in range(2):
        share = shares.share(3, rank, 2, lambda own: counts)
        torch.manual_seed(1)
        with shares.taken(share):
            for drawn, expected in zip(strokes.sketches(share.own(faces), 4.0), whole, strict=True):
                assert torch.equal(drawn, share.own(expected))
        assert torch.equal(torch.get_rng_state(), after)


def test_gradients_are_averaged_by_share_and_none_stays_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process has three of the batch's four rows, and a gradient where this one has none."""
    both, other, neither = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    both.grad = torch.tensor([4.0, 8.0])
    theirs = torch.tensor([0.75 * 1, 0.75 * 2, 0.75 * 4, 0.75 * 8, 0, 0, 1, 1, 0])
    processes = Processes("cpu", 0, 2)
    monkeypatch.setattr(processes, "_add", lambda flat: flat + theirs)
    processes.average([both, other, neither], 0.25)
    assert both.grad is not None
    assert other.grad is not None
    assert both.grad.tolist() == [1.75, 3.5]
    assert other.grad.tolist() == [3, 6]
    assert neither.grad is None
