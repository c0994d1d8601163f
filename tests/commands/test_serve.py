from pathlib import Path

import pytest
from click.testing import CliRunner

from forensic.commands.serve import serve
from forensic.errors import UsageError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "cuda:99"], "The device 'cuda:99' cannot be used here"),
        (["--search-device", "cuda:99"], "The device 'cuda:99' cannot be used here"),
        (["--search-device", "cpu", "--approximate", "hnsw"], "--approximate is for the processor"),
        (["--proxy", "10.0.0.1"], "--proxy is for --https"),
        (["--host", "0.0.0.0"], "say by which name with --name"),  # noqa: S104 - nothing listens
    ],
)
def test_what_cannot_be_is_told_before_anything_listens(tmp_path: Path, options: list[str], said: str) -> None:
    ran = CliRunner().invoke(serve, ["--gallery", str(tmp_path / "none"), *options])
    assert isinstance(ran.exception, UsageError)
    assert said in str(ran.exception)
