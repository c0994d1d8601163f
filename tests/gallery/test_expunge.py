"""An expunged person leaves no trace in any file of the folder."""

import dataclasses
import random

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from forensic.commands.expunge import expunge as group
from forensic.errors import Changed, GalleryError, UsageError
from forensic.gallery import Gallery, database
from forensic.gallery.checks import proving
from forensic.gallery.models import Person, Photo
from forensic.gallery.people import find
from forensic.gallery.records import Shown
from forensic.gallery.templates import chunks, segment_file

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def everything(gallery: Gallery) -> bytes:
    """All bytes of all files in the folder, with the files' names."""
    paths = sorted(gallery.folder.rglob("*"))
    return b"\n".join(str(path).encode() + b"\n" + path.read_bytes() for path in paths if path.is_file())


def person(making, rng: random.Random, number: int):
    """Photos of one person, and everything that can tell who it is."""

    def word() -> str:
        return "".join(rng.choices(LETTERS, k=20))

    label, name, case, eyes, file, source = (word() for _ in range(6))
    metadata = {"name": name, "case_reference": case, "eyes": eyes * rng.randint(1, 40), "source": source}
    records = [
        making.record(number, person=label, file_name=f"{file}.png", metadata=metadata, data=rng.randbytes(3000))
        for _ in range(rng.randint(1, 3))
    ]
    marks = [mark.encode() for mark in (label, name, case, eyes, file, source)]
    for record in records:
        marks += [record.sha256.encode(), record.sha256[2:].encode(), record.data[100:160]]
        marks += [vector.tobytes() for vector in record.templates.values()]
    return label, records, marks


@pytest.mark.sqlite("the files of a server are elsewhere: see test_postgresql.py")
@pytest.mark.plain
@pytest.mark.parametrize("seed", range(3))
def test_no_trace_is_left(gallery, making, seed):
    rng = random.Random(seed)
    people = [person(making, rng, number) for number in range(40)]
    for _, records, _ in people:
        gallery.enroll(records)
    for label, _, _ in rng.sample(people, 20):  # rows that grow and shrink move about in the pages
        gallery.update(label, {"notes": "x" * rng.randint(0, 3000)})
        gallery.update(label, {"notes": ""})
    rng.shuffle(people)
    gone, kept = people[:14], people[14:]
    revision = gallery.revision(making.space().digest)
    vectors = gallery.templates(making.space().digest).vectors
    assert gallery.save_index("index", vectors.tobytes(), space=making.space().digest, revision=revision)
    before = everything(gallery)
    assert all(mark in before for _, _, marks in people for mark in marks)
    hashes = gallery.expunge(*(label for label, _, _ in gone))
    assert hashes == sorted(record.sha256 for _, records, _ in gone for record in records)
    left = everything(gallery)
    assert not [mark for _, _, marks in gone for mark in marks if mark in left]
    assert all(mark in left for _, _, marks in kept for mark in marks)
    assert gallery.verify() == []
    assert set(gallery.templates(making.space().digest).people) == {label for label, _, _ in kept}
    gallery.close()
    assert not [mark for _, _, marks in gone for mark in marks if mark in everything(gallery)]


@pytest.mark.sqlite("pages and their gaps are SQLite's")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.plain
def test_copies_in_the_gaps_of_pages_are_wiped_too(gallery, seed):
    """secure_delete alone leaves some: SQLite moves rows between pages, and what stood there stays in the gap."""
    rng = random.Random(seed)
    labels = ["".join(rng.choices(LETTERS, k=24)) for _ in range(300)]
    for some in chunks(labels, 20):
        with gallery.writing() as session:
            session.add_all(
                Person(label=label, name=f"N{label}", extra={"a": label * rng.randint(1, 19)}) for label in some
            )
    with gallery.writing() as session:
        for label in rng.sample(labels, 50):
            find(session, label).extra = {"b": label * rng.randint(1, 29)}
    gone = rng.sample(labels, 20)
    gallery.expunge(*gone)
    left = everything(gallery)
    assert not [label for label in gone if label.encode() in left]
    assert all(label.encode() in left for label in set(labels) - set(gone))


@pytest.mark.sqlite("the files of a server are elsewhere")
def test_one_photo_and_then_the_last(gallery, making):
    gallery.enroll([making.record(0), making.record(1)])
    first, second = gallery.photos("P0000")
    assert gallery.expunge_photo(first.id) == [first.sha256]
    assert gallery.person("P0000").photo_count == 1
    assert first.sha256.encode() not in everything(gallery)
    assert gallery.expunge_photo(second.id) == [second.sha256]
    assert gallery.people() == []
    left = everything(gallery)
    assert b"P0000" not in left
    assert b"Name 0" not in left
    assert gallery.verify() == []


@pytest.mark.parametrize("whole", [False, True])
def test_whoever_holds_an_index_with_the_photo_learns_that_it_is_stale(gallery, making, whole):
    gallery.enroll([making.record(number) for number in range(4)])
    space = making.space().digest
    revision, (number, segment) = gallery.revision(space), *gallery.segments(space).items()
    name = segment_file(space, number, segment)
    assert gallery.save_index(name, b"index", space=space, revision=revision)
    if whole:
        gallery.expunge("P0000")
    else:
        gallery.expunge_photo(gallery.photos("P0000")[0].id)
    assert gallery.revision(space) > revision
    assert gallery.segments(space)[number] > segment
    assert gallery.load_index(name) is None
    assert not (gallery.index_folder / name).exists()


def test_all_or_none(gallery, making):
    gallery.enroll([making.record(0)])
    with pytest.raises(GalleryError, match="No person 'nobody'"):
        gallery.expunge("P0000", "nobody")
    assert gallery.size() == (1, 1)


@pytest.mark.sqlite("looks into SQLite's files: see test_postgresql.py")
@pytest.mark.plain
def test_a_reader_holds_traces_back_and_the_next_use_wipes_them(tmp_path, making, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    mark = making.record(0).templates[making.space()].tobytes()
    with Gallery(tmp_path / "gallery", create=True) as gallery, Gallery(gallery.folder) as other:
        gallery.enroll([making.record(0), making.record(2)])
        with other.reading() as session:
            session.scalars(select(Photo)).all()
            with pytest.raises(GalleryError, match=r"out of the gallery, .*another process is reading"):
                gallery.expunge("P0000")
            assert gallery.size() == (1, 1)
            assert mark in everything(gallery)
            gallery.enroll([making.record(0)])  # enrolled again while the removal waits
            assert gallery.verify() == []
        assert gallery.expunge("P0000")
        assert mark not in everything(gallery)
        assert gallery.verify() == []


@pytest.mark.plain
@pytest.mark.sqlite("PostgreSQL rewrites nothing that somebody reads: see test_postgresql.py")
def test_while_a_reader_blocks_nothing_is_rewritten_twice(tmp_path, making, monkeypatch):
    calls = []
    real = database.scrub

    def scrub(engine, **how):
        calls.append(how["vacuum"])
        return real(engine, **how)

    monkeypatch.setattr(database, "scrub", scrub)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    marks = [making.record(number).templates[making.space()].tobytes() for number in (0, 2)]
    with Gallery(tmp_path / "gallery", create=True) as gallery, Gallery(gallery.folder) as other:
        gallery.enroll([making.record(number) for number in (0, 2, 4)])
        with other.reading() as session:
            session.scalars(select(Photo)).all()
            with pytest.raises(GalleryError, match="another process is reading"):
                gallery.expunge("P0000")
            assert calls == [True]
            for _ in range(3):
                gallery.update("P0002", {"name": "x"})
            assert calls == [True, False, False, False]
            with pytest.raises(GalleryError, match="another process is reading"):
                gallery.expunge("P0001")
            assert calls[4:] == [False, True]  # another one has gone: once more
            assert all(mark in everything(gallery) for mark in marks)
        gallery.update("P0002", {"name": "y"})
        assert calls[6:] == [False, False]
        assert not [mark for mark in marks if mark in everything(gallery)]
        assert gallery.verify() == []


def test_an_expunged_photo_can_be_enrolled_again(gallery, making):
    gallery.enroll([making.record(0)])
    before = gallery.digest()
    gallery.expunge("P0000")
    assert gallery.enroll([making.record(0)])[0].status == "enrolled"
    assert gallery.digest() == before
    assert gallery.photo_bytes(gallery.photos()[0]) == making.record(0).data


def test_the_label_is_free_again(gallery, making):
    gallery.enroll([making.record(0)])
    gallery.expunge("P0000")
    gallery.enroll([dataclasses.replace(making.record(5), person="P0000", metadata={})])
    assert gallery.person("P0000").name is None


def test_a_reason_stays_in_the_log_and_names_nobody(gallery, making):
    gallery.enroll([making.record(1, person="A-17", metadata={"name": "Ann Other"}), making.record(2, person="B")])
    for reason in ("asked for by A-17", "ANN OTHER's order", "x" * 501):
        with pytest.raises(UsageError, match=r"names the person|at most 500"):
            gallery.expunge("A-17", reason=reason)
    assert gallery.size().people == 2
    gallery.expunge("A-17", reason=" order  4 Gs 9/26, A-170 ")  # another word than the label
    photo = gallery.photos("B")[0]
    gallery.expunge_photo(photo.id)
    assert [stone.reason for stone in proving.tombstones(gallery)] == ["", "order 4 Gs 9/26, A-170"]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("王小明", "关于王小明的命令"),
        ("田中太郎", "田中太郎の請求により"),
        ("สมชาย ใจดี", "ตามคำสั่งให้ลบสมชาย ใจดีออก"),
        ("김철수", "김철수의 요청"),
        ("José", "order for Jose\u0301"),
        ("Jose\u0301", "order for José"),
        ("Weiß", "the order on WEISS"),
        ("STRASSER", "Straßer's file"),
        ("Anna  Berg", "Anna Berg asked"),
        ("Anna\u00a0Berg", "Anna Berg asked"),
        ("Anna Berg", "ANNA\u00a0 BERG asked"),
        ("Anna", "Ａｎｎａ asked"),
        ("Anna", "An\u00adna asked"),
        ("A-17", "文A-17号"),
        ("ΟΔΥΣΣΕΥΣ", "για τον Οδυσσευς"),
    ],
)
def test_a_reason_names_nobody_in_any_script(gallery, making, label, reason):
    gallery.enroll([making.record(1, person="P1", metadata={"name": label}), making.record(2, person=label)])
    for one in ("P1", label):
        with pytest.raises(UsageError, match="names the person"):
            gallery.expunge(one, reason=reason)
    with pytest.raises(UsageError, match="names the person"):
        gallery.expunge_photo(gallery.photos("P1")[0].id, reason=reason)
    assert gallery.size().people == 2


@pytest.mark.parametrize(
    ("label", "reason"),
    [("Ann", "Anna's order"), ("Ann", "Joann's order"), ("17", "order 170 of 2017"), ("王小明", "关于王小红的命令")],
)
def test_another_name_is_no_mention(gallery, making, label, reason):
    gallery.enroll([making.record(1, person=label, metadata={})])
    gallery.expunge(label, reason=f"  {reason}  ")
    assert [stone.reason for stone in proving.tombstones(gallery)] == [reason]


def shown(gallery: Gallery, label: str) -> Shown:
    return Shown(label, gallery.person(label).id, frozenset(photo.id for photo in gallery.photos(label)))


def swap(gallery: Gallery, one: str, other: str) -> None:
    """Give each of two people the other's label, as another process would."""
    with Gallery(gallery.folder) as another:
        for label, new in ((one, "between"), (other, one), ("between", other)):
            another.update(label, {}, rename=new)


def test_nobody_goes_who_was_not_shown(gallery, making):
    gallery.enroll([making.record(number) for number in range(8)])
    asked = [shown(gallery, label) for label in ("P0000", "P0001")]
    swap(gallery, "P0001", "P0002")
    with pytest.raises(Changed, match=r"'P0001' was changed since it was shown .*: look at it again"):
        gallery.expunge(*asked)
    gallery.expunge("P0003")
    with pytest.raises(Changed, match="another label now, or is gone"):
        gallery.expunge(Shown("P0003", 4))
    assert [person.label for person in gallery.people()] == ["P0000", "P0001", "P0002"]
    assert len(gallery.expunge(asked[0])) == 2


def test_no_photo_goes_that_was_not_shown(gallery, making):
    gallery.enroll([making.record(number) for number in range(4)])
    asked = shown(gallery, "P0000")
    gallery.merge("P0000", "P0001")
    with pytest.raises(Changed, match="the photos are not the same"):
        gallery.expunge(asked)
    assert gallery.size() == (1, 4)
    assert len(gallery.expunge(asked._replace(photos=None))) == 4  # whatever photos there are


def test_a_photo_goes_from_whom_it_was_shown(gallery, making):
    """It is the last one of neither, before and after."""
    gallery.enroll([making.record(number) for number in range(4)])
    owner, photo = gallery.person("P0000").id, gallery.photos("P0000")[0].id
    gallery.split("P0000", [photo], "X")
    gallery.merge("P0001", "X")
    with pytest.raises(Changed, match="another one's"):
        gallery.expunge_photo(photo, owner=owner, last=False)
    assert gallery.size().photos == 4


@pytest.mark.parametrize("by_command", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_photo_is_the_last_one_where_it_was_told_so(gallery, making, monkeypatch, last, by_command):
    gallery.enroll([making.record(0), making.record(1), making.record(2)])
    photo, *_ = gallery.photos("P0001" if last else "P0000")

    def answer(question):
        assert ("It is the last one" in question) is last
        if last:
            gallery.merge("P0001", "P0000")
        else:
            gallery.split("P0000", [photo.id], "P0002")
        return True

    if by_command:
        monkeypatch.setattr("forensic.commands.expunge.sure", answer)
        refused = CliRunner().invoke(group, ["photo", str(photo.id), "--gallery", str(gallery.folder)]).exception
    else:
        answer("It is the last one." if last else "")
        with pytest.raises(Changed) as raised:
            gallery.expunge_photo(photo.id, last=last)
        refused = raised.value
    assert isinstance(refused, Changed)
    assert ("no longer the last one" if last else "another one's" if by_command else "the last one now") in str(refused)
    assert gallery.size().photos == 3
    assert gallery.verify() == []
    gallery.expunge_photo(photo.id, last=not last)
    assert gallery.size() == (2 - last, 2)


@pytest.mark.parametrize("how", ["swap", "merge"])
def test_the_command_removes_whom_it_asked_about(gallery, making, monkeypatch, how):
    gallery.enroll([making.record(number) for number in range(4)])

    def answer(question):
        assert question == "Remove P0000 with 2 photos for good?"
        if how == "swap":
            swap(gallery, "P0000", "P0001")
        else:
            gallery.merge("P0000", "P0001")
        return True

    monkeypatch.setattr("forensic.commands.expunge.sure", answer)
    ran = CliRunner().invoke(group, ["person", "P0000", "--gallery", str(gallery.folder)])
    assert isinstance(ran.exception, Changed)
    assert "Removed" not in ran.output
    assert gallery.size().photos == 4
