"""The log in a browser: read, chosen from, checked, its head exported."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from web.test_enroll import wait

from forensic import gallery as gallery_package
from forensic.gallery.log import trail
from forensic.gallery.rights import Operator, Role
from forensic.web.pages.audit import ACTIONS

Browser = Callable[[str], TestClient]


def test_entries_are_read_newest_first_a_page_at_a_time(
    browser: Browser, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forensic.web.pages.audit.ENTRIES", 3)
    auditor = browser("auditor")
    gallery = app.state.server.gallery.acting_as(Operator("auditor", Role.AUDITOR))
    numbers = [entry["number"] for entry in trail.entries(gallery)]
    assert shown(auditor.get("/audit").text) == numbers[:3]
    assert shown(auditor.post("/audit", data={"before": str(numbers[2])}).text) == numbers[3:6]
    part = auditor.post("/audit", data={"before": "2"}, headers={"HX-Request": "true"}).text
    assert shown(part) == [1]
    assert "<html" not in part
    assert auditor.post("/audit", data={"before": "x"}).status_code == 422


def test_entries_are_chosen_by_operator_act_and_day(browser: Browser, app: FastAPI) -> None:
    browser("analyst").get("/gallery")
    auditor = browser("auditor")
    gallery = app.state.server.gallery.acting_as(Operator("auditor", Role.AUDITOR))
    every = trail.entries(gallery)
    day = every[0]["at"][:10]

    def chosen(**fields: str) -> list[int]:
        return shown(auditor.post("/audit", data=fields).text)

    assert chosen(action="list") == [entry["number"] for entry in every if entry["action"] == "list"]
    assert chosen(operator="administrator") == [e["number"] for e in every if e["operator"] == "administrator"]
    assert chosen(operator="analyst", action="user-add") == []
    assert chosen(operator="%") == []
    assert chosen(since=day) == [entry["number"] for entry in every if entry["at"][:10] >= day][:50]
    assert chosen(until="2001-01-01") == []
    assert auditor.post("/audit", data={"since": "soon"}).status_code == 422
    for before in ("0", "x", "9" * 5000):
        assert auditor.post("/audit", data={"before": before}).status_code == 422


def test_an_entry_is_shown_in_full_and_checked(browser: Browser, app: FastAPI) -> None:
    auditor = browser("auditor")
    page = auditor.get("/audit/2").text
    assert "Its hash and its signature hold" in page
    with app.state.server.gallery.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE audit SET entry = replace(entry, 'enroll', 'expunge') WHERE number = 2")
    assert "was altered" in auditor.get("/audit/2").text
    assert auditor.get("/audit/9999").status_code == 404


def test_the_log_is_checked_against_a_head_that_was_kept(browser: Browser, app: FastAPI) -> None:
    auditor = browser("auditor")
    exported = auditor.post("/audit/head")
    head = exported.json()
    assert exported.headers["content-disposition"] == f'attachment; filename="audit-head-{head["number"]}.json"'
    sent = {"head": ("head.json", exported.content)}
    page = auditor.get(wait(auditor, auditor.post("/audit/verification", files=sent))).text
    assert "The log is sound" in page
    assert f"entry {head['number']} is the one" in page
    forged = {"head": ("head.json", json.dumps(head | {"number": 1}).encode())}
    page = auditor.get(wait(auditor, auditor.post("/audit/verification", files=forged))).text
    assert "is not sound" in page
    assert "written anew" in page
    for content in (b"{}", b"\xff", b"[" * 100_000, json.dumps(head | {"hash": "0" * 64}).encode()):
        assert auditor.post("/audit/verification", files={"head": ("h", content)}).status_code == 422


def test_the_whole_gallery_is_checked_and_what_is_wrong_names_people_in_memory_alone(
    browser: Browser, app: FastAPI, gallery_folder: Path
) -> None:
    administrator = browser("administrator")
    where = wait(administrator, administrator.post("/audit/verification", data={"everything": "true"}))
    assert "The gallery is sound" in administrator.get(where).text
    gallery = app.state.server.gallery.acting_as(Operator("analyst", Role.ANALYST))
    photo = gallery.photos()[0]
    gallery.objects.path(photo.sha256).unlink()
    where = wait(administrator, administrator.post("/audit/verification", data={"everything": "true"}))
    page = administrator.get(where).text
    assert "1 problem was found" in page
    assert photo.person.label in page
    assert photo.person.label not in str(
        app.state.server.jobs.view(where.rpartition("/")[2], "administrator").job.answer
    )
    app.state.server.engine.forget()
    page = administrator.get(where).text
    assert photo.person.label not in page
    assert "check again" in page


def test_the_log_is_for_auditors_and_administrators(browser: Browser) -> None:
    for role in ("analyst", "examiner", "investigator"):
        client = browser(role)
        assert client.get("/audit").status_code == 403
        assert client.get("/audit/1").status_code == 403
        assert client.post("/audit/head").status_code == 403
        assert client.post("/audit/verification").status_code == 403


def test_every_act_that_is_put_on_record_can_be_chosen() -> None:
    acts = set()
    for path in Path(gallery_package.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                at = {"note": 1, "append": 2}.get(call.func.attr)  # (session, act), (session, operator, act)
                if at is not None and call.args[at:] and ast.unparse(call.args[0]) == "session":
                    acts |= constants(call.args[at])
    offered = [act for group in ACTIONS.values() for act in group]
    assert acts == set(offered)
    assert len(offered) == len(set(offered))


def constants(expression: ast.expr) -> set[str]:
    """Texts that an expression may be: one, or either of two."""
    return {
        node.value for node in ast.walk(expression) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def shown(page: str) -> list[int]:
    """Numbers of the entries on a page."""
    return [int(number) for number in re.findall(r'<a href="/audit/(\d+)">', page)]
