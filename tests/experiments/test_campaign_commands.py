"""The campaign's command line."""

import argparse

import pytest

from forensic.errors import DataError, TrainingError, UsageError


def test_a_call_that_asks_for_another_campaign_is_refused(tmp_path, capsys) -> None:
    import campaign
    import campaign_plan

    assert campaign.main(["status", "--out", str(tmp_path)]) == UsageError.exit_code
    assert "holds no plan. Make one" in capsys.readouterr().err
    plan = {"asked": {"seed": 0, "runs": []}}
    campaign_plan.check_same(plan, {"seed": 0, "runs": ()}, tmp_path)
    with pytest.raises(UsageError, match="another campaign: seed is 0, given 1"):
        campaign_plan.check_same(plan, {"seed": 1}, tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(TrainingError, match="is not a plan"):
        campaign_plan.read(tmp_path)


@pytest.mark.parametrize(("text", "expected"), [("540", 540), ("25m", 1500), ("1.5h", 5400), ("9s", 9)])
def test_durations(text, expected) -> None:
    import campaign

    assert campaign.seconds(text) == expected


def test_seeds() -> None:
    import campaign

    assert campaign.seed("7") == 7
    for text in ("-1", "x", str(2**63)):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a number from 0 to"):
            campaign.seed(text)


def test_data_or_a_pack_are_needed(tmp_path, capsys) -> None:
    import campaign

    assert campaign.main(["plan", "--out", str(tmp_path), "--budget", "1h"]) == UsageError.exit_code
    assert "--data NAME=DIR, or a pack" in capsys.readouterr().err
    packed = ["plan", "--out", str(tmp_path), "--budget", "1h", "--packed", str(tmp_path)]
    assert campaign.main(packed) == DataError.exit_code
    assert "no unpacked campaign" in capsys.readouterr().err


def test_a_folder_that_cannot_be_is_said_to_be_none(tmp_path, capsys, monkeypatch) -> None:
    import campaign

    def fail(*given: object) -> None:
        (tmp_path / "file" / "x").mkdir(parents=True)

    (tmp_path / "file").touch()
    monkeypatch.setattr(campaign, "_campaign", fail)
    given = ["plan", "--out", str(tmp_path / "file" / "x"), "--budget", "1h", "--data", f"cufs={tmp_path}"]
    assert campaign.main(given) == 1
    assert f"{tmp_path / 'file' / 'x'}: Not a directory." in capsys.readouterr().err
