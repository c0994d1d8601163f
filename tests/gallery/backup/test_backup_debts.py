"""Keys that an expunge could not destroy at once: they stay on record until they are."""

import hashlib
import os
import shutil

import pytest

from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, objects
from forensic.gallery.backup import backups, keyfiles
from forensic.gallery.backup.keyfiles import KeyFile
from forensic.gallery.checks import proving
from forensic.gallery.log import trail


def interrupt(*given, **named):
    raise KeyboardInterrupt


def test_an_expunge_that_does_not_reach_the_keys_says_so_and_stays_in_debt(enrolled, places, tmp_path):
    folder, key_file = places
    backups.make(enrolled, *places)
    away = tmp_path / "away"
    key_file.rename(away)
    with pytest.raises(GalleryError, match=r"out of the gallery, but the keys .* not destroyed everywhere.*missing"):
        enrolled.expunge("P0000")
    assert enrolled.size() == (5, 10)
    assert "may hold keys that were to be destroyed" in backups.remaining(enrolled)[0].message
    assert [problem.subject for problem in backups.shred(enrolled)] == [str(folder)]
    away.rename(key_file)
    assert "holds 3 keys" in backups.remaining(enrolled)[0].message
    assert backups.shred(enrolled) == []
    assert backups.remaining(enrolled) == []
    assert len(KeyFile.read(key_file).keys) == 5 + 10


@pytest.mark.parametrize("later", ["backup", "expunge"])
def test_a_debt_is_settled_by_the_next_backup_and_the_next_expunge(enrolled, places, tmp_path, later):
    backups.make(enrolled, *places)
    places[1].rename(tmp_path / "away")
    with pytest.raises(GalleryError, match="debt"):
        enrolled.expunge("P0000")
    (tmp_path / "away").rename(places[1])
    assert backups.remaining(enrolled)
    if later == "backup":
        backups.make(enrolled, places[0])
    else:
        enrolled.expunge("P0001")
    assert backups.remaining(enrolled) == []
    assert not backups.recorded(enrolled)[0].owes


def test_an_earlier_key_file_that_was_brought_back_is_noticed(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    shutil.copy(places[1], tmp_path / "copy")
    enrolled.expunge("P0000")
    assert backups.remaining(enrolled) == []
    os.replace(tmp_path / "copy", places[1])
    assert "holds 3 keys that the gallery has no more" in backups.remaining(enrolled)[0].message
    assert backups.shred(enrolled) == []
    assert backups.remaining(enrolled) == []


def test_the_key_file_that_is_replaced_is_overwritten(enrolled, places):
    backups.make(enrolled, *places)
    with places[1].open("rb") as earlier:
        enrolled.expunge("P0000")
        assert set(earlier.read()) == {0}


def test_clearing_a_cohort_owes_nothing(enrolled, places, making):
    backups.make(enrolled, *places)
    sketch = hashlib.sha256(b"sketch").hexdigest()
    enrolled.add_cohort("k", {sketch: making.template(sketch, making.space())})
    places[1].unlink()
    enrolled.clear_cohort()
    assert not backups.recorded(enrolled)[0].owes


@pytest.mark.parametrize("later", ["opening", "writing"])
def test_an_expunge_that_is_killed_before_it_reaches_the_keys_is_completed(enrolled, places, monkeypatch, later):
    backups.make(enrolled, *places)
    with monkeypatch.context() as patch:
        patch.setattr(keyfiles, "settle", interrupt)
        with pytest.raises(KeyboardInterrupt):
            enrolled.expunge("P0000")
    assert "holds 3 keys" in backups.remaining(enrolled)[0].message
    assert [problem.kind for problem in enrolled.verify()] == ["backup"]
    if later == "opening":
        Gallery(enrolled.folder).close()
    else:
        enrolled.update("P0001", {"eyes": "grey"})
    assert backups.remaining(enrolled) == []
    assert enrolled.verify() == []
    assert len(KeyFile.read(places[1]).keys) == 5 + 10


def test_a_key_file_that_is_put_away_is_no_fault_of_the_gallery(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    places[1].rename(tmp_path / "away")
    assert enrolled.verify() == []
    with pytest.raises(GalleryError, match="debt"):
        enrolled.expunge("P0000")
    assert [problem.kind for problem in enrolled.verify()] == ["backup"]
    Gallery(enrolled.folder).close()


def test_what_a_killed_writing_of_keys_left_goes_with_the_next_expunge(enrolled, places):
    backups.make(enrolled, *places)
    left = shutil.copy(places[1], objects.partial(places[1]))
    assert "keys.partial, of a writing that was cut off, holds keys" in backups.remaining(enrolled)[0].message
    enrolled.expunge("P0000")
    assert not left.exists()
    assert backups.remaining(enrolled) == []


def test_what_a_killed_writing_of_keys_left_goes_when_they_move(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    left = shutil.copy(places[1], objects.partial(places[1]))
    places[1].rename(tmp_path / "elsewhere")
    backups.make(enrolled, places[0], tmp_path / "elsewhere")
    assert not left.exists()


@pytest.mark.parametrize("debt", [False, True])
def test_a_key_file_that_is_out_of_reach_is_forgotten_on_somebodys_word_alone(enrolled, places, tmp_path, debt):
    backups.make(enrolled, *places)
    places[1].parent.rename(tmp_path / "unmounted")
    if debt:
        with pytest.raises(GalleryError, match="debt"):
            enrolled.expunge("P0000")
        places[1].parent.mkdir()
    with pytest.raises(GalleryError, match=r"out of reach.*say so: --destroyed"):
        backups.forget(enrolled, places[0])
    assert len(backups.recorded(enrolled)) == 1
    backups.forget(enrolled, places[0], destroyed=True)
    assert backups.recorded(enrolled) == []
    entry = trail.entries(enrolled, limit=1)[0]
    assert (entry["action"], entry["details"]["owes"], entry["details"]["unseen"]) == ("backup-forget", debt, True)
    if not debt:
        enrolled.expunge("P0000")
    check = next(check for check in proving.prove(enrolled, 1) if check.name == "backups")
    assert (check.passed, "said, not seen" in check.said, str(places[0]) in check.said) == (None, True, True)


def test_a_key_file_that_was_seen_to_be_gone_is_proof(enrolled, places):
    backups.make(enrolled, *places)
    places[1].unlink()
    backups.forget(enrolled, places[0])
    enrolled.expunge("P0000")
    check = next(check for check in proving.prove(enrolled, 1) if check.name == "backups")
    assert (check.passed, check.said) == (True, "none is on record")


def test_the_key_file_may_move_but_not_double(enrolled, places, tmp_path):
    backups.make(enrolled, *places)
    elsewhere = tmp_path / "elsewhere"
    shutil.copy(places[1], elsewhere)
    with pytest.raises(UsageError, match="Move the file there"):
        backups.make(enrolled, places[0], elsewhere)
    places[1].unlink()
    with pytest.raises(GalleryError, match=r"key file .* is missing"):
        backups.make(enrolled, places[0])
    backups.make(enrolled, places[0], elsewhere)
    assert backups.recorded(enrolled)[0].key_file == str(elsewhere)
    enrolled.expunge("P0000")
    assert backups.remaining(enrolled) == []
