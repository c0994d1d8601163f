from typing import Any

import pytest
from invented import smooth_pairs
from tiny_methods import tiny


@pytest.fixture(autouse=True)
def one_thread_and_no_installed_weights(one_thread: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "installed"))


@pytest.fixture
def make_tiny() -> Any:
    return tiny


@pytest.fixture
def make_pairs() -> Any:
    return smooth_pairs
