"""Templates in Milvus: a server, or milvus-lite's files in this process. FLAT index, inner product: nothing is guessed.

A collection has one row too many, number 0, whose field ``seal`` keeps the state.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from forensic.engines.address import MILVUS, TOKEN
from forensic.engines.protocol import Floats, Hashes, Ids, Listing, Rows
from forensic.errors import GalleryError

CONNECT_SECONDS = 10
SECONDS = 600
"""A question may take so long; a large collection is loaded in it."""
MOST = 16_000
"""Milvus brings at most 16,384 rows."""
FETCHED = 5000
MARK = 0
STRONG = {"consistency_level": "Strong"}  # every question sees all that was acknowledged before
FIELDS = ("id", "photo", "seal", "vector")

_lite = threading.Lock()
_users: Counter[str] = Counter()
"""How many engines of this process use each of milvus-lite's files: the last one closes it."""


class Milvus:
    """A server or a file; see `forensic.engines.protocol.Engine`.

    Raises:
        GalleryError: pymilvus or milvus-lite is not installed, or the server or the file cannot be used.
    """

    def __init__(self, url: str, gallery: str) -> None:
        self.name, self._prefix = url, f"forensic_{gallery}_"
        self._file = None if "://" in url else url.removeprefix(MILVUS)
        try:
            from pymilvus import MilvusClient

            if self._file:
                import milvus_lite  # noqa: F401 - told now, in words
        except ImportError as error:
            raise GalleryError(
                "Templates in Milvus need pymilvus (and milvus-lite for a file), which are not installed: "
                "pip install 'forensic-sketch[milvus]'"
            ) from error
        # They write what they also raise, with tracebacks, to stderr.
        for library in ("pymilvus", "milvus_lite"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._token = os.environ.get(TOKEN, "")
        self.client: Any = None
        with self.in_words():
            if self._file:
                self._open_file(self._file)
            try:
                self.client = MilvusClient(
                    self._file or url.removeprefix(MILVUS), token=self._token, timeout=CONNECT_SECONDS, dedicated=True
                )
            except BaseException:
                self.close()
                raise

    def _open_file(self, file: str) -> None:
        if Path(file).is_file():
            raise GalleryError(f"{file} is a file; milvus-lite makes a folder of its own: name another.")
        try:
            Path(file).mkdir(mode=0o700, parents=True, exist_ok=True)  # templates are nobody else's business
        except OSError as error:
            raise GalleryError(f"The engine {self.name} cannot be made: {error.strerror}.") from error
        with _lite:
            _users[file] += 1

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Turn Milvus's errors into a GalleryError, never with the token."""
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except (MilvusException, grpc.RpcError) as error:
            said = str(getattr(error, "message", "") or error)
            for secret in filter(None, (self._token, *self._token.split(":", 1)[1:])):
                said = said.replace(secret, "***")
            reason = " ".join(said.split()).rstrip(".")
            found = (advice for words, advice in ADVICE.items() if any(word in reason for word in words))
            advice = next(found, "See that the server runs and can be reached, then try again.")
            raise GalleryError(f"The engine {self.name}: {reason}. {advice}") from None

    def layouts(self) -> list[str]:
        """See the protocol."""
        with self.in_words():
            names = self.client.list_collections(timeout=CONNECT_SECONDS)
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    def collection(self, layout: str, dimension: int | None = None) -> MilvusCollection:
        """See the protocol."""
        name = self._prefix + layout
        with self.in_words():
            if not self.client.has_collection(name, timeout=CONNECT_SECONDS):
                if dimension is None:
                    raise GalleryError(f"The engine {self.name} holds no templates of layout {layout}.")
                self._make(name, dimension)
            found = self._checked(name, dimension)
            self.client.load_collection(name, timeout=SECONDS)
        return MilvusCollection(self, name, found)

    def _make(self, name: str, dimension: int) -> None:
        from pymilvus import DataType

        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("photo", DataType.VARCHAR, max_length=64)
        schema.add_field("seal", DataType.VARCHAR, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        index = self.client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="IP")
        self.client.create_collection(name, schema=schema, index_params=index, timeout=SECONDS, **STRONG)

    def _checked(self, name: str, dimension: int | None) -> int:
        """The dimension of a collection that is as `_make` leaves it."""
        fields = self.client.describe_collection(name, timeout=CONNECT_SECONDS)["fields"]
        found = next((int(field["params"]["dim"]) for field in fields if "dim" in field["params"]), 0)
        kinds = [
            (one["index_type"], one["metric_type"])
            for index in self.client.list_indexes(name, field_name="vector")
            for one in [self.client.describe_index(name, index, timeout=CONNECT_SECONDS)]
        ]
        if tuple(field["name"] for field in fields) != FIELDS or kinds != [("FLAT", "IP")]:
            raise GalleryError(
                f"The collection {name} of the engine {self.name} is not one that this program made, or its index is "
                "not exact (FLAT, IP): drop it, or name another engine."
            )
        if dimension not in (None, found):
            raise GalleryError(
                f"The collection {name} of the engine {self.name} has templates of {found} floats, not {dimension}: "
                "drop it, or name another engine."
            )
        return found

    def close(self) -> None:
        """See the protocol."""
        if self.client is not None:
            self.client.close()
            self.client = None
        if self._file:
            with _lite:
                _users[self._file] -= 1
                if not _users[self._file]:
                    from milvus_lite.server_manager import server_manager_instance

                    server_manager_instance.release_server(self._file)
            self._file = None


class MilvusCollection:
    """A collection of templates; see `forensic.engines.protocol.Collection`."""

    most = MOST

    def __init__(self, engine: Milvus, name: str, dimension: int) -> None:
        self._engine, self._name, self.dimension = engine, name, dimension

    def _do(self, what: str, **given: Any) -> Any:
        with self._engine.in_words():
            return getattr(self._engine.client, what)(self._name, timeout=SECONDS, **given)

    def _query(self, where: str, *fields: str) -> list[dict[str, Any]]:
        return list(self._do("query", filter=where, output_fields=list(fields), **STRONG))

    def state(self) -> str:
        """See the protocol."""
        found = self._query(f"id == {MARK}", "seal")
        return str(found[0]["seal"]) if found else ""

    def settle(self, state: str) -> None:
        """See the protocol."""
        mark = {"id": MARK, "photo": "", "seal": state, "vector": np.zeros(self.dimension, np.float32)}
        self._do("upsert", data=[mark])
        if state:  # Milvus keeps its writes in order, and asks for few flushes
            self._do("flush")

    def held(self) -> tuple[Ids, Hashes]:
        """See the protocol."""
        ids, seals = [np.empty(0, np.int64)], [np.empty(0, "S64")]
        asked = {"filter": f"id > {MARK}", "output_fields": ["id", "seal"], "batch_size": FETCHED}
        pages = self._do("query_iterator", **asked, **STRONG)
        try:
            while True:
                with self._engine.in_words():
                    some = pages.next()
                if not some:
                    return np.concatenate(ids), np.concatenate(seals)
                ids.append(np.array([row["id"] for row in some], np.int64))
                seals.append(np.array([row["seal"].encode() for row in some], "S64"))
        finally:
            pages.close()

    def put(self, listed: Listing, vectors: Floats) -> None:
        """See the protocol."""
        rows = zip(listed.ids.tolist(), listed.photos, listed.seals, vectors, strict=True)
        data = [{"id": i, "photo": p.decode(), "seal": s.decode(), "vector": v} for i, p, s, v in rows]
        self._do("upsert", data=data)

    def remove(self, ids: Sequence[int]) -> None:
        """See the protocol."""
        if ids:
            self._do("delete", ids=[int(number) for number in ids])

    def nearest(self, query: Floats, k: int, only: Sequence[int] | None) -> Ids:
        """See the protocol."""
        found = self._do(
            "search",
            data=[np.ascontiguousarray(query, np.float32)],
            anns_field="vector",
            limit=k + 1,  # the row that keeps the state may be among them
            filter="" if only is None else _among(only),
            search_params={"metric_type": "IP", "params": {}},
            **STRONG,
        )
        numbers = [int(hit["id"]) for hit in found[0]]
        return np.array([number for number in numbers if number != MARK][:k], np.int64)

    def rows(self, ids: Sequence[int]) -> Rows:
        """See the protocol."""
        found: list[dict[str, Any]] = []
        wanted = [number for number in ids if number != MARK]
        for at in range(0, len(wanted), FETCHED):
            found += self._query(_among(wanted[at : at + FETCHED]), *FIELDS)
        vectors = np.array([row["vector"] for row in found], np.float32).reshape(len(found), self.dimension)
        photos = np.array([row["photo"].encode() for row in found], "S64")
        return Rows(np.array([row["id"] for row in found], np.int64), photos, vectors)

    def count(self) -> int:
        """See the protocol."""
        return int(self._query(f"id > {MARK}", "count(*)")[0]["count(*)"])

    def purge(self) -> None:
        """Ask for the files to be written anew without what was removed; Milvus does it when it sees fit."""
        self._do("flush")
        self._do("compact")

    def destroy(self) -> None:
        """See the protocol."""
        self._do("drop_collection")


def _among(ids: Sequence[int]) -> str:
    return f"id in [{','.join(str(int(number)) for number in ids)}]"


# Words of an error -> what to do about it.
ADVICE = {
    ("Open local milvus",): "Another process uses this file, or it is damaged: end that one, or name another file.",
    ("auth", "permission", "UNAUTHENTICATED"): f"Give the token, USER:PASSWORD or an API key, in {TOKEN}.",
    ("quota", "rate limit", "memory"): "The server has no room for this now: see to that, then try again.",
    ("UNIMPLEMENTED",): "Name the address of Milvus's gRPC port, 19530 by default.",
}
