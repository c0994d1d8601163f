"""Users, one's own account, tokens."""

import re
from collections.abc import Callable

from fastapi import FastAPI
from starlette.testclient import TestClient

from forensic.gallery import users
from forensic.gallery.rights import Operator, Role

Browser = Callable[[str], TestClient]
PASSWORD = "a long password"
NEW = {"password": "another password", "again": "another password"}


def number_of(app: FastAPI, name: str) -> int:
    gallery = app.state.server.gallery.acting_as(Operator("administrator", Role.ADMINISTRATOR))
    return next(user.id for user in users.listed(gallery) if user.name == name)


def test_a_user_is_added_and_signs_in(browser: Browser) -> None:
    administrator = browser("administrator")
    form = {"name": "m.ito", "role": "examiner", **NEW}
    for wrong in ({"again": "a different one"}, {"name": "auditor"}, {"role": "king"}, {"password": "x", "again": "x"}):
        assert administrator.post("/users", data=form | wrong).status_code == 422
    assert administrator.post("/users", data=form).status_code == 303
    assert "m.ito" in administrator.get("/users").text
    signed = browser("").post("/sign-in", data={"name": "m.ito", "password": NEW["password"]})
    assert signed.status_code == 303


def test_another_role_or_password_ends_visits_and_tokens(browser: Browser, app: FastAPI) -> None:
    administrator, number = browser("administrator"), number_of(app, "examiner")
    for part, form in (("role", {"role": "investigator"}), ("password", NEW)):
        examiner = browser("examiner")
        assert examiner.get("/account").status_code == 200
        assert administrator.post(f"/users/{number}/{part}", data=form).status_code == 303
        assert examiner.get("/account").headers["location"] == "/sign-in?to=/account"
    assert "investigator" in administrator.get(f"/users/{number}").text
    own = number_of(app, "administrator")
    assert administrator.post(f"/users/{own}/role", data={"role": "analyst"}).status_code == 403
    assert administrator.get("/users/99").status_code == 404


def test_a_removed_user_is_out_at_once(browser: Browser, app: FastAPI) -> None:
    administrator, number, examiner = browser("administrator"), number_of(app, "examiner"), browser("examiner")
    assert administrator.post(f"/users/{number}/remove", data={"name": "auditor"}).status_code == 422
    assert administrator.post(f"/users/{number}/remove", data={"name": "examiner"}).status_code == 303
    assert examiner.get("/account").status_code == 303
    assert "removed" in administrator.get(f"/users/{number}").text
    assert administrator.post(f"/users/{number}/password", data=NEW).status_code == 404
    own = number_of(app, "administrator")
    assert administrator.post(f"/users/{own}/remove", data={"name": "administrator"}).status_code == 403


def test_users_are_the_administrators_matter(browser: Browser, app: FastAPI) -> None:
    number = number_of(app, "examiner")
    for role in ("analyst", "auditor", "examiner"):
        client = browser(role)
        assert client.get("/users").status_code == 403
        assert client.post("/users", data={"name": "x", "role": "analyst", **NEW}).status_code == 403
        assert client.post(f"/users/{number}/password", data=NEW).status_code == 403


def test_ones_own_password_wants_the_old_one_and_keeps_this_browser_alone(browser: Browser) -> None:
    here, there = browser("examiner"), browser("examiner")
    assert here.post("/account/password", data={"old": "not the old one", **NEW}).status_code == 422
    assert here.post("/account/password", data={"old": PASSWORD, **NEW, "again": "x"}).status_code == 422
    assert there.get("/account").status_code == 200
    assert here.post("/account/password", data={"old": PASSWORD, **NEW}).status_code == 303
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 303
    assert browser("").post("/sign-in", data={"name": "examiner", "password": PASSWORD}).status_code == 403


def test_a_token_is_shown_once_and_does_what_its_scopes_say(browser: Browser, app: FastAPI) -> None:
    examiner = browser("examiner")
    form = {"note": "nightly run", "days": "7", "scopes": ["view"]}
    for wrong in ({"days": "0"}, {"days": "x"}, {"note": " "}, {"scopes": []}):
        assert examiner.post("/account/tokens", data=form | wrong).status_code == 422
    assert examiner.post("/account/tokens", data=form | {"scopes": ["users"]}).status_code == 403
    page = examiner.post("/account/tokens", data=form).text
    secret = re.search(r'value="(fst_[^"]+)"', page)
    assert secret is not None
    again = examiner.get("/account").text
    assert secret[1] not in again
    assert "nightly run" in again
    program = browser("")
    program.headers["Authorization"] = f"Bearer {secret[1]}"
    assert program.get("/gallery").status_code == 200
    assert program.get("/cases").status_code == 403
    assert program.post("/account/tokens", data=form).status_code == 403  # none begets another
    assert program.post("/account/password", data={"old": PASSWORD, **NEW}).status_code == 403
    token = re.search(r"/account/tokens/(\d+)/revoke", again)
    assert token is not None
    assert browser("auditor").post(token[0]).status_code == 404
    assert examiner.post(token[0]).status_code == 303
    assert program.get("/gallery").status_code in (303, 401)
