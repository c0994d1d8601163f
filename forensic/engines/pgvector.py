"""Templates in PostgreSQL's extension pgvector: a table for each layout, and no index but that of photo numbers.

The tables lie in a schema of their own, so that they can share the gallery's database without being taken for its
tables. PostgreSQL then reads every row for a search, which is what exact search means.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from forensic import vacuuming
from forensic.engines.protocol import Floats, Hashes, Ids, Listing, Rows
from forensic.errors import GalleryError

SCHEMA = "forensic_templates"
LEDGER = "forensic_templates.collections"
COLUMNS = [("id", "bigint"), ("photo", "text"), ("seal", "text"), ("vector", "vector({})")]
CONNECT_SECONDS = 10
STATEMENT_SECONDS = 600
PURGE_SECONDS = 30
INLINE = 1900
"""So many floats lie in their row's page; longer ones would be put apart, which a search of all rows waits for."""
FETCHED = 50_000


class PgVector:
    """A database with the extension; see `forensic.engines.protocol.Engine`.

    Raises:
        GalleryError: psycopg or pgvector is not installed, the server cannot be reached, or lacks the extension.
    """

    def __init__(self, url: str, gallery: str) -> None:
        try:
            import pgvector.psycopg  # noqa: F401 - told now, not amid a search
            import psycopg  # noqa: F401
        except ImportError as error:
            raise GalleryError(
                "Templates in PostgreSQL need psycopg and pgvector, which are not installed: "
                "pip install 'forensic-sketch[postgresql]'"
            ) from error
        self.name, self._gallery = url, gallery
        self._connection: Any = None
        self.lock = threading.RLock()  # one transaction at a time on the one connection
        with self.session() as connection:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {LEDGER}"
                " (name text PRIMARY KEY, gallery text, layout text, dimension int, state text)"
            )

    @contextmanager
    def session(self) -> Iterator[Any]:
        """The connection, made anew where it was lost, and errors in words."""
        import psycopg

        with self.lock:
            try:
                if self._connection is None or self._connection.closed or self._connection.broken:
                    self._connection = self._connected()
                yield self._connection
            except psycopg.Error as error:
                raise self._in_words(error) from error

    def _connected(self) -> Any:
        import psycopg
        from pgvector.psycopg import register_vector

        settings = f"-c statement_timeout={STATEMENT_SECONDS * 1000} -c synchronous_commit=on -c client_encoding=UTF8"
        connection = psycopg.connect(
            self.name, autocommit=True, connect_timeout=CONNECT_SECONDS, options=settings, keepalives_idle=30
        )
        try:
            there = connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone()
            if not there:
                connection.execute("CREATE EXTENSION vector")
            if not connection.execute("SELECT to_regclass(%s)", (LEDGER,)).fetchone()[0]:  # type: ignore[index]
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            register_vector(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _in_words(self, error: Exception) -> GalleryError:
        reason, state = " ".join(str(error).split()).rstrip("."), getattr(error, "sqlstate", None)
        found = (advice for words, advice in ADVICE.items() if any(word in f"{reason} [{state}]" for word in words))
        return GalleryError(f"The engine {self.name}: {reason}. {next(found, 'Nothing of this step was stored.')}")

    def layouts(self) -> list[str]:
        """See the protocol."""
        with self.session() as connection:
            query = (
                "SELECT layout FROM forensic_templates.collections"
                " WHERE gallery = %s AND to_regclass(name) IS NOT NULL ORDER BY layout"
            )
            return [layout for (layout,) in connection.execute(query, (self._gallery,))]

    def collection(self, layout: str, dimension: int | None = None) -> Table:
        """See the protocol."""
        name = f"{SCHEMA}.t_{self._gallery}_{layout}"
        with self.session() as connection:
            with connection.transaction():
                connection.execute("LOCK TABLE forensic_templates.collections IN SHARE ROW EXCLUSIVE MODE")
                query = "SELECT dimension FROM forensic_templates.collections WHERE name = %s"
                known = connection.execute(query, (name,)).fetchone()
                there = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()[0]
                if there is None:  # never made, or dropped by others
                    connection.execute("DELETE FROM forensic_templates.collections WHERE name = %s", (name,))
                    known = None if dimension is None else (dimension,)
                    if dimension is not None:
                        self._make(connection, name, layout, dimension)
            if known is None:
                said = f"has a table {name} of another program" if there else f"holds no templates of layout {layout}"
                raise GalleryError(f"The engine {self.name} {said}: name another database.")
            self._check(connection, name, known[0] if dimension is None else dimension)
        return Table(self, name, known[0])

    def _make(self, connection: Any, name: str, layout: str, dimension: int) -> None:
        columns = ", ".join(f"{column} {kind.format(dimension)} NOT NULL" for column, kind in COLUMNS)
        connection.execute(f"CREATE TABLE {name} ({columns}, PRIMARY KEY (id))")
        # No statistics: they are samples of rows, which removing a row would not reach.
        parts = [f"ALTER COLUMN {column} SET STATISTICS 0" for column, _ in COLUMNS]
        if dimension <= INLINE:
            parts.append("ALTER COLUMN vector SET STORAGE PLAIN")
        connection.execute(f"ALTER TABLE {name} {', '.join(parts)}")
        given = (name, self._gallery, layout, dimension)
        connection.execute("INSERT INTO forensic_templates.collections VALUES (%s, %s, %s, %s, '')", given)

    def _check(self, connection: Any, name: str, dimension: int) -> None:
        query = (
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        found = connection.execute(query, (name,)).fetchall()
        if found != [(column, kind.format(dimension)) for column, kind in COLUMNS]:
            shape = ", ".join(f"{column} {kind}" for column, kind in found) or "missing"
            raise GalleryError(
                f"The table {name} of the engine {self.name} is not one for templates of {dimension} floats ({shape}): "
                "drop it, or name another database."
            )

    def close(self) -> None:
        """See the protocol."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class Table:
    """A table of templates; see `forensic.engines.protocol.Collection`."""

    most = 2**31 - 1

    def __init__(self, engine: PgVector, name: str, dimension: int) -> None:
        self._engine, self._name, self.dimension = engine, name, dimension

    def _sql(self, text: str) -> Any:
        """A statement, in which {} stands for the table."""
        from psycopg import sql

        return sql.SQL(text).format(sql.Identifier(*self._name.split(".")))

    def state(self) -> str:
        """See the protocol."""
        with self._engine.session() as connection:
            found = connection.execute(
                "SELECT state FROM forensic_templates.collections WHERE name = %s", (self._name,)
            ).fetchone()
        return str(found[0]) if found else ""

    def settle(self, state: str) -> None:
        """See the protocol."""
        with self._engine.session() as connection:
            connection.execute(
                "UPDATE forensic_templates.collections SET state = %s WHERE name = %s", (state, self._name)
            )

    def held(self) -> tuple[Ids, Hashes]:
        """See the protocol."""
        ids, seals = [np.empty(0, np.int64)], [np.empty(0, "S64")]
        with self._engine.session() as connection, connection.transaction(), connection.cursor("held") as cursor:
            cursor.execute(self._sql("SELECT id, seal FROM {}"))
            while some := cursor.fetchmany(FETCHED):
                ids.append(np.array([number for number, _ in some], np.int64))
                seals.append(np.array([seal.encode() for _, seal in some], "S64"))
        return np.concatenate(ids), np.concatenate(seals)

    def put(self, listed: Listing, vectors: Floats) -> None:
        """See the protocol."""
        with self._engine.session() as connection, connection.transaction():
            # An own staging table is read back in one statement, which is what makes many rows one step.
            connection.execute(self._sql("CREATE TEMPORARY TABLE incoming (LIKE {}) ON COMMIT DROP"))
            with connection.cursor().copy("COPY incoming FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "text", "text", "vector"])
                for number, photo, seal, vector in zip(
                    listed.ids.tolist(), listed.photos, listed.seals, vectors, strict=True
                ):
                    copy.write_row((number, photo.decode(), seal.decode(), vector))
            connection.execute(
                self._sql(
                    "INSERT INTO {} SELECT * FROM incoming ON CONFLICT (id) DO UPDATE"
                    " SET photo = EXCLUDED.photo, seal = EXCLUDED.seal, vector = EXCLUDED.vector"
                )
            )

    def remove(self, ids: Sequence[int]) -> None:
        """See the protocol."""
        with self._engine.session() as connection:
            connection.execute(self._sql("DELETE FROM {} WHERE id = ANY(%s)"), (list(ids),))

    def nearest(self, query: Floats, k: int, only: Sequence[int] | None) -> Ids:
        """See the protocol."""
        probe = np.ascontiguousarray(query, np.float32)
        if only is None:
            asked, given = "SELECT id FROM {} ORDER BY vector <#> %s LIMIT %s", [probe, k]
        else:
            asked = "SELECT id FROM {} WHERE id = ANY(%s) ORDER BY vector <#> %s LIMIT %s"
            given = [list(only), probe, k]
        with self._engine.session() as connection, connection.transaction():
            # An approximate index that somebody else made would be used for the order: it is not to be.
            for setting in ("enable_indexscan", "enable_indexonlyscan"):
                connection.execute(f"SET LOCAL {setting} = off")
            found = connection.execute(self._sql(asked), given).fetchall()
        return np.array([number for (number,) in found], np.int64)

    def rows(self, ids: Sequence[int]) -> Rows:
        """See the protocol."""
        with self._engine.session() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(self._sql("SELECT id, photo, vector FROM {} WHERE id = ANY(%s)"), (list(ids),))
            found = cursor.fetchall()
        vectors = np.array([vector.to_numpy() for _, _, vector in found], np.float32)
        photos = np.array([photo.encode() for _, photo, _ in found], "S64")
        numbers = np.array([number for number, _, _ in found], np.int64)
        return Rows(numbers, photos, vectors.reshape(len(found), self.dimension))

    def count(self) -> int:
        """See the protocol."""
        with self._engine.session() as connection:
            return int(connection.execute(self._sql("SELECT count(*) FROM {}")).fetchone()[0])

    def purge(self) -> None:
        """Write the table anew without what was removed.

        Raises:
            GalleryError: Somebody reads all the time, so that the server keeps removed rows for them.
        """
        with self._engine.session() as connection:
            try:
                if not vacuuming.rewrite(connection, self._sql("{}").as_string(connection), PURGE_SECONDS):
                    raise GalleryError(
                        f"The engine {self._engine.name} keeps removed templates in its files, since another process "
                        "is reading: end that one."
                    )
            finally:
                connection.close()  # its settings are not for others

    def destroy(self) -> None:
        """See the protocol."""
        with self._engine.session() as connection, connection.transaction():
            connection.execute(self._sql("DROP TABLE IF EXISTS {}"))
            connection.execute("DELETE FROM forensic_templates.collections WHERE name = %s", (self._name,))


# Words of an error, or a server's SQLSTATE in brackets -> what to do about it; as forensic.gallery.database has them.
ADVICE = {
    ("[0A000]", "[58P01]", "extension"): (
        "The server lacks the extension vector: install pgvector on its machine, and let a superuser run "
        "'CREATE EXTENSION vector' in this database."
    ),
    ("[42501]", "permission denied"): (
        "This user needs the right to make a schema in the database; 'CREATE EXTENSION vector' may need a superuser."
    ),
    ("[57014]",): f"The server worked for more than {STATEMENT_SECONDS} s: give it more memory or processors.",
    ("[55P03]",): "Another process keeps it busy: wait for that one to end, then try again.",
    ("[53100]",): "Free space on the server's disk, then try again.",
    ("password", "pg_hba", "[28"): "Give the password in PGPASSWORD or in ~/.pgpass.",
    ("connection", "resolve host", "database system is", "timeout", "[57P0", "[08"): (
        "See that the server runs and can be reached, then try again."
    ),
}
