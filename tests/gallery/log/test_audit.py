"""The log: every act in it, in one transaction with the act, and no change of it unseen."""

import hashlib
import json
from datetime import date, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import text

from forensic.errors import DataError, GalleryError, NotFound
from forensic.gallery import Gallery
from forensic.gallery.log import audit, trail
from forensic.gallery.log.audit import Head
from forensic.gallery.records import Choice


def acts(gallery: Gallery) -> list[str]:
    return [entry["action"] for entry in reversed(trail.entries(gallery))]


def rows(gallery: Gallery):
    with gallery.engine.connect() as connection:
        return connection.execute(text("SELECT number, entry, hash, signature FROM audit ORDER BY number")).all()


def run(gallery: Gallery, statement: str, **values: object) -> None:
    with gallery.engine.begin() as connection:
        connection.execute(text(statement), values)


@pytest.fixture
def busy(gallery, making):
    """A gallery in which something was done."""
    gallery.enroll([making.record(number) for number in range(6)])
    gallery.update("P0000", {"name": "Anna"})
    gallery.update_photo(1, {"source": "prison"})
    gallery.view("P0001")
    gallery.expunge("P0002")
    return gallery


def test_every_act_is_in_the_log(busy, making):
    space = making.space("other")
    busy.add_templates(space, {1: making.template("a", space)})
    busy.expunge_photo(2)
    expected = ["begin", "enroll", "update", "update", "view", "expunge", "templates", "expunge"]
    assert acts(busy) == expected
    assert [len(entry["details"].get("photos", ())) for entry in reversed(trail.entries(busy))] == [
        *(0, 6, 0, 0, 0, 2, 1, 1)
    ]
    assert acts(busy) == expected  # looking at the log is no act of its own
    assert trail.entries(busy, action="view", limit=1)[0]["details"] == {"person": 2}


def test_a_log_that_was_signed_anew_with_another_key_is_told_by_an_exported_head(busy):
    """Hashes and chain stay as they are: nothing within the gallery shows it."""
    head, key = trail.export_head(busy), Ed25519PrivateKey.generate()
    for number, _, digest, _ in rows(busy):
        signature = key.sign(audit.DOMAIN + digest.encode()).hex()
        run(busy, "UPDATE audit SET signature = :signature WHERE number = :number", signature=signature, number=number)
    run(busy, "UPDATE identity SET public_key = :key", key=key.public_key().public_bytes_raw().hex())
    assert trail.verify(busy)[0] == []
    (problem,) = trail.verify(busy, head)[0]
    assert "this one's identity was replaced" in problem.message


@pytest.mark.parametrize(
    ("row", "identity", "previous", "fault"),
    [
        ({}, {}, None, ""),
        ({"entry": "[]"}, {}, None, "is no entry"),
        ({"hash": "0" * 64}, {}, None, "was altered: its hash is another one"),
        ({"signature": "0" * 128}, {}, None, "was altered: its signature is wrong"),
        ({"number": 2}, {}, None, "was moved: it was written as 3"),
        ({}, {}, "0" * 64, "does not follow the one before it"),
        ({}, {"gallery": "another"}, None, "is of another gallery"),
    ],
)
def test_each_fault_of_an_entry_by_itself_is_told(busy, row, identity, previous, fault):
    """An export of a case lacks most neighbours, so that the chain alone does not tell."""
    line = audit.Line(*rows(busy)[2])._replace(**row)
    head = trail.export_head(busy)._replace(**identity)
    assert audit.fault_of(line, audit.read(line.entry), head, previous) == fault


def test_the_chain_is_what_a_stranger_would_compute(busy):
    """Oracle: hashlib, json and cryptography alone, from the rows."""
    previous, head = "0" * 64, trail.export_head(busy)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head.public_key))
    for place, (number, entry, digest, signature) in enumerate(rows(busy), 1):
        stated = json.loads(entry)
        assert entry == json.dumps(stated, sort_keys=True, separators=(",", ":"))
        assert (number, stated["number"], stated["previous"]) == (place, place, previous)
        assert hashlib.sha256(entry.encode()).hexdigest() == digest
        key.verify(bytes.fromhex(signature), b"forensic audit 1\n" + digest.encode())
        previous = digest
    assert head.hash == previous
    assert busy.verify(head) == []


def test_a_log_that_was_removed_is_not_begun_again(busy, making):
    """Whoever can write the database must not get the program to sign another history."""
    run(busy, "DELETE FROM audit")
    run(busy, "DELETE FROM identity")
    busy.close()
    with Gallery(busy.folder) as gallery:
        assert "log" in [problem.subject for problem in gallery.verify()]
        with pytest.raises(GalleryError, match="audit log was removed"):
            gallery.enroll([making.record(50)])
        assert rows(gallery) == []


@pytest.mark.parametrize("text_", ["x", "[]", "5", '{"details": 5}', "null"])
def test_what_is_no_entry_is_named_and_not_stumbled_over(busy, text_):
    run(busy, "UPDATE audit SET entry = :t WHERE number = 3", t=text_)
    assert "entry 3" in [problem.subject for problem in busy.verify()]
    assert len(trail.entries(busy)) == 5


def test_a_photo_that_was_given_to_somebody_else_is_found(busy):
    run(busy, "UPDATE photos SET person_id = 2 WHERE id = 1")
    assert [problem.subject for problem in busy.verify()] == ["photo 1"]


def test_the_log_follows_merges_and_splits(busy):
    busy.merge("P0000", "P0001")
    busy.split("P0000", [1, 3], "P0009")
    busy.expunge_photo(3)
    assert busy.verify() == []


def test_an_act_that_fails_is_not_in_the_log(busy):
    before = rows(busy)
    with pytest.raises(GalleryError):
        busy.update("P0000", {"name": "B"}, rename="P0001")
    with pytest.raises(GalleryError):
        busy.expunge("P0000", "nobody")
    assert rows(busy) == before


def test_an_act_that_cannot_be_logged_is_not_done(busy, making):
    key = busy.home / "audit.key"
    kept = key.read_bytes()
    busy.close()
    for content in (None, b"short", bytes(32)):
        key.unlink(missing_ok=True)
        if content is not None:
            key.write_bytes(content)
        with Gallery(busy.folder) as gallery:
            before = gallery.digest()
            for act in (lambda: gallery.update("P0000", {"name": "B"}), lambda: gallery.expunge("P0000")):
                with pytest.raises(GalleryError, match="nothing can be recorded or done"):
                    act()
            with pytest.raises(GalleryError, match="nothing can be recorded or done"):
                gallery.enroll([making.record(50)])
            assert gallery.digest() == before
    key.write_bytes(kept)
    with Gallery(busy.folder) as gallery:
        assert gallery.enroll([making.record(50)])[0].status == "enrolled"
        key.chmod(0o600)
        assert gallery.verify() == []


def test_the_key_may_lie_elsewhere(tmp_path, making, monkeypatch):
    monkeypatch.setenv(audit.KEY_VARIABLE, str(tmp_path / "elsewhere.key"))
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        gallery.enroll([making.record(0)])
        assert not (gallery.home / "audit.key").exists()
        assert gallery.verify() == []


TAMPERING = {
    "UPDATE audit SET entry = replace(entry, 'Anna', 'Ann') || ' ' WHERE number = 3": "entry 3",
    "UPDATE audit SET entry = replace(entry, '\"enroll\"', '\"update\"') WHERE number = 2": "entry 2",
    "UPDATE audit SET signature = replace(signature, substr(signature, 1, 1), 'z') WHERE number = 4": "entry 4",
    "DELETE FROM audit WHERE number = 3": "entry 3",
    "DELETE FROM audit WHERE number = 1": "entry 1",
    "DELETE FROM audit": "entry 1",
    "UPDATE audit SET number = 99 WHERE number = 4": "entry 4",
    "DELETE FROM identity": "log",
    "DELETE FROM photos WHERE id = 3": "photo 3",
}


@pytest.mark.parametrize("statement", TAMPERING)
def test_tampering_is_found_and_named(busy, statement):
    run(busy, statement)
    assert TAMPERING[statement] in [problem.subject for problem in busy.verify()]


def test_two_entries_that_change_places_are_found(busy):
    swapped = {row.number: row for row in rows(busy)}
    for number, other in ((3, 4), (4, 3)):
        row = swapped[other]
        run(
            busy,
            "UPDATE audit SET entry = :e, hash = :h, signature = :s WHERE number = :n",
            e=row.entry,
            h=row.hash,
            s=row.signature,
            n=number,
        )
    assert {"entry 3", "entry 4"} <= {problem.subject for problem in busy.verify()}


def test_a_cut_tail_shows_against_an_exported_head_alone(busy, tmp_path):
    head = trail.export_head(busy)
    busy.view("P0000")
    assert busy.verify(head) == []
    run(busy, "DELETE FROM audit WHERE number >= :n", n=head.number)
    assert busy.verify() == []
    (problem,) = busy.verify(head)
    assert (problem.kind, problem.subject) == ("audit", f"entry {head.number}")
    assert "cut" in problem.message


def test_a_log_written_anew_shows_against_an_exported_head(busy):
    """Whoever holds the key can write another history; the chain is sound then."""
    head = trail.export_head(busy)
    run(busy, "DELETE FROM audit WHERE number >= 3")
    busy.view("P0000")
    busy.view("P0000")
    for _ in range(5):
        busy.view("P0001")
    subjects = [problem.subject for problem in busy.verify(head)]
    assert f"entry {head.number}" in subjects


def test_a_head_of_another_gallery_is_refused(busy, tmp_path, making):
    with Gallery(tmp_path / "other", create=True) as other:
        assert [problem.subject for problem in busy.verify(trail.export_head(other))] == ["head"]


def test_an_exported_head_is_checked_when_it_is_read(busy, tmp_path):
    head, file = trail.export_head(busy), tmp_path / "head.json"
    file.write_text(json.dumps(head._asdict()))
    assert Head.read(file) == head
    for content in ("", "[]", "{}", json.dumps(head._asdict() | {"hash": "0" * 64}), json.dumps({"number": 1})):
        file.write_text(content)
        with pytest.raises(DataError, match=r"head\.json"):
            Head.read(file)
    with pytest.raises(DataError):
        Head.read(tmp_path / "missing.json")


def test_a_gallery_and_its_log_begin_together_or_not_at_all(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(audit.Signer, "begin", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(GalleryError, match="No space"):
            Gallery(tmp_path / "gallery", create=True)
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        assert gallery.verify() == []


def test_looking_through_people_is_on_record(gallery, making):
    gallery.enroll([making.record(number) for number in range(4)])
    assert [person.label for person in gallery.look_through({"sex": "M"})] == ["P0001"]
    (entry,) = trail.entries(gallery, limit=1)
    assert (entry["action"], entry["details"]) == ("list", {"people": [2]})


def test_who_only_tells_that_there_are_more_is_not_on_record(gallery, making):
    gallery.enroll([making.record(number) for number in range(8)])
    found = gallery.look_through({}, limit=2, offset=1, beyond=1)
    assert [person.id for person in found] == [2, 3, 4]
    assert trail.entries(gallery, limit=1)[0]["details"] == {"people": [2, 3]}
    assert len(gallery.look_through({}, limit=4, beyond=1)) == 4
    assert trail.entries(gallery, limit=1)[0]["details"] == {"people": [1, 2, 3, 4]}


def test_entries_are_chosen_as_a_reader_of_all_would(busy):
    every = trail.entries(busy)
    days = {entry["at"][:10] for entry in every}
    today = date.fromisoformat(max(days))
    assert len({entry["action"] for entry in every}) > 3
    for choice in (
        Choice(action="enroll"),
        Choice(action="enrol_"),
        Choice(operator=every[0]["operator"]),
        Choice(operator="forensic", action="begin"),
        Choice(before=3),
        Choice(since=today),
        Choice(until=today - timedelta(days=9)),
    ):
        expected = [
            entry
            for entry in every
            if choice.action in (None, entry["action"])
            and choice.operator in (None, entry["operator"])
            and (choice.before is None or entry["number"] < choice.before)
            and (choice.since is None or entry["at"][:10] >= str(choice.since))
            and (choice.until is None or entry["at"][:10] <= str(choice.until))
        ]
        assert trail.entries(busy, choice=choice) == expected
        assert trail.entries(busy, choice=choice, limit=1) == expected[:1]


def test_one_entry_is_checked_by_itself(busy):
    every = trail.entries(busy)
    for entry in every:
        shown = trail.entry(busy, entry["number"])
        assert (shown.entry, shown.fault) == (entry, "")
    with busy.engine.begin() as connection:
        connection.execute(text("UPDATE audit SET hash = :hash WHERE number = 2"), {"hash": "0" * 64})
    assert "was altered" in trail.entry(busy, 2).fault
    assert "does not follow" in trail.entry(busy, 3).fault
    with pytest.raises(NotFound, match="no entry 99999"):
        trail.entry(busy, 99999)


def test_an_update_names_known_fields_and_counts_own_columns(gallery, making):
    """A column of the agency's own may be called after the person who has it."""
    gallery.enroll([making.record(0)])
    gallery.update("P0000", {"Birth year": "1970", "alias Zorro": "yes", "eyes": ""})
    gallery.update_photo(gallery.photos("P0000")[0].id, {"Source": "web"})
    photo, person = (entry["details"] for entry in trail.entries(gallery, action="update"))
    assert (person["fields"], person["own_columns"]) == (["birth_year"], 2)
    assert (photo["fields"], photo["own_columns"]) == (["source"], 0)
    gallery.expunge("P0000")
    assert not any("zorro" in str(entry).lower() for entry in trail.entries(gallery))
