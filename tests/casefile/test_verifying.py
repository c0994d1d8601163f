"""Exports written by hand: what is sound passes, whatever was done to one is named, and nothing hostile is opened."""

import functools
import json
import os
import struct
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from exported import GALLERY, KEY, PUBLIC, RECORD, SKETCH, chained, contents, line, sealed, text, zipped

from forensic.casefile.verifying import Verified, verify
from forensic.errors import DataError
from forensic.gallery.log.audit import Head

OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


@pytest.fixture
def checked(tmp_path: Path):
    """Checks the ZIP file of these bytes."""

    def check(data: bytes, **expected: object) -> Verified:
        path = tmp_path / "case.zip"
        path.write_bytes(data)
        return verify(path, **expected)

    return check


def subjects(found: Verified) -> set[str]:
    return {problem.subject for problem in found.problems}


def resealed(**changes: bytes | None) -> bytes:
    """The export with other files, signed by the gallery's own key."""
    files = {name: data for name, data in (contents() | changes).items() if data is not None}
    return zipped(sealed(files))


def test_what_was_written_by_hand_is_sound(checked) -> None:
    found = checked(zipped(sealed(contents())), public_key=PUBLIC)
    assert found.problems == []
    assert (found.manifest.case, found.entries, found.hidden) == ("C-1", 5, 1)


@pytest.mark.parametrize("name", sorted(sealed(contents())))
def test_a_missing_file_is_named(checked, name: str) -> None:
    files = sealed(contents())
    del files[name]
    if name == "manifest.json":
        with pytest.raises(DataError, match="no manifest"):
            checked(zipped(files))
    else:
        assert name in subjects(checked(zipped(files)))


def test_an_added_file_is_named(checked) -> None:
    assert subjects(checked(zipped(sealed(contents()) | {"notes.txt": b"more"}))) == {"notes.txt"}


@pytest.mark.parametrize("name", sorted(contents()))
def test_a_file_that_was_replaced_is_named(checked, name: str) -> None:
    files = sealed(contents())
    files[name] = files[name] + b" "
    assert name in subjects(checked(zipped(files)))


def test_another_key_is_named(checked) -> None:
    """Sound in itself, and somebody else's: it shows against what is known of the gallery alone."""
    forged = zipped(sealed(contents(), OTHER, public_key=OTHER.public_key().public_bytes_raw().hex()))
    assert "manifest.sig" not in subjects(checked(forged))
    assert {"head", "entry 3"} <= subjects(checked(forged))  # the log's entries are the gallery's own
    assert "Another key" in checked(forged, public_key=PUBLIC).problems[0].message
    assert subjects(checked(zipped(sealed(contents(), OTHER)))) == {"manifest.sig"}


def test_an_exported_head_shows_whose_it_is(checked) -> None:
    sound = zipped(sealed(contents()))
    head = Head(GALLERY, 12, "0" * 64, PUBLIC, "00")
    assert checked(sound, head=head).problems == []
    assert subjects(checked(sound, head=head._replace(gallery="0" * 32))) == {GALLERY}
    assert subjects(checked(sound, head=head._replace(public_key="0" * 64))) == {PUBLIC}


def changed(name: str, old: str, new: str) -> dict[str, bytes]:
    data = contents()[name].decode()
    assert old in data
    return {name: data.replace(old, new).encode()}


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (changed("case.json", "robbery", "murder"), "case 1"),
        (changed("case.json", '"forensic"', '"viewed"'), "sketch 1"),
        (changed("case.json", '"lead"', '"exclude"'), "decision on rank 1 of search 1 by eva"),
        (changed("case.json", "ears agree", "ears differ"), "decision on rank 1 of search 1 by eva"),
        (changed("case.json", '"reference":"C-1"', '"reference":"C-2"'), "manifest.json"),
        (changed(RECORD, '"rank":1', '"rank":2'), "search 1"),
        ({SKETCH: b"another sketch"}, "sketch 1"),
        (changed("case.json", '"examiner":"otto"', '"examiner":"anna"'), "decision on rank 1 of search 1 by otto"),
        ({"log.jsonl": contents()["log.jsonl"].replace(b"ines", b"anna", 1)}, "entry 3"),
        ({"log.jsonl": b"\n".join(contents()["log.jsonl"].splitlines()[1:]) + b"\n"}, "case 1"),
        ({"log.jsonl": b"\n".join(contents()["log.jsonl"].splitlines()[:-1]) + b"\n"}, "decision on rank 1"),
        ({"log.jsonl": contents()["log.jsonl"] * 2}, "log.jsonl"),
        ({"log.jsonl": b"[" * 100_000}, "log.jsonl"),
        ({"case.json": b"{}"}, "case.json"),
        ({"case.json": b'{"case":1,"searches":2}'}, "case.json"),
        ({"case.json": b"\xff\xfe"}, "case.json"),
    ],
)
def test_the_log_bears_witness_even_against_its_own_key(checked, change: dict[str, bytes], subject: str) -> None:
    """Whoever holds the key today and signs other statements, but kept the entries that were written then."""
    assert any(one.startswith(subject) for one in subjects(checked(resealed(**change))))


def test_entries_follow_each_other(checked) -> None:
    lines = chained(contents())
    lines[1] = line(4, "case-sketch", **json.loads(lines[1]["entry"])["details"])  # signed, but of another chain
    data = "".join(f"{text(one)}\n" for one in lines).encode()
    assert subjects(checked(resealed(**{"log.jsonl": data}))) == {"entry 4"}
    beyond = sealed(contents(), head=manifest_head(8))
    assert "entry 9" in subjects(checked(zipped(beyond)))
    last = chained(contents())[-1]["number"]
    forked = sealed(contents(), head=manifest_head(last))  # signed by the same key, of another log
    assert subjects(checked(zipped(forked))) == {f"entry {last}"}


def manifest_head(number: int) -> dict[str, object]:
    last = line(number, "login")
    return {
        "gallery": GALLERY,
        "number": number,
        "hash": last["hash"],
        "public_key": PUBLIC,
        "signature": last["signature"],
    }


@pytest.mark.parametrize(
    "stated",
    [
        b"",
        b"[]",
        b"{}",
        b"{" * 100_000,
        text({"format": 2}).encode(),
        json.dumps(json.loads(sealed(contents())["manifest.json"]), indent=1).encode(),
        sealed(contents(), files=[])["manifest.json"].replace(b'"files":[]', b'"files":[{"name":1}]'),
        sealed(contents(), case=7)["manifest.json"],
        sealed(contents(), head=[])["manifest.json"],
        sealed(contents(), made=float("nan"))["manifest.json"],
    ],
)
def test_a_manifest_of_another_form_is_no_traceback(checked, stated: bytes) -> None:
    found = checked(zipped(sealed(contents()) | {"manifest.json": stated}))
    assert [problem.kind for problem in found.problems] == ["manifest"]


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/passwd", "sketches/1-a/../../b", "C:\\evil", "sketches\\1-a", "x"]
)
def test_names_that_lead_elsewhere_are_no_names_of_an_export(checked, name: str) -> None:
    assert name in subjects(checked(resealed(**{name: b"evil"})))


def test_the_parts_of_two_exports_do_not_mix(checked) -> None:
    """Every exchange of one part for that of another export of the same gallery is found."""
    first, second = sealed(contents()), sealed(contents() | changed("case.json", "robbery", "murder"), made="later")
    for name in first:
        mixed = first | {name: second[name]}
        assert bool(checked(zipped(mixed)).problems) == (first[name] != second[name]), name


# Files that are no such archive


@functools.cache
def hostile() -> dict[str, tuple[bytes, str]]:
    """What strangers might send, and what is said of it."""
    sound = zipped(sealed(contents()))
    files = sealed(contents())
    twice = zipped({"manifest.json": b"{}", "manifest.jsom": b"{}"}).replace(b".jsom", b".json")
    folder = zipped({"manifest.json": b"{}", "a/": b""})
    bomb = zipped({"manifest.json": bytes(50_000_000)}, compress_type=zipfile.ZIP_DEFLATED)
    encrypted = bytearray(sound)
    end = struct.unpack("<4s4H2LH", sound[-22:])
    encrypted[end[6] + 8] |= 1
    many = zipped({f"{number}": b"" for number in range(20_001)})
    long = sound[:-22] + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + sound[-22:]
    return {
        "empty": (b"", "bytes"),
        "no zip": (b"no archive at all, but long enough to be one", "no whole ZIP"),
        "truncated": (sound[: len(sound) // 2], "no whole ZIP"),
        "end cut": (sound[:-1], "no whole ZIP"),
        "prefixed": (b"#!/bin/sh\n" + sound, "not as exports have it"),
        "suffixed": (sound + b"more", "no whole ZIP"),
        "commented": (sound[:-2] + struct.pack("<H", 4) + b"more", "no whole ZIP"),
        "bomb": (bomb, "compressed"),
        "twice": (twice, "two files of one name"),
        "folder": (folder, "no regular file"),
        "link": (zipped(files, external_attr=0o120777 << 16), "no regular file"),
        "encrypted": (bytes(encrypted), "encrypted"),
        "many": (many, "list of 20001 files"),
        "zip64": (long, "ZIP64"),
        "extra": (zipped(files, extra=struct.pack("<HH4s", 1, 4, b"abcd")), "beside"),
        "nothing": (zipped({}), "list of 0 files"),
    }


HOSTILE = ["bomb", "commented", "empty", "encrypted", "end cut", "extra", "folder", "link", "many", "no zip", "nothing"]
HOSTILE += ["prefixed", "suffixed", "truncated", "twice", "zip64"]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_export_is_ends_in_a_clean_error(checked, name: str) -> None:
    data, words = hostile()[name]
    with pytest.raises(DataError, match=words):
        checked(data)


def test_hidden_bytes_are_found(checked) -> None:
    """Bytes between the files and the list of them, with the list's place set right."""
    sound = zipped(sealed(contents()))
    mark, *numbers, length, start, comment = struct.unpack("<4s4H2LH", sound[-22:])
    hidden = sound[:start] + b"hidden" + sound[start:-22]
    with pytest.raises(DataError, match="belong to no file"):
        checked(hidden + struct.pack("<4s4H2LH", mark, *numbers, length, start + 6, comment))


def test_a_pipe_or_a_folder_is_no_export(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none.zip"):
        with pytest.raises(DataError, match=r"regular file|cannot be read"):
            verify(path)


def test_the_log_may_end_at_any_entry_but_before_its_last(checked) -> None:
    last = chained(contents())[-1]
    head = {"gallery": GALLERY, "public_key": PUBLIC} | {key: last[key] for key in ("number", "hash", "signature")}
    assert checked(zipped(sealed(contents(), head=head))).problems == []
    assert KEY.public_key().public_bytes_raw().hex() == PUBLIC
