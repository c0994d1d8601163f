"""An agency's own cohort: stored whole, never mixed, seen when it changes, gone when it is cleared."""

import hashlib
import json

import alembic.op
import numpy as np
import pytest
import schemas
from sqlalchemy import inspect, select, text

from forensic.errors import GalleryError, UsageError
from forensic.gallery import Gallery, address, database, serving
from forensic.gallery.checks import proving
from forensic.gallery.enrolling import COHORT
from forensic.gallery.log import trail
from forensic.gallery.models import Cohort, CohortSketch


def sketches(numbers, dimension=16, seed=0):
    """SHA-256 of a sketch that never was -> a unit vector that depends on both."""
    found = {}
    for number in numbers:
        vector = np.random.default_rng([seed, number]).standard_normal(dimension)
        found[hashlib.sha256(str(number).encode()).hexdigest()] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def everything(gallery):
    return b"\n".join(path.read_bytes() for path in sorted(gallery.folder.rglob("*")) if path.is_file())


def run(gallery, statement, **values):
    with gallery.engine.begin() as connection:
        connection.execute(text(statement), values)


def take_in(gallery, key, sha256, vector):
    """Put a photo into a cohort, as an earlier version did where the photo was enrolled after that."""
    with gallery.writing() as session:
        row = session.scalars(select(Cohort).where(Cohort.key == key)).one()
        session.add(CohortSketch(cohort_id=row.id, sha256=sha256, vector=vector.astype("<f4").tobytes()))


def test_what_is_added_comes_back_by_hash(gallery):
    first, second = sketches(range(30)), sketches(range(20, 60))
    assert gallery.add_cohort("a" * 16, first, route="direct") == 30
    assert gallery.add_cohort("a" * 16, second, route="direct") == 30
    found = gallery.cohort(iter(["a" * 16, "none"]))
    assert set(found) == {"a" * 16}
    both = first | second
    assert found["a" * 16].dtype == np.float32
    assert np.array_equal(found["a" * 16], np.stack([both[sha256] for sha256 in sorted(both)]))
    found["a" * 16] += 1  # the caller's own
    assert gallery.cohort_size() == {"a" * 16: 60}
    assert [(row.route, row.key, row.dimension) for row in gallery.cohorts()] == [("direct", "a" * 16, 16)]
    assert gallery.in_cohort("a" * 16, [*sketches([59, 60])]) == set(sketches([59]))
    assert gallery.size() == (0, 0)
    assert gallery.verify() == []


def test_models_are_never_mixed(gallery):
    gallery.add_cohort("a", sketches(range(3)), route="direct")
    gallery.add_cohort("b", sketches(range(5), dimension=8), route="direct")
    found = gallery.cohort(["a", "b"])
    assert {key: table.shape for key, table in found.items()} == {"a": (3, 16), "b": (5, 8)}
    assert set(gallery.cohort(["b"])) == {"b"}
    assert gallery.cohort_size() == {"a": 3, "b": 5}
    with pytest.raises(GalleryError, match=r"shape \(8,\).*expected \(16,\)"):
        gallery.add_cohort("a", sketches([9], dimension=8))
    assert gallery.cohort_size() == {"a": 3, "b": 5}


def test_a_template_is_replaced(gallery):
    gallery.add_cohort("a", sketches(range(3)))
    assert gallery.add_cohort("a", sketches(range(3), seed=1)) == 0
    expected = sketches(range(3), seed=1)
    assert np.array_equal(gallery.cohort(["a"])["a"], np.stack([expected[sha256] for sha256 in sorted(expected)]))


def test_what_is_no_template_is_refused_and_nothing_stored(gallery):
    good = sketches([1])
    (sha256,) = sketches([2])
    for vector in (np.ones(16), np.full(16, np.nan), np.zeros(16), np.eye(16)[:1], np.eye(16)[0, :0]):
        for wrong in ({sha256: vector}, good | {sha256: vector}):
            with pytest.raises(GalleryError, match="A template of route 'direct'"):
                gallery.add_cohort("a", wrong, route="direct")
    for name in ("", "A" * 64, "abc", sha256 + "\n"):
        with pytest.raises(GalleryError, match="no SHA-256"):
            gallery.add_cohort("a", {name: good[next(iter(good))]})
    for key in ("", "a" * 129):
        with pytest.raises(GalleryError, match="key"):
            gallery.add_cohort(key, good)
    assert gallery.add_cohort("a", {}) == 0
    assert gallery.cohorts() == []
    assert of_cohorts(gallery) == 0


def of_cohorts(gallery):
    """A number that changes with the cohorts; 0 for none."""
    return gallery.state([])[0]


def test_another_process_sees_every_change(gallery, making):
    seen = []

    def changed():
        with Gallery(gallery.folder) as other:
            seen.append(of_cohorts(other))
        assert of_cohorts(gallery) == seen[-1]
        return len(set(seen)) == len(seen)

    assert changed()
    gallery.add_cohort("a", sketches(range(3)))
    assert changed()
    gallery.add_cohort("a", sketches(range(4)))
    assert changed()
    gallery.add_cohort("b", sketches(range(4)))
    assert changed()
    gallery.add_cohort("a", sketches(range(4), seed=1))
    assert changed()
    gallery.add_cohort("a", sketches(range(4), seed=1))
    gallery.enroll([making.record(0)])
    assert of_cohorts(gallery) == seen[-1]
    gallery.clear_cohort()
    assert of_cohorts(gallery) == 0
    gallery.add_cohort("a", sketches(range(3)))
    assert changed(), "the number of an earlier cohort came back"


@pytest.mark.sqlite("the files of a server are elsewhere")
@pytest.mark.plain
def test_clearing_leaves_no_trace_and_nothing_else_changes(gallery, making):
    gallery.enroll([making.record(number) for number in range(4)])
    before = gallery.digest()
    added = sketches(range(200))
    photo = gallery.photos()[0].sha256
    gallery.add_cohort("a", added, route="direct")
    gallery.add_cohort("b", sketches(range(5), seed=1))
    take_in(gallery, "b", photo, added[next(iter(added))])
    with_cohort = everything(gallery)
    assert all(vector.tobytes() in with_cohort for vector in added.values())
    assert gallery.clear_cohort() == 201
    left = everything(gallery)
    assert not [sha256 for sha256, vector in added.items() if sha256.encode() in left or vector.tobytes() in left]
    assert gallery.cohort(["a", "b"]) == {}
    assert gallery.cohort_size() == {}
    assert gallery.clear_cohort() == 0
    assert gallery.photo_bytes(gallery.photos()[0])
    assert gallery.verify() == []
    assert gallery.digest() == before


def test_expunging_people_leaves_the_cohort(gallery, making):
    gallery.enroll([making.record(0)])
    gallery.add_cohort("a", sketches(range(3)))
    gallery.expunge("P0000")
    assert gallery.cohort_size() == {"a": 3}


@pytest.mark.plain
@pytest.mark.sqlite("the files of a server are elsewhere")
@pytest.mark.parametrize("how", ["person", "photo", "retention"])
def test_a_photo_that_an_earlier_version_took_into_cohorts_leaves_them_with_its_person(gallery, making, how):
    photo, added = making.record(0), sketches(range(3))
    (vector,) = sketches([8]).values()
    gallery.enroll([photo, making.record(2)])
    for key in ("a", "b"):
        gallery.add_cohort(key, added)
    before = gallery.cohort(["a", "b"])
    for key in ("a", "b"):
        take_in(gallery, key, photo.sha256, vector)
    state = of_cohorts(gallery)
    if how == "person":
        gallery.expunge("P0000")
    elif how == "photo":
        gallery.expunge_photo(gallery.photos("P0000")[0].id)
    else:
        gallery.update("P0000", {"keep_until": "2001-01-01"})
        gallery.expunge_due()
    after = gallery.cohort(["a", "b"])
    assert all(np.array_equal(after[key], before[key]) for key in ("a", "b"))
    assert of_cohorts(gallery) > state, "whoever has loaded the cohort has to learn of it"
    (entry,) = trail.entries(gallery, action="expunge")
    assert entry["details"]["cohort"] == 2
    left = everything(gallery)
    assert photo.sha256.encode() not in left
    assert vector.tobytes() not in left
    assert all(check.passed for check in proving.prove(gallery, 1))
    assert gallery.verify() == []


def test_no_file_is_both_a_photo_and_a_sketch_of_the_cohort(gallery, making):
    """Else its template would outlast the person's expunge."""
    photo, other = making.record(0), making.record(2)
    vector = next(iter(sketches([1]).values()))
    gallery.add_cohort("a", {photo.sha256: vector})
    first, second = gallery.enroll([photo, other])
    assert (first.status, first.findings, second.status) == ("refused", (COHORT,), "enrolled")
    assert "forensic cohort clear" in first.message
    with pytest.raises(UsageError, match=f"{other.sha256[:12]}... is enrolled as a photo"):
        gallery.add_cohort("b", sketches([1]) | {other.sha256: vector})
    assert gallery.cohort_size() == {"a": 1}
    gallery.clear_cohort()
    assert gallery.enroll([photo])[0].status == "enrolled"


def test_a_photo_that_an_earlier_version_took_into_both_is_known(gallery, making):
    gallery.enroll([making.record(0)])
    added = sketches([1])
    gallery.add_cohort("a", added)
    take_in(gallery, "a", making.record(0).sha256, *added.values())
    assert gallery.enroll([making.record(0)])[0].status == "already"


def test_the_digest_tells_of_a_cohort_whatever_the_order(tmp_path):
    digests = set()
    for name, numbers in (("one", range(6)), ("two", reversed(range(6)))):
        with Gallery(tmp_path / name, create=True) as gallery:
            empty = gallery.digest()
            for number in numbers:
                gallery.add_cohort("a", sketches([number]))
            digests.add(gallery.digest())
            gallery.add_cohort("a", sketches([0], seed=1))
            assert gallery.digest() not in {empty, *digests}
    assert len(digests) == 1
    assert empty not in digests


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (b"", "of 0 bytes, not 64"),
        (np.full(16, np.nan, "<f4").tobytes(), "length nan"),
        (np.full(16, np.inf, "<f4").tobytes(), "length inf"),
        (np.ones(16, "<f4").tobytes(), "length 4, not 1"),
    ],
)
def test_a_damaged_template_is_found(gallery, vector, message):
    gallery.add_cohort("a", sketches(range(5)), route="direct")
    (sha256,) = sketches([3])
    run(gallery, "UPDATE cohort_sketches SET vector = :v WHERE sha256 = :sha256", v=vector, sha256=sha256)
    (problem,) = gallery.verify()
    assert problem[:2] == ("cohort", f"sketch {sha256[:12]}...")
    assert message in problem.message
    assert "forensic cohort" in problem.message
    if len(vector) != 64:
        with pytest.raises(GalleryError, match="cohort of route 'direct' is damaged"):
            gallery.cohort(["a"])


@pytest.mark.sqlite("foreign keys are switched off by a pragma: see test_postgresql.py")
def test_a_sketch_is_of_a_cohort(gallery):
    gallery.add_cohort("a", sketches(range(2)))
    with gallery.engine.connect() as connection:
        raw = connection.connection.driver_connection
        raw.rollback()
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("DELETE FROM cohorts")
        raw.execute("PRAGMA foreign_keys = ON")
        connection.invalidate()
    assert {problem.kind for problem in gallery.verify()} == {"database"}


LATER = (
    *("decisions", "searches", "sketches", "cases", "users", "audit", "identity", "index_files"),
    *(
        "cohort_sketches",
        "cohorts",
        "distinct_people",
        "backups",
        "backup_keys",
        "segments",
        "engine",
        "engine_debts",
        "originals",
    ),
)


@pytest.fixture
def first_version(tmp_path, making):
    """A gallery as the first version made it, with data in it; and the digest of one of now with the same."""
    records = [making.record(number) for number in range(12)]
    for name in ("old", "new"):
        with Gallery(tmp_path / name, create=True) as gallery:
            gallery.enroll(records)
            digest = gallery.digest()
    engine = database.connect(address.find(tmp_path / "old").url)
    with engine.begin() as connection:
        for table in LATER:
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("ALTER TABLE templates DROP COLUMN seal")
        connection.exec_driver_sql("ALTER TABLE photos DROP COLUMN quality")
        connection.exec_driver_sql("ALTER TABLE people DROP COLUMN keep_until")
        connection.exec_driver_sql("ALTER TABLE loose_objects DROP COLUMN rewritten")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    engine.dispose()
    (tmp_path / "old" / "audit.key").unlink()
    (tmp_path / "old" / "index" / "i").write_bytes(b"index")
    return tmp_path / "old", digest


def stored(folder):
    """The schema's revision, and the names of the tables."""
    engine = database.connect(address.find(folder).url)
    try:
        return database.revision(engine), inspect(engine).get_table_names()
    finally:
        engine.dispose()


@pytest.mark.plain
def test_a_gallery_of_the_first_version_opens_with_all_it_holds(first_version, making):
    folder, digest = first_version
    revision, tables = stored(folder)
    assert revision == "0001"
    assert "people" in tables
    assert not {"cohorts", "cohort_sketches"} & set(tables)
    for _ in range(2):
        with Gallery(folder) as gallery:
            assert gallery.digest() == digest
            assert gallery.verify() == []
            assert gallery.size() == (6, 12)
            assert of_cohorts(gallery) == 0
            assert gallery.revision(making.space().digest) == 1
            assert not (gallery.index_folder / "i").exists()  # nobody vouches for it
    with Gallery(folder) as gallery:
        assert database.revision(gallery.engine) == database.HEAD
        gallery.add_cohort("a", sketches(range(3)))
        gallery.enroll([making.record(20)])
        assert of_cohorts(gallery) == 2
        assert gallery.verify() == []


@pytest.mark.plain
def test_an_upgrade_is_told_and_waits_for_a_server(first_version, caplog):
    folder, digest = first_version
    lock = serving.claim(folder)
    with pytest.raises(GalleryError, match="A server of an older version is serving the gallery"):
        Gallery(folder)
    lock.release()
    with Gallery(folder) as gallery:
        assert gallery.digest() == digest
    (told,) = caplog.messages
    assert told.endswith(f"is brought from schema 0001 to {database.HEAD}: older versions cannot open it any more.")
    caplog.clear()
    Gallery(folder).close()
    assert caplog.messages == []


@pytest.mark.sqlite("compares SQLite's text of the tables")
@pytest.mark.plain
def test_the_migrated_tables_are_those_of_a_new_gallery(first_version, tmp_path):
    with Gallery(first_version[0]) as old, Gallery(tmp_path / "new") as new:
        assert schemas.parts(old.engine) == schemas.parts(new.engine)


@pytest.mark.plain
def test_a_migration_that_fails_leaves_the_gallery_as_it_was(first_version, monkeypatch):
    folder, digest = first_version
    before = stored(folder)
    file = folder / "gallery.db"
    content = file.exists() and file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_table", only_the_first(alembic.op.create_table))
        with pytest.raises(GalleryError, match="No space left"):
            Gallery(folder)
    assert stored(folder) == before
    assert not content or file.read_bytes() == content
    with Gallery(folder) as gallery:
        assert gallery.digest() == digest


def only_the_first(create_table):
    made = []

    def create(name, *columns, **options):
        if made:
            raise OSError(28, "No space left on device")
        made.append(name)
        return create_table(name, *columns, **options)

    return create


def test_an_older_program_does_not_open_it(gallery, monkeypatch):
    gallery.close()
    monkeypatch.setattr(database, "HEAD", "0001")
    with pytest.raises(GalleryError, match="newer version"):
        Gallery(gallery.folder)


def test_keys_and_sizes_are_plain_data(gallery):
    gallery.add_cohort("a", sketches(range(3)))
    assert json.loads(json.dumps([gallery.cohort_size(), of_cohorts(gallery)])) == [{"a": 3}, 1]
