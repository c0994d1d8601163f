import dataclasses
import gc
import hashlib
import io
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from forensic import Gallery, Identifier, identify, images, matching
from forensic.candidates import Search
from forensic.datasets.synthetic import Made
from forensic.errors import FaceError, GalleryError, ImageError, StaleIndex, UsageError
from forensic.faces import Aligned, Finder
from forensic.gallery import Enrollment, Filter
from forensic.recognition.cohort import Query


@pytest.fixture
def gallery(searchable: Path):
    with Gallery(searchable) as opened:
        yield opened


@pytest.mark.parametrize("name", ["direct", "direct@patches", matching.DEFAULT])
def test_the_list_is_the_brute_force_one(gallery: Gallery, people: list[Made], name: str) -> None:
    """Oracle: all templates of every route, one product a route, the best photo of each person, by numpy."""
    identifier = Identifier(gallery, name)
    search = identifier.search(people[3].sketch, k=5)
    probe = identifier.finder.one(images.read(people[3].sketch).image)
    scores: dict[str, float] = {}
    total, matcher = 0.0, identifier.matcher
    for route, weight, cohort in zip(matcher.routes, matcher.scoring.weights, matcher.scoring.cohorts, strict=True):
        stored = gallery.templates(route.space)
        template = route.describe([probe], "probe")[0]
        query = Query(template.astype(np.float64), 0.0) if cohort is None else cohort.query(template)
        total = total + weight * (stored.vectors.astype(np.float64) @ query.vector + query.offset)
    for person, score in zip(stored.people, np.asarray(total).tolist(), strict=True):
        scores[person] = max(score, scores.get(person, -np.inf))
    expected = sorted(scores.items(), key=lambda pair: -pair[1])[:5]
    assert [candidate.person for candidate in search.candidates] == [person for person, _ in expected]
    np.testing.assert_allclose([c.score for c in search.candidates], [score for _, score in expected], atol=1e-6)
    assert [candidate.rank for candidate in search.candidates] == [1, 2, 3, 4, 5]
    assert search.gallery_size == len(stored.people)
    assert search.route == name


def test_the_default_is_calibrated_and_states_what_it_holds_for(gallery: Gallery, people: list[Made]) -> None:
    identifier = Identifier(gallery)
    search = identifier.search(people[3].sketch, k=100)
    calibration = identifier.matcher.scoring.calibration
    assert calibration is not None
    for candidate in search.candidates:
        stated = calibration.slope * candidate.score + calibration.intercept
        assert candidate.log_lr == pytest.approx(min(max(stated, 0), calibration.upper))  # never against a person
        assert candidate.words
        assert "different people" not in candidate.words
        assert set(candidate.routes) == {"direct", "direct@patches"}
    plain = search.to_json()
    assert plain["calibration"]["kind"] == "viewed"
    assert plain["calibration"]["population"]
    assert plain["calibration"]["lower"] == 0 > calibration.lower
    assert plain["supported"] == (max(c.log_lr for c in search.candidates) > 0)


def test_an_unfitted_set_of_routes_has_no_likelihood_ratio(gallery: Gallery, people: list[Made]) -> None:
    search = Identifier(gallery, "sketch-to-photo:matched").search(people[3].sketch)
    assert search.calibration is None
    assert search.supported is None
    assert all(candidate.log_lr is None and candidate.words is None for candidate in search.candidates)
    assert matching.UNCALIBRATED in search.warnings


def test_a_route_without_templates_is_left_out_and_said(people: list[Made], tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        Identifier(gallery, "direct").enroll(*(made.photos[0] for made in people[:4]))
        fused = Identifier(gallery)
        search, alone = fused.search(people[0].sketch), Identifier(gallery, "direct").search(people[0].sketch)
        assert search.route == "direct"
        assert search.candidates == alone.candidates
        (warning,) = search.warnings
        assert warning.startswith("the route 'direct@patches' is left out of this search: 4 photos")
        assert "forensic gallery reindex --route direct@patches" in warning
        assert fused.reindex().enrolled == 4
        assert fused.search(people[0].sketch).route == matching.DEFAULT


def enrollment(name: str, data: bytes, face: Aligned) -> Enrollment:
    return Enrollment(
        person=name,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        file_name=name,
        format="PNG",
        size=face.image.size,
        landmarks=face.face.landmarks,
        method=face.face.method,
        score=face.face.score,
    )


def test_landmarks_that_were_found_may_lie_outside_of_the_photo(people: list[Made], tmp_path: Path) -> None:
    """As where a chin is cut off; given by hand, they are refused. Reindexing goes on after a photo that is none."""
    whole = images.read(people[0].photos[0])
    face = Finder().one(whole.image)
    buffer = io.BytesIO()
    whole.image.crop((0, 0, whole.image.width, int(face.face.landmarks[3:, 1].min()) - 2)).save(buffer, "PNG")
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        gallery.enroll([enrollment("cut", buffer.getvalue(), face), enrollment("none", b"no picture", face)])
        identifier = Identifier(gallery, "direct")
        summary = identifier.reindex()
        assert [failure.file for failure in summary.failures] == ["none"]
        assert summary.enrolled == 1
        gallery.expunge("none")
        explained = identifier.explain(identifier.search(people[0].sketch)).explained
    assert explained is not None
    assert explained.person == "cut"


def test_several_sketches_of_one_person_are_one_search(gallery: Gallery, people: list[Made]) -> None:
    identifier = Identifier(gallery)
    files = [people[0].sketch, people[1].sketch]
    singly = [{c.person: c for c in identifier.search(file, k=100).candidates} for file in files]
    together = identifier.search_together(files, k=100)
    assert together.probe.count(",") == 1
    assert len(together.faces) == 2
    people_once = [c.person for c in together.candidates]
    assert len(people_once) == len(set(people_once)) == len(people)
    one_photo = [made for made in people if len(made.photos) == 1]
    for made in one_photo:
        (found,) = (c for c in together.candidates if c.person == made.label)
        assert found.score == pytest.approx(np.mean([single[made.label].score for single in singly]))
    with pytest.raises(UsageError, match="no sketch"):
        identifier.search_together([])


def test_the_order_of_enrollment_changes_no_score(people: list[Made], tmp_path: Path) -> None:
    found = []
    for name, step in (("forwards", 1), ("backwards", -1)):
        with Gallery(tmp_path / name, create=True) as gallery:
            identifier = Identifier(gallery)
            for made in people[:5][::step]:
                identifier.enroll(made.photos[0])
            found.append(identifier.search(people[2].sketch).to_json())
    assert found[0] == found[1]


def test_a_filter_searches_some_and_is_kept(gallery: Gallery, people: list[Made]) -> None:
    label = people[2].label
    identifier = Identifier(gallery)
    everybody = {c.person: c for c in identifier.search(people[0].sketch, k=100).candidates}
    column, value = next(iter(_metadata(gallery, label).items()))
    only = Filter.parse([f"{column}={value}"], "the witness was certain of it")
    search = identifier.search(people[0].sketch, k=100, only=only)
    kept = {c.person for c in search.candidates}
    assert label in kept
    assert kept < set(everybody)
    assert all(_metadata(gallery, person).get(column) in (value, None) for person in kept)
    assert [c.score for c in search.candidates] == [everybody[c.person].score for c in search.candidates]
    assert search.to_json()["filter"]["justification"] == "the witness was certain of it"


def _metadata(gallery: Gallery, label: str) -> dict[str, str]:
    person = gallery.person(label)
    columns = {"sex": person.sex, "birth_year": person.birth_year}
    return {key: str(value) for key, value in columns.items() if value is not None} | person.extra


def test_an_own_cohort_changes_scores_and_is_seen_at_once(people: list[Made], tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery)
        identifier.enroll(*(made.photos[0] for made in people[:4]))
        before = identifier.search(people[0].sketch)
        faces = [identifier.finder.one(images.read(made.sketch).image) for made in people[4:]]
        for route in identifier.matcher.routes:
            described = route.describe(faces, "probe")
            gallery.add_cohort(matching.key(route), {f"{k:064x}": row for k, row in enumerate(described)})
        after = identifier.search(people[0].sketch)
        assert {c.person for c in after.candidates} == {c.person for c in before.candidates}
        assert [c.score for c in after.candidates] != [c.score for c in before.candidates]
        assert any("cohort" in warning for warning in after.warnings)
        gallery.clear_cohort()
        assert identifier.search(people[0].sketch).candidates == before.candidates


def test_an_explanation_is_of_the_candidate_of_that_rank(gallery: Gallery, people: list[Made]) -> None:
    identifier = Identifier(gallery, "direct@patches")
    search = identifier.explain(identifier.search(people[0].sketch), rank=2)
    assert search.explained is not None
    assert search.explained.person == search.candidates[1].person
    assert search.explained.explanation.score == pytest.approx(search.candidates[1].score, rel=0.25)
    assert search.to_json()["explanation"]["person"] == search.candidates[1].person
    with pytest.raises(UsageError, match="rank 99"):
        identifier.explain(search, rank=99)


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


def test_the_number_of_cores_changes_nothing(gallery: Gallery, people: list[Made], one_thread: None) -> None:
    def found() -> list[tuple[object, ...]]:
        identifier = Identifier(gallery)
        alone = identifier.search(people[0].sketch)
        together = identifier.search_together([made.sketch for made in people[1:3]])
        (one,) = identifier.search_all([people[0].sketch])
        assert isinstance(one, Search)
        assert one.candidates == alone.candidates
        explained = identifier.explain(alone).explained
        assert explained is not None
        told = explained.explanation
        lists = [(search.candidates, search.faces[0].face.landmarks.tobytes()) for search in (alone, together)]
        return [*lists, (told.score, told.regions, told.probe_map.tobytes(), told.candidate_map.tobytes())]

    answers = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        answers.append(found())
        assert torch.get_num_threads() == threads, "it was changed for others too"
    assert answers[0] == answers[1]


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


def test_whoever_is_expunged_leaves_the_memory_of_a_running_process(people: list[Made], tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery, Gallery(gallery.folder) as other:
        identifier = Identifier(gallery, "direct@patches")
        identifier.enroll(people[0].photos[0], people[1].photos[0])
        first, second = (made.photos[0].stem for made in people[:2])
        templates = gallery.templates(identifier.matcher.routes[0].space)
        gone = templates.vectors[templates.people.index(second)].copy()
        del templates
        assert second in {candidate.person for candidate in identifier.identify(people[1].sketch)}
        held = weakref.ref(identifier._memory.loaded.index)  # type: ignore[union-attr]
        assert (held().segments[0].parts[0].vectors == gone).all(axis=1).any()  # type: ignore[union-attr]
        other.expunge(second)
        assert [candidate.person for candidate in identifier.identify(people[1].sketch)] == [first]
        gc.collect()
        assert held() is None
        assert not any((array == gone).all(axis=-1).any() for array in _arrays(gone.shape))
        other.expunge(first)
        with pytest.raises(GalleryError, match="empty"):  # nothing new can be loaded: the old goes nevertheless
            identifier.identify(people[0].sketch)
        assert identifier._memory.loaded is None


def _arrays(row: tuple[int, ...]) -> list[np.ndarray]:
    """All arrays of such rows that any object refers to, but for a single row."""
    found = [one for held in gc.get_objects() for one in gc.get_referents(held) if type(one) is np.ndarray]
    return [array for array in found if array.ndim == 2 and array.shape[1:] == row]


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
    given = identifier.search(picture, landmarks=plain.faces[0].face.landmarks)
    assert given.faces[0].face.method == "manual"
    assert [c.person for c in given.candidates] == [c.person for c in plain.candidates]


def test_wrong_requests(gallery: Gallery, people: list[Made]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Identifier(gallery).identify(people[0].sketch, k=0)
    with pytest.raises(UsageError, match="cuda:99"):
        Identifier(gallery, device="cuda:99")


def test_json_is_plain_and_complete(gallery: Gallery, people: list[Made]) -> None:
    line = json.loads(json.dumps(Identifier(gallery).search(people[0].sketch, k=2).to_json(), allow_nan=False))
    assert {"rank", "person", "photo", "score", "log_lr", "words", "routes"} <= set(line["candidates"][0])
    fields = {field.name for field in dataclasses.fields(Identifier(gallery).search(people[0].sketch))}
    assert set(line) <= fields | {"supported"}


@pytest.mark.parametrize("kind", ["upright", "turned", "deep", "clear"])
def test_a_picture_that_is_open_is_read_as_its_file(kind: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    picture, exif = Image.fromarray(values), Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6
    elif kind == "deep":
        picture = Image.fromarray(values[..., 0].astype(np.uint16) * 100)
    elif kind == "clear":
        picture.putalpha(Image.fromarray(values[..., 0]))
    file = tmp_path / "sketch.png"
    picture.save(file, exif=exif)
    with Image.open(file) as opened:
        _, _, shown = identify._open(opened)
    assert (shown.mode, shown.size) == ("RGB", (40, 30) if kind == "turned" else (30, 40))
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(images.read(file).image))
