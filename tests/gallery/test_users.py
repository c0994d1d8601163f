"""Roles: who may do what, and that nobody helps themselves to more."""

import inspect

import pytest
from sqlalchemy import select

from forensic.errors import GalleryError, RightsError, UsageError
from forensic.gallery import Gallery, users
from forensic.gallery.backup import backups
from forensic.gallery.casework import cases
from forensic.gallery.casework.casework_models import User
from forensic.gallery.checks import proving
from forensic.gallery.cipher import encrypting
from forensic.gallery.cipher.keys import UserKey
from forensic.gallery.log import trail
from forensic.gallery.rights import RIGHTS, Operator, Right, Role

PASSWORD = "correct horse battery"


@pytest.fixture
def agency(gallery, making, monkeypatch):
    """A gallery with a user of each role, named as the role is; ``sign_in`` of it costs little."""
    from argon2 import PasswordHasher

    monkeypatch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    gallery.enroll([making.record(number) for number in range(4)])
    users.add(gallery, "administrator", Role.ADMINISTRATOR, PASSWORD)
    gallery.sign_in("administrator", PASSWORD)
    for role in Role:
        if role is not Role.ADMINISTRATOR:
            users.add(gallery, role, role, PASSWORD)
    return gallery


CALLS = {
    Right.VIEW: lambda gallery, making: gallery.view("P0000"),
    Right.ENROLL: lambda gallery, making: gallery.enroll([making.record(9)]),
    Right.EXPUNGE: lambda gallery, making: gallery.expunge_photo(1),
    Right.PROVE: lambda gallery, making: proving.tombstones(gallery),
    Right.CASE: lambda gallery, making: cases.open_case(gallery, "C", purpose="p", legal_basis="l"),
    Right.SEARCH: lambda gallery, making: cases.record_search(gallery, {"candidates": []}),
    Right.DECIDE: lambda gallery, making: cases.decide(gallery, 1, 1, cases.Verdict.LEAD, "ears"),
    Right.READ_CASE: lambda gallery, making: cases.listed(gallery),
    Right.AUDIT: lambda gallery, making: trail.entries(gallery),
    Right.USERS: lambda gallery, making: users.listed(gallery),
    Right.ENCRYPT: lambda gallery, making: encrypting.rotate(gallery, UserKey(bytes(32), "a test")),
    Right.BACKUP: lambda gallery, making: backups.prune(gallery, gallery.folder, 1),
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("right", Right)
def test_a_call_needs_a_role_that_has_its_right(agency, making, right, role):
    """Every right is tried; what a call then says of its arguments is another matter."""
    agency.operator = Operator(role, role)
    call = CALLS[right]
    if role in RIGHTS[right]:
        try:
            call(agency, making)
        except RightsError as error:
            pytest.fail(str(error))
        except GalleryError:
            pass
    else:
        with pytest.raises(RightsError, match=rf"{role} is {role} here and may not"):
            call(agency, making)


@pytest.mark.parametrize("right", Right)
def test_nothing_is_allowed_without_signing_in(agency, making, right):
    agency.operator = Operator.of_system()
    with pytest.raises(RightsError, match="--as NAME"):
        CALLS[right](agency, making)


def test_every_public_call_names_its_right_or_needs_none():
    """What is not listed here as free has to be guarded."""
    from forensic.gallery import browsing, exchange, reports, users
    from forensic.gallery.backup import backups
    from forensic.gallery.casework import cases, disclosing, examinations, listing
    from forensic.gallery.checks import proving, repairing
    from forensic.gallery.cipher import encrypting
    from forensic.gallery.log import anchoring, trail

    guarded = (
        *(anchoring, backups, cases, disclosing, encrypting, users, trail, reports, exchange, proving, repairing),
        *(browsing, examinations, listing),
    )
    free = {
        *("close", "has_users", "standing", "note", "signature", "sign_in"),
        *("reading", "asking", "snapshot", "frozen", "writing", "still"),
        *("size", "state", "revision", "root"),  # numbers and hashes that tell nothing of anybody
        *("add", "set_password", "verify"),  # which ask by themselves
        *("read_table", "write_table", "readable", "strange"),  # of files, not of a gallery
        *("check_place", "is_unfinished", "finish"),  # of what a kill left, at every opening
        *("acting_as", "as_operator", "fingerprint", "normal"),  # for a server, which has seen who it is
    }
    doors = {name: getattr(Gallery, name) for name in dir(Gallery)}
    for module in guarded:
        own = dict(inspect.getmembers(module, inspect.isfunction))
        doors |= {name: call for name, call in own.items() if "gallery" in inspect.signature(call).parameters}
    public = {name: call for name, call in doors.items() if callable(call) and not name.startswith("_")}
    assert {name for name, call in public.items() if not hasattr(call, "right")} <= free


def test_a_right_ends_with_the_user(agency):
    """An open gallery asks again at every call."""
    with Gallery(agency.folder) as other:
        other.sign_in("analyst", PASSWORD)
        other.people()
        _as(agency, Role.ADMINISTRATOR, users.remove, "analyst")
        with pytest.raises(RightsError):
            other.people()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE users SET role = 'administrator'", "UPDATE users SET active = true", "UPDATE users SET password = 'x'"],
)
def test_users_who_were_changed_past_the_program_are_found(agency, statement):
    _as(agency, Role.ADMINISTRATOR, users.remove, "analyst")
    assert agency.verify() == []
    with agency.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert "user" in {problem.kind for problem in agency.verify()}


def test_names_of_the_log_are_reserved(gallery):
    for name in ("forensic", "account bob", "Account Bob"):
        with pytest.raises(UsageError, match="Choose another name"):
            users.add(gallery, name, Role.ADMINISTRATOR, PASSWORD)


def test_the_password_is_checked_and_both_outcomes_are_on_record(agency):
    for name, password in (("analyst", "wrong"), ("nobody", PASSWORD), ("analyst", "")):
        with pytest.raises(RightsError, match="Check both"):
            agency.sign_in(name, password)
    agency.sign_in("analyst", PASSWORD)
    assert agency.operator == Operator("analyst", Role.ANALYST)
    agency.sign_in("auditor", PASSWORD)
    logins = [entry["action"] for entry in trail.entries(agency, limit=5)]
    assert logins == ["login", "login", "login-refused", "login-refused", "login-refused"]


def test_passwords_are_stored_hashed(agency):
    stored = [user.password for user in _as(agency, Role.ADMINISTRATOR, users.listed)]
    assert all(text.startswith("$argon2id$") and PASSWORD not in text for text in stored)
    assert len(set(stored)) == len(stored)  # each with its own salt


def _as(gallery: Gallery, role: Role, call, *arguments):
    gallery.operator = Operator(role, role)
    return call(gallery, *arguments)


def test_the_first_user_is_an_administrator(gallery):
    with pytest.raises(UsageError, match="first user has to be an administrator"):
        users.add(gallery, "anna", Role.ANALYST, PASSWORD)
    assert not gallery.standing().users


def test_nobody_changes_their_own_role(agency):
    with pytest.raises(RightsError, match="own role"):
        _as(agency, Role.ADMINISTRATOR, users.set_role, "administrator", Role.EXAMINER)
    for role in (Role.ANALYST, Role.EXAMINER, Role.AUDITOR, Role.INVESTIGATOR):
        with pytest.raises(RightsError):
            _as(agency, role, users.set_role, role, Role.ADMINISTRATOR)


def test_the_last_administrator_stays(agency):
    with pytest.raises(RightsError, match="last administrator"):
        _as(agency, Role.ADMINISTRATOR, users.remove, "administrator")
    users.add(agency, "second", Role.ADMINISTRATOR, PASSWORD)
    agency.operator = Operator("second", Role.ADMINISTRATOR)
    users.set_role(agency, "administrator", Role.AUDITOR)
    with pytest.raises(RightsError, match="last administrator"):
        users.remove(agency, "second")


def test_names_that_differ_in_capital_letters_alone_are_one(agency):
    with pytest.raises(UsageError, match="There is or was a user 'analyst'"):
        _as(agency, Role.ADMINISTRATOR, users.add, "Analyst", Role.ANALYST, PASSWORD)


def test_names_that_an_older_version_let_differ_in_case_alone_are_named(agency):
    with agency.writing() as session:
        first = session.scalars(select(User).where(User.name == "analyst")).one()
        session.add(User(name="Analyst", role=first.role, password=first.password, active=True))
        details = {"user": "Analyst", "role": first.role, "password": users._digest(first.password)}
        agency.note(session, "user-add", **details)
    found = [(problem.kind, problem.subject) for problem in agency.verify()]
    assert found == [("user", "Analyst"), ("user", "analyst")]


def test_a_removed_user_is_out_and_the_name_is_never_given_out_again(agency):
    _as(agency, Role.ADMINISTRATOR, users.remove, "analyst")
    with pytest.raises(RightsError):
        agency.sign_in("analyst", PASSWORD)
    with pytest.raises(UsageError, match="never given out again"):
        _as(agency, Role.ADMINISTRATOR, users.add, "analyst", Role.ANALYST, PASSWORD)


def test_passwords_are_changed_by_oneself_or_an_administrator(agency):
    agency.sign_in("examiner", PASSWORD)
    users.set_password(agency, "examiner", "another password")
    with pytest.raises(RightsError):
        users.set_password(agency, "analyst", "another password")
    agency.sign_in("examiner", "another password")
    _as(agency, Role.ADMINISTRATOR, users.set_password, "examiner", PASSWORD)
    agency.sign_in("examiner", PASSWORD)


@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), ("a\nb", PASSWORD), ("x" * 61, PASSWORD), ("a", "short")]
)
def test_names_and_passwords_have_a_form(gallery, name, password):
    with pytest.raises(UsageError, match="expected"):
        users.add(gallery, name, Role.ADMINISTRATOR, password)
