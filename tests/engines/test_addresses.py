"""What a URL may say, and what is said where an engine cannot be used: in words, soon, and never with a password."""

import socket
import time
from pathlib import Path

import numpy as np
import pytest
from made_templates import filled, templates

from forensic.engines import forget, open_engine, parse, search
from forensic.engines import milvus as milvus_module
from forensic.errors import GalleryError, UsageError
from forensic.recognition.index import Index


def test_urls_as_they_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("milvus:t.db") == f"milvus:{tmp_path / 't.db'}"
    assert parse(" milvus:https://m.example:19530 ") == "milvus:https://m.example:19530"
    for form in ("postgres", "postgresql", "postgresql+psycopg"):
        assert parse(f"{form}://clerk@db/x?sslmode=verify-full") == "postgresql://clerk@db/x?sslmode=verify-full"
    assert parse("postgresql:///x") == "postgresql:///x"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "milvus:",
            "milvus:t",
            "t.db",
            "milvus:a\n.db",
            "http://m:1",
            "milvus:ftp://m",
            "milvus:postgresql://db/x",
        ),
        *("milvus:http://", "mysql://db/x", "milvus:http://m:port", "postgresql://[/x"),
    ],
)
def test_what_names_no_engine(url):
    with pytest.raises(UsageError, match=r"cannot be read; expected milvus:"):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://clerk:s3cret@db/x", "postgresql://db/x?password=s3cret", "milvus:http://root:s3cret@m:1"),
        *("milvus:https://s3cret@m", "milvus:https://m?token=s3cret"),
    ],
)
def test_a_password_is_refused_and_not_repeated(url):
    with pytest.raises(UsageError, match="must not keep") as caught:
        parse(url)
    assert "s3cret" not in str(caught.value)


@pytest.fixture
def silent():
    """The address of somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_who_cannot_be_reached_is_told_soon_and_without_the_password(silent, monkeypatch, capfd, caplog):
    import pgvector.psycopg  # noqa: F401 - importing takes its time, which is not what is measured
    import pymilvus  # noqa: F401

    monkeypatch.setenv("FORENSIC_MILVUS_TOKEN", "root:s3cret")
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    monkeypatch.setattr("forensic.engines.milvus.CONNECT_SECONDS", 1)
    monkeypatch.setattr("forensic.engines.pgvector.CONNECT_SECONDS", 2)
    for form in ("milvus:http://{}", "postgresql://clerk@{}/x"):
        for address in ("127.0.0.1:1", silent):
            start = time.monotonic()
            with pytest.raises(GalleryError, match=r"can be reached") as caught:
                open_engine(form.format(address), "g1")
            assert time.monotonic() - start < 20  # seconds; two at most on a machine that nobody else uses
            assert "s3cret" not in str(caught.value)
    said = "".join(capfd.readouterr()) + caplog.text
    assert "s3cret" not in said


def test_a_token_that_milvus_repeats_is_taken_out(milvus, monkeypatch):
    from pymilvus.exceptions import MilvusException

    monkeypatch.setenv("FORENSIC_MILVUS_TOKEN", "root:s3cret")
    engine = open_engine(milvus, "g1")
    try:
        with pytest.raises(GalleryError, match=r"no user \*\*\* with \*\*\*.*FORENSIC_MILVUS_TOKEN"), engine.in_words():
            raise MilvusException(message="auth: no user root:s3cret with s3cret")
    finally:
        engine.close()


def test_milvus_in_a_file_is_one_processs_and_leaves_nothing_running(milvus, tmp_path):
    from milvus_lite.server_manager import server_manager_instance

    first, second = open_engine(milvus, "g1"), open_engine(milvus, "g1")
    folder = tmp_path / "templates.db"
    assert folder.stat().st_mode & 0o777 == 0o700
    first.close()
    assert second.layouts() == []
    second.close()
    assert str(folder) not in server_manager_instance._servers
    assert not milvus_module._users[str(folder)]
    (tmp_path / "file.db").touch()
    with pytest.raises(GalleryError, match="is a file"):
        open_engine(f"milvus:{tmp_path / 'file.db'}", "g1")


def test_collections_of_other_programs_are_left_alone(milvus):
    engine = open_engine(milvus, "g1")
    try:
        engine.client.create_collection("forensic_g1_a", dimension=8, metric_type="IP")
        with pytest.raises(GalleryError, match="not one that this program made"):
            engine.collection("a", 8)
        engine.client.drop_collection("forensic_g1_a")
        engine.collection("a", 8)
        engine.client.release_collection("forensic_g1_a")
        engine.client.drop_index("forensic_g1_a", "vector")
        index = engine.client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": 8, "efConstruction": 8})
        engine.client.create_index("forensic_g1_a", index)
        with pytest.raises(GalleryError, match="index is not exact"):
            engine.collection("a", 8)
    finally:
        engine.close()


@pytest.mark.server
class TestPgVector:
    def test_a_database_without_the_extension(self, server):
        url = server.make("bare").replace("+psycopg", "")
        with pytest.raises(GalleryError, match=r"let a superuser run 'CREATE EXTENSION vector'"):
            open_engine(url, "g1")
        server.drop(["bare"])

    def test_a_wrong_password(self, pgvector, monkeypatch):
        monkeypatch.setenv("PGPASSWORD", "s3cret-wrong")
        with pytest.raises(GalleryError, match="Give the password in PGPASSWORD") as caught:
            open_engine(pgvector, "g1")
        assert "s3cret" not in str(caught.value)

    def test_tables_of_other_programs_are_left_alone(self, pgvector, server):
        engine = open_engine(pgvector, "g1")
        try:
            database = pgvector.rsplit("/", 1)[1]
            server.run("CREATE TABLE forensic_templates.t_g1_a (x int)", database=database)
            with pytest.raises(GalleryError, match=r"a table .* of another program"):
                engine.collection("a", 8)
            engine.collection("b", 8)
            server.run("ALTER TABLE forensic_templates.t_g1_b DROP COLUMN seal", database=database)
            with pytest.raises(GalleryError, match="not one for templates of 8 floats"):
                engine.collection("b", 8)
        finally:
            engine.close()

    def test_an_approximate_index_of_somebody_else_is_not_used(self, pgvector, server):
        engine = open_engine(pgvector, "g1")
        try:
            listed, vectors = templates(3000, 32)
            collection = filled(engine, listed, vectors)
            database = pgvector.rsplit("/", 1)[1]
            server.run(
                "CREATE INDEX ON forensic_templates.t_g1_a USING ivfflat (vector vector_ip_ops) WITH (lists = 300)",
                database=database,
            )
            queries = np.random.default_rng(1).standard_normal((3, 32)).astype(np.float32)
            found, expected = search(collection, queries, 50), Index.build(vectors, listed.ids).search(queries, 50)
            assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]
        finally:
            engine.close()

    def test_what_was_removed_is_in_no_file(self, pgvector, server):
        engine = open_engine(pgvector, "g1")
        try:
            listed, vectors = templates(50)
            filled(engine, listed, vectors)
            server.run("CHECKPOINT")
            marks = [vectors[at].astype("<f4").tobytes() for at in (0, 1)]
            data = Path(server.data) / "base"
            assert all(any(mark in path.read_bytes() for path in data.rglob("*") if path.is_file()) for mark in marks)
            forget(engine, [int(listed.ids[0])])
            server.run("CHECKPOINT")
            files = [path.read_bytes() for path in data.rglob("*") if path.is_file()]
            assert not any(marks[0] in file for file in files)
            assert any(marks[1] in file for file in files)
        finally:
            engine.close()

    def test_a_lost_connection_is_made_anew(self, pgvector, server):
        engine = open_engine(pgvector, "g1")
        try:
            engine.collection("a", 8)
            server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'")
            with pytest.raises(GalleryError, match="try again"):
                engine.layouts()
            assert engine.layouts() == ["a"]
        finally:
            engine.close()
