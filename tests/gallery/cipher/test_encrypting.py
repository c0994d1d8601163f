"""A plain gallery becomes an encrypted one, and an encrypted one gets another key, whole or not at all."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from fuses import Crash, Fuse, failing
from user_keys import KEY, OTHER

from forensic.commands.gallery import gallery as group
from forensic.commands.options import open_gallery
from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery
from forensic.gallery.casework import cases
from forensic.gallery.cipher import encrypting, keys
from forensic.gallery.cipher.keys import UserKey
from forensic.gallery.log import audit, trail

PLAIN = {"gallery.db", "objects", "index", "audit.key"}
SEALED = {"gallery.key", "sealed"}

pytestmark = pytest.mark.plain


def names(folder) -> set[str]:
    """What lies in a closed gallery's folder."""
    return {path.name for path in folder.iterdir()} - {"lock"}


@pytest.fixture
def plain(sqlite_alone, tmp_path, making):
    """The folder of a plain gallery with people, an index, a case and a decision; it is closed."""
    with Gallery(tmp_path / "plain", create=True) as gallery:
        gallery.enroll([making.record(number) for number in range(3)])
        gallery.expunge("P0001")  # a gap in the numbers
        space = making.space().digest
        assert gallery.save_index("i", b"index" * 99, space=space, revision=gallery.revision(space))
        cases.open_case(gallery, "C-1", purpose="p", legal_basis="l")
    assert names(gallery.folder) == PLAIN
    return gallery.folder


def test_everything_is_carried_over(plain, making):
    with Gallery(plain) as gallery:
        digest, head, photos = gallery.digest(), trail.export_head(gallery), gallery.photos()
        originals = [gallery.photo_bytes(photo) for photo in photos]
        entries = trail.entries(gallery)
        encrypting.encrypt(gallery, KEY)
    assert names(plain) == SEALED
    with Gallery(plain, key=KEY) as gallery:
        assert gallery.digest() == digest
        assert gallery.verify(head) == []
        assert [gallery.photo_bytes(photo) for photo in gallery.photos()] == originals
        first, *others = trail.entries(gallery)
        assert others == entries
        assert (first["action"], first["details"]) == ("encrypt", {"key_id": KEY.id})
        assert [case.reference for case in cases.listed(gallery)] == ["C-1"]
        assert gallery.load_index("i") is None  # a cache, made anew by the next search
        gallery.enroll([making.record(8)])
        assert {photo.id for photo in gallery.photos()} == {1, 2, 4}  # no number is given out again
        assert gallery.verify(head) == []


@pytest.mark.parametrize("stride", [19, pytest.param(1, marks=pytest.mark.slow)])
def test_a_crash_at_any_step_leaves_the_one_or_the_other(plain, tmp_path, stride):
    shutil.copytree(plain, tmp_path / "before")
    with Gallery(plain) as gallery:
        digest, fuse = gallery.digest(), Fuse(None, Crash)
        with failing(fuse):
            encrypting.encrypt(gallery, KEY)
    assert fuse.steps >= 40
    outcomes = []
    for step in range(fuse.steps - 1, -1, -stride):
        folder = shutil.copytree(tmp_path / "before", tmp_path / f"{step}")
        with Gallery(folder) as gallery, pytest.raises(Crash), failing(Fuse(step, Crash)):
            encrypting.encrypt(gallery, KEY)
        with Gallery(folder, key=KEY) as gallery:  # finishes what was cut
            outcomes.append(gallery.sealing is not None)
            assert gallery.digest() == digest
            assert gallery.verify() == []
            if not outcomes[-1]:
                assert not (folder / "sealed").exists()
                encrypting.encrypt(gallery, KEY)
        assert names(folder) == SEALED
        shutil.rmtree(folder)
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {False, True}
    print(f"{len(outcomes)} crashes, {outcomes.count(False)} before the encryption counted")


def test_a_full_disk_leaves_the_plain_gallery(plain):
    with Gallery(plain) as gallery:
        full = Fuse(20, lambda: OSError(28, "No space left on device", "somewhere"))
        with failing(full), pytest.raises(GalleryError, match="No space left on device"):
            encrypting.encrypt(gallery, KEY)
        assert gallery.verify() == []
    with Gallery(plain) as gallery:
        assert gallery.sealing is None
    assert names(plain) == PLAIN


def test_what_is_damaged_is_not_encrypted(plain):
    with Gallery(plain) as gallery:
        gallery.objects.path(gallery.photos()[0].sha256).write_bytes(b"x")
        with pytest.raises(GalleryError, match="was altered"):
            encrypting.encrypt(gallery, KEY)
    with Gallery(plain) as gallery:
        assert gallery.sealing is None


def test_nobody_else_may_use_it_meanwhile(plain):
    code = (
        "import sys; from forensic import Gallery; g = Gallery(sys.argv[1]); g.size(); print('up', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(plain)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "up\n"
        with Gallery(plain) as gallery, pytest.raises(GalleryError, match=r"locked.*End every other process"):
            encrypting.encrypt(gallery, KEY)
        other.communicate("\n", timeout=20)
    with Gallery(plain) as gallery:
        assert gallery.verify() == []
        encrypting.encrypt(gallery, KEY)


def test_who_opened_it_before_is_stopped(plain, making):
    with Gallery(plain) as before:
        before.engine.dispose()  # it holds nothing open, and would make an empty database anew
        with Gallery(plain) as gallery:
            encrypting.encrypt(gallery, KEY)
        for act in (before.people, lambda: before.enroll([making.record(9)]), gallery.people):
            with pytest.raises(GalleryError, match="was encrypted after it was opened"):
                act()
    assert names(plain) == SEALED


def test_an_encrypted_gallery_is_not_encrypted_twice(sealed):
    with Gallery(sealed, key=KEY) as gallery, pytest.raises(GalleryError, match="key rotate"):
        encrypting.encrypt(gallery, OTHER)


def test_a_signing_key_kept_elsewhere_stays_as_it_is(tmp_path, monkeypatch, making):
    monkeypatch.setenv(audit.KEY_VARIABLE, str(tmp_path / "kept.key"))
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        gallery.enroll([making.record()])
        kept = (tmp_path / "kept.key").read_bytes()
        encrypting.encrypt(gallery, KEY)
    assert (tmp_path / "kept.key").read_bytes() == kept
    with Gallery(tmp_path / "gallery", key=KEY) as gallery:
        gallery.expunge("P0000")
        assert gallery.verify() == []
        assert not (gallery.home / "audit.key").exists()


# Beside a server's database


@pytest.fixture
def served(tmp_path, making, server, server_module):
    """The folder of a plain gallery on PostgreSQL with two people and an index; it is closed."""
    url = server.make(server_module.database_of(tmp_path / "served"))
    with Gallery(tmp_path / "served", create=True, url=url) as gallery:
        gallery.enroll([making.record(number) for number in range(3)])
        space = making.space().digest
        assert gallery.save_index("i", b"index" * 99, space=space, revision=gallery.revision(space))
    yield gallery.folder
    server.drop([server_module.database_of(tmp_path / "served")])


SERVED = {"gallery.key", "sealed", "database.url"}


def test_beside_a_servers_database_the_files_alone_are_sealed(served):
    with Gallery(served) as gallery:
        digest = gallery.digest()
        encrypting.encrypt(gallery, KEY)
    assert names(served) == SERVED
    with Gallery(served, key=KEY) as gallery:
        assert gallery.digest() == digest
        assert gallery.verify() == []
    (served / "gallery.key").unlink()
    with pytest.raises(GalleryError, match=r"gallery.key is missing"):
        Gallery(served)


@pytest.mark.parametrize("before", [True, False])
def test_a_servers_log_says_encrypted_once_it_is(served, monkeypatch, before):
    def crash(*_: object) -> None:
        raise Crash

    with Gallery(served) as gallery, monkeypatch.context() as patch:
        patch.setattr(encrypting, "_commit" if before else "_note", crash)
        with pytest.raises(Crash):
            encrypting.encrypt(gallery, KEY)
    with Gallery(served, key=KEY) as gallery:
        assert gallery.verify() == []
        said = [entry["details"] for entry in trail.entries(gallery) if entry["action"] == "encrypt"]
        assert said == ([] if before else [{"key_id": KEY.id}])
        assert (gallery.load_index("i") is None) is (gallery.sealing is not None) is not before
    assert names(served) == ({"audit.key", "database.url", "index", "objects"} if before else SERVED)


@pytest.mark.slow
def test_a_crash_at_any_step_beside_a_servers_database_leaves_the_one_or_the_other(served, server, tmp_path):
    with Gallery(served) as gallery:
        digest = gallery.digest()
    outcomes, whole = [], False
    for step in count(0, 2):
        folder, fuse = server.copy(served, tmp_path / f"{step}"), Fuse(step, Crash)
        with Gallery(folder) as gallery, suppress(Crash), failing(fuse):
            encrypting.encrypt(gallery, KEY)
            whole = True
        with Gallery(folder, key=KEY) as gallery:
            outcomes.append(gallery.sealing is not None)
            assert gallery.digest() == digest
            assert gallery.verify() == []
            if not outcomes[-1]:
                encrypting.encrypt(gallery, KEY)
        assert names(folder) - {"gallery.key.new.partial"} == SERVED
        server.drop([server.made.pop()])
        if whole:
            break
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}


def test_another_sqlite_file_is_not_passed_over(tmp_path, making):
    with Gallery(tmp_path / "gallery", create=True, url=f"sqlite:///{tmp_path / 'elsewhere.db'}") as gallery:
        gallery.enroll([making.record()])
        with pytest.raises(GalleryError, match=r"elsewhere.db, which nothing would encrypt"):
            encrypting.encrypt(gallery, KEY)
        assert gallery.verify() == []
    assert names(gallery.folder) == {"audit.key", "index", "objects"}


# What is lost or laid over


@pytest.mark.parametrize("empty", [True, False])
def test_without_its_key_file_a_gallery_is_not_taken_for_a_killed_encryption(plain, sealed, tmp_path, empty):
    kept = tmp_path / "gallery.key"
    (sealed / "gallery.key").rename(kept)
    if empty:
        (sealed / "gallery.db").touch(mode=0o600)
    else:
        shutil.copytree(plain, sealed, dirs_exist_ok=True)
    for create in (False, True):
        with pytest.raises(GalleryError, match=r"gallery.key is missing"):
            Gallery(sealed, create=create)
    kept.rename(sealed / "gallery.key")
    laid_over = names(sealed)
    with Gallery(sealed, key=KEY) as gallery:
        assert gallery.size().photos == 2
        found = gallery.verify()
    assert {problem.kind for problem in found} == {"plain"}
    assert {Path(problem.subject).name for problem in found} == laid_over - SEALED == names(sealed) - SEALED


@pytest.mark.parametrize("lost", [{"gallery.db"}, {"gallery.db", "objects"}, {"gallery.db", "audit.key", "index"}])
def test_what_is_left_of_a_gallery_is_not_taken_for_an_empty_folder(run, plain, monkeypatch, lost):
    for name in lost:
        (shutil.rmtree if (plain / name).is_dir() else os.unlink)(plain / name)
    before = names(plain)
    files = [path.read_bytes() for path in sorted(plain.rglob("*")) if path.is_file()]
    monkeypatch.setenv(keys.VARIABLE, KEY.text)
    error = run("encrypt", "--gallery", str(plain)).exception
    assert isinstance(error, GalleryError)
    assert "holds files of a gallery" in str(error)
    assert names(plain) == before
    assert [path.read_bytes() for path in sorted(plain.rglob("*")) if path.is_file()] == files


def test_no_new_key_is_made_for_sealed_files(sqlite_alone, sealed):
    (sealed / "gallery.key").unlink()
    with pytest.raises(GalleryError, match=r"holds files of a gallery, sealed/audit.key for one"):
        encrypting.create(sealed, KEY)
    assert names(sealed) == {"sealed"}


def test_plain_files_whose_log_says_encrypted_are_found(tmp_path, making):
    """As one leaves them who unsealed a gallery, or laid a database's copy without its encryption in its place."""
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        gallery.enroll([making.record()])
        with gallery.writing() as session:
            gallery.note(session, "encrypt", key_id=KEY.id)
        (problem,) = gallery.verify()
        assert (problem.kind, problem.subject) == ("key", "gallery.key")
        assert f"encrypted with the key {KEY.id}" in problem.message
        with gallery.writing() as session:
            gallery.note(session, "restore", snapshot=1, head=1, people=[], photos=[])
        assert "key" not in {problem.kind for problem in gallery.verify()}  # a backup is restored as a plain gallery


# An empty one


def test_an_empty_one_is_made_and_its_making_can_be_cut(tmp_path):
    fuse = Fuse(None, Crash)
    with failing(fuse):
        encrypting.create(tmp_path / "whole", KEY)
    for step in range(0, fuse.steps, 5):
        folder = tmp_path / f"{step}"
        with pytest.raises(Crash), failing(Fuse(step, Crash)):
            encrypting.create(folder, KEY)
        encrypting.create(folder, KEY)
        with Gallery(folder, key=KEY) as gallery:
            assert gallery.verify() == []
            assert trail.entries(gallery)[-1]["details"]["key_id"] == KEY.id


def test_two_that_make_one_at_once_make_the_same(tmp_path, making):
    def make(number: int) -> None:
        encrypting.create(tmp_path / "gallery", KEY)
        with Gallery(tmp_path / "gallery", key=KEY) as gallery:
            gallery.enroll([making.record(number)])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(make, range(3)))
    with Gallery(tmp_path / "gallery", key=KEY) as gallery:
        assert gallery.size().photos == 3
        assert gallery.verify() == []


def test_a_plain_gallery_is_not_taken_for_an_empty_folder(plain):
    with pytest.raises(GalleryError, match=r"holds files of a gallery, audit.key for one"):
        encrypting.create(plain, KEY)
    assert names(plain) == PLAIN


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(GalleryError, match="holds other things"):
        encrypting.create(tmp_path, KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


# Rotation


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FORENSIC_GALLERY", str(tmp_path / "gallery"))
    return lambda *arguments: CliRunner().invoke(group, arguments)


def test_from_a_new_key_to_the_next_by_commands(run, tmp_path, monkeypatch, making):
    assert isinstance(run("encrypt").exception, UsageError)
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        output = run("key", "new", "--out", str(path)).output
        assert f"holds the new key {_id(path)}" in output
    monkeypatch.setenv(keys.FILE_VARIABLE, str(first))
    assert "is encrypted" in run("encrypt").output
    with Gallery(tmp_path / "gallery") as gallery:
        gallery.enroll([making.record()])
    assert run("key", "show").output == f"Encrypted. The file {first} holds the key {_id(first)}, which opens it.\n"
    assert '"encrypted": true' in run("key", "show", "--json").output
    assert "Sound" in run("verify").output
    shown = run("show", "P0000").output
    assert "P0000" in shown
    assert "path" not in shown
    assert isinstance(run("encrypt").exception, GalleryError)
    assert isinstance(run("key", "rotate").exception, UsageError)
    assert _id(second) in run("key", "rotate", "--new-key-file", str(second)).output
    assert "does not open" in str(run("list").exception)
    monkeypatch.setenv(keys.FILE_VARIABLE, str(second))
    assert "1 person with 1 photo" in run("list").output


def test_encrypting_a_plain_gallery_by_command(run, plain, monkeypatch):
    assert run("key", "show", "--gallery", str(plain)).output.startswith("Not encrypted")
    monkeypatch.setenv(keys.VARIABLE, KEY.text)
    assert "is encrypted" in run("encrypt", "--gallery", str(plain)).output
    assert names(plain) == SEALED
    assert "Sound" in run("verify", "--gallery", str(plain)).output


def test_a_name_that_the_system_refuses_is_an_error_in_words(run, monkeypatch):
    monkeypatch.setenv(keys.VARIABLE, KEY.text)
    error = run("encrypt", "--gallery", "n" * 300).exception
    assert isinstance(error, GalleryError)
    assert "File name too long" in str(error)


def test_a_new_plain_gallery_warns_once_and_on_stderr(tmp_path, monkeypatch):
    @click.command()
    def make() -> None:
        open_gallery(tmp_path / "gallery", create=True).close()

    first, second = (CliRunner().invoke(make) for _ in range(2))
    assert first.stdout == second.stdout == second.stderr == ""
    assert first.stderr.count("\n") == 1
    assert "is not encrypted" in first.stderr


def _id(path) -> str:
    return UserKey.read(path).id
