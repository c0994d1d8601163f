import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forensic import Gallery, Identifier, images
from forensic.datasets.synthetic import Made
from forensic.errors import FaceError, GalleryError, ImageError, StaleIndex, UsageError


@pytest.fixture
def gallery(enrolled: Path):
    with Gallery(enrolled) as opened:
        yield opened


def test_the_list_is_the_brute_force_one(gallery: Gallery, people: list[Made]) -> None:
    """Oracle: all templates, one product, the best photo of each person, by numpy."""
    identifier = Identifier(gallery)
    search = identifier.search(people[3].sketch, k=5)
    stored = gallery.templates(identifier.route.space)
    probe = identifier.finder.one(images.read(people[3].sketch).image)
    scores = stored.vectors @ identifier.route.describe([probe], "probe")[0]
    best: dict[str, float] = {}
    for person, score in zip(stored.people, scores.tolist(), strict=True):
        best[person] = max(score, best.get(person, -2))
    expected = sorted(best.items(), key=lambda pair: -pair[1])[:5]
    assert [candidate.person for candidate in search.candidates] == [person for person, _ in expected]
    np.testing.assert_allclose([c.score for c in search.candidates], [score for _, score in expected], atol=1e-5)
    assert [candidate.rank for candidate in search.candidates] == [1, 2, 3, 4, 5]
    assert search.gallery_size == len(stored.people)


def test_each_person_once_though_some_have_two_photos(gallery: Gallery, people: list[Made]) -> None:
    candidates = Identifier(gallery).identify(people[0].sketch, k=100)
    assert len(candidates) == len({c.person for c in candidates}) == len(people)
    assert gallery.size().photos > len(people), "the fixture should have second photos"


def test_company_order_and_time_change_nothing(gallery: Gallery, people: list[Made]) -> None:
    identifier = Identifier(gallery)
    files = [made.sketch for made in people[:5]]
    alone = [json.dumps(Identifier(gallery).search(file).to_json()) for file in files]
    together = [json.dumps(search.to_json()) for search in identifier.search_all(files)]
    backwards = [json.dumps(search.to_json()) for search in identifier.search_all(files[::-1])]
    assert together == alone == backwards[::-1]


def test_the_index_is_only_a_cache(gallery: Gallery, people: list[Made]) -> None:
    before = Identifier(gallery).search(people[1].sketch)
    cached = list(gallery.index_folder.iterdir())
    assert cached
    assert Identifier(gallery).search(people[1].sketch).candidates == before.candidates, "read from the cache"
    cached[0].write_bytes(b"damaged")
    assert Identifier(gallery).search(people[1].sketch).candidates == before.candidates, "damaged, so built again"
    cached[0].unlink()
    assert Identifier(gallery).search(people[1].sketch).candidates == before.candidates, "deleted, so built again"


def test_an_open_identifier_sees_changes(people: list[Made], tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery)
        with pytest.raises(GalleryError, match="empty"):
            identifier.identify(people[0].sketch)
        identifier.enroll(people[0].photos[0], people[1].photos[0])
        assert len(identifier.identify(people[0].sketch)) == 2
        gallery.expunge(people[1].photos[0].stem)
        assert [c.person for c in identifier.identify(people[1].sketch)] == [people[0].photos[0].stem]


def test_another_space_is_stale_until_it_is_made(people: list[Made], tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        Identifier(gallery).enroll(*(made.photos[0] for made in people[:3]))
        drawn = Identifier(gallery, "photo-to-sketch:pencil")
        with pytest.raises(StaleIndex, match="forensic gallery reindex --route photo-to-sketch:pencil"):
            drawn.identify(people[0].sketch)
        assert drawn.reindex().enrolled == 3
        assert drawn.reindex().enrolled == 0
        search = drawn.search(people[0].sketch)
        assert len(search.candidates) == 3
        assert search.route == "photo-to-sketch:pencil"
        assert not gallery.verify()


def test_a_translated_probe_is_shown(gallery: Gallery, people: list[Made]) -> None:
    search = Identifier(gallery, "sketch-to-photo:pix2pix").search(people[0].sketch)
    assert search.synthesized is not None
    assert search.synthesized.size == (256, 256)
    assert "pix2pix" in search.models


def test_errors_name_the_probe_and_leave_the_others(gallery: Gallery, people: list[Made], tmp_path: Path) -> None:
    blank, text = tmp_path / "blank.png", tmp_path / "text.png"
    Image.new("RGB", (200, 200), "white").save(blank)
    text.write_text("no image")
    found = list(Identifier(gallery).search_all([blank, people[0].sketch, text, tmp_path / "absent.png"]))
    assert isinstance(found[0], FaceError)
    assert "blank.png" in str(found[0])
    assert found[1].candidates
    assert isinstance(found[2], ImageError)
    assert "absent.png" in str(found[3])


def test_an_enrolled_probe_is_pointed_out(gallery: Gallery, people: list[Made]) -> None:
    search = Identifier(gallery).search(people[2].photos[0])
    assert any(people[2].label in warning for warning in search.warnings)
    assert gallery.size().photos == search.gallery_size, "a probe is never enrolled"


def test_pictures_and_landmarks_by_hand(gallery: Gallery, people: list[Made]) -> None:
    identifier = Identifier(gallery)
    picture = images.read(people[4].sketch).image
    plain = identifier.search(picture)
    assert plain.probe == "image"
    given = identifier.search(picture, landmarks=plain.face.face.landmarks)
    assert given.face.face.method == "manual"
    assert [c.person for c in given.candidates] == [c.person for c in plain.candidates]


def test_wrong_requests(gallery: Gallery, people: list[Made]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Identifier(gallery).identify(people[0].sketch, k=0)
    with pytest.raises(UsageError, match="cuda:99"):
        Identifier(gallery, device="cuda:99")


def test_json_is_plain_and_complete(gallery: Gallery, people: list[Made]) -> None:
    line = json.loads(json.dumps(Identifier(gallery).search(people[0].sketch, k=2).to_json(), allow_nan=False))
    assert set(line) == {"probe", "sha256", "route", "models", "gallery_size", "candidates", "warnings"}
    assert {"rank", "person", "photo", "score"} <= set(line["candidates"][0])
    fields = {field.name for field in dataclasses.fields(Identifier(gallery).search(people[0].sketch))}
    assert set(line) <= fields
