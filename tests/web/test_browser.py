"""The application in a real browser, served by a real process: a whole day of those who work with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from web.chromium import CHROMIUM, SIZES, Watched, chromium, findings, served

from forensic.datasets.synthetic import Made
from forensic.gallery import Gallery
from forensic.gallery.casework import cases
from forensic.gallery.rights import Operator, Role

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package chromium)"),
]
Visit = Callable[..., Watched]
expect.set_options(timeout=60_000)  # the first face waits for the models
PAGES = {  # a role, and pages of the site that it may see
    "examiner": (
        "/cases",
        "/cases/1",
        "/cases/1/search",
        "/searches",
        "/searches/1",
        "/searches/1/compare/1",
        "/examinations",
    ),
    "analyst": ("/gallery", "/people/1", "/enroll", "/accuracy", "/jobs", "/account", "/people/1/expunge"),
    "auditor": ("/audit", "/cases/1", "/searches/1"),
    "administrator": ("/users", "/audit", "/docs"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for all tests of this file."""
    with chromium() as running:
        yield running


@pytest.fixture
def site(gallery_folder: Path) -> Iterator[str]:
    """The address of a server on a gallery with a user of each role."""
    with served(gallery_folder) as address:
        yield address


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visit]:
    """Makes browsers of different people, and looks at the end whether a page complained."""
    made: list[Watched] = []

    def one(size: str = "wide", scheme: str = "light") -> Watched:
        context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
        context.set_default_timeout(60_000)
        made.append(Watched(context, site))
        return made[-1]

    yield one
    faults = [fault for watched in made for fault in watched.faults]
    for watched in made:
        watched.context.close()
    assert faults == []


def open_case(page: Page, sketch: Path) -> None:
    """Open a case, and add a sketch to it."""
    page.goto(page.url.split("/cases")[0] + "/cases")
    page.get_by_label("Reference").fill("2026-117")
    page.get_by_label("Purpose").fill("robbery, Main St 4")
    page.get_by_label("Legal basis").fill("warrant 8 Gs 112/26")
    page.get_by_role("button", name="Open").click()
    page.get_by_label("Sketch files").set_input_files(sketch)
    page.get_by_label("Kind").select_option("forensic")
    page.get_by_label("Described by").fill("witness 2")
    page.get_by_role("button", name="Add the sketches").click()
    expect(page.get_by_role("img", name="Sketch 1")).to_be_visible()


def add_sketch(page: Page, sketch: Path) -> None:
    """Add a second sketch to the case that is shown."""
    page.get_by_text("Add sketches", exact=True).click()
    page.get_by_label("Sketch files").set_input_files(sketch)
    page.get_by_role("button", name="Add the sketches").click()
    expect(page.get_by_role("img", name="Sketch 2")).to_be_visible()


def search(page: Page) -> None:
    """Search with the first sketch, with its nose moved by mouse and by keys."""
    page.get_by_role("link", name="New search").click()
    choice = page.get_by_role("checkbox", name=re.compile("Sketch 1"))
    if not choice.is_checked():
        choice.check()
    nose = page.get_by_role("slider", name=re.compile("nose", re.IGNORECASE))
    expect(nose).to_be_visible()
    there = nose.bounding_box()
    assert there is not None
    page.mouse.move(there["x"] + there["width"] / 2, there["y"] + there["height"] / 2)
    page.mouse.down()
    page.mouse.move(there["x"] + there["width"] / 2 + 12, there["y"] + there["height"] / 2, steps=4)
    page.mouse.up()
    nose.press("ArrowDown")
    expect(page.get_by_role("status").filter(has_text="placed by hand")).to_be_visible()
    page.get_by_label("Length of the list").fill("5")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/searches/1")
    expect(page.get_by_text("placed by hand")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(5)


def decide(page: Page, verdict: str, reason: str) -> None:
    """Say what one thinks of the first candidate."""
    page.get_by_role("radio", name=re.compile(verdict, re.IGNORECASE)).check()
    page.get_by_label(re.compile("^Reason")).fill(reason)
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_text(reason)).to_be_visible()


def test_a_day(visit: Visit, people: list[Made], site: str) -> None:
    examiner = visit().sign_in("examiner")
    open_case(examiner, people[3].sketch)
    search(examiner)
    examiner.get_by_role("link", name=re.compile("Compare")).first.click()
    overlay = examiner.get_by_label("How much of the sketch")
    expect(overlay).to_be_visible()  # the script shows it
    overlay.press("ArrowRight")
    assert overlay.input_value() == "51"
    decide(examiner, "lead", "ears and nasal bridge agree")

    # A second examiner does not see the first one's verdict before their own stands.
    second = visit().sign_in("colleague")
    second.goto(f"{site}/examinations")
    second.get_by_role("link", name=re.compile("rank 1", re.IGNORECASE)).first.click()
    expect(second.get_by_text("ears and nasal bridge agree")).to_have_count(0)
    decide(second, "exclude", "another shape of the chin")
    expect(second.get_by_text("ears and nasal bridge agree")).to_be_visible()
    second.goto(f"{site}/searches/1")
    expect(second.get_by_text("disagree on rank 1")).to_be_visible()

    auditor = visit().sign_in("auditor")
    auditor.goto(f"{site}/audit")
    for act in ("case-open", "case-sketch", "search", "decide"):
        expect(auditor.get_by_role("cell", name=act, exact=True).first).to_be_visible()
    auditor.goto(f"{site}/searches/1")
    expect(auditor.get_by_text("ears and nasal bridge agree")).to_have_count(0)  # reasons stand beside the faces
    auditor.goto(f"{site}/searches/1/compare/1")
    expect(auditor.get_by_text("ears and nasal bridge agree")).to_be_visible()


def test_a_refusal_is_where_the_reader_is(browser: Browser, people: list[Made], site: str) -> None:
    """With the focus on it, in sight, and no longer than it holds."""
    context = browser.new_context(viewport=SIZES["narrow"])
    page = Watched(context, site).sign_in("examiner")
    open_case(page, people[3].sketch)
    page.goto(f"{site}/cases")
    page.get_by_label("Reference").fill("2026-117")
    page.get_by_label("Purpose").fill("robbery, Main St 4")
    page.get_by_label("Legal basis").fill("warrant 8 Gs 112/26")
    page.get_by_role("button", name="Open the case").click()
    expect(page.get_by_role("alert").filter(has_text="There is a case")).to_be_focused()
    expect(page.locator("#fault")).to_be_in_viewport()
    assert page.title().startswith("Error: Cases")
    page.goto(f"{site}/people/999")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such thing")
    page.goto(f"{site}/gallery")
    page.get_by_text("More columns").click()
    page.get_by_label("Kept until").fill("soon")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#problem")).to_contain_text("The date is 'soon'")
    page.get_by_label("Kept until").fill("2031-12-31")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#problem")).to_be_empty()
    context.close()


def test_the_numbers_of_a_sketch_that_is_not_chosen_hold_nothing_up(
    visit: Visit, people: list[Made], site: str
) -> None:
    page = visit().sign_in("examiner")
    open_case(page, people[3].sketch)
    add_sketch(page, people[4].sketch)
    page.get_by_role("link", name="New search").click()
    first, second = (page.get_by_role("checkbox", name=re.compile(f"Sketch {number}")) for number in (1, 2))
    first.check()
    second.check()
    numbers = page.locator("input[name=landmark-1]")
    expect(numbers).to_have_count(10)
    numbers.first.fill("")
    first.uncheck()
    expect(numbers.first).to_be_disabled()
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/searches/1")


def test_the_focus_stays_while_a_job_is_watched(visit: Visit, people: list[Made], site: str) -> None:
    page = visit().sign_in("analyst")
    told = ["<p>Describing: 3 of 30 …</p><progress></progress>", "<p>Describing: 4 of 30 …</p><progress></progress>"]
    page.route("**/progress", lambda route: route.fulfill(body=told[0]))
    page.goto(f"{site}/enroll")
    form = page.locator("form[action='/enroll/person']")
    form.get_by_label("Photos", exact=True).set_input_files([photo for made in people for photo in made.photos])
    form.get_by_label("Label").fill("x")
    form.get_by_role("button", name="Enroll").click()
    page.wait_for_url("**/jobs/*")
    cancel, status = page.get_by_role("button", name="Cancel"), page.get_by_role("status")
    cancel.focus()
    status.evaluate("one => one.first = true")
    expect(status).to_contain_text("3 of 30")
    status.locator("p").evaluate("one => one.first = true")
    page.wait_for_timeout(1500)  # the same words come once more, and are not said again
    assert status.locator("p").evaluate("one => one.first")
    told.reverse()
    expect(status).to_contain_text("4 of 30")
    expect(cancel).to_be_focused()
    assert status.evaluate("one => one.first")  # a part that comes anew is not read aloud
    page.unroute("**/progress")
    page.wait_for_url("**/enroll/*")


def test_wrong_roles_are_refused(browser: Browser, site: str) -> None:
    for role, address in (("analyst", "/cases"), ("investigator", "/users"), ("examiner", "/audit")):
        page = Watched(browser.new_context(), site).sign_in(role)
        answer = page.goto(site + address)
        assert answer is not None
        assert answer.status == 403
        expect(page.locator("p.error")).to_contain_text(f"{role} is {role} here")


def test_pages_are_for_everybody(visit: Visit, people: list[Made], site: str) -> None:
    """No serious finding of axe-core, no page wider than its screen; light and dark, wide and narrow."""
    prepared = visit().sign_in("examiner")
    open_case(prepared, people[3].sketch)
    search(prepared)
    found = []
    for role, addresses in {"": ("/sign-in",), **PAGES}.items():
        for size, scheme in (("wide", "light"), ("narrow", "dark"), ("wide", "dark"), ("narrow", "light")):
            watched = visit(size, scheme)
            page = watched.sign_in(role) if role else watched.context.new_page()
            for address in addresses:
                page.goto(site + address)
                page.wait_for_load_state("networkidle")
                found += [f"{address}, {size}, {scheme}: {fault}" for fault in findings(page)]
                if page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"):
                    found.append(f"{address}, {size}: wider than the screen")
            watched.context.close()
    assert found == []


def test_names_of_any_length_fit_the_page(visit: Visit, gallery_folder: Path, site: str) -> None:
    with Gallery(gallery_folder) as gallery:
        analyst = gallery.acting_as(Operator("analyst", Role.ANALYST))
        analyst.update(analyst.person_by_number(1).label, {"keep_until": "2031-12-31"}, rename="W" * 200)
        examiner = gallery.acting_as(Operator("examiner", Role.EXAMINER))
        cases.open_case(examiner, "W" * 200, purpose="W" * 200, legal_basis="W" * 200)
    pages = {"analyst": ("/people/1/expunge", "/gallery/retention"), "examiner": ("/cases", "/cases/1")}
    for role, addresses in pages.items():
        for size in ("wide", "narrow"):
            page = visit(size).sign_in(role)
            for address in addresses:
                page.goto(site + address)
                expect(page.get_by_text("W" * 200).first).to_be_visible()
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), (address, size)
