"""Who gets in, and how they get out."""

from collections.abc import Callable

import pytest
from staff import PASSWORD
from starlette.testclient import TestClient

Browser = Callable[[str], TestClient]
RIGHT = {"name": "examiner", "password": PASSWORD}
OPENING = {"reference": "C-1", "purpose": "robbery", "legal_basis": "warrant"}


def test_nobody_sees_anything_without_signing_in(browser: Browser) -> None:
    answer = browser("").get("/cases")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?to=/cases")
    answer = browser("").get("/api/v1/cases")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_whoever_signs_in_lands_on_the_page_that_was_asked_for(browser: Browser) -> None:
    client = browser("")
    asked = client.get("/gallery?name=Ada")
    assert asked.headers["location"] == "/sign-in?to=/gallery", "a query may name a person"
    assert '<input type="hidden" name="to" value="/gallery">' in client.get(asked.headers["location"]).text
    wrong = client.post("/sign-in", data=RIGHT | {"password": "a wrong password", "to": "/gallery"})
    assert '<input type="hidden" name="to" value="/gallery">' in wrong.text
    assert client.post("/sign-in", data=RIGHT | {"to": "/gallery"}).headers["location"] == "/gallery"
    part = {"HX-Request": "true", "HX-Current-URL": "http://localhost/jobs/7?x=y"}
    assert browser("").get("/jobs/7", headers=part).headers["hx-redirect"] == "/sign-in?to=/jobs/7"
    part["HX-Current-URL"] = "http://["
    assert browser("").get("/jobs/7", headers=part).headers["hx-redirect"] == "/sign-in"
    assert browser("").post("/cases", data=OPENING).headers["location"] == "/sign-in", "a form is not sent again"


@pytest.mark.parametrize(
    "to",
    [
        "",
        "/",
        "cases",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "https://elsewhere.example/cases",
        "/sign-in",
        "/cases\n",
        "/cases\r\nSet-Cookie: a=b",
        "/%2f/elsewhere.example",
        "/cases?a=b",
        "/./../x",
        "javascript:x",
    ],
)
def test_nobody_is_led_astray_by_a_link_to_the_sign_in(browser: Browser, to: str) -> None:
    assert browser("").post("/sign-in", data=RIGHT | {"to": to}).headers["location"] == "/"
    assert '<input type="hidden" name="to" value="/">' in browser("").get("/sign-in", params={"to": to}).text


def test_a_wrong_password_lets_nobody_in(browser: Browser) -> None:
    answer = browser("").post("/sign-in", data={"name": "examiner", "password": "a wrong password"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_refusal_is_in_plain_words_and_leads_back(browser: Browser) -> None:
    auditor = browser("auditor")
    page = auditor.post("/cases", data=OPENING, headers={"Referer": "http://localhost/searches?case=1"}).text
    assert "<title>Error: You may not do this" in page
    assert '<a class="button secondary" href="/searches?case=1">Back</a>' in page
    for elsewhere in ("http://elsewhere.example/", "http://localhost//elsewhere.example", "http://[", "/cases"):
        page = auditor.get("/cases/99", headers={"Referer": elsewhere}).text
        assert "<h1>There is no such thing</h1>" in page
        assert ">Back<" not in page
    for user in ("analyst", "administrator"):
        assert '<a href="/jobs">Your jobs</a>' in browser(user).get("/gallery").text


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
