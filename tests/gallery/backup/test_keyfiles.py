import json
import random

import pytest

from forensic.errors import DataError, GalleryError
from forensic.gallery import objects
from forensic.gallery.backup.keyfiles import KeyFile, discard_partial
from forensic.gallery.cipher.sealing import OVERHEAD, Key


def a_key_file(path):
    keys = [Key(bytes([number]) * 32) for number in range(4)]
    return KeyFile(path, "b" * 32, "a" * 32, keys[0], (7, "c" * 64), {key.name: key for key in keys[1:]})


def test_what_is_written_is_read(tmp_path):
    written = a_key_file(tmp_path / "keys")
    written.write()
    found = KeyFile.read(tmp_path / "keys")
    assert (found.backup, found.gallery, found.head) == (written.backup, written.gallery, written.head)
    assert found.master.secret == written.master.secret
    assert {name: key.secret for name, key in found.keys.items()} == {n: k.secret for n, k in written.keys.items()}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_every_change_of_a_byte_is_noticed(tmp_path):
    path = tmp_path / "keys"
    a_key_file(path).write()
    data, rng = path.read_bytes(), random.Random(0)
    for _ in range(200):
        place = rng.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << rng.randrange(7)]) + data[place + 1 :])
        with pytest.raises(GalleryError, match="no key file of a backup, or was altered"):
            KeyFile.read(path)


def test_a_key_file_that_is_open_to_others_is_refused(tmp_path):
    a_key_file(tmp_path / "keys").write()
    (tmp_path / "keys").chmod(0o644)
    with pytest.raises(GalleryError, match=r"Others may use the key file .*mode 644\): chmod go="):
        KeyFile.read(tmp_path / "keys")


def test_a_writing_that_fails_leaves_no_keys(tmp_path, monkeypatch):
    written = a_key_file(tmp_path / "keys")
    written.write()
    before = (tmp_path / "keys").read_bytes()

    def full(paths):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(objects, "sync", full)
        with pytest.raises(GalleryError, match="No space left"):
            written.write()
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    assert (tmp_path / "keys").read_bytes() == before


def test_what_a_killed_writing_left_is_overwritten(tmp_path):
    left = tmp_path / "keys.partial"
    left.write_bytes(b"secret" * 10)
    with left.open("rb") as kept:
        discard_partial(tmp_path / "keys")
        assert set(kept.read()) == {0}
    assert not left.exists()
    left.mkdir()
    with pytest.raises(GalleryError, match=r"keys\.partial.* cannot be destroyed"):
        discard_partial(tmp_path / "keys")


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"\xff", json.dumps({"code": 1, "format": "x"}).encode()])
def test_what_is_no_key_file(tmp_path, text):
    (tmp_path / "keys").touch(0o600)
    (tmp_path / "keys").write_bytes(text)
    with pytest.raises(GalleryError, match="is no key file"):
        KeyFile.read(tmp_path / "keys")
    with pytest.raises(GalleryError, match="cannot be read"):
        KeyFile.read(tmp_path)


def test_sealing_is_aes_gcm_under_the_keyed_hash():
    """Against the standard library's HMAC and the cipher itself, step by step."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = Key(bytes(range(32)))
    name, sealed = key.seal(b"face")

    def derived(purpose):
        return hmac.new(key.secret, b"forensic backup: " + purpose, hashlib.sha256).digest()

    expected = hmac.new(derived(b"names of contents"), hashlib.sha256(b"face").digest(), hashlib.sha256).hexdigest()
    assert name == expected
    assert AESGCM(derived(b"contents")).decrypt(bytes.fromhex(name)[:12], sealed, None) == b"face"
    assert len(sealed) == 4 + OVERHEAD
    assert key.seal(b"face") == (name, sealed)
    assert key.open(name, sealed) == b"face"


def test_sealed_bytes_open_under_their_own_key_and_name_alone():
    key, other = Key.new(), Key.new()
    name, sealed = key.seal(b"face")
    for opener, under, data in [
        (other, name, sealed),
        (key, key.of(b"x"), sealed),
        (key, name[:24] + "0" * 40, sealed),  # the nonce is right, the content another one's
        (key, name, sealed[:-1]),
        (key, name, b""),
    ]:
        with pytest.raises(DataError):
            opener.open(under, data)
    with pytest.raises(DataError, match="31 bytes"):
        Key(bytes(31))
