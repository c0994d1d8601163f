"""Duplicates in a server's gallery, as `forensic.duplicates` finds them on a folder."""

from __future__ import annotations

from forensic.client import jobs, reading
from forensic.client.connection import Connection, Sent
from forensic.duplicates import Duplicates, Pair
from forensic.recognition.calibration import Calibration


def duplicates(connection: Connection, route: str, above: float, most: int) -> tuple[Duplicates, dict[int, str]]:
    """Photos of different people that are probably of one.

    Args:
        connection: The server's.
        route: Name of a single route with a calibration for two photos.
        above: The least log10 likelihood ratio.
        most: How many pairs come back.

    Returns:
        What was found, and the names of the photos' files by the photos' numbers.

    Raises:
        ForensicError: As `forensic.duplicates.find` does; more pairs are asked for than the server gives.
    """
    job = jobs.ended(connection, "/duplicates", Sent(json={"route": route, "above": above, "most": most}))
    return connection.get(f"/duplicates/{job['id']}", _found)


def _found(answer: reading.Plain) -> tuple[Duplicates, dict[int, str]]:
    names = {
        number: name for pair in answer["pairs"] for number, name in zip(pair["photos"], pair["files"], strict=True)
    }
    found = Duplicates(
        route=answer["route"],
        above=answer["above"],
        least=answer["least"],
        pairs=tuple(map(_pair, answer["pairs"])),
        found=answer["found"],
        compared=answer["compared"],
        calibration=Calibration.from_dict(answer["calibration"]),
    )
    return found, names


def _pair(answer: reading.Plain) -> Pair:
    (person, other), (first, second) = answer["labels"], answer["photos"]
    return Pair((person, other), (first, second), answer["similarity"], answer["log_lr"], answer["bounded"])
