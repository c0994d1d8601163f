"""An encrypted gallery gets another key, whole or not at all."""

import pytest
from fuses import Crash, Fuse, failing
from user_keys import KEY, OTHER

from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery
from forensic.gallery.cipher import encrypting
from forensic.gallery.cipher.encryption import Envelope
from forensic.gallery.cipher.keys import UserKey
from forensic.gallery.log import trail

pytestmark = pytest.mark.plain


def test_after_a_rotation_the_new_key_opens_and_the_old_one_does_not(sealed):
    with Gallery(sealed, key=KEY) as gallery:
        before = gallery.digest()
        files = dict(gallery.objects.contents())
        encrypting.rotate(gallery, OTHER)
        assert gallery.digest() == before  # the open one goes on
    with pytest.raises(GalleryError, match="does not open"):
        Gallery(sealed, key=KEY)
    with Gallery(sealed, key=OTHER) as gallery:
        assert gallery.digest() == before
        assert gallery.verify() == []
        assert dict(gallery.objects.contents()) == files
        assert trail.entries(gallery)[0]["details"] == {"key_id": OTHER.id}
        with pytest.raises(UsageError, match="the present key"):
            encrypting.rotate(gallery, OTHER)


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_crash_at_any_step_of_a_rotation_leaves_one_key(sealed, copy, tmp_path, stride):
    copy(sealed, tmp_path / "before")
    with Gallery(sealed, key=KEY) as gallery:
        before, fuse = gallery.digest(), Fuse(None, Crash)
        with failing(fuse):
            encrypting.rotate(gallery, OTHER)
    opened = []
    for step in range(0, fuse.steps, stride):
        folder = copy(tmp_path / "before", tmp_path / f"{step}")
        with Gallery(folder, key=KEY) as gallery, pytest.raises(Crash), failing(Fuse(step, Crash)):
            encrypting.rotate(gallery, OTHER)
        ids = Envelope.read(folder).ids
        with Gallery(folder, key=KEY if KEY.id in ids else OTHER) as gallery:  # settles which it is
            assert gallery.digest() == before
            assert gallery.verify() == []
        (left,) = Envelope.read(folder).ids
        opened.append(left)
        old, new = (KEY, OTHER) if left == KEY.id else (OTHER, KEY)
        Gallery(folder, key=old).close()
        with pytest.raises(GalleryError, match="does not open"):
            Gallery(folder, key=new)
    assert set(opened) == {KEY.id, OTHER.id}
    assert opened == sorted(opened, key=[KEY.id, OTHER.id].index)


def test_an_older_key_file_that_was_put_back_is_found(sealed):
    old = (sealed / "gallery.key").read_bytes()
    with Gallery(sealed, key=KEY) as gallery:
        encrypting.rotate(gallery, OTHER)
    (sealed / "gallery.key").write_bytes(old)
    with Gallery(sealed, key=KEY) as gallery:
        assert [(problem.kind, problem.subject) for problem in gallery.verify()] == [("key", "gallery.key")]
        encrypting.rotate(gallery, UserKey(bytes(32), "A third"))
        assert gallery.verify() == []


def test_a_plain_gallery_has_no_key_to_rotate(gallery):
    with pytest.raises(GalleryError, match="gallery encrypt"):
        encrypting.rotate(gallery, KEY)
