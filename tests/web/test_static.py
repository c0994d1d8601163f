"""Static files are whole, and vendored ones are what their names say."""

import re

from forensic.web.app import STATIC


def test_every_rule_of_the_stylesheet_is_closed() -> None:
    rules = re.sub(r"/\*.*?\*/", "", (STATIC / "style.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    depth = 0
    for character in rules:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert 0 <= depth <= 2
    assert depth == 0


def test_a_vendored_script_is_of_the_version_in_its_name() -> None:
    (script,) = (STATIC / "vendor").glob("*.js")
    version = re.search(r"(\d+\.\d+\.\d+)", script.name)
    assert version is not None
    assert f'version:"{version.group()}"' in script.read_text(encoding="utf-8")
    assert (STATIC / "vendor" / "htmx-LICENSE").exists()
