"""What a report says of how searches were made."""

from typing import Any

import pytest

from forensic.candidates import PARTLY
from forensic.casefile.method import APPROXIMATE, EXACT, method


def search(*warnings: str) -> dict[str, Any]:
    return {"route": "direct", "models": {"embedder": "00"}, "warnings": list(warnings)}


@pytest.mark.parametrize(
    ("searches", "said"),
    [
        ([search("small")], [("The list", EXACT)]),
        ([search(f"{PARTLY} (hnsw): not everybody")], [("The list", APPROXIMATE)]),
        (
            [search(), search(f"{PARTLY} (hnsw)")],
            [("The list", EXACT), (f"The list, where a search warns that {PARTLY}", APPROXIMATE)],
        ),
        ([], []),
    ],
)
def test_nobody_is_told_that_all_were_compared_where_a_part_was(searches, said) -> None:
    passages = [(passage.title, passage.text) for passage in method(searches)]
    assert [one for one in passages if one[0].startswith("The list")] == said
