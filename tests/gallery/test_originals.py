"""Originals elsewhere than in the gallery's folder: an S3 server with and without versions, and another folder."""

import itertools
import json

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from user_keys import KEY

from forensic.commands.gallery import gallery as group
from forensic.errors import GalleryError, RightsError, UsageError
from forensic.gallery import Gallery, buckets, originals, users
from forensic.gallery.checks import proving, repairing
from forensic.gallery.checks.traces import Traces
from forensic.gallery.cipher import encrypting
from forensic.gallery.objects import OWNER, is_original
from forensic.gallery.users import Role


def key(gallery, record) -> str:
    return f"originals/{gallery.objects.name(record.sha256)}"


def local(gallery) -> list[str]:
    return [path.name for path in (gallery.home / "objects").rglob("*")]


def subjects(gallery) -> list[tuple[str, str]]:
    return [(problem.kind, problem.subject) for problem in gallery.verify()]


def test_a_gallery_is_the_same_wherever_its_originals_lie(enrolled, bucket, making):
    digest, told = enrolled.digest(), []
    originals.move(enrolled, f"{bucket.url}/originals/", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (12, 12)
    assert local(enrolled) == []
    with Gallery(enrolled.folder) as opened:
        assert originals.status(opened) == originals.Status(f"{bucket.url}/originals", 12, None)
        assert opened.digest() == digest
        assert opened.photo_bytes(3) == making.record(2).data
        opened.enroll([making.record(12)])
        assert opened.verify() == []
        if opened.sealing is None:
            assert {name: bucket.get(name) for name in bucket.names()} == {
                f"originals/{OWNER}": bucket.get(f"originals/{OWNER}"),
                **{f"originals/{one.sha256[:2]}/{one.sha256[2:]}": one.data for one in map(making.record, range(13))},
            }
        originals.move(opened, None)
        assert bucket.names() == []
        assert opened.verify() == []
        assert opened.photo_bytes(13) == making.record(12).data


def test_more_than_a_page_of_names(far, bucket, monkeypatch, making):
    names = sorted(far.objects.names())
    monkeypatch.setattr(buckets, "PAGE", 2)
    assert sorted(far.objects.names()) == names
    bucket.keep_versions()
    for name in bucket.names():
        bucket.put(name, b"other")
    assert sorted(far.objects.names()) == names
    assert len(list(far.objects.contents())) == 2 * (len(names) + 1)
    far.objects.clear()
    assert set(bucket.versions()) == {f"originals/{OWNER}"}


@pytest.mark.parametrize("versions", [False, True])
def test_an_expunge_reaches_the_bucket(far, bucket, making, versions):
    if versions:
        bucket.keep_versions()
        bucket.put(key(far, making.record(2)), making.record(2).data)  # another version of the same
        bucket.delete(key(far, making.record(3)))  # hides it, and keeps it
    before = len(bucket.versions())
    far.expunge("P0001")
    assert len(bucket.versions()) == before - (4 if versions else 2)
    assert all(check.passed is not False for check in proving.prove(far, 2))
    assert not {key(far, making.record(number)) for number in (2, 3)} & set(bucket.versions())


@pytest.mark.plain
def test_a_server_without_versions(far, bucket, making, monkeypatch):
    real = buckets.BucketStore._ask

    def ask(store, what, **how):
        if what == "list_object_versions":
            answer = {"Error": {"Code": "NotImplemented", "Message": "no versions"}}
            raise OSError("[Errno 5] no versions") from ClientError(answer, what)
        return real(store, what, **how)

    monkeypatch.setattr(buckets.BucketStore, "_ask", ask)
    monkeypatch.setattr(buckets, "PAGE", 5)
    far.expunge("P0001")
    assert far.verify() == []
    assert len(bucket.names()) == 11
    assert key(far, making.record(2)) not in bucket.names()


@pytest.mark.plain
def test_what_is_wrong_in_the_bucket_is_found_and_repaired(far, bucket, making, tmp_path):
    altered, missing, hidden = map(making.record, (0, 4, 6))
    bucket.keep_versions()
    bucket.put(key(far, altered), b"x")
    bucket.put("originals/notes.txt", b"x")
    bucket.put("originals/ab/" + "c" * 62, b"x")
    bucket.delete(key(far, hidden))
    far.objects.remove([missing.sha256])
    place = f"{bucket.url}/originals"
    wrong = {("original", "photo 1 (P0000)"), ("original", "photo 5 (P0002)"), ("original", "photo 7 (P0003)")}
    strays = {("stray", f"{place}/notes.txt"), ("stray", f"{place}/ab/{'c' * 62}")}
    assert set(subjects(far)) == wrong | strays
    for number, record in enumerate((altered, missing, hidden)):
        (tmp_path / f"{number}.jpg").write_bytes(record.data)
    done = repairing.repair(far, source=tmp_path)
    assert {(problem.kind, problem.subject) for problem in done} == wrong
    assert set(subjects(far)) == strays, "what is not the gallery's is for others to delete"


@pytest.mark.plain
def test_a_place_that_is_another_gallerys_is_named(far, bucket):
    bucket.put(f"originals/{OWNER}", b"f00d\n")
    assert subjects(far) == [("originals", f"{bucket.url}/originals")]
    bucket.delete(f"originals/{OWNER}")
    assert subjects(far) == [("originals", f"{bucket.url}/originals")]


def test_two_galleries_never_share_a_place(far, bucket, tmp_path, making):
    with Gallery(tmp_path / "second", create=True) as second:
        second.enroll([making.record(20)])
        with pytest.raises(GalleryError, match="holds files, "):
            originals.move(second, f"{bucket.url}/originals")
        for place in (f"{bucket.url}/empty", f"file://{tmp_path}/empty"):
            with Gallery(tmp_path / "third", create=True) as third:
                originals.move(third, place)
                with pytest.raises(GalleryError, match="the place of another gallery"):
                    originals.move(second, place)
                originals.move(third, None)
        assert second.verify() == []
        assert originals.status(second).place == str(second.home / "objects")


def test_whoever_opened_the_gallery_before_cannot_write(far, bucket, making):
    with Gallery(far.folder) as early:
        originals.move(far, None)
        with pytest.raises(GalleryError, match="were moved: open it again"):
            early.enroll([making.record(30)])
        with pytest.raises(GalleryError, match="is missing"):
            early.photo_bytes(1)
    assert far.verify() == []


def test_a_text_is_found_in_the_bucket_in_older_versions_too(far, bucket):
    (check,) = [one for one in proving.prove(far, 1, traces=Traces.of(("Änne",))) if one.name == "search"]
    assert check.passed is not False
    bucket.keep_versions()
    name = f"originals/{next(far.objects.names())}"
    before = bucket.get(name)
    bucket.put(name, "... Änne ...".encode())
    bucket.put(name, before)
    (check,) = [one for one in proving.prove(far, 1, traces=Traces.of(("Änne",))) if one.name == "search"]
    assert check.passed is False
    assert name.removeprefix("originals/") in check.said


@pytest.mark.plain
def test_an_encrypted_gallery_shows_nothing_to_the_bucket(tmp_path, bucket, making):
    encrypting.create(tmp_path / "sealed", KEY)
    with Gallery(tmp_path / "sealed", key=KEY) as gallery:
        gallery.enroll([making.record(0)])
        originals.move(gallery, bucket.url)
        gallery.enroll([making.record(1)])
        assert gallery.verify() == []
        assert gallery.photo_bytes(1) == making.record(0).data
    names = [name for name in bucket.names() if name != OWNER]
    assert len(names) == 2
    assert all(is_original(name) for name in names)
    for number, name in itertools.product(range(2), names):
        assert making.record(number).sha256[:16] not in name.replace("/", "")
        assert making.record(number).data[40:80] not in bucket.get(name)


@pytest.mark.plain
def test_a_gallery_is_encrypted_with_its_originals_at_home(far):
    with pytest.raises(UsageError, match="gallery originals --folder"):
        encrypting.encrypt(far, KEY)
    originals.move(far, None)
    encrypting.encrypt(far, KEY)


def test_another_folder(enrolled, tmp_path, making):
    away = tmp_path / "archive" / "originals"
    originals.move(enrolled, f"file://{away}")
    enrolled.enroll([making.record(12)])
    assert local(enrolled) == []
    assert len([path for path in away.rglob("*") if path.is_file()]) == 14
    assert all(path.stat().st_mode & 0o077 == 0 for path in away.rglob("*"))
    assert enrolled.verify() == []
    (away / "notes.txt").write_text("Änne")
    assert ("stray", f"{away}/notes.txt") in subjects(enrolled)
    (check,) = [one for one in proving.prove(enrolled, 1, traces=Traces.of(("Änne",))) if one.name == "search"]
    assert check.passed is False


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("gs://bucket/a", "expected s3://"),
        ("http://x/a", "expected s3://"),
        ("/archive", "expected s3://"),
        ("s3://a/../b", "expected a plain URL"),
    ],
)
def test_other_places_are_refused(gallery, url, reason):
    with pytest.raises(UsageError, match=reason):
        originals.move(gallery, url)


def test_no_place_within_a_place(far, bucket, tmp_path, making):
    """What is below a place is looked at as its own: verified, and once emptied."""
    with Gallery(tmp_path / "second", create=True) as second:
        second.enroll([making.record(20)])
        (tmp_path / "link").symlink_to(second.folder)
        for url in (f"{bucket.url}/originals/x/y", f"file://{second.folder}/x", f"file://{tmp_path}/link/x"):
            with pytest.raises(GalleryError, match="lies within a gallery's place"):
                originals.move(second, url)
        originals.move(second, f"file://{tmp_path}/archive")
        with pytest.raises(GalleryError, match="lies within a gallery's place"):
            originals.move(far, f"file://{tmp_path}/archive/x")
        assert far.verify() == second.verify() == []


def test_only_administrators_move_originals(gallery, bucket, making):
    users.add(gallery, "chief", Role.ADMINISTRATOR, "a long password")
    gallery.sign_in("chief", "a long password")
    users.add(gallery, "clerk", Role.ANALYST, "a long password")
    gallery.sign_in("clerk", "a long password")
    with pytest.raises(RightsError):
        originals.move(gallery, bucket.url)


def test_the_command(tmp_path, bucket, making):
    def run(*arguments):
        return CliRunner().invoke(group, ["originals", *arguments, "--gallery", str(tmp_path / "gallery")])

    made = run(f"{bucket.url}/originals")
    assert made.exit_code == 0, made.output
    assert f"The originals of 0 photos lie in {bucket.url}/originals." in made.output
    with Gallery(tmp_path / "gallery") as gallery:
        gallery.enroll([making.record(0)])
    assert json.loads(run("--json").stdout) == {"place": f"{bucket.url}/originals", "photos": 1, "left": None}
    assert isinstance(run("--folder", bucket.url).exception, UsageError)
    assert f"lie in {tmp_path}/gallery/objects." in run("--folder").output.replace("sealed/", "")
    assert isinstance(run("s3://no-such-bucket/x").exception, GalleryError)
