import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import schemas
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from forensic.errors import GalleryError
from forensic.gallery import Gallery, address, database
from forensic.gallery.models import Base

MIGRATED = "bca4f085fe16b75a0a795e62a1bca405e1cc85dcf3fa2fd6d3e4c00a444bffad"
"""SHA-256 over the first nine migrations."""


def test_the_migrated_schema_is_the_models(gallery):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with gallery.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.sqlite("compares SQLite's text of the tables")
def test_the_migrated_tables_are_written_as_the_models_would_be(gallery):
    """Autogenerate does not look at cascades or AUTOINCREMENT; SQLite's own text of the tables does."""
    straight = create_engine("sqlite://")
    Base.metadata.create_all(straight)

    assert schemas.parts(gallery.engine) == schemas.parts(straight)
    straight.dispose()


@pytest.mark.sqlite("the copy is SQLite's")
def test_what_these_tests_copy_is_what_the_migrations_make(tmp_path):
    dumps = []
    for name, migrate in (("copied", database.migrate), ("migrated", database.migrate.__wrapped__)):
        engine = database.connect(tmp_path / name)
        migrate(engine.execution_options(immediate=True), lambda connection: None)
        engine.dispose()
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            lines = "\n".join(connection.iterdump()).splitlines()
        dumps.append(sorted(line.rstrip(", ") for line in lines))  # Alembic puts constraints in any order
    assert dumps[0] == dumps[1]


def test_migrations_stay_as_they_were_written():
    """Somebody's gallery was made by them: a change of the tables is another migration."""
    written = hashlib.sha256()
    for path in sorted((database.MIGRATIONS / "versions").glob("0*.py")):
        if path.name < "0010":
            written.update(path.read_bytes())
    assert written.hexdigest() == MIGRATED


def test_head_is_the_newest_migration():
    from alembic.script import ScriptDirectory

    assert ScriptDirectory(str(database.MIGRATIONS)).get_current_head() == database.HEAD


@pytest.mark.sqlite("pragmas")
def test_every_connection_is_durable_and_thorough(gallery):
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 30000}
    connections = [gallery.engine.connect() for _ in range(3)]
    for connection in connections:
        assert {k: connection.exec_driver_sql(f"PRAGMA {k}").scalar() for k in expected} == expected
        connection.close()


def test_the_tables_can_be_made_in_postgresql():
    dialect = postgresql.dialect()
    for table in Base.metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        assert "AUTOINCREMENT" not in text
        for index in table.indexes:
            CreateIndex(index).compile(dialect=dialect)


def test_opening_a_sound_gallery_does_not_import_alembic(gallery):
    import subprocess
    import sys

    code = (
        "import sys; from forensic.gallery import Gallery; Gallery(sys.argv[1]).close(); "
        "sys.exit(bool({'alembic', 'numpy', 'torch', 'filelock'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(gallery.folder)], check=False).returncode == 0


def test_no_gallery(tmp_path):
    with pytest.raises(GalleryError, match=r"No gallery in .*forensic enroll"):
        Gallery(tmp_path / "none")
    with pytest.raises(GalleryError, match="No gallery in"):
        Gallery(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(GalleryError, match=r"holds other things \(holiday.jpg\)"):
        Gallery(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.plain
def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(GalleryError, match="File exists"):
        Gallery(tmp_path / "file", create=True)


def test_someone_elses_database_is_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / "gallery.db")) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")
    connection.close()
    for create in (False, True):
        with pytest.raises(GalleryError, match="no gallery's database: it has the tables songs"):
            Gallery(tmp_path, create=create)


def test_a_gallery_of_a_newer_version(gallery):
    with gallery.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(GalleryError, match=r"newer version \(schema 9999"):
        Gallery(gallery.folder)


def test_a_process_of_this_version_writes_no_more_once_a_newer_one_has_the_gallery(enrolled, making):
    """It would leave out what the newer one keeps beside: an index, a debt to an engine."""
    before = enrolled.size()
    with enrolled.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for act in (lambda: enrolled.enroll([making.record(40)]), lambda: enrolled.expunge("P0001")):
        with pytest.raises(GalleryError, match=r"was upgraded by a newer version .*schema 9999.* start the newer one"):
            act()
    assert enrolled.size() == before


@pytest.mark.parametrize("create", [True, False])
def test_a_making_that_was_cut_off_is_finished(tmp_path, create):
    folder = tmp_path / "gallery"
    folder.mkdir()
    (folder / "gallery.db").touch()
    folder.chmod(0o700)
    (folder / "gallery.db").chmod(0o600)
    with Gallery(folder, create=create) as gallery:
        assert gallery.verify() == []
        assert gallery.size() == (0, 0)


@pytest.mark.sqlite("damages SQLite's file")
def test_a_database_that_is_none(gallery, making):
    gallery.enroll([making.record()])
    gallery.close()
    (gallery.home / "gallery.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(GalleryError, match=r"not a database.*damaged: restore"):
        Gallery(gallery.folder)


@pytest.mark.sqlite("damages SQLite's file")
def test_a_damaged_database_is_an_error_in_words(gallery, making):
    gallery.enroll([making.record(number) for number in range(60)])
    with gallery.engine.connect() as connection:
        page = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'people'").scalar() - 1
    gallery.close()
    path = gallery.home / "gallery.db"
    content = bytearray(path.read_bytes())
    content[page * 4096 : page * 4096 + 2000] = os.urandom(2000)
    path.write_bytes(content)
    with pytest.raises(GalleryError, match="damaged"), Gallery(gallery.folder) as opened:
        opened.people()
    with Gallery(gallery.folder) as opened:
        assert {problem.kind for problem in opened.verify()} == {"database"}


@pytest.mark.sqlite("opens SQLite's file read-only")
@pytest.mark.plain
def test_a_database_that_may_not_be_written(gallery, making):
    gallery.enroll([making.record()])
    url = f"sqlite:///file:{gallery.folder / 'gallery.db'}?mode=ro&uri=true"
    with Gallery(gallery.folder, url=url) as opened:
        assert opened.size() == (1, 1)
        with pytest.raises(GalleryError, match=r"readonly database.*needs the right to"):
            opened.update("P0000", {"name": "x"})


def test_everything_is_private_even_with_an_open_umask(tmp_path, making):
    before = os.umask(0)
    try:
        with Gallery(tmp_path / "gallery", create=True) as gallery:
            gallery.enroll([making.record()])
            assert gallery.save_index("i", b"x", space=making.space().digest, revision=1)
            modes = {path: path.stat().st_mode & 0o777 for path in (gallery.folder, *gallery.folder.rglob("*"))}
            assert {modes[path] for path in modes if path.is_dir()} == {0o700}
            assert {modes[path] for path in modes if path.is_file()} == {0o600}
            assert {path.name for path in modes} > {"lock", "i"}
            if address.find(gallery.folder).file:
                assert {path.name for path in modes} > {"gallery.db-wal", "gallery.db-shm"}
            else:
                assert "database.url" in {path.name for path in modes}
    finally:
        os.umask(before)


@pytest.mark.plain
def test_names_that_are_hard_on_urls(tmp_path):
    folder = tmp_path / "a?b=1&c %d #ü"
    Gallery(folder, create=True).close()
    assert address.find(folder).file in (None, folder / "gallery.db")
    with Gallery(str(folder)) as gallery:
        assert gallery.size() == (0, 0)


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Gallery("here", create=True) as gallery:
        monkeypatch.chdir(Path("/"))
        assert gallery.size() == (0, 0)
        assert gallery.folder == tmp_path / "here"


@pytest.mark.sqlite("a pragma, and SQLite's write-ahead log")
def test_a_scrub_that_fails_leaves_no_impatient_connection(gallery):
    refused = ["wal_checkpoint"]

    def rule(action, name, *rest):
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA and name in refused else sqlite3.SQLITE_OK

    gallery.engine.dispose()  # one connection from here on
    with closing(gallery.engine.raw_connection()) as pooled:
        pooled.driver_connection.set_authorizer(rule)
    with pytest.raises(DBAPIError, match="not authorized"):
        database.scrub(gallery.engine, vacuum=False, patience=0.1)
    with closing(gallery.engine.raw_connection()) as pooled:
        assert pooled.driver_connection.execute("PRAGMA busy_timeout").fetchone() == (30000,)
    refused.clear()
