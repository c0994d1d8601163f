"""Reports of cases and searches: what is in them, for whom, that they are the same each time, and on record."""

import base64
import hashlib
import html
import io
import json
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pypdf
import pytest
from PIL import Image

from forensic import images
from forensic.candidates import LEAD
from forensic.casefile import page, reporting, writing
from forensic.casefile.probes import Probes
from forensic.casefile.reporting import Form, form_of
from forensic.errors import FaceError, GalleryError, NotFound, RightsError, UsageError
from forensic.faces import Aligned
from forensic.faces.detect import Face
from forensic.gallery import Gallery, reports, users
from forensic.gallery.casework import cases, disclosing
from forensic.gallery.casework.cases import Verdict
from forensic.gallery.log import audit, trail
from forensic.gallery.rights import Operator, Role

MODEL = "5f" * 32
POINTS = [[120.0, 150.0], [180.0, 150.0], [150.0, 190.0], [125.0, 225.0], [175.0, 225.0]]


def face(sketch: Any, points: Any) -> Aligned:
    """A face where the tests put it."""
    picture = images.decode(sketch.data, sketch.file_name).image
    landmarks = np.array(POINTS if points is None else points, dtype=np.float32)
    return Aligned(picture, Face(np.array([90, 90, 210, 270], dtype=np.float32), landmarks, 0.987, "mtcnn"))


def route(name: str) -> Any:
    """A route that paints everything blue."""
    return SimpleNamespace(models={"painter": MODEL}, synthesize=lambda _: Image.new("RGB", (256, 256), (20, 30, 200)))


PROBES = Probes(face, route)


def by(gallery: Gallery, name: str, role: Role) -> Gallery:
    gallery.operator = Operator(name, role)
    return gallery


def words_of(pdf: bytes) -> str:
    """The text of a PDF without blanks, since a line may end anywhere; heads and feet of pages are in it."""
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return re.sub(r"\s+", "", "".join(one.extract_text() for one in pages))


def text_of(content: bytes) -> str:
    return html.unescape(re.sub(r"<(style|title).*?</\1>|<[^>]*>", "", content.decode(), flags=re.S))


def recorded(case: Gallery, **changes: object) -> int:
    """Another search of C/1, like its first one but for these parts."""
    record = cases.searched(case, 1).record | changes
    return cases.record_search(case, record, case="C/1")


OF_CASE = (
    *("robbery <script>", "warrant & order", "by ines", LEAD, "2026-11-02 10:00:00 UTC", "the first 3 people"),
    *("1. A-17", "2. Ødegård Ξένος Иван", "score 8.500, direct 0.500; photo 1", "the face was found by a lenient"),
    *("Model embedder", "cd" * 32, "Program's code", "ef" * 32, "Merkle root", "ab" * 32, "torch 2.10", "on cpu"),
    *("ears agree", "nose differs", "The examiners disagree on rank 1.", "hidden from whoever has not decided"),
    *("Likelihood ratios hold for viewed sketches alone", "no likelihood ratio holds for this kind of sketch"),
    *("Route direct", "without translation", "no approximation left anybody out", "drew from a photo"),
    *("The sketches here are forensic", "never among mugshots", "3 photos were searched", "no probabilities"),
    *("no accuracy report of the agency's own for this route", "Extract of the audit log", "case opened"),
    *("sketch 1 added", "search 1", "decision on rank 1 of search 1", "Made for", "eva (examiner)", "by otto"),
    *("Aligned probe: sketch 1", "with its landmarks, found (mtcnn, 0.99)"),
)
"""What a person who knows the record of C/1 expects in its report, and in that of its first search."""


@pytest.mark.parametrize("form", Form)
def test_every_fact_of_the_record_is_in_the_reports(case: Gallery, form: Form) -> None:
    case = by(case, "eva", Role.EXAMINER)
    lines = disclosing.gather_search(case, 1).lines
    whole = reporting.of_case(case, "C/1", form, probes=PROBES)
    alone = reporting.of_search(case, 1, form, probes=PROBES)
    assert (whole.name, alone.name) == (f"case-1.{form}", f"search-1.{form}")
    acts = [json.loads(line.entry)["action"] for line in lines]
    assert acts == ["case-open", "case-sketch", "search", "decide", "decide", "decide"]
    for made in (whole, alone):
        said = words_of(made.content) if form is Form.PDF else re.sub(r"\s+", "", text_of(made.content))
        expected = [*OF_CASE, *(line.hash for line in lines), f"entry {lines[-1].number}, {lines[-1].hash}"]
        assert [text for text in expected if re.sub(r"\s+", "", text) not in said] == []
    beyond = ("of another case", "theft", "sex=F")  # of another case, and of another search
    said = text_of(alone.content) if form is Form.HTML else words_of(alone.content)
    assert not any(text.replace(" ", "") in said for text in beyond)


def test_pages_are_numbered_and_say_of_what_and_when(case: Gallery) -> None:
    reader = pypdf.PdfReader(io.BytesIO(reporting.of_case(case, "C/1", Form.PDF, probes=PROBES).content))
    texts = [one.extract_text() for one in reader.pages]
    assert len(texts) > 2
    for number, text in enumerate(texts, 1):
        assert f"{number} / {len(texts)}" in text
        assert "Personal data." in text
        assert "Case C/1" in text
        assert number == 1 or "as of 20" in text
    assert reader.metadata.title == "Case C/1"


SCRIPT = """
import sys
from pathlib import Path
from forensic.casefile import reporting
from forensic.casefile.probes import Probes
from forensic.errors import FaceError
from forensic.gallery import Gallery
from forensic.gallery.rights import Operator, Role

def blind(*_):
    raise FaceError("no face here")

with Gallery(Path(sys.argv[1])) as gallery:
    gallery.operator = Operator("eva", Role.EXAMINER)
    for form in reporting.Form:
        made = reporting.of_case(gallery, "C/1", form, probes=Probes(blind, blind))
        Path(sys.argv[2] + "." + form).write_bytes(made.content)
"""


def test_two_processes_at_two_times_write_the_same_bytes(case: Gallery, tmp_path: Path) -> None:
    before = []
    for run in ("a", "b"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT, str(case.folder), str(tmp_path / run)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        before.append([(tmp_path / f"{run}.{form}").read_bytes() for form in Form])
        time.sleep(1.1)
    assert before[0] == before[1]


@pytest.mark.parametrize("form", Form)
def test_another_decision_changes_it_and_a_report_does_not(case: Gallery, form: Form) -> None:
    case = by(case, "eva", Role.EXAMINER)
    first, again = (reporting.of_search(case, 1, form, probes=PROBES) for _ in range(2))
    assert first == again
    cases.decide(case, 1, 3, Verdict.EXCLUDE, "eyes differ")
    assert reporting.of_search(case, 1, form, probes=PROBES).content != first.content


def test_each_copy_is_in_the_log_by_its_hash_and_request(case: Gallery) -> None:
    case.operator = Operator("ines", Role.INVESTIGATOR, "ab12")
    whole = reporting.of_case(case, "C/1", Form.PDF, probes=PROBES)
    alone = reporting.of_search(case, 2, Form.HTML, probes=PROBES)
    newest = trail.entries(by(case, "root", Role.AUDITOR), limit=2)
    assert [(one["action"], one["operator"], one["details"]) for one in newest] == [
        (
            "search-report",
            "ines",
            {"search": 2, "report": hashlib.sha256(alone.content).hexdigest(), "request": "ab12"},
        ),
        ("case-report", "ines", {"case": 1, "report": hashlib.sha256(whole.content).hexdigest(), "request": "ab12"}),
    ]
    assert case.verify() == []


def test_verdicts_stay_hidden_from_whoever_may_not_see_them(case: Gallery) -> None:
    told = {"eva": "ears agree", "otto": "nose differs", "chin": "chin hidden"}
    seen = {"ines": set(), "eva": {"eva", "otto"}, "otto": set(told), "audrey": set(told)}
    roles = {"ines": Role.INVESTIGATOR, "audrey": Role.AUDITOR}
    for name, known in seen.items():
        case = by(case, name, roles.get(name, Role.EXAMINER))
        for form in Form:
            content = reporting.of_search(case, 1, form, probes=PROBES).content
            said = words_of(content) if form is Form.PDF else re.sub(r"\s+", "", text_of(content))
            assert {who for who, reason in told.items() if reason.replace(" ", "") in said} == known
            assert ("verdictsarehiddenfromthisreader" in said) == (len(known) < 3)
            assert ("disagree" in said) == (name != "ines")


def test_a_search_without_a_case_says_what_is_not_there(case: Gallery) -> None:
    number = cases.record_search(case, cases.searched(case, 1).record)
    said = text_of(reporting.of_search(case, number, Form.HTML, probes=PROBES).content)
    assert "The gallery does not hold this probe" in said
    assert "log10 LR ≥ +2.0: moderately strong support: same person" in said  # nobody said of what kind its sketch is
    assert re.search(r"Case\s*none", said)


def test_the_calibration_is_told_with_what_it_was_found_to_be_worth(case: Gallery) -> None:
    unsaid = "(their Cllr) is not on record with this search"
    number = cases.record_search(case, cases.searched(case, 1).record)
    assert unsaid in text_of(reporting.of_search(case, number, Form.HTML, probes=PROBES).content)
    measured = [{"data": "40 sketches of the tests", "cllr": 0.2468, "source": "tests.md"}]
    record = cases.searched(case, 1).record
    record["calibration"]["measured"] = measured
    number = cases.record_search(case, record)
    for form in Form:
        content = reporting.of_search(case, number, form, probes=PROBES).content
        said = words_of(content) if form is Form.PDF else re.sub(r"\s+", "", text_of(content))
        assert all(text in said for text in ("40sketchesofthetests", "0.247", "tests.md", "morethan1misleads"))
        assert unsaid.replace(" ", "") not in said
    hidden = text_of(reporting.of_search(case, recorded(case, **record), Form.HTML, probes=PROBES).content)
    assert "0.247" not in hidden  # the sketch of C/1 was drawn from memory


def images_of(content: bytes) -> list[Image.Image]:
    return [one.image for page in pypdf.PdfReader(io.BytesIO(content)).pages for one in page.images]


def test_a_synthesized_picture_bears_its_mark_and_comes_of_the_search_s_own_models_alone(case: Gallery) -> None:
    translated = {"route": "direct+sketch-to-photo:painter", "landmarks": [POINTS]}
    number = recorded(case, **translated, models={"painter": MODEL})
    content = reporting.of_search(case, number, Form.PDF, probes=PROBES).content
    said = words_of(content)
    assert "Synthesizedimageofsketch-to-photo:painter:synthetic,notevidence" in said
    assert "landmarks,setbyhand" in said
    assert "Thegeneratorpaintertranslatesthesketch" in said
    blue = [
        one
        for one in images_of(content)
        if one.convert("RGB").getpixel((128, 20))[2] > 150 > 3 * one.convert("RGB").getpixel((128, 20))[0]
    ]
    (picture,) = blue
    red, _, rest = picture.convert("RGB").getpixel((250, 250))
    assert red > 120
    assert rest < 80
    other = recorded(case, **translated, models={"painter": "00" * 32})
    content = reporting.of_search(case, other, Form.PDF, probes=PROBES).content
    assert "themodelsinstallednowarenotthoseofthesearch" in words_of(content)
    assert len(images_of(content)) == len(images_of(reporting.of_search(case, 1, Form.PDF, probes=PROBES).content))


def test_a_generator_that_worked_both_ways_is_known_by_its_way(case: Gallery) -> None:
    both = {"route": "sketch-to-photo:painter+photo-to-sketch:painter", "landmarks": [POINTS]}
    ways = {"painter (sketch-to-photo)": MODEL, "painter (photo-to-sketch)": "00" * 32}
    said = text_of(reporting.of_search(case, recorded(case, **both, models=ways), Form.HTML, probes=PROBES).content)
    assert "Model painter (photo-to-sketch)" in said
    assert "not made again" not in said
    turned = dict(zip(ways, reversed(ways.values()), strict=True))
    said = text_of(reporting.of_search(case, recorded(case, **both, models=turned), Form.HTML, probes=PROBES).content)
    assert "It is not made again: the models installed now are not those of the search." in said


def test_the_probe_is_drawn_with_the_landmarks_that_were_used(case: Gallery) -> None:
    drawn: list[Any] = []

    def at(sketch: Any, points: Any) -> Aligned:
        drawn.append(points)
        return face(sketch, points)

    used = {"asked": 2, "method": "mtcnn-far", "score": 0.914, "landmarks": POINTS}
    content = reporting.of_search(case, recorded(case, faces=[used]), Form.HTML, probes=Probes(at, route)).content
    assert drawn == [POINTS]
    said = text_of(content)
    assert "with its landmarks, of face 2, found (mtcnn-far, 0.91)" in said
    assert "another version of the program" not in said  # nothing was found again


def test_used_landmarks_may_lie_outside_of_the_sketch(case: Gallery) -> None:
    beyond = [[-3.5, 150.0], *POINTS[1:]]
    used = {"asked": None, "method": "mtcnn", "score": 0.914, "landmarks": beyond}
    said = text_of(
        reporting.of_search(case, recorded(case, faces=[used]), Form.HTML, probes=Probes.of_models()).content
    )
    assert "found (mtcnn, 0.91)" in said
    assert "It cannot be shown" not in said


def test_a_sketch_without_a_face_or_a_picture_is_told_in_words(case: Gallery) -> None:
    def none(*_: object) -> Aligned:
        raise FaceError("no face was found here")

    said = text_of(reporting.of_search(case, 1, Form.HTML, probes=Probes(none, route)).content)
    assert "It cannot be shown: no face was found here" in said
    said = text_of(reporting.of_search(case, 2, Form.HTML, probes=PROBES).content)
    assert "It cannot be shown: second.png" in said


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def accuracy(digest: str) -> dict[str, Any]:
    """What of an evaluation's report is looked at."""
    return {
        "data": {"name": "ours", "split": "all", "resplit": False, "subset": None},
        "systems": [{"name": "direct", "routes": ["direct"]}],
        "routes": [{"name": "direct", "models": {"embedder": digest}}],
        "closed_set": [
            {"route": "direct", "by": by, "subset": subset, "probes": 40, "gallery": 900, "ranks": {"1": interval(0.5)}}
            for by, subset in (("person", "all"), ("image", "part"))
        ],
        "evidence": [{"route": "direct", "distractors": 0, "cllr": interval(0.321), "mated": 40, "nonmated": 35960}],
    }


def test_the_agency_s_own_accuracy_is_told_with_whose_models_it_was(case: Gallery) -> None:
    reports.save(case, "ours", accuracy("cd" * 32))
    said = text_of(reporting.of_search(case, 1, Form.HTML, probes=PROBES).content)
    assert "Report 1, made 20" in said
    assert "on ours (all). Of 40 sketches searched in 900 photos the right person was found up to" in said
    assert "rank 1 50.0 [49.0, 51.0] %" in said
    assert "Cllr 0.321 bits over 40 comparisons of one person and 35,960 of two." in said
    assert said.count("Of 40 sketches") == 1
    assert "other models" not in said
    reports.save(case, "newer", accuracy("00" * 32))
    said = text_of(reporting.of_search(case, 1, Form.HTML, probes=PROBES).content)
    assert "Report 2" in said
    assert "made with other models than the search" in said
    reports.save(case, "of another form", {"systems": 1})
    assert "Report 2" in text_of(reporting.of_search(case, 1, Form.HTML, probes=PROBES).content)


def test_the_page_is_shown_under_a_policy_that_lets_its_own_style_in_alone(case: Gallery) -> None:
    content = reporting.of_case(case, "C/1", Form.HTML, probes=PROBES).content
    text = content.decode()
    assert not re.search(r"<script|\son\w+=|style=", text)
    assert set(re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(.{16})", text)) == {"data:image/jpeg;"}
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.policy(content)
    assert f"style-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_who_is_expunged_is_in_no_report_and_stops_one_that_is_under_way(case: Gallery) -> None:
    by(case, "anna", Role.ANALYST).expunge("A-17")
    case = by(case, "ines", Role.INVESTIGATOR)
    content = reporting.of_case(case, "C/1", Form.HTML, probes=PROBES).content
    assert b"A-17" not in content
    assert "person 1, no longer enrolled" in text_of(content)

    def expunging(sketch: Any, points: Any) -> Aligned:
        if any(person.label.startswith("Ø") for person in case.people()):
            case.expunge("Ødegård Ξένος Иван")
        return face(sketch, points)

    with pytest.raises(GalleryError, match="expunged while the case was shown"):
        reporting.of_search(case, 1, Form.HTML, probes=Probes(expunging, route))


def test_a_file_is_private_new_and_of_a_known_kind(
    case: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Probes, "of_models", lambda **_: PROBES)
    made = reporting.write(tmp_path / "a.pdf", partial(reporting.of_search, case, 1))
    assert (tmp_path / "a.pdf").read_bytes() == made.content
    assert (tmp_path / "a.pdf").stat().st_mode & 0o777 == 0o600
    reporting.write(tmp_path / "b.HTML", partial(reporting.of_case, case, "C/1"))
    assert (tmp_path / "b.HTML").read_bytes().startswith(b"<!doctype html>")
    before = len(trail.entries(case))
    with pytest.raises(UsageError, match="there already"):
        reporting.write(tmp_path / "a.pdf", partial(reporting.of_search, case, 1))
    with pytest.raises(UsageError, match="lies in the gallery"):
        reporting.write(case.folder / "a.pdf", partial(reporting.of_search, case, 1))
    with pytest.raises(UsageError, match="lies in the gallery"):
        writing.export(case, "C/1", case.folder / "a.zip")
    with pytest.raises(UsageError, match="cannot be written"):
        reporting.write(tmp_path / "nowhere" / "a.pdf", partial(reporting.of_case, case, "C/1"))
    with pytest.raises(UsageError, match=r"neither a \.pdf nor a \.html"):
        form_of(tmp_path / "a.docx")
    for missing in (partial(reporting.of_search, case, 99), partial(reporting.of_case, case, "C-9")):
        with pytest.raises(NotFound):
            reporting.write(tmp_path / "c.pdf", missing)
    assert not (tmp_path / "c.pdf").exists()
    assert len(trail.entries(case)) == before


def test_a_report_needs_the_right_to_read_cases(case: Gallery) -> None:
    users.add(case, "root", Role.ADMINISTRATOR, "a long password")
    case.sign_in("root", "a long password")
    for call in (lambda: reporting.of_case(case, "C/1", Form.PDF), lambda: reporting.of_search(case, 1, Form.PDF)):
        with pytest.raises(RightsError, match="may not read cases"):
            call()


def test_a_log_that_was_tampered_with_is_shown_as_it_is(case: Gallery) -> None:
    with case.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit")
        connection.exec_driver_sql(
            "INSERT INTO audit (number, entry, hash, signature) VALUES (1, ?, '00', '00')",
            ('{"action":"search"} and nothing more',),
        )
    assert audit.read('{"action":"search"} and nothing more') == {}
    said = text_of(reporting.of_search(case, 1, Form.HTML, probes=PROBES).content)
    assert "somebody whom the log does not name" in said
