"""``forensic case report`` and ``forensic search report`` on a gallery of synthetic people, with the real models."""

import hashlib
import json
from pathlib import Path

import pypdf

from forensic.datasets.synthetic import Made


def test_reports_are_written_once_and_noted(run, people: list[Made], tmp_path: Path) -> None:
    run("case", "open", "C-1", "--purpose", "robbery", "--legal-basis", "warrant")
    run("case", "add", "C-1", people[3].sketch, "--kind", "viewed")
    assert run("case", "search", "C-1", "--top", 3)[0] == 0
    files = [tmp_path / name for name in ("case.pdf", "again.pdf", "search.html")]
    for command, file in zip((("case", "C-1"), ("case", "C-1"), ("search", 1)), files, strict=True):
        status, output = run(command[0], "report", command[1], "--out", file)
        assert status == 0
        assert hashlib.sha256(file.read_bytes()).hexdigest() in output
        assert "These are personal data." in output
        assert file.stat().st_mode & 0o777 == 0o600
    assert files[0].read_bytes() == files[1].read_bytes()
    words = "".join(page.extract_text() for page in pypdf.PdfReader(files[0]).pages)
    page = files[2].read_text(encoding="utf-8")
    for text in (people[3].label, "Aligned probe: sketch 1", "moderately strong support", "CUFS (test)", "0.092"):
        assert text in words
        assert text in page
    assert page.count("data:image/jpeg") == 5  # the probe, aligned, and three candidates
    status, output = run("audit", "log", "--json")
    noted = [json.loads(line) for line in output.splitlines()]
    assert [one["action"] for one in noted[:3]] == ["search-report", "case-report", "case-report"]
    before = files[0].read_bytes()
    status, output = run("search", "report", 1, "--out", files[0])
    assert (status, "there already" in output) == (2, True)
    assert files[0].read_bytes() == before
    assert run("search", "report", 1, "--out", tmp_path / "search.txt")[0] == 2
    assert run("search", "report", 7, "--out", tmp_path / "none.pdf")[0] == 4
    assert not (tmp_path / "none.pdf").exists()
