"""What the pages of docs/results have in common."""

from collections.abc import Iterator, Mapping, Sequence


def markdown(heads: Sequence[str], figures: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; columns of figures are on the right."""
    yield "| " + " | ".join([*heads, *figures]) + " |"
    yield "|" + "---|" * len(heads) + "---:|" * len(figures)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def points(value: float, low: float, high: float) -> str:
    """A difference of shares in percentage points, with its interval.

    >>> points(0.125, -0.01, 0.26)
    '+12.5 [-1.0, +26.0]'
    """
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def made(by: Mapping[str, str]) -> str:
    """What a page was made by.

    >>> made({"torch": "2.13", "machine": "x86_64"})
    'Made by torch 2.13; machine x86_64.'
    """
    return "Made by " + "; ".join(f"{name} {version}" for name, version in by.items()) + "."
