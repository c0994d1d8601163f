"""The export of a case written by hand, with json, hashlib, zipfile and cryptography alone: the same bytes every time.

It says what the format is, apart from the program that writes and reads it.
"""

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw().hex()
GALLERY = "ab" * 16
AT = "2026-11-02T10:00:00.000000+00:00"
SKETCH = "sketches/1-face.png"
RECORD = "searches/1.json"


def text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def sha256(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def line(number: int, action: str, operator: str = "ines", previous: str = "0" * 64, **details: object) -> dict:
    """An entry of the log, signed."""
    stated = {"number": number, "at": AT, "operator": operator, "action": action, "details": details}
    entry = text(stated | {"gallery": GALLERY, "previous": previous})
    signature = KEY.sign(b"forensic audit 1\n" + sha256(entry).encode()).hex()
    return {"number": number, "entry": entry, "hash": sha256(entry), "signature": signature}


def contents() -> dict[str, bytes]:
    """Everything but manifest and signature: a case with a sketch, a search, a verdict, and another that is hidden."""
    sketch = b"a sketch's bytes" * 40
    record = text({"candidates": [{"rank": 1, "photo_id": 1, "score": 0.5}], "probes": [sha256(sketch)]})
    case = {"number": 1, "reference": "C-1", "purpose": "robbery", "legal_basis": "warrant", "opened_by": "ines"}
    about = {"file_name": "face.png", "kind": "forensic", "made_by": None, "described_by": "w", "drawn_on": None}
    salt, reason = "5a" * 16, "ears agree"
    hashed = [1, sha256(sketch), sha256(sketch), *about.values(), "ines"]
    acts = [
        (3, "case-open", "ines", {"case": 1, "content": sha256(text(["C-1", "robbery", "warrant", "ines"]))}),
        (4, "case-sketch", "ines", {"sketch": 1, "content": sha256(text(hashed))}),
        (7, "search", "ines", {"search": 1, "content": sha256(text([1, record]))}),
        (8, "decide", "eva", {"search": 1, "rank": 1, "content": sha256(text([salt, "lead", reason, AT]))}),
        (9, "decide", "otto", {"search": 1, "rank": 1, "content": "cd" * 32}),
    ]
    lines: list[dict] = []
    for number, action, operator, details in acts:
        lines.append(line(number, action, operator, lines[-1]["hash"] if lines else "0" * 64, **details))
    decision = {"rank": 1, "at": AT, "examiner": "eva", "verdict": "lead", "reason": reason, "salt": salt}
    hidden = {"rank": 1, "at": AT, "examiner": "otto", "verdict": None, "reason": "", "salt": None}
    search = {"number": 1, "file": RECORD, "candidates": [], "decisions": [decision, hidden]}
    sketches = [{"number": 1, "file": SKETCH, "sha256": sha256(sketch), "added_by": "ines", "added_at": AT, **about}]
    stated = {"format": 1, "case": case | {"opened_at": AT}, "sketches": sketches, "searches": [search]}
    return {
        "case.json": text(stated).encode(),
        "log.jsonl": "".join(f"{text(one)}\n" for one in lines).encode(),
        "report.html": b"<p>a report</p>",
        "report.pdf": b"%PDF-1.7 a report",
        RECORD: record.encode(),
        SKETCH: sketch,
        "thumbnails/photo-1.jpg": b"a picture",
    }


def chained(files: Mapping[str, bytes]) -> list[dict]:
    """The lines of a log."""
    return [json.loads(one) for one in files["log.jsonl"].splitlines()]


def manifest(files: Mapping[str, bytes], /, **changes: object) -> dict:
    """What is signed of some files."""
    last = line(12, "login")
    return {
        "format": 1,
        "gallery": GALLERY,
        "public_key": PUBLIC,
        "case": "C-1",
        "operator": "ines",
        "made": AT,
        "version": "0.1.0",
        "head": {
            "gallery": GALLERY,
            "number": 12,
            "hash": last["hash"],
            "public_key": PUBLIC,
            "signature": last["signature"],
        },
        "files": [{"name": name, "length": len(data), "sha256": sha256(data)} for name, data in sorted(files.items())],
    } | changes


def sealed(files: Mapping[str, bytes], key: Ed25519PrivateKey = KEY, /, **changes: object) -> dict[str, bytes]:
    """The files with a manifest of them and its signature."""
    stated = text(manifest(files, **changes)).encode()
    signature = key.sign(b"forensic case export 1\n" + sha256(stated).encode())
    return {"manifest.json": stated, "manifest.sig": signature, **files}


def zipped(files: Mapping[str, bytes], **changes: object) -> bytes:
    """The files as a ZIP file of the plainest kind; ``changes`` are made to each entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o600) << 16
            for key, value in changes.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    return buffer.getvalue()
