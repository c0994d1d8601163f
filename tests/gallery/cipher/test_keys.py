"""The user's key: where it is looked for, and what is refused."""

import base64
import hashlib
import hmac
import os

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from forensic.errors import GalleryError, UsageError
from forensic.gallery.cipher import keys
from forensic.gallery.cipher.keys import UserKey

SECRET = bytes(range(32))


class Ring(KeyringBackend):
    """A key ring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password


@pytest.fixture
def ring(monkeypatch):
    made = Ring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: made)
    return made


def private(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("text", [SECRET.hex(), SECRET.hex().upper() + "\n", base64.b64encode(SECRET).decode()])
def test_a_key_is_hexadecimal_or_base64(tmp_path, text):
    assert UserKey.read(private(tmp_path / "key", text)).secret == SECRET


@pytest.mark.parametrize(
    "text", ["", "correct horse battery staple", SECRET.hex()[:-2], SECRET.hex() + "00", "ä" * 64, "x" * 5000]
)
def test_anything_else_is_refused_and_not_repeated(tmp_path, text):
    with pytest.raises(GalleryError, match=r"holds no key: expected 32 random bytes.*key new --out FILE") as caught:
        UserKey.read(private(tmp_path / "key", text))
    assert not text or text not in str(caught.value)


def test_a_key_does_not_show_itself():
    key = UserKey(SECRET, "a test")
    assert SECRET.hex() not in repr(key)
    assert repr(SECRET) not in repr(key)


def test_the_id_and_the_sub_keys_are_those_of_hkdf():
    """RFC 5869, written out for outputs of one block."""
    extracted = hmac.digest(bytes(32), SECRET, "sha256")
    expanded = hmac.digest(extracted, b"forensic key id 1\x01", "sha256")
    assert UserKey(SECRET, "").id == expanded[:8].hex()
    assert keys.derive(SECRET, "a") == hmac.digest(extracted, b"a\x01", hashlib.sha256)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_use_is_refused(tmp_path, mode):
    path = private(tmp_path / "key", SECRET.hex())
    path.chmod(mode)
    with pytest.raises(GalleryError, match=r"Others may use .*chmod go="):
        UserKey.read(path)


def test_a_missing_file_is_an_error_and_nothing_else_is_tried(tmp_path, monkeypatch, ring):
    ring.set_password(keys.RING, "one", SECRET.hex())
    monkeypatch.setenv(keys.FILE_VARIABLE, str(tmp_path / "none"))
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    with pytest.raises(GalleryError, match="cannot be read: No such file"):
        keys.find(["one"], tmp_path)


def test_the_order_is_file_or_variable_then_key_ring(tmp_path, monkeypatch, ring):
    for name in (keys.FILE_VARIABLE, keys.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    ring.set_password(keys.RING, "two", SECRET.hex())
    assert keys.find(["one", "two"], tmp_path).source.endswith("entry two of 'forensic gallery'")
    monkeypatch.setenv(keys.VARIABLE, SECRET.hex())
    assert keys.find(["two"], tmp_path).source.endswith("FORENSIC_KEY")
    monkeypatch.setenv(keys.FILE_VARIABLE, str(private(tmp_path / "key", SECRET.hex())))
    with pytest.raises(UsageError, match="Both FORENSIC_KEY_FILE and FORENSIC_KEY are set"):
        keys.find(["two"], tmp_path)
    monkeypatch.delenv(keys.VARIABLE)
    assert keys.find(["two"], tmp_path).source == f"The file {tmp_path / 'key'}"


def test_no_key_anywhere_says_where_it_was_looked_for(tmp_path, monkeypatch, ring):
    for name in (keys.FILE_VARIABLE, keys.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(GalleryError, match=r"its key one or two was not found.*FORENSIC_KEY_FILE.*no such entry"):
        keys.find(["one", "two"], tmp_path)
    monkeypatch.setattr(Ring, "get_password", lambda *_: (_ for _ in ()).throw(KeyringLocked("It is locked.\nHelp")))
    with pytest.raises(GalleryError, match=r"key ring \(It is locked\)"):
        keys.find(["one"], tmp_path)


def test_a_new_file_is_private_and_never_in_the_place_of_another(tmp_path):
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        made = keys.new_file(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert UserKey.read(path) == made
    with pytest.raises(UsageError, match="may be the only key"):
        keys.new_file(path)
    assert UserKey.read(path) == made
    with pytest.raises(GalleryError, match="cannot be written"):
        keys.new_file(tmp_path / "none" / "key")


def test_a_new_key_in_the_ring_is_found_by_its_id(tmp_path, monkeypatch, ring):
    for name in (keys.FILE_VARIABLE, keys.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    made = keys.new_in_ring()
    assert keys.find([made.id], tmp_path).secret == made.secret
    monkeypatch.setattr(Ring, "set_password", lambda *_: None)
    with pytest.raises(GalleryError, match="did not keep the key"):
        keys.new_in_ring()


def test_without_a_key_ring_that_is_said(monkeypatch):
    from keyring.backends.fail import Keyring

    monkeypatch.setattr(keyring, "get_keyring", Keyring)
    with pytest.raises(GalleryError, match=r"did not take the key: No recommended backend was available; '"):
        keys.new_in_ring()
