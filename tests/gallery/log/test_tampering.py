"""One hundred random tamperings with log, templates, originals and index: ``verify`` finds every one."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from forensic.gallery import Gallery
from forensic.gallery.log import trail

TIMES = 100
Act = Callable[[Gallery, random.Random], None]


KEYS = {"audit": "number", "templates": "id"}


def row_of(gallery: Gallery, table: str, rng: random.Random) -> int:
    with gallery.engine.connect() as connection:
        return rng.choice(connection.exec_driver_sql(f"SELECT {KEYS[table]} FROM {table} ORDER BY 1").scalars().all())


def change(gallery: Gallery, table: str, column: str, act: Callable[[bytes], bytes], number: int) -> None:
    with gallery.engine.begin() as connection:
        where = f"WHERE {KEYS[table]} = {number}"
        before = connection.exec_driver_sql(f"SELECT {column} FROM {table} {where}").scalar_one()
        after = act(before.encode() if isinstance(before, str) else before)
        # PostgreSQL's text holds no NUL
        value = after.decode(errors="replace").replace("\0", "?") if isinstance(before, str) else after
        connection.execute(text(f"UPDATE {table} SET {column} = :value {where}"), {"value": value})


def flipped(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(7)]) + data[place + 1 :]


def flip_row(table: str, columns: tuple[str, ...]) -> Act:
    def act(gallery: Gallery, rng: random.Random) -> None:
        change(gallery, table, rng.choice(columns), lambda data: flipped(data, rng), row_of(gallery, table, rng))

    return act


def cut_row(table: str, column: str) -> Act:
    def act(gallery: Gallery, rng: random.Random) -> None:
        number = row_of(gallery, table, rng)
        change(gallery, table, column, lambda data: data[: rng.randrange(len(data))], number)

    return act


def delete_row(table: str) -> Act:
    def act(gallery: Gallery, rng: random.Random) -> None:
        with gallery.engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE {KEYS[table]} = {row_of(gallery, table, rng)}")

    return act


def swap_rows(table: str, columns: str) -> Act:
    def act(gallery: Gallery, rng: random.Random) -> None:
        one, other = row_of(gallery, table, rng), row_of(gallery, table, rng)
        while one == other:
            other = row_of(gallery, table, rng)
        with gallery.engine.begin() as connection:
            where = f"WHERE {KEYS[table]} = :key"
            read = text(f"SELECT {columns} FROM {table} {where}")
            kept = {number: connection.execute(read, {"key": number}).one() for number in (one, other)}
            names = ", ".join(f"{name} = :{name}" for name in columns.split(", "))
            write = text(f"UPDATE {table} SET {names} {where}")
            for number, values in ((one, kept[other]), (other, kept[one])):
                connection.execute(write, {"key": number, **values._asdict()})

    return act


def cut_log(gallery: Gallery, rng: random.Random) -> None:
    with gallery.engine.begin() as connection:
        last = connection.exec_driver_sql("SELECT max(number) FROM audit").scalar_one()
        connection.exec_driver_sql(f"DELETE FROM audit WHERE number > {rng.randrange(last)}")


def files(folder: str) -> Callable[[Gallery], list[Path]]:
    return lambda gallery: sorted(path for path in (gallery.home / folder).rglob("*") if path.is_file())


def flip_file(folder: str) -> Act:
    def act(gallery: Gallery, rng: random.Random) -> None:
        path = rng.choice(files(folder)(gallery))
        path.write_bytes(flipped(path.read_bytes(), rng))

    return act


def cut_file(folder: str) -> Act:
    def act(gallery: Gallery, rng: random.Random) -> None:
        path = rng.choice(files(folder)(gallery))
        path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])

    return act


def swap_files(folder: str) -> Act:
    def act(gallery: Gallery, rng: random.Random) -> None:
        one, other = rng.sample(files(folder)(gallery), 2)
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(kept)

    return act


def delete_original(gallery: Gallery, rng: random.Random) -> None:
    rng.choice(files("objects")(gallery)).unlink()


ACTS: dict[str, Act] = {
    "log, flipped": flip_row("audit", ("entry", "hash", "signature")),
    "log, deleted": delete_row("audit"),
    "log, swapped": swap_rows("audit", "entry, hash, signature"),
    "log, cut": cut_log,
    "template, flipped": flip_row("templates", ("vector", "seal")),
    "template, deleted": delete_row("templates"),
    "template, swapped": swap_rows("templates", "vector"),
    "template and seal, swapped": swap_rows("templates", "vector, seal"),
    "template, cut": cut_row("templates", "vector"),
    "original, flipped": flip_file("objects"),
    "original, deleted": delete_original,
    "original, swapped": swap_files("objects"),
    "original, cut": cut_file("objects"),
    "index, flipped": flip_file("index"),
    "index, swapped": swap_files("index"),
    "index, cut": cut_file("index"),
}


@pytest.fixture
def whole(gallery, making):
    """A gallery with people, two index files and a log; and the log's head, kept elsewhere."""
    gallery.enroll([making.record(number) for number in range(12)])
    gallery.update("P0001", {"name": "Anna"})
    gallery.view("P0002")
    space = making.space().digest
    for name in ("a", "b"):
        assert gallery.save_index(name, name.encode() * 300, space=space, revision=gallery.revision(space))
    head = trail.export_head(gallery)
    assert gallery.verify(head) == []
    gallery.close()
    return gallery.folder, head


def test_every_tampering_is_found(whole, copy, tmp_path):
    folder, head = whole
    found: Counter[str] = Counter()
    for number in range(TIMES):
        rng = random.Random(number)
        name = list(ACTS)[number % len(ACTS)]
        altered = copy(folder, tmp_path / str(number))
        with Gallery(altered) as gallery:
            ACTS[name](gallery, rng)
            assert gallery.verify(head), f"{name}, seed {number}, was not found"
        found[name] += 1
        shutil.rmtree(altered)
    print(f"{found.total()} of {TIMES} found:", dict(found))
    assert found.total() == TIMES
