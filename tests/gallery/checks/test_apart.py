"""Looking at a database's bytes leaves SQLite its locks."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from forensic.gallery import Gallery
from forensic.gallery.checks import apart, pages, proving
from forensic.gallery.checks.traces import Traces

READ = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM people").fetchall()
connection.close()
"""


def inode(path):
    return os.stat(path).st_ino


@pytest.mark.plain
@pytest.mark.sqlite("its locks on its file")
def test_a_proof_amid_work_leaves_the_log_of_changes_to_those_who_have_it_open(gallery, making):
    """A reader that comes and goes removes the log where it takes itself for the last one."""
    gallery.enroll([making.record(0), making.record(1)])
    gallery.expunge("P0000")
    gallery.size()  # the process has a connection in its pool
    log = gallery.folder / "gallery.db-wal"
    before = inode(log)
    for look in (
        lambda: proving.prove(gallery, 1, traces=Traces.of(("P0000",))),
        lambda: Gallery(gallery.folder, create=True).close(),
    ):
        look()
        subprocess.run([sys.executable, "-c", READ, str(gallery.folder / "gallery.db")], check=True)
        assert inode(log) == before, "another program could take the log away"


@pytest.mark.sqlite("its files")
def test_any_file_is_read_to_its_end_and_what_cannot_be_is_told(tmp_path):
    for name in ("gallery.db", "state.db-wal", "photo.jpg"):
        (tmp_path / name).write_bytes(os.urandom(3_000_000))
        with apart.opened(tmp_path / name) as file:
            assert file.read() == (tmp_path / name).read_bytes()
        with apart.opened(tmp_path / name) as file:
            assert len(file.read(10)) == 10, "whoever has seen enough may stop"
        (tmp_path / name).unlink()
        with pytest.raises(FileNotFoundError), apart.opened(tmp_path / name) as file:
            file.read()
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(OSError, match="cannot be read"), apart.opened(tmp_path / "folder.db") as file:
        file.read()


def test_remains_are_those_of_the_reader_itself(tmp_path):
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE songs (title)")
        connection.executemany("INSERT INTO songs VALUES (?)", [("la" * 200,) for _ in range(99)])
        connection.execute("DELETE FROM songs WHERE rowid > 3")
        roots = [root for (root,) in connection.execute("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0")]
    found = apart.remains(path, roots)
    assert found == list(pages.remains(path, roots))
    assert found
    path.write_bytes(b"nothing")
    with pytest.raises(pages.Malformed, match="does not begin as"):
        apart.remains(path, roots)


def test_the_danger_is_real(tmp_path):
    """POSIX as it is: one close of a file takes the process's locks on it away."""
    path = tmp_path / "file"
    path.touch()
    ask = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"

    def others_may_lock():
        return subprocess.run([sys.executable, "-c", ask, str(path)], stderr=subprocess.DEVNULL).returncode == 0

    with path.open("r+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert not others_may_lock()
        path.open().close()
        assert others_may_lock()
