"""A gallery of drawn people with a case in it: two sketches, two searches, two examiners."""

import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forensic.casefile.writing import export
from forensic.datasets.synthetic import Person, Variation, draw_photo
from forensic.gallery import Enrollment, Gallery
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind, Verdict
from forensic.gallery.rights import Operator, Role

LABELS = ("A-17", "Ødegård Ξένος Иван", "張偉 שלום <b>")
CALIBRATION = {
    "kind": "viewed",
    "population": "people of the tests",
    "lower": -1.3,
    "upper": 2.9,
    "mated": 30,
    "nonmated": 900,
    "people": 31,
}


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def enrollment(number: int, label: str) -> Enrollment:
    data = png(draw_photo(Person.sample(number), Variation()))
    return Enrollment(
        person=label,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        file_name=f"{number}.png",
        format="PNG",
        size=(200, 250),
        landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
        method="mtcnn",
        score=0.99,
        warnings=(),
        metadata={},
        templates={},
    )


def record(probe: str, **changes: object) -> dict[str, object]:
    """A search's record as `forensic.search_records` makes it, with a candidate for each photo."""
    candidates = [
        {
            "rank": photo,
            "person_id": photo,
            "photo_id": photo,
            "score": 9.5 - photo,
            "log_lr": 3.0 - photo,
            "bounded": photo == 1,
            "routes": {"direct": 0.5},
        }
        for photo in (1, 2, 3)
    ]
    return {
        "started": "2026-11-02T10:00:00.123456+00:00",
        "ended": "2026-11-02T10:00:05.000000+00:00",
        "operator": "ines",
        "purpose": "",
        "probes": [probe],
        "landmarks": [None],
        "device": "cpu",
        "asked_for": 3,
        "gallery": {"photos": 3, "root": "ab" * 32},
        "route": "direct",
        "models": {"embedder": "cd" * 32},
        "code": "ef" * 32,
        "versions": {"torch": "2.10"},
        "filter": None,
        "calibration": CALIBRATION,
        "own_cohort": 0,
        "supported": True,
        "candidates": candidates,
        "warnings": ["the face was found by a lenient attempt"],
    } | changes


def sketch(number: int) -> bytes:
    return png(draw_photo(Person.sample(number), Variation()).convert("L").resize((300, 380)))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the gallery, which tests do not change.

    Case C/1: ines, an investigator, opened it; eva and otto, examiners, decided on search 1.
    """
    folder = tmp_path_factory.mktemp("made") / "gallery"
    with Gallery(folder, create=True) as gallery:
        gallery.enroll([enrollment(number, label) for number, label in enumerate(LABELS)])
        gallery.operator = Operator("ines", Role.INVESTIGATOR)
        cases.open_case(gallery, "C/1", purpose="robbery <script>", legal_basis="warrant & order")
        cases.add_sketch(gallery, "C/1", Drawing(sketch(7), "../zeuge 2/sketch.png", Kind.FORENSIC, "M. Ito", "w 2"))
        cases.add_sketch(gallery, "C/1", Drawing(b"no image", "second.png", Kind.VIEWED))
        probes = [one.sha256 for one in cases.sketches(gallery, "C/1")]
        cases.record_search(gallery, record(probes[0]), case="C/1")
        only = {
            "conditions": ["sex=F"],
            "justification": "the witness said so",
            "people": {"kept": 2, "left_out": 4, "kept_for_want_of_a_value": 1},
        }
        second = record(probes[1], calibration=None, supported=None, filter=only)
        for candidate in second["candidates"]:
            candidate["log_lr"] = None
        cases.record_search(gallery, second, case="C/1")
        cases.open_case(gallery, "C-2", purpose="theft", legal_basis="order")
        cases.record_search(gallery, record(probes[0], operator="of another case"), case="C-2")
        for examiner, verdict, reason in (
            ("eva", Verdict.LEAD, "ears agree"),
            ("otto", Verdict.EXCLUDE, "nose differs"),
        ):
            gallery.operator = Operator(examiner, Role.EXAMINER)
            cases.decide(gallery, 1, 1, verdict, reason)
        cases.decide(gallery, 1, 2, Verdict.INCONCLUSIVE, "chin hidden")
    return folder


@pytest.fixture
def case(made: Path, tmp_path: Path) -> Iterator[Gallery]:
    """A copy of it, with ines at work."""
    with Gallery(shutil.copytree(made, tmp_path / "gallery")) as gallery:
        gallery.operator = Operator("ines", Role.INVESTIGATOR)
        yield gallery


@pytest.fixture(scope="session")
def exported(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of C/1 that eva made; tests do not change it."""
    folder = tmp_path_factory.mktemp("exported")
    with Gallery(shutil.copytree(made, folder / "gallery")) as gallery:
        gallery.operator = Operator("eva", Role.EXAMINER)
        return export(gallery, "C/1", folder / "case.zip").path
