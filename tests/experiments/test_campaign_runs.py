"""What a campaign runs: the TOML files, and what they make."""

import pytest
import torch

from forensic.errors import UsageError
from forensic.synthesis import create, registry


def test_the_toml_files_are_those_of_the_rows() -> None:
    import campaign_runs

    found = {path.name: path.read_text() for path in campaign_runs.CONFIGS.iterdir()}
    assert found == campaign_runs.configs(), "run: python experiments/campaign.py configs"


def test_every_file_makes_its_row() -> None:
    import campaign_runs

    runs = campaign_runs.choose([], ["cufs", "fs2k"])
    assert {run.method for run in runs} == set(campaign_runs.trainable()), "run: python experiments/campaign.py configs"
    assert [run.name for run in runs if run.config == "hida"] == ["cufs/hida", "fs2k/hida"]
    assert {run.data for run in runs if run.method == "hida" and run.row} == {"fs2k"}
    is_row = [run.row is not None for run in runs]
    assert is_row == sorted(is_row), "the main methods go first"
    for run in runs:
        with torch.device("meta"):
            method, recipe = campaign_runs.make(run, campaign_runs.Changes(), 0)
            papers = create(run.method, **(registry.find(run.method).rows[run.row] if run.row else run.settings))
        assert method.settings == papers.settings
        assert recipe == method.recipe


def test_size_width_and_defaults_give_way_to_what_a_row_says() -> None:
    import campaign_runs

    changes = campaign_runs.Changes(128, "compact", {"perceptual": "embedder", "batch": 4})
    for run in campaign_runs.choose([], ["cufs"]):
        with torch.device("meta"):
            method, recipe = campaign_runs.make(run, changes, 0)
        assert (method.size, recipe.batch) == (128, 4)
        assert method.settings["width"] <= 32
        if "perceptual" in method.settings:
            assert method.settings["perceptual"] == run.settings.get("perceptual", "embedder")
    (run,) = campaign_runs.choose(["cufs/sdgan"], ["cufs"])
    with pytest.raises(UsageError, match="made for 128 pixels: give --size 128"):
        campaign_runs.make(run, campaign_runs.Changes(None, "compact"), 0)


def test_unknown_runs_files_and_defaults_are_named(tmp_path) -> None:
    import campaign_runs

    with pytest.raises(UsageError, match=r"No run is called 'sdgna' on cufs\. Did you mean 'sdgan'\?"):
        campaign_runs.choose(["sdgna"], ["cufs"])
    with pytest.raises(
        UsageError, match=r"'sdgan' on mine: the protocol has data named cufs and fs2k alone\. Give TOML"
    ):
        campaign_runs.choose(["sdgan"], ["mine"])
    for name, said in (("gan", "gan"), ("pencil", "pencil"), ("", "None")):
        (tmp_path / "some.toml").write_text(f'[method]\nname = "{name}"\n' if name else "")
        with pytest.raises(UsageError, match=f"the name '?{said}'?; expected one of .*sdgan"):
            campaign_runs.read(tmp_path / "some.toml", "cufs")
    with pytest.raises(UsageError, match=r"--default perceptaul: .*Did you mean 'perceptual'"):
        campaign_runs.check_defaults({"perceptaul": "embedder"})
