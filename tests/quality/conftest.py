from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made, targets = tmp_path / "made", tmp_path / "targets"
    made.mkdir()
    targets.mkdir()
    return made, targets
