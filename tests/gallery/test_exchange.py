import csv
import dataclasses
import hashlib
import itertools
import os
from contextlib import suppress
from pathlib import Path

import pytest
from fuses import Fuse, failing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensic.errors import DataError, ForensicError, GalleryError, UsageError
from forensic.gallery import Gallery, exchange
from forensic.gallery.exchange import escape, export, read_table, unescape
from forensic.gallery.log import trail
from forensic.gallery.records import parse_label, parse_metadata

FORMULAS = st.sampled_from(["=1+1", "'=1", "''-", "@SUM(A1)", "+4", "-4", "\t=1", "\r", "'", "a,b", 'say "x"', "l\nm"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | FORMULAS


def storable(parse, value) -> bool:
    try:
        parse(value)
    except ForensicError:
        return False
    return True


LABELS = TEXTS.filter(lambda label: storable(parse_label, label)).map(str.strip)
COLUMNS = (st.sampled_from(["name", "sex", "case_reference", "source", "date_taken"]) | TEXTS).filter(
    lambda key: storable(parse_metadata, {key: "1970"})
)
METADATA = st.dictionaries(COLUMNS.map(str.strip), TEXTS, max_size=5).filter(lambda m: storable(parse_metadata, m))


def enrolled_again(table, folder, making) -> Gallery:
    """What ``enroll --csv`` does, with templates made of the photo's hash."""
    gallery = Gallery(folder, create=True)
    records = []
    for row in read_table(table):
        data = row.file.read_bytes()
        record = making.record(0, data=data, person=row.person, metadata=row.metadata)
        records.append(dataclasses.replace(record, sha256=hashlib.sha256(data).hexdigest()))
    assert {outcome.status for outcome in gallery.enroll(records)} <= {"enrolled"}
    return gallery


@given(TEXTS)
def test_escaped_cells_are_harmless_and_come_back(cell):
    assert unescape(escape(cell)) == cell
    assert not escape(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(rows=st.lists(st.tuples(LABELS, METADATA), min_size=1, max_size=6))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_metadata_survive_export_and_enrollment(tmp_path_factory, making, rows):
    folder = tmp_path_factory.mktemp("round")
    with Gallery(folder / "first", create=True) as gallery:
        records = [making.record(n, person=label, metadata=metadata) for n, (label, metadata) in enumerate(rows)]
        assert {outcome.status for outcome in gallery.enroll(records)} == {"enrolled"}
        table = export(gallery, folder / "out")
        with enrolled_again(table, folder / "second", making) as again:
            assert again.digest() == gallery.digest()
            assert again.verify() == []
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in row)


def test_what_an_export_holds(gallery, making, tmp_path):
    gallery.enroll([making.record(0, person="../../etc/passwd", format="JPEG"), making.record(2, person="=cmd|'x'!A")])
    gallery.update("=cmd|'x'!A", {"eyes": "grey"})
    table = export(gallery, tmp_path / "out")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    names = [f"gallery/etc_passwd-{making.record(0).sha256}.jpg", f"gallery/cmd_x_A-{making.record(2).sha256}.png"]
    assert [row["person"] for row in rows] == ["../../etc/passwd", "'=cmd|'x'!A"]
    assert [row["file"] for row in rows] == names
    assert rows[1]["eyes"] == "grey"
    assert (table.parent / names[0]).read_bytes() == making.record(0).data
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_an_export_says_what_was_measured_and_enrolling_passes_it_over(gallery, making, tmp_path):
    record = making.record(0, warnings=("two faces.", "small."), file_name="=booking.an2, record 3")
    gallery.enroll([record])
    table = export(gallery, tmp_path / "out")
    (row,) = csv.DictReader(table.read_text().splitlines())
    photo = gallery.photos()[0]
    assert {key: value for key, value in row.items() if key.startswith("photo:")} == {
        "photo:sha256": hashlib.sha256(record.data).hexdigest(),
        "photo:file_name": "'=booking.an2, record 3",
        "photo:format": "PNG",
        "photo:width": "200",
        "photo:height": "250",
        "photo:detector": "mtcnn",
        "photo:detector_score": "0.99",
        "photo:warnings": "two faces. small.",
        "photo:enrolled_at": photo.enrolled_at.isoformat(),
    }
    assert not any(key.startswith("photo:") for key in next(read_table(table)).metadata)
    with pytest.raises(UsageError, match="cannot name a metadata column"):
        gallery.update("P0000", {"photo:sha256": "x"})


def test_export_to_a_named_table(gallery, making, tmp_path):
    gallery.enroll([making.record(number) for number in range(3)])
    table = export(gallery, tmp_path / "people.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gallery", "people", "people.csv"]
    with enrolled_again(table, tmp_path / "again", making) as again:
        assert again.size() == gallery.size()
    with pytest.raises(UsageError, match="there already"):
        export(gallery, table)


def test_export_refuses_an_altered_original(gallery, making, tmp_path):
    gallery.enroll([making.record(0)])
    gallery.objects.path(making.record(0).sha256).write_bytes(b"x")
    with pytest.raises(GalleryError, match="was altered"):
        export(gallery, tmp_path / "out")


@pytest.mark.parametrize("error", [lambda: OSError(28, "No space left on device"), KeyboardInterrupt])
def test_an_export_that_stops_at_any_step_is_whole_or_not_there(gallery, making, tmp_path, error):
    gallery.enroll([making.record(number) for number in range(3)])
    seen = []
    for step in itertools.count():
        place = tmp_path / str(step)
        place.mkdir()
        with failing(Fuse(step, error)), suppress(GalleryError, KeyboardInterrupt):
            export(gallery, place / "people.csv")
        seen.append({path.name for path in place.iterdir()})
        if seen[-1]:
            break
    assert len(seen) > 8
    assert seen[-1] >= {"people", "people.csv"}
    assert not any(seen[:-1])


def test_an_export_on_a_full_disk_says_what_is_left(gallery, making, tmp_path):
    gallery.enroll([making.record(0)])
    with (
        failing(Fuse(3, lambda: OSError(28, "No space left on device"))),
        pytest.raises(GalleryError, match=r"stopped: No space left on device; nothing of it is left\."),
    ):
        export(gallery, tmp_path / "out")


def test_what_cannot_be_removed_again_is_named(gallery, making, tmp_path, monkeypatch):
    """As on a share that has gone."""
    gallery.enroll([making.record(0)])

    def gone(*paths: object, **options: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(exchange, "write_private", gone)
    monkeypatch.setattr(exchange.shutil, "rmtree", lambda folder, **options: None)
    with pytest.raises(GalleryError, match=r"a part is left, of people's photos: remove .*/gallery\."):
        export(gallery, tmp_path / "out")


def test_an_export_is_of_one_state_of_the_gallery(gallery, making, tmp_path, monkeypatch):
    gallery.enroll([making.record(number) for number in range(4)])
    wrote = exchange.write_private

    def renamed(files: dict[Path, bytes]) -> None:
        wrote(files)
        gallery.update("P0000", {"hair": "red"}, rename="P9999")

    monkeypatch.setattr(exchange, "write_private", renamed)
    with export(gallery, tmp_path / "out").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["person"], "hair" in row) for row in rows] == [(f"P000{n // 2}", False) for n in range(4)]


def test_an_export_writes_over_no_table(gallery, making, tmp_path, monkeypatch):
    gallery.enroll([making.record(0)])
    wrote, table = exchange.write_private, tmp_path / "people.csv"

    def beside(files: dict[Path, bytes]) -> None:
        wrote(files)
        table.write_text("mine")

    monkeypatch.setattr(exchange, "write_private", beside)
    with pytest.raises(GalleryError, match="somebody else wrote such a table meanwhile"):
        export(gallery, table)
    assert [(path.name, path.read_text()) for path in tmp_path.glob("people*")] == [("people.csv", "mine")]


def test_export_to_a_place_that_is_none(gallery, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GalleryError, match=r"export to .* stopped"):
        export(gallery, tmp_path / "file" / "out")


def test_an_export_into_a_gallery_is_refused(gallery, making, tmp_path):
    """No expunge reaches it there; nothing of it is on record then."""
    gallery.enroll([making.record(0)])
    (tmp_path / "link").symlink_to(gallery.folder)
    for place in (gallery.folder, gallery.folder / "a" / "b.csv", gallery.home / "objects", tmp_path / "link" / "c"):
        with pytest.raises(UsageError, match="lies in the gallery"):
            export(gallery, place)
    assert trail.entries(gallery, action="export") == []
    assert gallery.verify() == []


def test_a_users_table(tmp_path):
    table = tmp_path / "people.csv"
    table.write_text('\ufeffPerson,sex,FILE,notes\nA,F,a.png,"two\nlines"\n\n-5,M,/abs/b.png,\'=x\n', encoding="utf-8")
    first, second = read_table(table)
    assert first == (3, "A", tmp_path / "a.png", {"sex": "F", "notes": "two\nlines"}, "a.png")
    assert second[1:] == ("-5", tmp_path / "/abs/b.png", {"sex": "M", "notes": "=x"}, "/abs/b.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the columns are \\[\\]"),
        (b"name,file\n", "expected 'person', 'file'"),
        (b"person,file,x,x\n", "each once"),
        (b"person,file\nA\n", "line 2: 1 cells, expected 2"),
        (b"person,file\nA,b,c\n", "line 2: 3 cells, expected 2"),
        (b'person,file\n"A,b\n', "cannot be read as a CSV table"),
        (b"person,file\n\xff,b\n", "in UTF-8"),
    ],
)
def test_tables_that_are_none(tmp_path, content, message):
    table = tmp_path / "people.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_table(table))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_table(tmp_path / "none.csv"))


@pytest.mark.parametrize(("bound", "most"), [("MAX_ROWS", 3), ("MAX_CELLS", 9)])
def test_a_table_that_would_fill_the_memory(tmp_path, monkeypatch, bound, most):
    monkeypatch.setattr(exchange, bound, most)
    table = tmp_path / "people.csv"
    table.write_text("person,file,sex\n" + "A,a.png,F\n" * 2)
    assert len(list(read_table(table))) == 2
    table.write_text("person,file,sex\n" + "A,a.png,F\n" * 3)
    with pytest.raises(DataError, match=r"more than .* rows or .* cells\. Give it in several parts"):
        list(read_table(table))


def test_a_table_that_would_never_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero"), tmp_path):
        with pytest.raises(DataError, match=r"no file of at most|cannot be read"):
            list(read_table(path))
