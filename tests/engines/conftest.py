from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scripts import module_of

from forensic.engines import Engine, Listing, open_engine

GALLERY = Path(__file__).parents[1] / "gallery"


class Memory:
    """An engine of a few lines, by brute force, that rounds to float32 as engines do."""

    name = "memory:"

    def __init__(self) -> None:
        self.held_by_layout: dict[str, Kept] = {}
        self.closed = 0

    def layouts(self) -> list[str]:
        return sorted(self.held_by_layout)

    def collection(self, layout: str, dimension: int | None = None) -> "Kept":
        if dimension is not None and layout not in self.held_by_layout:
            self.held_by_layout[layout] = Kept(self, layout, dimension)
        return self.held_by_layout[layout]

    def close(self) -> None:
        self.closed += 1


class Kept:
    """A collection in memory, that counts what is asked of it."""

    def __init__(self, engine: Memory, layout: str, dimension: int, most: int = 10**9) -> None:
        self.engine, self.layout, self.dimension, self.most = engine, layout, dimension, most
        self.kept: dict[int, tuple[bytes, bytes, np.ndarray]] = {}
        self.recorded = ""
        self.asked: list[tuple[str, int]] = []

    def state(self) -> str:
        return self.recorded

    def settle(self, state: str) -> None:
        self.asked.append(("settle", len(state)))
        self.recorded = state

    def held(self):
        return np.array([*self.kept], np.int64), np.array([seal for _, seal, _ in self.kept.values()], "S64")

    def put(self, listed: Listing, vectors: np.ndarray) -> None:
        self.asked.append(("put", len(vectors)))
        for number, photo, seal, vector in zip(listed.ids.tolist(), listed.photos, listed.seals, vectors, strict=True):
            self.kept[number] = (photo, seal, vector.copy())

    def remove(self, ids) -> None:
        self.asked.append(("remove", len(ids)))
        for number in ids:
            self.kept.pop(number, None)

    def nearest(self, query, k, only):
        self.asked.append(("nearest", k))
        ids = [number for number in self.kept if only is None or number in set(only)]
        rough = np.array([-float(np.dot(self.kept[number][2], query)) for number in ids], np.float32)
        return np.array(ids, np.int64)[np.argsort(rough)[:k]]

    def rows(self, ids):
        from forensic.engines import Rows

        there = [number for number in ids if number in self.kept]
        vectors = np.array([self.kept[number][2] for number in there], np.float32).reshape(len(there), self.dimension)
        return Rows(np.array(there, np.int64), np.array([self.kept[number][0] for number in there], "S64"), vectors)

    def count(self) -> int:
        return len(self.kept)

    def purge(self) -> None:
        self.asked.append(("purge", 0))

    def destroy(self) -> None:
        del self.engine.held_by_layout[self.layout]


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="session")
def making() -> ModuleType:
    return module_of(GALLERY / "making.py")


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A PostgreSQL server with pgvector, from the wheel that bundles both."""
    bundle = find_spec("pgserver")
    if bundle is None or not bundle.submodule_search_locations:
        pytest.skip("pgserver is not installed")
    programs = Path(bundle.submodule_search_locations[0]) / "pginstall" / "bin"
    with module_of(GALLERY / "server.py").running(programs) as started:
        yield started


@pytest.fixture
def milvus(tmp_path: Path) -> str:
    """The URL of a new file of milvus-lite."""
    return f"milvus:{tmp_path / 'templates.db'}"


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a Milvus server is."""
    if find_spec("milvus") is None:
        pytest.skip("the wheel milvus, with the server's program, is not installed: it is there for Linux on x86-64")
    running = module_of(Path(__file__).with_name("milvus_server.py")).running
    with ExitStack() as stack:
        try:
            address = stack.enter_context(running(tmp_path_factory.mktemp("milvus")))
        except (OSError, RuntimeError) as problem:  # TimeoutError is an OSError
            pytest.skip(f"the Milvus server does not start on this machine: {problem}")
        yield address


@pytest.fixture
def served_milvus(milvus_server: str) -> Iterator[str]:
    """The URL of a Milvus server without content."""
    from pymilvus import MilvusClient

    yield f"milvus:{milvus_server}"
    client = MilvusClient(milvus_server, dedicated=True)
    for name in client.list_collections():
        client.drop_collection(name)
    client.close()


@pytest.fixture
def pgvector(server: Any, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database."""
    name = "engine_" + tmp_path.name.lower().replace("-", "_")[:40]
    url = server.make(name).replace("+psycopg", "")
    server.run("CREATE EXTENSION vector", database=name)
    yield url
    server.drop([name])


SERVERS = [pytest.param(name, marks=pytest.mark.server) for name in ("served_milvus", "pgvector")]


@pytest.fixture(params=["memory", "milvus", *SERVERS])
def opened(request: pytest.FixtureRequest) -> Iterator[Callable[..., Engine]]:
    """Opens the engine under test for a gallery; what was opened is closed at the end."""
    made: list[Engine] = []
    if request.param == "memory":
        one = request.getfixturevalue("memory")
        yield lambda gallery="g1": one
        return
    url = request.getfixturevalue(request.param)

    def open_it(gallery: str = "g1") -> Engine:
        made.append(open_engine(url, gallery))
        return made[-1]

    yield open_it
    for engine in made:
        engine.close()
