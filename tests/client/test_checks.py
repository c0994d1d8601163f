"""The log and the whole gallery checked at a server: what is wrong is told as on a folder."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509

from forensic import Gallery
from forensic.gallery import Problem
from forensic.gallery.log import anchoring
from forensic.gallery.log.anchoring import Anchored

pytestmark = pytest.mark.server

PASSWORD = "a long password"


@pytest.fixture
def originals(folder: Path, live) -> list[Path]:
    """The same original of both galleries."""
    both = ((place / "objects").rglob("*") for place in (folder, live.gallery))
    return [min(path for path in paths if path.is_file()) for paths in both]


@pytest.fixture
def exposed(originals: list[Path]) -> Iterator[None]:
    """Both galleries with an original that others may read."""
    for path in originals:
        path.chmod(0o644)
    yield
    for path in originals:
        path.chmod(0o600)


@pytest.fixture
def lost(originals: list[Path], tmp_path: Path) -> Iterator[None]:
    """Both galleries without one of their originals."""
    contents = [path.read_bytes() for path in originals]
    for path in originals:
        path.unlink()
    yield
    for path, content in zip(originals, contents, strict=True):
        path.write_bytes(content)
        path.chmod(0o600)


def test_a_sound_gallery(both, at_server, tmp_path: Path) -> None:
    assert "Sound:" in both("auditor", "gallery", "verify").out
    checked = at_server("auditor", "audit", "verify")
    assert (checked.status, "A cut end would not show" in checked.out) == (0, True)
    head = tmp_path / "head.json"
    at_server("auditor", "audit", "head", "--out", head)
    against = at_server("auditor", "audit", "verify", "--head", head)
    assert (against.status, against.out.startswith("Sound: "), "cut end" in against.out) == (0, True, False)
    assert at_server("auditor", "gallery", "verify", "--head", head).status == 0


def test_who_may_not_read_the_log_checks_nothing_at_a_server(both, at_server) -> None:
    assert both("investigator", "audit", "verify").status == 4
    assert at_server("investigator", "gallery", "verify").status == 4


@pytest.mark.usefixtures("exposed")
def test_what_is_wrong_is_told(both) -> None:
    found = both("auditor", "gallery", "verify", "--json")
    (problem,) = map(json.loads, found.out.splitlines())
    assert (found.status, problem["kind"]) == (4, "permissions")
    assert "permissions: " in both("auditor", "gallery", "verify").out


def test_anchors_are_checked_against_certificates(
    run: Callable,
    at_server,
    folder: Path,
    certificate: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = certificate[0]
    (expected,) = x509.load_pem_x509_certificates(root.read_bytes())
    fault: list[Problem] = []

    def verify(gallery: Gallery, roots: Sequence[x509.Certificate]) -> Anchored:
        assert list(roots) in ([], [expected])
        return Anchored(fault, len(roots), 3)

    monkeypatch.setattr(anchoring, "verify", verify)
    for options, count in (((), 1), (("--tsa-certificate", root), 2)):
        check = ("audit", "verify", *options)
        alone = run(*check, "--gallery", folder, "--as", "auditor", FORENSIC_PASSWORD=PASSWORD)
        served = at_server("auditor", *check)
        assert served.out.splitlines()[1:] == alone.out.splitlines()[1:]
        assert (served.status, served.out.count("Anchors")) == (0, count)
    fault.append(Problem("anchor", "entry 7", "Its anchor is of an entry that this log does not have."))
    told = at_server("auditor", "audit", "verify", "--json")
    assert (told.status, json.loads(told.out)) == (4, fault[0]._asdict())
    assert json.loads(at_server("auditor", "gallery", "verify", "--json").out) == fault[0]._asdict()
    (tmp_path / "none.pem").write_text("no certificate")
    assert at_server("auditor", "audit", "verify", "--tsa-certificate", tmp_path / "none.pem").status == 2


def test_a_head_that_is_none_is_refused(both, run: Callable, folder: Path, tmp_path: Path) -> None:
    head, forged = tmp_path / "head.json", tmp_path / "forged.json"
    run("audit", "head", "--out", head, "--gallery", folder, "--as", "auditor", FORENSIC_PASSWORD=PASSWORD)
    told = json.loads(head.read_text())
    forged.write_text(json.dumps(told | {"hash": "0" * 64}))
    assert both("auditor", "audit", "verify", "--head", forged).status == 2
    assert both("auditor", "audit", "verify", "--head", tmp_path / "nothing.json").status == 2


def test_a_head_is_not_written_into_a_gallery(at_server, run: Callable, folder: Path) -> None:
    """A server's gallery may lie on the machine of who asks."""
    told = [at_server("auditor", "audit", "head", "--out", folder / "head")]
    told.append(run("audit", "head", "--out", folder / "head", "--gallery", folder, "--as", "auditor"))
    assert [(said.status, "lies in the gallery" in said.err) for said in told] == [(2, True)] * 2
    assert not (folder / "head").exists()


def test_a_log_that_was_written_anew_is_found(at_server, run: Callable, folder: Path, tmp_path: Path) -> None:
    """Both logs began as one and went on apart: neither has the other's end."""
    head = tmp_path / "head.json"
    for _ in range(2):
        head.unlink(missing_ok=True)
        run("audit", "head", "--out", head, "--gallery", folder, "--as", "auditor", FORENSIC_PASSWORD=PASSWORD)
    found = at_server("auditor", "audit", "verify", "--head", head, "--json")
    assert (found.status, json.loads(found.out.splitlines()[0])["kind"]) == (4, "audit")


def test_repairing_is_done_where_the_folder_lies(at_server) -> None:
    refused = at_server("auditor", "gallery", "verify", "--repair")
    assert (refused.status, "--repair is for a gallery's folder" in refused.err) == (2, True)


def test_templates_are_made_anew(both, at_server) -> None:
    route = ("gallery", "reindex", "--route", "direct@patches")
    assert both("analyst", *route).out.startswith("0 enrolled")
    assert int(both("analyst", *route, "--all").out.split()[0]) > 10
    assert both("examiner", *route, "--all").status == 4
    refused = at_server("analyst", "gallery", "reindex", "--route", "direct")
    assert (refused.status, "is not offered here" in refused.err) == (2, True)
    assert at_server("analyst", *route, "--device", "cuda").status == 2


@pytest.mark.usefixtures("lost")
def test_what_cannot_be_described_is_named(both) -> None:
    told = both("analyst", "gallery", "reindex", "--route", "direct@patches", "--all")
    assert (told.status, told.err.count("not described: ")) == (4, 1)
    problems = both("auditor", "gallery", "verify", "--json").out.splitlines()
    assert [json.loads(problem)["kind"] for problem in problems] == ["original"]
