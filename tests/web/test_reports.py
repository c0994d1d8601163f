"""Reports for browsers and programs: the same file, under a policy of its own, for whoever may read cases."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from forensic import Gallery, Identifier, casework
from forensic.casefile import verifying
from forensic.datasets.synthetic import Made
from forensic.gallery import users
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind, Verdict
from forensic.gallery.log import trail
from forensic.gallery.rights import Operator, Role

ROUTE = "direct@patches"
PASSWORD = "a long password"
REFERENCE = "Muster, Max"
Browser = Callable[[str], TestClient]


@pytest.fixture(scope="module")
def searched(enrolled: Path, people: list[Made], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with a case whose reference is a name, and a search of it that an examiner decided on."""
    folder = shutil.copytree(enrolled, tmp_path_factory.mktemp("searched") / "gallery")
    with Gallery(folder) as gallery:
        cases.open_case(gallery, REFERENCE, purpose="robbery", legal_basis="warrant")
        cases.add_sketch(gallery, REFERENCE, Drawing(people[3].sketch.read_bytes(), "Max.png", Kind.VIEWED))
        ((_, search),) = casework.search_case(Identifier(gallery, ROUTE), REFERENCE, k=3)
        gallery.operator = Operator("examiner", Role.EXAMINER)
        cases.decide(gallery, search.number, 1, Verdict.LEAD, "ears agree")
        gallery.operator = Operator.of_system()
        users.add(gallery, "administrator", Role.ADMINISTRATOR, PASSWORD)
        gallery.sign_in("administrator", PASSWORD)
        for role in Role:
            if role is not Role.ADMINISTRATOR:
                users.add(gallery, role, role, PASSWORD)
    return folder


@pytest.fixture
def gallery_folder(searched: Path, tmp_path: Path) -> Path:
    """A copy of it for the server."""
    return shutil.copytree(searched, tmp_path / "gallery")


def test_pages_and_api_hand_out_the_same_files(browser: Browser, app: FastAPI) -> None:
    examiner = browser("examiner")
    found = {}
    for path in ("searches/1", "cases/1"):
        for form, kind in (("pdf", "application/pdf"), ("html", "text/html; charset=utf-8")):
            page, api = (examiner.get(f"{root}/{path}/report.{form}") for root in ("", "/api/v1"))
            assert (page.status_code, api.status_code) == (200, 200)
            assert page.content == api.content
            assert page.headers["content-type"] == kind
            told = page.headers["content-disposition"]
            name = path.replace("searches/", "search-").replace("cases/", "case-")
            assert told == f'{"attachment" if form == "pdf" else "inline"}; filename="{name}.{form}"'
            assert page.headers["cache-control"] == "no-store"
            found[path, form] = page
    html = found["cases/1", "html"]
    assert "Muster, Max" in html.text
    assert "ears agree" in html.text
    assert "Aligned probe: sketch 1" in html.text
    assert found["cases/1", "pdf"].content.startswith(b"%PDF-")
    entries = trail.entries(app.state.server.gallery.acting_as(Operator("auditor", Role.AUDITOR)), limit=2)
    assert [one["action"] for one in entries] == ["case-report", "case-report"]
    assert entries[1]["details"]["report"] == hashlib.sha256(html.content).hexdigest()
    assert entries[1]["details"]["request"] == html.headers["x-request-id"]


def test_a_case_is_exported(browser: Browser, app: FastAPI, tmp_path: Path) -> None:
    answer = browser("auditor").get("/api/v1/cases/1/export.zip")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="case-1.zip"'
    out = tmp_path / "case.zip"
    out.write_bytes(answer.content)
    found = verifying.verify(out)
    assert (found.problems, found.hidden) == ([], 0)
    assert found.manifest is not None
    assert (found.manifest.case, found.manifest.operator) == (REFERENCE, "auditor")
    (entry,) = trail.entries(app.state.server.gallery.acting_as(Operator("auditor", Role.AUDITOR)), limit=1)
    assert (entry["action"], entry["details"]["manifest"]) == ("case-export", found.manifest.sha256)
    assert entry["details"]["request"] == answer.headers["x-request-id"]
    out.write_bytes(browser("investigator").get("/api/v1/cases/1/export.zip").content)
    assert verifying.verify(out).hidden == 1  # a verdict that the caller may not see yet
    assert browser("auditor").get("/api/v1/cases/9/export.zip").status_code == 404
    assert browser("analyst").get("/api/v1/cases/1/export.zip").status_code == 403


def test_the_page_s_policy_is_stricter_than_the_site_s(browser: Browser) -> None:
    examiner = browser("examiner")
    policy = examiner.get("/searches/1/report.html").headers["content-security-policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; img-src data:; base-uri 'none'; form-action 'none'; "
        r"frame-ancestors 'none'; sandbox",
        policy,
    )
    for other in ("/searches/1/report.pdf", "/cases", "/searches/99/report.html"):
        assert (
            examiner.get(other).headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        )


def test_who_may_not_read_cases_gets_none(browser: Browser) -> None:
    for role, status in (("analyst", 403), ("administrator", 403), ("auditor", 200), ("investigator", 200)):
        answer = browser(role).get("/api/v1/searches/1/report.html")
        assert answer.status_code == status
        if status == 200:  # the investigator has not decided, and must not see who said what
            said = re.findall(r"<li>(examiner, .*?)</li>|Made for</dt><dd>(.*?)</dd>", answer.text)
            assert ("ears agree" in str(said)) == (role == "auditor"), said
    nobody = browser("")
    assert nobody.get("/api/v1/cases/1/report.pdf").status_code == 401
    assert nobody.get("/cases/1/report.pdf").status_code in (303, 401)


@pytest.mark.parametrize("path", ["searches/99/report.pdf", "cases/99/report.html"])
def test_what_is_not_there_is_a_404(browser: Browser, path: str) -> None:
    examiner = browser("examiner")
    assert examiner.get(f"/{path}").status_code == 404
    assert examiner.get(f"/api/v1/{path}").json()["status"] == 404


@pytest.mark.parametrize("path", ["searches/1/report.docx", "searches/0/report.pdf", "cases/x/report.pdf"])
def test_what_is_no_address_of_a_report_is_no_server_error(browser: Browser, path: str) -> None:
    assert 400 <= browser("examiner").get(f"/api/v1/{path}").status_code < 500
