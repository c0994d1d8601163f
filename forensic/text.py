"""Text that strangers wrote, made fit to show."""


def printable(text: str) -> str:
    r"""The text with control characters spelled out, so that no file name or metadata can drive a terminal.

    >>> printable("a\x1b[2Jb.png")
    'a\\x1b[2Jb.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
