"""ANSI/NIST-ITL files, put together by hand, byte by byte; and by nistitl, which the reader leaves alone for that."""

import io
from pathlib import Path

import nistitl
import pytest
from PIL import Image

from forensic.errors import DataError, UsageError
from forensic.gallery.nist import MAX_RECORDS, is_nist, parse_columns, read

FS, GS, RS, US = b"\x1c", b"\x1d", b"\x1e", b"\x1f"


def record(kind: int, *fields: bytes, digits: int = 3) -> bytes:
    """A tagged record with its own length in front."""
    body, length = GS + GS.join(fields) + FS, 0
    while True:
        whole = f"{kind}.{1:0{digits}}:{length}".encode() + body
        if len(whole) == length:
            return whole
        length = len(whole)


def first(*others: int, digits: int = 3) -> bytes:
    """A Type-1 record that announces records of these types."""
    count = RS.join(b"%d%s%02d" % (kind, US, place) for place, kind in enumerate(others))
    return record(1, b"1.002:0500", b"1.003:1" + US + b"%d" % len(others) + RS + count, b"1.009:T-17", digits=digits)


def face(image: bytes, *fields: bytes, kind: bytes = b"FACE") -> bytes:
    head = (b"10.002:01", b"10.003:" + kind, b"10.004:GB/MPS", b"10.005:20190517", b"10.011:JPEGB")
    return record(10, *head, *fields, b"10.999:" + image)


PERSON = record(2, b"2.002:00", "2.018:Dóe, Jane".encode(), b"2.022:19800229", b"2.054:A-17")
RIDGES = (30).to_bytes(4) + b"\x03" + bytes(25)  # a binary Type-4 record: its length, then no tags


@pytest.fixture
def written(tmp_path: Path):
    def write(*parts: bytes) -> Path:
        path = tmp_path / "booking.an2"
        path.write_bytes(b"".join(parts))
        return path

    return write


def image_of(path: Path, found) -> bytes:
    return path.read_bytes()[found.start : found.stop]


def test_every_face_of_a_file(written):
    images = [b"\xff\xd8 one \x1c\x1d10.003:SCAR\x1d", b"two \x1c10.001:12"]
    path = written(first(2, 4, 10, 10), PERSON, RIDGES, face(images[0]), face(images[1]), b"\r\n")
    assert is_nist(path)
    found = read(path, parse_columns({"person": "2.54", "name": "02.018", "birth_year": "2.022", "docket": "1.009"}))
    assert [(one.number, one.person, one.compression, one.problem) for one in found] == [
        (4, "A-17", "JPEGB", ""),
        (5, "A-17", "JPEGB", ""),
    ]
    assert [image_of(path, one) for one in found] == images
    assert found[0].metadata == {
        "source": "GB/MPS",
        "date_taken": "2019-05-17",
        "name": "Dóe, Jane",
        "birth_year": "1980",
        "docket": "T-17",
    }


def test_a_file_that_nistitl_wrote(written):
    message = nistitl.Message()
    message.TOT = "MUG"
    person = nistitl.AsciiRecord(2)
    person += nistitl.Field(2, 54, "B-3")
    picture = io.BytesIO()
    Image.new("RGB", (40, 50)).save(picture, "PNG")
    photo = nistitl.AsciiRecord(10)
    photo.IMT, photo.SRC, photo.PHD, photo.CGA = "FACE", "AGENCY", "20200229", "PNG"
    photo += nistitl.Field(10, 29, [["1", "8.1", "10", "20"], ["1", "8.2", "30", "20"]])
    photo += nistitl.BinaryField(10, 999, picture.getvalue())
    message = message + person + photo
    path = written(message.NIST)
    (found,) = read(path, parse_columns({"person": "2.054"}))
    assert (found.person, found.metadata, found.compression) == (
        "B-3",
        {"source": "AGENCY", "date_taken": "2020-02-29"},
        "PNG",
    )
    assert image_of(path, found) == picture.getvalue()


def test_the_spelling_of_old_files(written):
    old = record(10, b"10.02:1", b"10.03:face", b"10.999:x", digits=2)
    path = written(first(10, digits=2), old)
    assert is_nist(path)
    assert [one.problem for one in read(path, {})] == [""]


def test_latin_1_is_read_too(written):
    path = written(first(2, 10), record(2, b"2.018:M\xfcller"), face(b"x"))
    assert read(path, {"name": "2.018"})[0].metadata["name"] == "Müller"


def test_scars_are_passed_over(written):
    found = read(written(first(10, 10), face(b"x", kind=b"SCAR"), face(b"y")), {})
    assert [(one.passed, one.problem) for one in found] == [("SCAR", ""), ("", "")]


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ((b"10.020:F",), None),
        ((b"10.020:A", b"10.021:-15"), None),
        ((b"10.020:A", b"10.021:30"), "'A' by '30' degrees"),
        ((b"10.020:A",), "'A', not frontal"),
        ((b"10.020:L",), "'L', not frontal"),
    ],
)
def test_poses_that_are_not_frontal(written, fields, warning):
    (found,) = read(written(first(10), face(b"x", *fields)), {})
    assert len(found.warnings) == (warning is not None)
    assert warning is None or warning in found.warnings[0]


def test_a_date_that_is_none_is_left_out(written):
    photo = record(10, b"10.003:FACE", b"10.005:17MAY2019", b"10.999:x")
    (found,) = read(written(first(10), photo), {})
    assert "date_taken" not in found.metadata
    assert "'17MAY2019'" in found.warnings[0]


BROKEN = {
    "cut": face(b"x" * 100)[:-30],
    "long": face(b"x" * 100).replace(b"10.001:1", b"10.001:9", 1),
    "nothing": b"10.001:0" + GS + FS,
    "no type": record(10, b"10.002:1", b"10.999:x"),
    "no image": record(10, b"10.003:FACE"),
    "no fields": record(10, b"10.003:FACE", b"junk", b"10.999:x"),
    "huge tag": record(10, b"10." + b"9" * 5000 + b":x", b"10.999:x"),
    "another type's": record(10, b"11.003:FACE", b"10.999:x"),
    "much text": record(10, b"10.038:" + b"x" * 2_000_000, b"10.999:x"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_one_bad_record_does_not_stop_the_others(written, name):
    path = written(first(10, 10, 10), face(b"a"), BROKEN[name], face(b"b"))
    found = read(path, {})
    sound = [one for one in found if not one.problem]
    assert [image_of(path, one) for one in sound] == [b"a", b"b"]
    assert all(one.problem.isprintable() for one in found)
    assert any(one.number == 3 and one.problem for one in found)


def test_what_is_missing_at_the_end_is_noticed(written):
    found = read(written(first(10, 10), face(b"a")), {})
    assert found[0].problem == ""
    assert "announces 2 further records" in found[1].problem


def test_joined_transactions_are_not_mixed(written):
    found = read(written(first(10), face(b"a"), first(10), face(b"b")), {})
    assert len(found) == 2
    assert "second Type-1 record" in found[1].problem


def test_a_person_whom_the_file_does_not_name_is_refused(written):
    (found,) = read(written(first(10), face(b"a")), {"person": "2.054"})
    assert "field 2.054" in found.problem


def test_more_records_than_a_file_can_have(written):
    path = written(first(10), record(9, b"9.002:1") * (MAX_RECORDS + 5), face(b"a"))
    assert f"more than {MAX_RECORDS}" in read(path, {})[-1].problem


@pytest.mark.parametrize("content", [first()[:-4], first(), record(1, b"junk"), b"1.001:9\x1d"])
def test_files_without_faces(written, content):
    with pytest.raises(DataError, match=r"booking\.an2: (an ANSI|holds no Type-10)"):
        read(written(content), {})


def test_what_is_no_such_file(written, tmp_path):
    assert not is_nist(written(b"\xff\xd8\xff\xe0"))
    assert not is_nist(written(b""))
    assert not is_nist(tmp_path)
    assert not is_nist(tmp_path / "none")


@pytest.mark.parametrize("name", ["2", "person", "2.054.1", "14.003", "2.x", "2.٣"])
def test_fields_that_are_none(name):
    with pytest.raises(UsageError, match=r"such as person=2\.054"):
        parse_columns({"person": name})
