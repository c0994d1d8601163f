import itertools
import multiprocessing
import os
import random
import re
import signal
import threading
from datetime import date
from pathlib import Path

import pytest
from hostile import Hostile, make_hostile

from forensic import Gallery, Identifier, enrollment, images
from forensic.datasets.synthetic import Made
from forensic.errors import DataError, ForensicError, UsageError
from forensic.faces import Finder, policy

FEW_KILLS, KILLS = 3, 20


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Hostile]:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def test_every_hostile_file_gets_its_error_or_passes(hostile: dict[str, Hostile]) -> None:
    """One by one, through decoding and finding; nothing but the toolkit's own errors comes out."""
    finder = Finder()
    broken = {name: file for name, file in hostile.items() if file.reason is not None}
    assert len(broken) >= 20
    for name, file in broken.items():
        with pytest.raises(ForensicError, match=file.reason) as caught:
            finder.one(images.read(file.path).image)
        assert str(caught.value).isprintable(), name
    for name, file in hostile.items():
        if file.reason is None:
            found = finder.one(images.read(file.path).image)
            assert file.warning is None or re.search(file.warning, " ".join(found.warnings)), name


def test_hostile_files_do_not_stop_the_others(hostile: dict[str, Hostile], people: list[Made], tmp_path: Path) -> None:
    files = [file.path for file in hostile.values() if os.path.lexists(file.path)]
    items = [enrollment.Item(f"person {k}", path, {}) for k, path in enumerate(files)]
    items.append(enrollment.Item("last", people[0].photos[0], {}))
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery)
        summary = enrollment.enroll(gallery, items, identifier.matcher.routes, identifier.finder)
        assert summary.done == len(items)
        assert gallery.person("last")
        assert not gallery.verify()
    refused = {failure.file for failure in summary.failures}
    for file in hostile.values():
        if file.reason is not None and os.path.lexists(file.path):
            assert images.display_name(file.path) in refused
    assert all(failure.reason and failure.reason.isprintable() for failure in summary.failures)


def test_folders_name_people_by_stem_and_again_enrolls_nothing(
    people_folder: Path, people: list[Made], tmp_path
) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery)
        first = identifier.enroll(people_folder / "photos")
        assert (first.enrolled, first.already, first.failures) == (len(people), 0, [])
        digest = gallery.digest()
        again = identifier.enroll(people_folder / "photos")
        assert (again.enrolled, again.already) == (0, len(people))
        assert gallery.digest() == digest
        assert {person.label for person in gallery.people()} == {made.photos[0].stem for made in people}


def test_tables_bring_metadata_and_several_photos(enrolled: Path, people: list[Made]) -> None:
    with Gallery(enrolled) as gallery:
        two = next(made for made in people if len(made.photos) == 2)
        assert len(gallery.photos(two.label)) == 2
        person = gallery.person(two.label)
        assert person.name
        assert person.sex in ("F", "M", "female", "male")
        assert 1900 < person.birth_year < 2026


def nist_record(kind: int, *fields: bytes) -> bytes:
    """A record of an ANSI/NIST-ITL file with its own length in front."""
    body, length = b"\x1d" + b"\x1d".join(fields) + b"\x1c", 0
    while len(whole := b"%d.001:%d" % (kind, length) + body) != length:
        length = len(whole)
    return whole


def booking(folder: Path, *photos: bytes) -> Path:
    """An ANSI/NIST-ITL file of one person: the photos, a tattoo, and an image in a format that is not read."""
    faces = [nist_record(10, b"10.003:FACE", b"10.005:20190517", b"10.020:F", b"10.999:" + data) for data in photos]
    tattoo = nist_record(10, b"10.003:TATTOO", b"10.999:x")
    raw = nist_record(10, b"10.003:FACE", b"10.011:NONE", b"10.999:" + bytes(900))
    count = b"1.003:1\x1f%d" % (len(photos) + 3)
    records = [nist_record(1, b"1.002:0500", count), nist_record(2, b"2.054:A-17", b"2.018:DOE"), *faces, tattoo, raw]
    path = folder / "booking 5.an2"
    path.write_bytes(b"".join(records))
    return path


def test_nist_files_beside_photos(people: list[Made], tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    originals = [made.photos[0].read_bytes() for made in people[:3]]
    booking(folder, *originals[:2])
    (folder / "other.jpg").write_bytes(originals[2])
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery)
        items = enrollment.items_of([folder], {"person": "2.54", "name": "2.018"})
        summary = enrollment.enroll(gallery, items, identifier.matcher.routes, identifier.finder)
        assert (summary.enrolled, summary.passed, summary.done) == (3, 1, 5)
        assert any("record 5: passed over, it shows 'TATTOO'" in warning for warning in summary.warnings)
        (failure,) = summary.failures
        assert failure.file.endswith("booking 5.an2, record 6")
        assert "no PNG" in failure.reason
        assert "'NONE' of its compression" in failure.reason
        photos = {photo.file_name: photo for photo in gallery.photos("A-17")}
        assert sorted(photos) == ["booking 5.an2, record 3", "booking 5.an2, record 4"]
        assert gallery.photo_bytes(photos["booking 5.an2, record 3"]) == originals[0]
        assert {photo.date_taken for photo in photos.values()} == {"2019-05-17"}
        assert gallery.person("A-17").name == "DOE"
        assert gallery.person("other")
        again = enrollment.enroll(gallery, items, identifier.matcher.routes, identifier.finder)
        assert (again.enrolled, again.already) == (0, 3)


def test_who_names_the_person_of_a_nist_file(tmp_path: Path) -> None:
    path = booking(tmp_path, b"x")
    table = tmp_path / "people.csv"
    table.write_text(f"person,file,name,date_taken\nB-3,{path.name},ROE,2001\n")
    assert {item.person for item in enrollment.items_of([path])} == {"booking 5"}
    assert {item.person for item in enrollment.items_of([path], {"person": "2.054"})} == {"A-17", "booking 5"}
    first = enrollment.items_of_csv(table, {"person": "2.054", "name": "2.018"})[0]
    assert (first.person, first.metadata) == ("B-3", {"name": "ROE", "date_taken": "2001"})
    with pytest.raises(UsageError, match="expected COLUMN=TYPE"):
        enrollment.items_of([path], {"person": "name"})
    (broken,) = enrollment.items_of([booking_head(tmp_path)])
    assert broken.record.problem.startswith("an ANSI/NIST-ITL file begins with a whole Type-1 record")


def booking_head(folder: Path) -> Path:
    """The beginning of such a file, and no more."""
    path = folder / "cut.an2"
    path.write_bytes(nist_record(1, b"1.002:0500")[:-3])
    return path


def test_order_changes_nothing(people: list[Made], tmp_path: Path) -> None:
    digests = []
    for name, order in (("a", people[:6]), ("b", people[:6][::-1])):
        with Gallery(tmp_path / name, create=True) as gallery:
            Identifier(gallery).enroll(*(made.photos[0] for made in order))
            digests.append(gallery.digest())
    assert digests[0] == digests[1]


def test_one_image_cannot_be_two_people(people: list[Made], tmp_path: Path) -> None:
    copy = tmp_path / "somebody.jpg"
    copy.write_bytes(people[0].photos[0].read_bytes())
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery)
        summary = identifier.enroll(people[0].photos[0], copy)
        assert summary.enrolled == 1
        assert "enrolled as" in summary.failures[0].reason
        later = identifier.enroll(copy)
        assert people[0].photos[0].stem in later.failures[0].reason


def test_a_policy_warns_refuses_and_is_kept(people: list[Made], tmp_path: Path) -> None:
    (tmp_path / "warns.toml").write_text("[eye_distance]\nwarn = {below = 500}\n")
    (tmp_path / "refuses.toml").write_text("[eye_distance]\nrefuse = {below = 500}\n")
    items = enrollment.items_of([people[0].photos[0]])
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery, "direct")

        def enroll(name: str) -> enrollment.Summary:
            limits = policy.load(tmp_path / name)
            return enrollment.enroll(gallery, items, identifier.matcher.routes, identifier.finder, policy=limits)

        refused = enroll("refuses.toml")
        assert (refused.enrolled, len(refused.failures)) == (0, 1)
        assert re.search(r"refuses it: the eyes' distance is \d+(\.\d+)? pixels, below 500", refused.failures[0].reason)
        warned = enroll("warns.toml")
        assert warned.enrolled == 1
        assert "below 500" in warned.warnings[0]
        (photo,) = gallery.photos()
        assert photo.warnings == [f"{reason}." for reason in photo.quality["reasons"]]
        assert photo.quality["verdict"] == "warn"
        assert photo.quality["policy"] == policy.load(tmp_path / "warns.toml").digest


def test_requests_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        enrollment.items_of([tmp_path / "absent"])
    with pytest.raises(UsageError, match="no file"):
        enrollment.items_of([tmp_path])
    for text in ("", "name,file\na,b\n", "person,file\n", "person,file\na,b,c\n"):
        table = tmp_path / "table.csv"
        table.write_text(text)
        with pytest.raises(DataError, match=r"table\.csv"):
            enrollment.items_of_csv(table)


def test_stems_shared_by_folders_are_pointed_out(people: list[Made], tmp_path: Path) -> None:
    for folder, made in (("x", people[0]), ("y", people[1])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "001.jpg").write_bytes(made.photos[0].read_bytes())
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        summary = Identifier(gallery).enroll(tmp_path / "x", tmp_path / "y")
        assert any("'001'" in warning for warning in summary.warnings)


def _enroll(gallery: Path, table: Path, kill_at: int | None = None, delay: float = 0.0) -> None:
    """What a killed process was doing: it dies by SIGKILL ``delay`` seconds after it has dealt with photo ``kill_at``,
    be it between two commits, inside one, or in a worker."""
    enrollment.BATCH = 4  # many commits, so that kills fall between and inside them

    photos = itertools.count()

    def progress(summary: enrollment.Summary) -> None:
        if next(photos) == kill_at:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    with Gallery(gallery, create=True) as opened:
        identifier = Identifier(opened)
        items = enrollment.items_of_csv(table)
        enrollment.enroll(opened, items, identifier.matcher.routes, identifier.finder, workers=1, progress=progress)


@pytest.mark.parametrize("kills", [FEW_KILLS, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_a_killed_enrollment_resumes_to_the_same_gallery(
    people: list[Made], people_folder: Path, tmp_path: Path, kills: int
) -> None:
    """SIGKILL at random moments of the whole pipeline; then the gallery is clean, and resuming completes it."""
    table = people_folder / "people.csv"
    context = multiprocessing.get_context("forkserver")  # imports torch once, not twenty times
    context.set_forkserver_preload(["forensic.identify", "forensic.gallery", "forensic.faces.mtcnn"])
    _enroll(tmp_path / "whole", table)
    with Gallery(tmp_path / "whole") as gallery:
        expected, size = gallery.digest(), gallery.size()
    assert size.photos >= len(people)

    chance, partial = random.Random(0), 0
    for kill in range(kills):
        folder = tmp_path / f"killed-{kill}"
        moment = chance.randrange(size.photos), chance.uniform(0, 0.05)
        process = context.Process(target=_enroll, args=(folder, table, *moment))
        process.start()
        process.join()
        with Gallery(folder) as gallery:
            assert gallery.verify() == [], f"after kill {kill}"
            partial += 0 < gallery.size().photos < size.photos
        _enroll(folder, table)  # resume
        with Gallery(folder) as gallery:
            assert (gallery.digest(), gallery.size()) == (expected, size), f"after kill {kill}"
    assert partial >= kills // 3, "hardly a kill fell into the middle of an enrollment; the test proved nothing"


def test_a_table_enrolled_again_brings_what_is_new(people: list[Made], tmp_path: Path) -> None:
    photo, table = tmp_path / "a.jpg", tmp_path / "people.csv"
    photo.write_bytes(people[0].photos[0].read_bytes())
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery, "direct@patches")

        def enroll(columns: str, row: str) -> enrollment.Summary:
            table.write_text(f"person,file,{columns}\nA,a.jpg,{row}\n")
            return identifier.enroll(table)

        enroll("birth_year", "1980")
        later = enroll("birth_year,name,keep_until,hair", "1970,Ada,2931-01-01,red")
        assert (later.enrolled, later.already, later.failures) == (0, 1, [])
        (warning,) = later.warnings
        assert "birth_year stays 1980, not 1970" in warning
        assert "keep_until is 2931-01-01 for all photos now" in warning
        person, digest = gallery.person("A"), gallery.digest()
        assert (person.name, person.keep_until, person.extra) == ("Ada", date(2931, 1, 1), {"hair": "red"})
        again = enroll("birth_year,name,keep_until,hair", "1980,Ada,2931-01-01,red")
        assert (again.already, again.warnings, gallery.digest()) == (1, [], digest)


def test_failures_and_warnings_of_a_table_tell_which_row_is_meant(people: list[Made], tmp_path: Path) -> None:
    for folder, made in zip("abc", people, strict=False):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "front.jpg").write_bytes(made.photos[0].read_bytes())
    table = tmp_path / "people.csv"
    rows = ("A,a/front.jpg,1980", "A,b/front.jpg,1970", "C,c/front.jpg,x", "D,a/front.jpg,1980", "E,e/front.jpg,1980")
    table.write_text("\n".join(("person,file,birth_year", *rows)))
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        summary = Identifier(gallery, "direct@patches").enroll(table)
    called = [f"{tmp_path}/{name}" for name in ("c/front.jpg (line 4)", "a/front.jpg (line 5)", "e/front.jpg (line 6)")]
    assert sorted(failure.file for failure in summary.failures) == sorted(called)
    assert not any(str(tmp_path) in failure.reason for failure in summary.failures)
    (warning,) = [warning for warning in summary.warnings if "stays" in warning]
    assert warning.startswith(f"{tmp_path}/b/front.jpg (line 3): A: birth_year stays 1980")


def test_a_date_for_whoever_has_none(people: list[Made], tmp_path: Path) -> None:
    first, second = people[0].photos[0], people[1].photos[0]
    items = [enrollment.Item("A", first, {}), enrollment.Item("B", second, {"keep_until": "2050-01-01"})]
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        identifier = Identifier(gallery, "direct")
        enrollment.enroll(gallery, items, identifier.matcher.routes, identifier.finder, keep_until=date(2031, 12, 31))
        assert [str(person.keep_until) for person in gallery.people()] == ["2031-12-31", "2050-01-01"]
