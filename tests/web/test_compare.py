"""A probe beside a candidate: the page, its pictures, verdicts that stay blind, what carried the score."""

import io
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from web.conftest import HOST, PASSWORD
from web.programs import add_jobs

from forensic import Gallery, Identifier, images
from forensic.comparison import PARTS
from forensic.datasets.synthetic import Made
from forensic.faces import regions
from forensic.gallery import users
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind
from forensic.gallery.log import trail
from forensic.gallery.rights import Role
from forensic.web import sessions
from forensic.web.app import assemble, create
from forensic.web.server import Server
from forensic.web.settings import Settings

ROUTE = "direct@patches"
REFERENCE = "2026-117"
Browser = Callable[[str], TestClient]


@pytest.fixture(scope="module")
def mate(people: list[Made]) -> Made:
    """Somebody with two photos."""
    return next(person for person in people if len(person.photos) > 1)


@pytest.fixture(scope="module")
def server(staffed: Path, mate: Made, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with searches: search 1 is with a viewed sketch, 2 with a forensic one too, 3 of no case."""
    folder = shutil.copytree(staffed, tmp_path_factory.mktemp("compare") / "gallery")
    assert mate.sketch is not None
    turned = io.BytesIO()
    Image.open(mate.sketch).rotate(3, fillcolor=(240, 240, 240)).save(turned, "PNG")
    with Gallery(folder) as gallery:
        gallery.sign_in("administrator", PASSWORD)
        for name in ("second", "third"):
            users.add(gallery, name, Role.EXAMINER, PASSWORD)
        gallery.sign_in("investigator", PASSWORD)
        cases.open_case(gallery, REFERENCE, purpose="robbery", legal_basis="warrant")
        cases.add_sketch(gallery, REFERENCE, Drawing(mate.sketch.read_bytes(), "first.jpg", Kind.VIEWED))
        cases.add_sketch(gallery, REFERENCE, Drawing(turned.getvalue(), "turned.png", Kind.FORENSIC))
        identifier = Identifier(gallery, ROUTE, case=REFERENCE)
        pictures = [images.decode(sketch.data, sketch.file_name) for sketch in cases.sketches(gallery, REFERENCE)]
        assert identifier.search(pictures[0], 12).number == 1
        assert identifier.search_together(pictures, 12).number == 2
        identifier.case = None
        assert identifier.search(pictures[0], 12).number == 3
    return assemble(Settings(gallery=folder, routes=(ROUTE,)))


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    """Makes a browser in which a user is signed in. The server runs for all tests of this file."""
    app = create(server)
    known: dict[str, TestClient] = {}

    def sign_in(user: str) -> TestClient:
        if user not in known:
            client = TestClient(app, base_url=HOST, follow_redirects=False)
            assert client.post("/sign-in", data={"name": user, "password": PASSWORD}).status_code == 303
            found = sessions.find(server.state, client.cookies["forensic"], server.settings)
            assert found is not None
            client.headers["X-CSRF-Token"] = found.csrf
            known[user] = client
        return known[user]

    with TestClient(app, base_url=HOST):
        yield sign_in


def decide(client: TestClient, rank: int, verdict: str, reason: str = "the ears agree"):
    return client.post(f"/searches/1/compare/{rank}/decision", data={"verdict": verdict, "reason": reason})


def rank_of(server: Server, mate: Made, search: int = 1) -> int:
    found = cases.searched(server.gallery.acting_as(users.as_operator(server.gallery, "auditor")), search)
    (rank,) = [one["rank"] for one in found.record["candidates"] if found.people[one["photo_id"]] == mate.label]
    return rank


def ended(client: TestClient, address: str) -> str:
    """The explanation's part of the page once its job has ended."""
    for _ in range(600):
        text = client.get(address).text
        if "<progress" not in text:
            return text
        time.sleep(0.1)
    raise AssertionError("The job did not end.")


def picture(client: TestClient, address: str) -> Image.Image:
    answer = client.get(address.replace("&amp;", "&"))
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_the_page_shows_both_faces_and_what_the_search_says(browser: Browser, server: Server, mate: Made) -> None:
    page = browser("investigator").get(f"/searches/1/compare/{rank_of(server, mate)}")
    assert page.status_code == 200
    for words in (mate.label, "investigative lead, not an identification", "12 listed", ROUTE, "viewed"):
        assert words in page.text
    shown = re.findall(r'<img src="(/s[ek][^"]+|/photos[^"]+)"', page.text)
    sizes = {
        address.partition("?")[0].rpartition("/")[2]: picture(browser("investigator"), address).size
        for address in shown
    }
    assert sizes["probe.png"] == sizes["candidate.png"] == (256, 256)
    assert {"large.jpg", "picture.jpg"} <= set(sizes)


def test_all_photos_of_the_person_can_be_chosen_and_nobody_elses(browser: Browser, server: Server, mate: Made) -> None:
    client, rank = browser("examiner"), rank_of(server, mate)
    text = client.get(f"/searches/1/compare/{rank}").text
    numbers = {
        int(number) for number in re.findall(r"\?sketch=0&amp;photo=(\d+)\"(?: aria-current=\"true\")?>\d,", text)
    }
    gallery = server.gallery.acting_as(users.as_operator(server.gallery, "auditor"))
    assert numbers == {photo.id for photo in gallery.photos(mate.label)}
    assert len(numbers) == 2
    one, other = (picture(client, f"/searches/1/portraits/{rank}/candidate.png?photo={number}") for number in numbers)
    assert np.abs(np.asarray(one, int) - np.asarray(other, int)).mean() > 2
    stranger = next(photo.id for photo in gallery.photos() if photo.id not in numbers)
    for address in (f"compare/{rank}", f"portraits/{rank}/candidate.png", f"compare/{rank}/likeness"):
        assert client.get(f"/searches/1/{address}?photo={stranger}").status_code == 404


def test_of_several_sketches_one_is_chosen(browser: Browser) -> None:
    client = browser("examiner")
    page = client.get("/searches/2/compare/1?sketch=1")
    assert "1, viewed" in page.text
    assert re.search(r'aria-current="true">2, forensic', page.text)
    first, second = (picture(client, f"/searches/2/portraits/1/probe.png?sketch={k}") for k in (0, 1))
    assert first.size == second.size
    assert first.tobytes() != second.tobytes()
    assert client.get("/searches/2/compare/1?sketch=2").status_code == 404


def test_likelihood_ratios_are_hidden_where_they_do_not_hold(browser: Browser) -> None:
    client = browser("examiner")
    assert "log<sub>10</sub>" in client.get("/searches/1/compare/1").text  # a viewed sketch
    text = client.get("/searches/2/compare/1").text  # a viewed and a forensic one
    assert "log<sub>10</sub>" not in text
    assert "none is shown for forensic ones" in text


def test_without_a_case_there_is_the_photo_alone(browser: Browser) -> None:
    client = browser("examiner")
    page = client.get("/searches/3/compare/1")
    assert page.status_code == 200
    assert "No case holds this sketch" in page.text
    assert "candidate.png" in page.text
    assert client.get("/searches/3/portraits/1/probe.png").status_code == 404


def test_neighbours_are_linked_to_the_lists_ends(browser: Browser) -> None:
    ends = [
        re.findall(r'compare/(\d+)\?sketch=0" rel="(\w+)"', browser("examiner").get(f"/searches/1/compare/{k}").text)
        for k in (1, 12)
    ]
    assert ends == [[("2", "next")], [("11", "prev")]]


@pytest.mark.parametrize(
    "address", ["/searches/99/compare/1", "/searches/1/compare/13", "/searches/1/portraits/13/probe.png"]
)
def test_what_is_not_there_is_not_found(browser: Browser, address: str) -> None:
    assert browser("examiner").get(address).status_code == 404


def test_looking_at_a_candidate_is_on_record(browser: Browser, server: Server) -> None:
    auditor = server.gallery.acting_as(users.as_operator(server.gallery, "auditor"))
    browser("examiner").get("/searches/1/compare/5")
    entry = trail.entries(auditor, limit=1)[0]
    assert (entry["action"], entry["operator"]) == ("view", "examiner")


@pytest.mark.parametrize("user", ["analyst", "administrator"])
def test_who_may_not_read_cases_sees_nothing(browser: Browser, user: str) -> None:
    for address in ("compare/1", "compare/1/likeness", "compare/1/explanation", "portraits/1/probe.png"):
        assert browser(user).get(f"/searches/1/{address}").status_code == 403
    assert browser(user).get("/examinations").status_code == 403
    assert decide(browser(user), 1, "lead").status_code == 403


def test_the_mate_is_more_alike_than_others_in_most_parts(browser: Browser, server: Server, mate: Made) -> None:
    told = browser("examiner").get(f"/searches/1/compare/{rank_of(server, mate)}/likeness")
    assert told.status_code == 200
    values = {
        name: int(less)
        for name, less in re.findall(r'aria-label="([^:]+): more alike than (\d+) of 11 others"', told.text)
    }
    assert list(values) == list(PARTS)
    assert np.mean(list(values.values())) > 8
    whole = browser("examiner").get(f"/searches/1/compare/{rank_of(server, mate)}?parts=true")
    assert "more alike than" in whole.text


def test_a_score_is_explained_in_the_background_and_kept_in_memory(browser: Browser, server: Server) -> None:
    client, address = browser("examiner"), "/searches/1/compare/2/explanation"
    for side in ("probe", "candidate"):
        assert client.get(f"/searches/1/portraits/2/{side}-explained.png").status_code == 404
    assert browser("auditor").post(address, data={"act": "begin"}).status_code == 403
    asked = client.post(address, data={"act": "begin"}, headers={"HX-Request": "true"})
    assert "every 1s" in asked.text
    assert "every 1s" not in client.get(address).text  # what comes goes into the part that asks
    again = client.post(address, data={"act": "begin"})  # while it is under way it is not begun twice
    assert (again.status_code, again.headers["location"].rpartition("#")[2]) == (303, "explanation")
    assert sum(view.job.kind == "explain" for view in server.jobs.views("examiner", most=9)) == 1
    text = ended(client, address)
    shares = [tuple(map(int, pair)) for pair in re.findall(r">(\d+) %</td>\s*<td class=\"number\">(\d+) %", text)]
    assert len(shares) == len(regions.REGIONS)
    assert [sum(side) for side in zip(*shares, strict=True)] == pytest.approx([100, 100], abs=7)  # each is rounded
    for shown in re.findall(r'<img src="(/s[ek][^"]+|/photos[^"]+)"', text):
        assert picture(client, shown).size == (256, 256)
    assert "probe-explained.png" in browser("auditor").get("/searches/1/compare/2").text
    server.engine.forget()
    assert "Explain the score" in client.get(address).text
    assert "Explain the score" not in browser("auditor").get(address).text


def test_a_score_of_other_models_is_not_explained(browser: Browser, server: Server) -> None:
    gallery = server.gallery.acting_as(users.as_operator(server.gallery, "investigator"))
    record = cases.searched(gallery, 1).record
    number = cases.record_search(
        gallery, record | {"models": dict.fromkeys(record["models"], "0" * 64)}, case=REFERENCE
    )
    client, address = browser("examiner"), f"/searches/{number}/compare/1/explanation"
    assert client.post(address, data={"act": "begin"}).status_code == 303
    text = ended(client, address)
    assert "are not those that are installed now" in text
    assert "Explain the score" in text
    add_jobs(server.state, "examiner")
    assert client.get(address).text == text


def test_an_explanation_can_be_cancelled(browser: Browser, server: Server) -> None:
    client, address = browser("second"), "/searches/1/compare/4/explanation"
    client.post(address, data={"act": "begin"})
    client.post(address, data={"act": "cancel"})
    text = ended(client, address)
    assert "Explain the score" in text
    (view,) = [view for view in server.jobs.views("second", most=9) if view.job.kind == "explain"]
    assert view.status == "cancelled"


def test_a_verdict_is_given_once_with_a_reason(browser: Browser, server: Server) -> None:
    client, auditor = browser("examiner"), server.gallery.acting_as(users.as_operator(server.gallery, "auditor"))
    empty = decide(client, 6, "exclude", "  ")
    assert empty.status_code == 422
    assert trail.entries(auditor, limit=1)[0]["action"] == "view"  # the page that says so shows the faces too
    assert "A verdict needs a reason" in empty.text
    assert re.search(r'value="exclude" required checked', empty.text)  # what was entered is still there
    assert decide(client, 6, "identification").status_code == 422
    done = decide(client, 6, "exclude", "other ears <b>")
    assert (done.status_code, done.headers["location"].rpartition("#")[2]) == (303, "verdict")
    text = client.get("/searches/1/compare/6").text
    assert "other ears &lt;b&gt;" in text
    assert "/decision" not in text
    again = decide(client, 6, "lead")
    assert again.status_code == 422
    assert "a verdict is never changed" in again.text
    lines = "ears\r\n" * 800  # 4,000 characters as a browser's field counts them, and 4,800 as it sends them
    assert decide(client, 11, "exclude", lines).status_code == 303
    said = next(said for said in cases.searched(auditor, 1).opinions if said.rank == 11)
    assert said.reason == "ears\n" * 799 + "ears"
    assert decide(client, 12, "exclude", lines + ".").status_code == 422
    assert decide(client, 12, "exclude", "ears\0").status_code == 422
    asked = {"rank": 12, "verdict": "exclude"}
    for reason, status in ((lines + ".", 422), ("ears\0", 422), (lines, 201)):
        answer = client.post("/api/v1/searches/1/decisions", json=asked | {"reason": reason})
        assert answer.status_code == status  # a program's text counts as a page's


def test_the_second_examiner_is_asked_and_told_nothing(browser: Browser) -> None:
    first, second, rank = browser("examiner"), browser("second"), 7
    assert decide(first, rank, "exclude", "the nose is another one").status_code == 303
    assert f'/searches/1/compare/{rank}"' in second.get("/examinations").text
    assert f'/searches/1/compare/{rank}"' not in first.get("/examinations").text
    for user in ("second", "investigator"):
        for address in (f"/searches/1/compare/{rank}", "/examinations"):
            answer = browser(user).get(address, follow_redirects=False)
            assert "another one" not in answer.text
            assert 'class="badge bad">exclude' not in answer.text
    text = second.get(f"/searches/1/compare/{rank}").text
    assert "examine this candidate independently" in text
    assert "disagree" not in text
    assert "the nose is another one" in browser("auditor").get(f"/searches/1/compare/{rank}").text


def test_disagreement_is_shown_plainly_to_those_who_decided(browser: Browser) -> None:
    for user, verdict in (("examiner", "lead"), ("second", "exclude")):
        assert decide(browser(user), 8, verdict, f"said by {user}").status_code == 303
    for user in ("examiner", "second", "auditor"):
        text = browser(user).get("/searches/1/compare/8").text
        assert "The examiners disagree" in text
        assert "said by second" in text
    assert "The examiners disagree" not in browser("third").get("/searches/1/compare/8").text


def test_two_leads_are_still_no_identification(browser: Browser) -> None:
    assert decide(browser("examiner"), 9, "lead").status_code == 303
    assert "for a second examiner" in browser("examiner").get("/searches/1/compare/9").text
    assert decide(browser("second"), 9, "lead").status_code == 303
    text = browser("examiner").get("/searches/1/compare/9").text
    assert "2 examiners independently call this candidate a lead" in text
    assert "no identification" in text


def test_programs_are_told_the_same(browser: Browser, server: Server, mate: Made) -> None:
    client, rank = browser("examiner"), rank_of(server, mate)
    there = f"/api/v1/searches/1/explanations/{rank}"
    assert client.get(there).status_code == 404
    made = client.post("/api/v1/searches/1/explanations", json={"rank": rank}, headers={"Prefer": "wait=60"})
    assert made.status_code == 201, made.text
    assert client.get(made.headers["location"]).json() == client.get(there).json() == made.json()
    told = made.json()["explanation"]["regions"]
    assert [region["name"] for region in told] == list(regions.REGIONS)
    assert client.post("/api/v1/searches/3/explanations", json={"rank": 1}).status_code == 404
    parts = client.get(f"/api/v1/searches/1/likeness/{rank}").json()["parts"]
    assert [(part["part"], part["others"]) for part in parts] == [(part, 11) for part in PARTS]
    assert decide(client, 10, "lead").status_code == 303
    waiting = browser("third").get("/api/v1/examinations").json()["items"]
    assert (1, 10) in {(one["search"], one["rank"]) for one in waiting}


def test_who_was_expunged_is_not_shown(browser: Browser, server: Server) -> None:
    """The last test of this file: it takes somebody away."""
    gallery = server.gallery.acting_as(users.as_operator(server.gallery, "administrator"))
    auditor = server.gallery.acting_as(users.as_operator(server.gallery, "auditor"))
    found = cases.searched(auditor, 1)
    photo = found.record["candidates"][11]["photo_id"]
    assert browser("examiner").get("/searches/1/portraits/12/candidate.png").status_code == 200
    gallery.expunge(found.people[photo])
    page = browser("examiner").get("/searches/1/compare/12")
    assert page.status_code == 200
    assert "no longer enrolled" in page.text
    assert found.people[photo] not in page.text
    for address in ("portraits/12/candidate.png", "compare/12/likeness"):
        assert browser("examiner").get(f"/searches/1/{address}").status_code == 404
    assert browser("examiner").get("/searches/1/compare/12?parts=true").status_code == 200
    part = browser("examiner").get("/searches/1/compare/12/explanation")  # as an open page asks each second
    assert (part.status_code, "not there any more" in part.text, "hx-get" in part.text) == (200, True, False)
