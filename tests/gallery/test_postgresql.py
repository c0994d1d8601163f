"""What only a server can do: other machines' writers and readers, passwords, and the record of where it is."""

import os
import shutil

import pytest
from sqlalchemy import select, text

from forensic.errors import GalleryError
from forensic.gallery import Gallery, address, database, journal
from forensic.gallery.log import trail
from forensic.gallery.models import Person, Photo

LABELS = ("b", "B", "a", "Ä", "ä", "_", "Z", "é", "10", "9", "漢", "😀")


@pytest.fixture
def url(server, tmp_path):
    """The URL of an empty database."""
    return server.make(server_name(tmp_path))


def server_name(path):
    return "own_" + path.name.lower().replace("-", "_")[:40]


@pytest.fixture
def made(url, tmp_path):
    with Gallery(tmp_path / "made", create=True, url=url) as gallery:
        yield gallery


@pytest.fixture
def elsewhere(made, tmp_path):
    """The same gallery from another machine, where the folder's lock is not the same file."""
    folder = shutil.copytree(made.folder, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("lock"))
    with Gallery(folder, patience=0.1) as other:
        yield other


pytestmark = [pytest.mark.postgresql, pytest.mark.sqlite("names its databases itself, and compares them with SQLite's")]


def test_digest_and_order_are_those_of_sqlite(made, tmp_path, making):
    records = [making.record(number, person=label) for number, label in enumerate(LABELS)]
    vector = making.template("x", making.space())
    orders, said = [], []
    with Gallery(tmp_path / "sqlite", create=True) as lite:
        for gallery in (made, lite):
            gallery.enroll(records)
            gallery.update("Ä", {"eyes": 'gr"ey\\', "birth_year": "1980"})
            gallery.add_cohort("k", {"a" * 64: vector})
            gallery.add_cohort("K+", {"b" * 64: vector})
            orders.append([person.label for person in gallery.people()])
            said.append([entry["details"] for entry in trail.entries(gallery)])
        assert orders[0] == orders[1] == sorted(LABELS)
        assert said[0] == said[1]
        assert made.digest() == lite.digest()
    assert made.verify() == []


def test_the_folder_remembers_the_database_without_the_password(made, making):
    record, password = made.folder / "database.url", os.environ["PGPASSWORD"]
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.read_text().startswith("postgresql+psycopg://clerk@127.0.0.1:")
    assert not (made.folder / "gallery.db").exists()
    made.enroll([making.record()])
    with Gallery(made.folder) as again:
        assert again.size() == (1, 1)
    with Gallery(made.folder, create=True, url=made.engine.url.set(password=password).render_as_string(False)) as again:
        assert again.size() == (1, 1)


def test_another_database_than_the_folders_is_refused(made, server, tmp_path):
    other = server.make(server_name(tmp_path) + "_2")
    for create in (True, False):
        with pytest.raises(GalleryError, match=r"has the database postgresql.*leave the URL out"):
            Gallery(made.folder, create=create, url=other)
    Gallery(tmp_path / "sqlite", create=True).close()
    with pytest.raises(GalleryError, match=r"has the database .*gallery.db, not postgresql"):
        Gallery(tmp_path / "sqlite", create=True, url=other)


def test_another_gallerys_database_is_refused(made, tmp_path):
    with pytest.raises(GalleryError, match="is that of a gallery in another folder"):
        Gallery(tmp_path / "second", create=True, url=address.public(made.engine.url))
    assert not (tmp_path / "second" / "database.url").exists()
    with pytest.raises(GalleryError, match="No gallery in"):
        Gallery(tmp_path / "third", url=address.public(made.engine.url))


def test_a_database_that_holds_other_things_is_left_alone(server, url, tmp_path):
    server.run("CREATE TABLE songs (title text)", database=url.rpartition("/")[2])
    with pytest.raises(GalleryError, match="no gallery's database: it has the tables songs"):
        Gallery(tmp_path / "made", create=True, url=url)
    assert not (tmp_path / "made" / "database.url").exists()


def test_a_writer_on_another_machine_waits(made, elsewhere, making):
    with made.writing():
        assert elsewhere.size() == (0, 0)
        with pytest.raises(GalleryError, match="Another process has been writing"):
            elsewhere.enroll([making.record()])
    assert elsewhere.enroll([making.record()])[0].status == "enrolled"


def test_a_writer_who_lost_the_lock_cannot_go_on(made, elsewhere, server, making):
    pid = text(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    )

    def lose_the_lock_and_go_on():
        with made._exclusive():
            with elsewhere.reading() as session:
                server.run(f"SELECT pg_terminate_backend({session.scalars(pid).one()}, 5000)")
            elsewhere.enroll([making.record(2)])
            journal.add(made, {}, lambda session: session.add(Person(label="late", extra={})))

    with pytest.raises(GalleryError, match="See that the server runs"):
        lose_the_lock_and_go_on()
    assert [person.label for person in made.people()] == ["P0001"]
    assert made.enroll([making.record(0)])[0].status == "enrolled"


def test_a_reader_sees_one_state(made, elsewhere, making):
    made.enroll([making.record(0)])
    with elsewhere.reading() as session:
        assert len(session.scalars(select(Person.id)).all()) == 1
        made.enroll([making.record(2)])
        assert len(session.scalars(select(Photo.id)).all()) == 1
    assert elsewhere.size() == (2, 2)


def files_of(server, gallery) -> bytes:
    """All bytes of the database's own files; the write-ahead log is not among them."""
    name = gallery.engine.url.database
    server.run("CHECKPOINT")
    ((oid,),) = server.run("SELECT oid FROM pg_database WHERE datname = current_database()", database=name)
    return b"\n".join(path.read_bytes() for path in (server.data / "base" / str(oid)).iterdir())


def test_expunging_leaves_no_trace_in_the_servers_tables(made, server, making):
    made.enroll([making.record(number) for number in range(40)])
    server.run("ANALYZE", database=made.engine.url.database)  # as the server does by itself, with samples of rows
    gone, kept = making.record(0), making.record(2)

    def marks(record):
        return [record.sha256.encode(), record.templates[making.space()].tobytes()]

    before = files_of(server, made)
    assert all(mark in before for mark in (*marks(gone), *marks(kept), b"P0000"))
    made.expunge("P0000")
    left = files_of(server, made)
    assert not [mark for mark in (*marks(gone), b"P0000") if mark in left]
    assert all(mark in left for mark in (*marks(kept), b"P0001"))
    made.add_cohort("a", {"c" * 64: making.template("x", making.space())})
    made.clear_cohort()
    assert b"c" * 64 not in files_of(server, made)


@pytest.mark.parametrize("table", [Photo.id, Person.id, None])
def test_a_reader_holds_traces_back(made, elsewhere, making, server, monkeypatch, table):
    """Whether the reader has looked at a table, or only began before the removal."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    made.enroll([making.record(0), making.record(2)])
    with elsewhere.reading() as session:
        session.execute(text("SELECT 1") if table is None else select(table)).all()
        with pytest.raises(GalleryError, match=r"another process is reading it, so that traces may remain"):
            made.expunge("P0000")
        assert made.size() == (1, 1)
    Gallery(made.folder).close()
    assert b"P0000" not in files_of(server, made)


def test_rows_that_name_nothing_and_indexes_that_are_not_valid(made, server, making):
    made.enroll([making.record(0)])
    name = made.engine.url.database
    server.run("SET session_replication_role = replica", "DELETE FROM people", database=name)
    server.run(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_photos_person_id'::regclass", database=name
    )
    problems = made.verify()
    assert {(problem.kind, problem.subject) for problem in problems} == {("database", name)}
    assert [problem.message for problem in problems] == [
        "index ix_photos_person_id is not valid",
        "a row of photos names a row of people that is not there",
    ]


def test_trouble_is_told_in_words_and_without_the_password(server, url, tmp_path, monkeypatch):
    wrong = url.replace("clerk@", "clerk:s3cret@")
    missing = url + "_none"
    nowhere = "postgresql://clerk:s3cret@127.0.0.1:1/x?password=s3cret"
    for place, message in (
        (wrong, r"password authentication failed.*PGPASSWORD or in ~/.pgpass"),
        (missing, r"does not exist.*createdb"),
        (nowhere, r"database postgresql\+psycopg://clerk@127.0.0.1:1/x: .*See that the server runs"),
    ):
        with pytest.raises(GalleryError, match=message) as caught:
            Gallery(tmp_path / "made", create=True, url=place)
        assert "s3cret" not in str(caught.value)
        assert not (tmp_path / "made" / "database.url").exists()
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(GalleryError, match=r"no password supplied.*PGPASSWORD"):
        Gallery(tmp_path / "made", create=True, url=url)


def test_a_user_without_rights_is_told_so(server, made, tmp_path):
    server.run(f"CREATE ROLE stranger LOGIN PASSWORD '{os.environ['PGPASSWORD']}'")
    with pytest.raises(GalleryError, match=r"permission denied.*needs the right"):
        Gallery(tmp_path / "theirs", create=True, url=server.url(made.engine.url.database, user="stranger"))
    assert not (tmp_path / "theirs" / "database.url").exists()


def test_a_full_disk_of_the_server(server, made, making):
    name = made.engine.url.database
    server.run(
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$",
        "CREATE TRIGGER fill BEFORE INSERT ON photos FOR EACH ROW EXECUTE FUNCTION fill()",
        database=name,
    )
    with pytest.raises(GalleryError, match=r"could not extend file.*Free space on its disk"):
        made.enroll([making.record()])
    server.run("DROP TRIGGER fill ON photos", database=name)
    assert made.size() == (0, 0)
    made.enroll([making.record()])
    assert made.verify() == []


def test_a_database_of_another_encoding_is_refused(server, tmp_path):
    name = server_name(tmp_path)
    server.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' OWNER clerk")
    with pytest.raises(GalleryError, match=r"encoding is LATIN1.*--encoding=UTF8"):
        Gallery(tmp_path / "made", create=True, url=server.url(name))


def test_every_session_is_durable(server, url, tmp_path):
    server.run(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    with Gallery(tmp_path / "made", create=True, url=url) as gallery, gallery.reading() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "on"
        assert session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
