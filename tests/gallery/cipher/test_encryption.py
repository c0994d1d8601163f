"""An encrypted gallery: nothing of it can be read in its folder, and nothing in it can be altered unseen."""

import hashlib
import hmac
import json
import os
import random
import shutil

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from forensic.errors import GalleryError
from forensic.gallery import Gallery, database
from forensic.gallery.checks import proving
from forensic.gallery.checks.traces import Traces
from forensic.gallery.cipher import encrypting, encryption
from forensic.gallery.cipher.encryption import CHUNK, MAGIC, SALT, TAG, Envelope, Sealing, unlock
from forensic.gallery.cipher.keys import UserKey, derive

KEY = UserKey(bytes(range(32)), "The test's key")
OTHER = UserKey(bytes(range(1, 33)), "Another key")
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


@pytest.fixture
def sealed(tmp_path):
    """An empty encrypted gallery, open."""
    encrypting.create(tmp_path / "sealed", KEY)
    with Gallery(tmp_path / "sealed", key=KEY) as gallery:
        yield gallery


def everything(gallery) -> bytes:
    """All bytes of all files in the folder, with the files' names."""
    paths = sorted(gallery.folder.rglob("*"))
    return b"\n".join(
        str(path.relative_to(gallery.folder)).encode() + b"\n" + path.read_bytes() for path in paths if path.is_file()
    )


@pytest.mark.sqlite("looks for the database's file")
def test_no_file_tells_anything(sealed, making):
    rng = random.Random(0)
    records = [making.record(number, data=magic + rng.randbytes(4000)) for number, magic in enumerate([PNG, JPEG] * 10)]
    sealed.enroll(records)
    space = making.space().digest
    vectors = sealed.templates(space).vectors
    assert sealed.save_index("index", vectors.tobytes(), space=space, revision=sealed.revision(space))
    sealed.view("P0003")
    marks = [b"SQLite format 3", PNG, JPEG, b"P0000", b"Name 1", b"CREATE TABLE", KEY.secret, KEY.text.encode()]
    for record in records:
        digest = bytes.fromhex(record.sha256)
        marks += [record.person.encode(), record.metadata["name"].encode(), record.file_name.encode() + b"\n"]
        marks += [record.sha256.encode(), record.sha256[2:].encode(), digest, digest[1:], record.data[100:116]]
        marks += [bytes(vector.tobytes()[:16]) for vector in record.templates.values()]
    marks += [sealed.sealing.secret, sealed.sealing.secret.hex().encode(), sealed.sealing.database]
    names = {path.name for path in sealed.home.iterdir()}
    assert {"gallery.db", "gallery.db-wal", "objects", "index", "audit.key"} <= names
    assert not [mark for mark in marks if mark in everything(sealed)]
    sealed.expunge("P0000")
    sealed.close()
    assert not [mark for mark in marks if mark in everything(sealed)]


def decrypted(gallery) -> bytes:
    """The database's pages, opened by hand: AES-256-CBC under the raw key, the vector in each page's reserve."""
    content, pages = (gallery.home / "gallery.db").read_bytes(), []
    for at in range(0, len(content), 4096):
        page = content[at : at + 4096]
        cipher = Cipher(AES(gallery.sealing.database), CBC(page[4016:4032])).decryptor()
        pages.append(cipher.update(page[0 if at else 16 : 4016]))  # the first begins with the file's salt
    return b"".join(pages)


@pytest.mark.sqlite("decrypts SQLite's pages")
def test_no_page_keeps_a_trace_of_an_expunged_person(sealed, making):
    """Whoever has the key finds nothing either: what is wiped is wiped below the encryption."""
    rng = random.Random(0)
    labels = ["".join(rng.choices("abcdefghij", k=24)) for _ in range(40)]
    records = [
        making.record(number, person=label, metadata={"notes": label * rng.randint(1, 60)})
        for number, label in enumerate(labels)
    ]
    sealed.enroll(records)
    database.scrub(sealed.engine, vacuum=False)
    gone, kept = labels[:15], labels[15:]
    marks = [template.tobytes() for record in records[:15] for template in record.templates.values()]
    marks += [text.encode() for record in records[:15] for text in (record.person, record.sha256)]
    assert all(mark in decrypted(sealed) for mark in marks)
    sealed.expunge(*gone)
    left = decrypted(sealed)
    assert not [mark for mark in marks if mark in left]
    assert all(label.encode() in left for label in kept)
    assert sealed.verify() == []


def test_a_search_of_sealed_files_proves_nothing_and_says_so(sealed, making):
    """But for what lies there unsealed."""
    sealed.enroll([making.record(number) for number in range(4)])
    sealed.expunge("P0001")
    traces = Traces(((making.record(2).data, "original"),))
    checks = {check.name: check for check in proving.prove(sealed, 2, traces=traces)}
    assert checks["search"].passed is None
    assert checks["originals"].passed
    (sealed.home / "objects" / "copy").write_bytes(making.record(2).data)
    checks = {check.name: check for check in proving.prove(sealed, 2, traces=traces)}
    assert checks["search"].passed is False


def test_it_works_as_a_plain_one_does(sealed, gallery, making):
    records = [making.record(number) for number in range(12)]
    for each in (sealed, gallery):
        each.enroll(records[:7])
        each.enroll(records[5:])
        each.update("P0001", {"name": "Anna"})
        each.expunge("P0002")
        each.expunge_photo(1)
    assert sealed.digest() == gallery.digest()
    assert sealed.verify() == []
    assert sealed.photo_bytes(sealed.photos("P0001")[0]) == gallery.photo_bytes(gallery.photos("P0001")[0])


@pytest.mark.sqlite("pragmas")
def test_it_is_as_durable_and_thorough_as_a_plain_one(sealed):
    with sealed.engine.connect() as connection:
        pragmas = {
            "journal_mode": "wal",
            "synchronous": 2,
            "secure_delete": 1,
            "foreign_keys": 1,
            "busy_timeout": 30000,
        }
        assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas} == pragmas


def test_an_index_comes_back(sealed, making):
    sealed.enroll([making.record()])
    space = making.space().digest
    assert sealed.load_index("i") is None
    assert sealed.save_index("i", b"index" * 99, space=space, revision=sealed.revision(space))
    assert sealed.load_index("i") == b"index" * 99
    shutil.copy(sealed.index_folder / "i", sealed.index_folder / "j")
    assert sealed.load_index("j") is None


@pytest.mark.plain
def test_another_key_opens_nothing_and_the_message_names_both(sealed):
    with pytest.raises(GalleryError, match=rf"Another key holds the key {OTHER.id}.*does not open.*{KEY.id}"):
        Gallery(sealed.folder, key=OTHER)
    with pytest.raises(GalleryError, match=rf"is encrypted, and its key {KEY.id} was not found"):
        Gallery(sealed.folder)


def test_the_key_of_the_environment(sealed, monkeypatch):
    monkeypatch.setenv("FORENSIC_KEY", KEY.text)
    with Gallery(sealed.folder) as opened:
        assert opened.size() == (0, 0)


def test_no_damage_to_the_key_file_goes_unseen(sealed):
    path = sealed.folder / "gallery.key"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(GalleryError, match=r"gallery.key.*bring it back from your copy"):
            unlock(sealed.folder, KEY)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(GalleryError, match=r"gallery.key"):
            unlock(sealed.folder, KEY)
    path.write_bytes(whole)
    assert unlock(sealed.folder, KEY) is not None


def test_a_wrapped_key_that_was_changed_with_its_checksum_opens_nothing(sealed):
    """The checksum is no protection: the seal is."""
    envelope = Envelope.read(sealed.folder)
    slot = envelope.slots[0]
    flipped = f"{int(slot.wrapped[0], 16) ^ 1:x}" + slot.wrapped[1:]
    for forged in (
        Envelope(envelope.name, (encryption.Slot(slot.key, slot.nonce, flipped),)),
        Envelope("0" * 32, envelope.slots),
    ):
        forged.write(sealed.folder)
        with pytest.raises(GalleryError, match="does not open the gallery"):
            unlock(sealed.folder, KEY)


def test_a_newer_format_is_named(sealed):
    path = sealed.folder / "gallery.key"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "forensic-gallery-key-2"}))
    with pytest.raises(GalleryError, match=r"'forensic-gallery-key-2'.*upgrade"):
        Gallery(sealed.folder, key=KEY)


def test_without_its_key_file_the_gallery_is_not_taken_for_an_empty_one(sealed):
    sealed.close()
    (sealed.folder / "gallery.key").unlink()
    for create in (False, True):
        with pytest.raises(GalleryError, match=r"its gallery.key is missing: bring it back"):
            Gallery(sealed.folder, create=create, key=KEY)
    assert (sealed.folder / "sealed" / "audit.key").exists()


def test_a_flipped_or_swapped_file_is_found_and_named(sealed, making):
    sealed.enroll([making.record(number) for number in range(4)])
    space = making.space().digest
    assert sealed.save_index("i", b"index" * 99, space=space, revision=sealed.revision(space))
    first, second, third, _ = sealed.photos()
    _flip(sealed.objects.path(first.sha256))
    shutil.copy(sealed.objects.path(third.sha256), sealed.objects.path(second.sha256))
    _flip(sealed.index_folder / "i")
    found = [(problem.kind, problem.subject) for problem in sealed.verify()]
    assert found == [
        ("original", f"photo {first.id} ({first.person.label})"),
        ("original", f"photo {second.id} ({second.person.label})"),
        ("index", "i"),
    ]
    with pytest.raises(GalleryError, match="was altered"):
        sealed.photo_bytes(second)


def test_a_plain_original_in_the_place_of_a_sealed_one_is_found(sealed, making):
    record = making.record()
    sealed.enroll([record])
    sealed.objects.path(record.sha256).write_bytes(record.data)
    assert [problem.kind for problem in sealed.verify()] == ["original"]


@pytest.mark.sqlite("damages SQLite's file")
def test_a_flipped_page_of_the_database_is_found(sealed, making, capfd):
    sealed.enroll([making.record(number) for number in range(30)])
    sealed.close()
    _flip(sealed.home / "gallery.db", 4096 * 7 - 100)
    with Gallery(sealed.folder, key=KEY) as opened:
        found = opened.verify()
    assert found == [("database", "gallery.db", "HMAC verification failed for page 7")]
    _flip(sealed.home / "gallery.db", 100)
    with pytest.raises(GalleryError, match=r"not a database.*damaged: restore"):
        Gallery(sealed.folder, key=KEY)
    assert capfd.readouterr().err == ""  # SQLCipher would write its own log there


def test_a_signing_key_that_was_altered_is_an_error_in_words(sealed, making):
    sealed.close()
    _flip(sealed.home / "audit.key")
    with Gallery(sealed.folder, key=KEY) as opened, pytest.raises(GalleryError, match="its seal is broken"):
        opened.enroll([making.record()])


def _flip(path, at: int = -20) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# The sealing of files


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
def test_what_was_sealed_comes_back(length):
    data, sealing = os.urandom(length), Sealing(bytes(32), "")
    sealed = sealing.seal(data, "original", "name")
    chunks = max(1, -(-length // CHUNK))
    assert len(sealed) == len(MAGIC) + SALT + length + TAG * chunks
    assert sealing.unseal(sealed, "original", "name") == data
    assert sealing.seal(data, "original", "name") != sealed


def test_the_format_is_as_it_is_described():
    """Opened by hand: key by HMAC of the salt, nonces of a counter and a mark of the last chunk."""
    data = bytes(CHUNK) + b"end"
    sealed = Sealing(b"s" * 32, "").seal(data, "original", "name")
    salt, body = sealed[len(MAGIC) : len(MAGIC) + SALT], sealed[len(MAGIC) + SALT :]
    key = hmac.digest(derive(b"s" * 32, "forensic gallery files 1"), salt, hashlib.sha256)
    first, last = body[: CHUNK + TAG], body[CHUNK + TAG :]
    assert AESGCM(key).decrypt(bytes(12), first, b"original\nname") == data[:CHUNK]
    assert AESGCM(key).decrypt(bytes(10) + b"\x01\x01", last, b"original\nname") == b"end"


def test_no_change_of_a_sealed_file_goes_unseen():
    sealing, data = Sealing(bytes(32), ""), os.urandom(3 * CHUNK + 7)
    sealed = sealing.seal(data, "original", "name")
    start, step = len(MAGIC) + SALT, CHUNK + TAG
    head, parts = sealed[:start], [sealed[at : at + step] for at in range(start, len(sealed), step)]
    rng = random.Random(0)
    changed = [
        head + b"".join([parts[1], parts[0], *parts[2:]]),
        head + b"".join(parts[:-1]),
        head + b"".join([*parts[:1], *parts[2:]]),
        head + b"".join([*parts, parts[-1]]),
        head,
        sealed + b"x",
        *(sealed[:length] for length in rng.sample(range(len(sealed)), 30)),
    ]
    for at in [*range(start), *rng.sample(range(start, len(sealed)), 30)]:
        changed.append(sealed[:at] + bytes([sealed[at] ^ 1 << rng.randrange(8)]) + sealed[at + 1 :])
    for each in changed:
        with pytest.raises(ValueError, match="seal"):
            sealing.unseal(each, "original", "name")
    for role, name, other in (
        ("index", "name", sealing),
        ("original", "other", sealing),
        ("original", "name", Sealing(b"x" * 32, "")),
    ):
        with pytest.raises(ValueError, match="seal"):
            other.unseal(sealed, role, name)
