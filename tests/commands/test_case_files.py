"""A case as a file on the command line: exported, checked, altered, checked again."""

import json
import shutil
from pathlib import Path

from forensic.datasets.synthetic import Made

WARNING = "none is shown for forensic ones"


def test_a_case_is_exported_and_checked_without_the_gallery(run, people: list[Made], tmp_path: Path) -> None:
    file, head = tmp_path / "case.zip", tmp_path / "head.json"
    run("case", "open", "C-1", "--purpose", "robbery", "--legal-basis", "warrant")
    run("case", "add", "C-1", people[3].sketch, "--kind", "forensic")
    assert WARNING in run("case", "search", "C-1", "--top", 3)[1]
    assert WARNING in run("case", "show", "C-1")[1]
    assert WARNING in run("search", "show", 1)[1]
    status, output = run("case", "export", "C-1", "--out", file, "--json")
    assert status == 0
    made = json.loads(output)
    assert run("case", "export", "C-1", "--out", file)[0] == 2
    assert run("audit", "head", "--out", head)[0] == 0
    shutil.rmtree(tmp_path / "gallery")
    status, output = run("case", "verify", file)
    assert (status, "not who signed it" in output, made["fingerprint"] in output) == (0, True, True)
    for expected in (("--key", made["key"]), ("--head", head)):
        status, output = run("case", "verify", file, *expected)
        assert (status, "the expected one" in output) == (0, True)
    assert run("case", "verify", file, "--key", "0" * 64)[0] == 4
    assert run("case", "verify", file, "--key", "no key")[0] == 2
    assert run("case", "verify", file, "--key", made["key"], "--head", head)[0] == 2
    changed = file.read_bytes().replace(b"robbery", b"murder!")
    file.write_bytes(changed)
    status, output = run("case", "verify", file, "--json")
    assert status == 4
    assert {json.loads(line)["subject"] for line in output.splitlines()} >= {"case.json", "report.html"}
    file.write_bytes(changed[:1000])
    assert run("case", "verify", file)[0] == 2


def test_viewed_sketches_have_no_warning(run, people: list[Made]) -> None:
    run("case", "open", "C-1", "--purpose", "robbery", "--legal-basis", "warrant")
    run("case", "add", "C-1", people[3].sketch, "--kind", "viewed")
    assert "take ranks alone" not in run("case", "search", "C-1", "--top", 3)[1] + run("case", "show", "C-1")[1]
