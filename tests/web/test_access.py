"""Who gets in, and how they get out."""

from collections.abc import Callable

from starlette.testclient import TestClient

Browser = Callable[[str], TestClient]
OPENING = {"reference": "C-1", "purpose": "robbery", "legal_basis": "warrant"}


def test_nobody_sees_anything_without_signing_in(browser: Browser) -> None:
    answer = browser("").get("/cases")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    answer = browser("").get("/api/v1/cases")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_password_lets_nobody_in(browser: Browser) -> None:
    answer = browser("").post("/sign-in", data={"name": "examiner", "password": "a wrong password"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_case_is_opened_by_those_who_may(browser: Browser) -> None:
    examiner = browser("examiner")
    assert examiner.post("/cases", data=OPENING).status_code == 303
    assert "robbery" in examiner.get("/cases").text
    assert browser("auditor").post("/cases", data=OPENING).status_code == 403
    assert examiner.get("/api/v1/cases").json()["items"][0]["reference"] == "C-1"


def test_a_write_needs_the_forms_token(browser: Browser) -> None:
    examiner = browser("examiner")
    token = examiner.headers.pop("X-CSRF-Token")
    assert examiner.post("/cases", data=OPENING).status_code == 403
    assert examiner.post("/cases", data=OPENING | {"csrf": "another"}).status_code == 403
    assert examiner.post("/cases", data=OPENING | {"csrf": token}).status_code == 303


def test_after_signing_out_the_cookie_opens_nothing(browser: Browser) -> None:
    examiner = browser("examiner")
    cookie = examiner.cookies["forensic"]
    assert examiner.post("/sign-out").status_code == 303
    examiner.cookies.set("forensic", cookie)
    assert examiner.get("/cases").status_code == 303
