"""Whoever acts by a page acts on whom, and on what, it showed."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from web.form_fields import forms, pair
from web.test_enroll import wait

from forensic import Gallery
from forensic.datasets.synthetic import Made
from forensic.gallery.models import Photo

Browser = Callable[[str], TestClient]
ORDER = {"reason": "order 5"}


def test_an_act_is_on_the_person_whose_page_it_was(
    browser: Browser, gallery: Gallery, suspected: list[tuple[Photo, Photo]]
) -> None:
    """Also where two labels are swapped between the page and the act."""
    analyst, (photo, other) = browser("analyst"), suspected[0]
    first, third = photo.person, gallery.people()[2]
    where = wait(analyst, analyst.post("/gallery/duplicates", data={"route": "direct", "above": "2"}))
    page = f"/people/{first.id}"
    acts = [
        (f"{page}/expunge", forms(analyst.get(f"{page}/expunge").text)[0] | ORDER | {"label": first.label}),
        (f"/photos/{photo.id}/expunge", forms(analyst.get(f"{page}/expunge").text)[0] | ORDER | {"label": first.label}),
        (page, forms(analyst.get(page).text, page)[0] | {"name": "Ann Other"}),
        (where, pair(analyst.get(where).text, where, photo, other) | {"verdict": "merge"}),
        (where, pair(analyst.get(where).text, where, photo, other) | {"verdict": "keep"}),
    ]
    for label, new in ((first.label, "between"), (third.label, first.label), ("between", third.label)):
        gallery.update(label, {}, rename=new)
    before = gallery.size()
    for address, form in acts:
        assert analyst.post(address, data=form).status_code == 409, address
    assert (gallery.size(), gallery.kept()) == (before, set())


@pytest.mark.parametrize("act", ["expunge", "split", "correct"])
def test_an_act_is_on_the_photos_that_were_shown(
    browser: Browser, gallery: Gallery, people: list[Made], act: str
) -> None:
    """A photo that came meanwhile is told of, and asked about anew."""
    label = next(made.label for made in people if len(made.photos) > 1)
    person, photos = gallery.person(label), gallery.photos(label)
    page = f"/people/{person.id}"
    asking, address, entered = {
        "expunge": (f"{page}/expunge", "", ORDER | {"label": label}),
        "split": (page, f"{page}/split", {"photos": [photos[0].id], "label": "Other"}),
        "correct": (page, page, {"name": "Ann Other"}),
    }[act]
    analyst = browser("analyst")
    (shown,) = forms(analyst.get(asking).text, address)
    gallery.merge(label, next(one.label for one in gallery.people() if one.label != label))
    before = gallery.digest()
    refused = analyst.post(address or asking, data=shown | entered)
    assert (refused.status_code, "the photos are not the same" in refused.text) == (409, True)
    assert gallery.digest() == before
    (anew,) = forms(refused.text, address)
    assert anew != shown
    assert analyst.post(address or asking, data=anew | entered).status_code == 303
    assert gallery.digest() != before


@pytest.mark.parametrize("verdict", ["merge", "keep"])
def test_people_are_settled_as_they_were_shown(
    browser: Browser, gallery: Gallery, suspected: list[tuple[Photo, Photo]], verdict: str
) -> None:
    """On the page, a photo that was compared was of somebody who has only others by now."""
    (a, b), analyst = suspected[0], browser("analyst")
    third = next(one.label for one in gallery.people() if one.id not in (a.person_id, b.person_id))
    gallery.merge(a.person.label, third)  # so that some are left
    where = wait(analyst, analyst.post("/gallery/duplicates", data={"route": "direct", "above": "2"}))
    shown = pair(analyst.get(where).text, where, a, b) | {"verdict": verdict}
    gallery.split(a.person.label, [a.id], "Other")
    before, apart = gallery.size(), gallery.kept()
    refused = analyst.post(where, data=shown)
    assert (refused.status_code, "the photos are not the same" in refused.text) == (409, True)
    assert (gallery.size(), gallery.kept()) == (before, apart)
    anew = pair(refused.text, where, gallery.photo(a.id), b) | {"verdict": verdict}
    assert analyst.post(where, data=anew).status_code == 303
    assert (gallery.size(), gallery.kept()) != (before, apart)


def test_a_correction_undoes_nobodys(browser: Browser, gallery: Gallery) -> None:
    person = gallery.people()[0]
    photo = gallery.photos(person.label)[0]
    analyst, where = browser("analyst"), f"/people/{person.id}"
    page = analyst.get(where).text
    gallery.update(person.label, {"name": "Ann Other"})
    gallery.update_photo(photo.id, {"source": "booking"})
    for address, stale in ((where, {"name": person.name or "", "sex": "F"}), (f"/photos/{photo.id}", {"source": ""})):
        refused = analyst.post(address, data=forms(page, address)[0] | stale)
        assert (refused.status_code, "was changed since it was shown" in refused.text) == (409, True)
    assert (gallery.person_by_number(person.id).name, gallery.photo(photo.id).source) == ("Ann Other", "booking")


@pytest.mark.parametrize("shown_as_last", [True, False])
def test_a_photo_is_the_last_one_where_it_was_shown_so(
    browser: Browser, gallery: Gallery, people: list[Made], shown_as_last: bool
) -> None:
    label = next(made.label for made in people if (len(made.photos) == 1) is shown_as_last)
    photo, *others = gallery.photos(label)
    analyst, where = browser("analyst"), f"/photos/{photo.id}/expunge"
    shown = forms(analyst.get(where).text)[0] | ORDER | {"label": label}
    if shown_as_last:
        gallery.merge(label, next(one.label for one in gallery.people() if one.label != label))
    else:
        gallery.split(label, [other.id for other in others], "Other")
    before, words = gallery.size(), "no longer the last one" if shown_as_last else "the last one now"
    refused = analyst.post(where, data=shown)
    assert (refused.status_code, words in refused.text) == (409, True)
    assert gallery.size() == before
    assert ("This is the last photo" in refused.text) is not shown_as_last
    assert analyst.post(where, data=forms(refused.text)[0] | ORDER | {"label": label}).status_code == 303
    assert gallery.size().people == before.people - (not shown_as_last)


def test_whoever_is_due_goes_as_was_shown(browser: Browser, gallery: Gallery) -> None:
    """As many are due as were shown, but another one."""
    first, second = gallery.people()[:2]
    gallery.update(first.label, {"keep_until": "2001-01-01"})
    analyst, where = browser("analyst"), "/gallery/retention"
    (shown,) = forms(analyst.get(where).text, where)
    gallery.update(first.label, {"keep_until": "2999-01-01"})
    gallery.update(second.label, {"keep_until": "2001-01-01"})
    refused = analyst.post(where, data=shown | {"count": "1"})
    assert (refused.status_code, "Nobody was removed" in refused.text) == (409, True)
    assert {first.label, second.label} <= {person.label for person in gallery.people()}
    assert analyst.post(where, data=forms(refused.text, where)[0] | {"count": "1"}).status_code == 303
    assert second.label not in {person.label for person in gallery.people()}
