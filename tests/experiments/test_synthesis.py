"""What of an earlier measurement of synthesized faces is kept."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from invented import smooth_pairs
from tiny_methods import tiny

from forensic.synthesis import create, save


@pytest.fixture
def synthesis(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program, under a name that is not that of the tests of methods."""
    path = Path(__file__).parents[2] / "experiments" / "synthesis.py"
    spec = importlib.util.spec_from_file_location("synthesis_program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("cycle", "sources"), [(True, ["photo", "sketch"]), (False, ["photo"])])
def test_a_run_is_judged_each_way_that_its_weights_go(
    synthesis: Any, cycle: bool, sources: list[str], tmp_path: Path
) -> None:
    (folder := tmp_path / "runs" / "cufs" / "msg-sarl").mkdir(parents=True)
    record = {"method": "msg-sarl", "row": None, "settings": tiny("msg-sarl", cycle=cycle).settings}
    about = {"weights": {"file": "msg-sarl.safetensors"}, "width": 4, "epochs": {"done": 1, "paper": 2}}
    (folder / "run.json").write_text(json.dumps(record | about))
    assert [system.source for system in synthesis.of_campaign(tmp_path, "cufs")] == sources


@pytest.mark.parametrize("weights", [True, False])
def test_figures_are_kept_of_a_weight_file_alone(
    synthesis: Any, weights: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter's hash is that of its settings: its code may have changed since."""
    monkeypatch.setattr(synthesis, "METRICS", ("ssim",))
    given = "pencil"
    if weights:
        given = str(tmp_path / "pix2pix.safetensors")
        save(tiny("pix2pix"), Path(given))
    system = synthesis.System("judged", given)
    translator = synthesis.load_system(system) if weights else create("pencil")
    earlier = {(translator.digest, "photo"): {"ssim": {"mean": -1.0}}}
    row = synthesis.judge(system, smooth_pairs(2, size=256), ["a", "b"], tmp_path, earlier)
    assert (row["figures"]["ssim"]["mean"] == -1.0) == weights
