"""Training settings in TOML files."""

from pathlib import Path

import pytest

from forensic.errors import UsageError
from forensic.synthesis import Adversarial, configuration, create

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


def test_both_tables_and_the_name(tmp_path) -> None:
    file = tmp_path / "some.toml"
    file.write_text('[method]\nname = "sdgan"\nwidth = 4\n[recipe]\nepochs = 2\n')
    assert configuration.read(file) == ("sdgan", {"width": 4}, {"epochs": 2})
    file.write_text("")
    assert configuration.read(file) == (None, {}, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[data]", r"'data' at its top; expected the tables \[method\] and \[recipe\]"),
        ('method = "sdgan"', "'method' at its top; expected the tables"),
        ("[method]\nname = 3", "name is 3, expected a word"),
        ("epochs: 1", "is not a readable TOML file"),
        (b"\xff", "is not a readable TOML file"),
        (None, "is not a readable TOML file"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path, content: str | bytes | None, message: str) -> None:
    file = tmp_path / "some.toml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message):
        configuration.read(file)


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda file: file.stem)
def test_the_projects_own_are_of_their_methods(file: Path) -> None:
    stated = configuration.read(file)
    assert stated.method is not None
    made = create(stated.method, **stated.settings)
    assert isinstance(made, Adversarial)
    assert file.stem.removeprefix("freehand-").startswith(stated.method)
    made.recipe.changed(**stated.recipe)
