"""Exports of a real gallery: what is in them, who sees which verdict, and that every change is found."""

import hashlib
import html
import io
import json
import random
import re
import zipfile
from pathlib import Path

import pypdf
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from PIL import Image

from forensic.candidates import LEAD
from forensic.casefile.verifying import verify
from forensic.casefile.writing import export
from forensic.errors import DataError, GalleryError, RightsError, UsageError
from forensic.gallery import Gallery, users
from forensic.gallery.casework import cases
from forensic.gallery.casework.cases import Drawing, Kind
from forensic.gallery.log import trail
from forensic.gallery.rights import Operator, Role

FLIPS = 60


def files_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def by(gallery: Gallery, name: str, role: Role) -> Gallery:
    gallery.operator = Operator(name, role)
    return gallery


def words_of(pdf: bytes) -> str:
    """The text of a PDF on one line, as its reader extracts it."""
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages).split())


def test_an_export_is_what_a_stranger_would_check(case: Gallery, tmp_path: Path) -> None:
    """Oracle: zipfile, json, hashlib and cryptography alone."""
    export(case, "C/1", tmp_path / "case.zip")
    files = files_of(tmp_path / "case.zip")
    assert (tmp_path / "case.zip").stat().st_mode & 0o777 == 0o600
    manifest = json.loads(files.pop("manifest.json"))
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest["public_key"]))
    stated = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    key.verify(files.pop("manifest.sig"), b"forensic case export 1\n" + hashlib.sha256(stated).hexdigest().encode())
    assert manifest["files"] == [
        {"name": name, "length": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
    ]
    head = manifest["head"]
    key.verify(bytes.fromhex(head["signature"]), b"forensic audit 1\n" + head["hash"].encode())
    entries = []
    for line in map(json.loads, files["log.jsonl"].splitlines()):
        assert hashlib.sha256(line["entry"].encode()).hexdigest() == line["hash"]
        key.verify(bytes.fromhex(line["signature"]), b"forensic audit 1\n" + line["hash"].encode())
        entries.append(json.loads(line["entry"]))
    assert [entry["action"] for entry in entries] == [
        *("case-open", "case-sketch", "case-sketch", "search", "search", "decide", "decide", "decide")
    ]
    record = json.dumps([1, files["searches/1.json"].decode()], separators=(",", ":"))
    assert entries[3]["details"]["content"] == hashlib.sha256(record.encode()).hexdigest()
    (entry,) = trail.entries(by(case, "root", Role.AUDITOR), action="case-export")
    assert entry["details"] == {"case": 1, "manifest": hashlib.sha256(stated).hexdigest()}
    assert (manifest["operator"], manifest["case"]) == ("ines", "C/1")
    assert case.verify() == []


def test_an_export_holds_the_case_and_nothing_of_another(case: Gallery, tmp_path: Path) -> None:
    made = export(case, "C/1", tmp_path / "case.zip")
    files = files_of(made.path)
    sketches = cases.sketches(case, "C/1")
    assert files["sketches/1-zeuge_2_sketch.png"] == sketches[0].data
    assert files["sketches/2-second.png"] == b"no image"
    assert [name for name in files if name.startswith("searches/")] == ["searches/1.json", "searches/2.json"]
    assert not any(b"of another case" in data or b"theft" in data for data in files.values())
    for number in (1, 2, 3):
        with Image.open(io.BytesIO(files[f"thumbnails/photo-{number}.jpg"])) as picture:
            assert max(picture.size) == 220
    assert verify(made.path, public_key=made.manifest.public_key).problems == []


def test_who_was_expunged_is_in_no_export(case: Gallery, tmp_path: Path) -> None:
    by(case, "anna", Role.ANALYST).expunge("A-17")
    made = export(by(case, "ines", Role.INVESTIGATOR), "C/1", tmp_path / "case.zip")
    files = files_of(made.path)
    assert "thumbnails/photo-1.jpg" not in files
    assert not any(b"A-17" in data for data in files.values())
    assert b"person 1, no longer enrolled" in files["report.html"]
    assert "person 1, no longer enrolled" in words_of(files["report.pdf"])
    assert verify(made.path).problems == []


def test_verdicts_that_the_operator_may_not_see_stay_inside(case: Gallery, tmp_path: Path) -> None:
    told = {"eva": "ears agree", "otto": "nose differs", "chin": "chin hidden"}
    seen = {"ines": set(), "eva": {"eva", "otto"}, "otto": set(told), "audrey": set(told)}
    for name, role in (
        ("ines", Role.INVESTIGATOR),
        ("eva", Role.EXAMINER),
        ("otto", Role.EXAMINER),
        ("audrey", Role.AUDITOR),
    ):
        made = export(by(case, name, role), "C/1", tmp_path / f"{name}.zip")
        files = files_of(made.path)
        files["report.pdf"] = words_of(files["report.pdf"]).encode()
        for who, reason in told.items():
            assert any(reason.encode() in data for data in files.values()) == (who in seen[name]), (name, who)
        assert made.hidden == 3 - len(seen[name])
        decisions = [d for search in json.loads(files["case.json"])["searches"] for d in search["decisions"]]
        assert sum(one["salt"] is not None for one in decisions) == len(seen[name])
        assert all((one["salt"] is None) == (one["verdict"] is None) == (not one["reason"]) for one in decisions)
        found = verify(made.path)
        assert (found.problems, found.hidden) == ([], made.hidden)
        assert (b"disagree" in files["report.html"]) == (name != "ines")


SAID = (
    *("Case C/1", "robbery <script>", "warrant & order", LEAD, "forensic", "M. Ito", "w 2"),
    *("1. A-17", "2. Ødegård Ξένος Иван"),
    *("not calibrated: the score only ranks", "none is shown for forensic ones: take ranks alone"),
    *("ears agree", "nose differs", "The examiners disagree on rank 1.", "hidden from whoever has not decided"),
    "It cannot be shown:",
    *("sex=F", "the witness said so", "4 people", "the face was found by a lenient attempt", "direct 0.500"),
    *("ab" * 32, "cd" * 32, "2026-11-02 10:00:00 UTC", "None of it is a result of this program"),
)


CALIBRATED = (
    *("log10 LR ≥ +2.0: moderately strong support: same person", "not the probability of a match"),
    "It was fitted to viewed sketches and people of the tests",
)


def text_of(page: bytes) -> str:
    return html.unescape(re.sub(r"<(style|title).*?</\1>|<[^>]*>", "", page.decode(), flags=re.S))


def test_likelihood_ratios_are_shown_for_what_they_hold_for_alone(
    case: Gallery, exported: Path, tmp_path: Path
) -> None:
    """The sketch of C/1 was drawn from memory; that C-2 was searched with is not in that case."""
    export(case, "C-2", tmp_path / "other.zip")
    page = text_of(files_of(tmp_path / "other.zip")["report.html"])
    assert [text for text in CALIBRATED if text not in page] == []
    page = text_of(files_of(exported)["report.html"])
    assert [text for text in CALIBRATED if text in page] == []


def test_the_pdf_says_what_has_to_be_said(exported: Path) -> None:
    """Without blanks, since a line may end within a hash."""
    words = words_of(files_of(exported)["report.pdf"]).replace(" ", "")
    assert [text for text in SAID if text.replace(" ", "") not in words] == []


def test_the_page_says_what_has_to_be_said(exported: Path) -> None:
    page = text_of(files_of(exported)["report.html"])
    assert [text for text in SAID if text not in page] == []


def test_the_page_fetches_nothing_and_runs_nothing(exported: Path) -> None:
    page = files_of(exported)["report.html"].decode()
    assert set(re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(.{16})", page)) == {"data:image/jpeg;"}
    assert "<script" not in page
    assert "張偉 שלום &lt;b&gt;" in page


def test_letters_that_the_pdf_lacks_are_spelled_out(exported: Path) -> None:
    words = words_of(files_of(exported)["report.pdf"])
    assert "\\u5f35\\u5049" in words
    assert "Characters that this page's fonts lack" in words


def test_the_same_case_gives_the_same_files(case: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forensic.casefile import writing

    class Stopped(writing.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 2, tzinfo=tz)

    monkeypatch.setattr(writing, "datetime", Stopped)
    first, second = (files_of(export(case, "C/1", tmp_path / f"{name}.zip").path) for name in "ab")
    same = {name for name in first if first[name] == second[name]}
    # The first export is in the log before the second, and the reports state both its entry and the log's end.
    assert first.keys() - same == {"manifest.json", "manifest.sig", "log.jsonl", "report.html", "report.pdf"}
    assert len(first["report.pdf"]) == pytest.approx(len(second["report.pdf"]), abs=500)


def damaged(path: Path, data: bytes) -> bool:
    """Whether a check finds something wrong with these bytes."""
    path.write_bytes(data)
    try:
        return bool(verify(path).problems)
    except DataError:
        return True


def test_every_flipped_byte_of_every_file_is_found(exported: Path, tmp_path: Path) -> None:
    """Each file in turn, then at random, until so many were tried; and the same with the checksum set right."""
    sound, draw = exported.read_bytes(), random.Random(5)
    with zipfile.ZipFile(exported) as archive:
        places = {
            info.filename: (sound.index(info.filename.encode()) + len(info.filename), info.file_size)
            for info in archive.infolist()
        }
    names = (sorted(places) * FLIPS)[:FLIPS]
    for name in names:
        start, length = places[name]
        at = start + draw.randrange(length)
        changed = bytearray(sound)
        changed[at] ^= 1 << draw.randrange(8)
        assert damaged(tmp_path / "flipped.zip", bytes(changed)), (name, at - start)
    assert not damaged(tmp_path / "flipped.zip", sound)


def test_a_flip_anywhere_else_is_found_or_changes_nothing_that_is_read(exported: Path, tmp_path: Path) -> None:
    """Headers of the archive: dates and attributes say nothing, and all else is checked."""
    sound, draw = exported.read_bytes(), random.Random(6)
    files, found = files_of(exported), 0
    start = sound.rindex(b"PK\x01\x02", 0, sound.index(b"PK\x01\x02") + 4)
    for _ in range(FLIPS):
        changed = bytearray(sound)
        changed[draw.randrange(start, len(sound))] ^= 1 << draw.randrange(8)
        if damaged(tmp_path / "flipped.zip", bytes(changed)):
            found += 1
        else:
            assert files_of(tmp_path / "flipped.zip") == files
    assert found > FLIPS / 2


def test_what_the_log_does_not_bear_out_is_not_signed(case: Gallery, tmp_path: Path) -> None:
    with case.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cases SET legal_basis = 'none' WHERE id = 1")
    with pytest.raises(GalleryError, match=r"case 1: It was altered.*Nothing was exported"):
        export(case, "C/1", tmp_path / "case.zip")
    assert not (tmp_path / "case.zip").exists()
    assert trail.entries(by(case, "root", Role.AUDITOR), action="case-export") == []


def test_an_export_needs_a_case_a_new_file_and_a_right(case: Gallery, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no case 'C-9'"):
        export(case, "C-9", tmp_path / "case.zip")
    (tmp_path / "there.zip").write_bytes(b"")
    with pytest.raises(UsageError, match="there already"):
        export(case, "C/1", tmp_path / "there.zip")
    with pytest.raises(UsageError, match="cannot be written"):
        export(case, "C/1", tmp_path / "nowhere" / "case.zip")
    users.add(case, "root", Role.ADMINISTRATOR, "a long password")
    case.sign_in("root", "a long password")
    with pytest.raises(RightsError, match="may not read cases"):
        export(case, "C/1", tmp_path / "case.zip")


@pytest.mark.parametrize("length", [250, 300])
def test_a_name_too_long_is_refused_before_anything_is_on_record(case: Gallery, tmp_path: Path, length: int) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(UsageError, match="cannot be written"):  # 250: the name is none beside which one can write
        export(case, "C/1", tmp_path / ("x" * length))
    assert set(tmp_path.iterdir()) == before
    assert trail.entries(by(case, "root", Role.AUDITOR), action="case-export") == []


def test_nothing_is_left_where_the_disk_fills_up(
    case: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forensic.casefile import writing

    def fill(files: dict[Path, bytes]) -> None:
        raise OSError(28, "No space left on device")

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(writing, "write_private", fill)
    with pytest.raises(UsageError, match="No space left"):
        export(case, "C/1", tmp_path / "case.zip")
    assert set(tmp_path.iterdir()) == before


def test_an_expunge_in_between_stops_the_export(case: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forensic.casefile import writing

    drawn = writing.pdf.render

    def render(report: object) -> bytes:
        case.expunge("A-17")
        return drawn(report)

    monkeypatch.setattr(writing.pdf, "render", render)
    with pytest.raises(GalleryError, match="expunged while"):
        export(case, "C/1", tmp_path / "case.zip")
    assert not (tmp_path / "case.zip").exists()


def test_a_case_without_anything_is_exported(case: Gallery, tmp_path: Path) -> None:
    cases.open_case(case, "C-3", purpose="p", legal_basis="l")
    made = export(case, "C-3", tmp_path / "case.zip")
    assert verify(made.path).problems == []
    assert "The case has no sketch." in words_of(files_of(made.path)["report.pdf"])


def test_names_of_sketches_are_safe_and_differ(case: Gallery, tmp_path: Path) -> None:
    for number, name in enumerate(("..", "", "a" * 300 + ".png", "x.y.z", "CON", "\x1b[2J", "スケッチ.png")):
        cases.add_sketch(case, "C-2", Drawing(b"%d" % number, name, Kind.VIEWED))
    made = export(case, "C-2", tmp_path / "case.zip")
    assert verify(made.path).problems == []
    assert sum(name.startswith("sketches/") for name in files_of(made.path)) == 7
