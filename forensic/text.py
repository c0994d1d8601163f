"""Text that strangers wrote: made fit to show, to store and to compare."""

import unicodedata

PLURALS = {"person": "people", "sketch": "sketches", "entry": "entries"}
"""Of things that do not take an s."""


def counted(count: int, thing: str) -> str:
    """So many things, in words.

    >>> counted(1, "photo"), counted(1200, "photo"), counted(0, "person")
    ('1 photo', '1,200 photos', '0 people')
    """
    return f"{count:,} {thing if count == 1 else PLURALS.get(thing, thing + 's')}"


def printable(text: str) -> str:
    r"""The text with control characters spelled out, so that no file name or metadata can drive a terminal.

    >>> printable("a\x1b[2Jb.png")
    'a\\x1b[2Jb.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def tidy(text: str) -> str:
    r"""The text as it is stored: composed (NFC), each run of blanks one blank.

    >>> tidy(" Jose\u0301 \u00a0Berg ")
    'José Berg'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def forms(text: str) -> tuple[str, ...]:
    r"""How a text may have been stored: as it is given, composed (NFC) and decomposed (NFD), each once.

    >>> len(forms("Jos\u00e9")), len(forms("Jose\u0301")), forms("Ann")
    (2, 2, ('Ann',))
    """
    return tuple(dict.fromkeys((text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))))


def fold(text: str) -> str:
    r"""The text as it is compared: without case, without what nobody sees, compatible characters alike, blanks as one.

    >>> fold("  Dark  BROWN "), fold("Wei\xdf"), fold("\uff21nn\xada")
    ('dark brown', 'weiss', 'anna')
    """
    if text.isascii():
        return " ".join(text.lower().split())
    for _ in range(2):  # what a character stands for can have case again
        text = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf")  # such as soft hyphens and joiners
    return " ".join(unicodedata.normalize("NFKC", seen).split())


def mentions(text: str, name: str) -> bool:
    """Whether a text has a name in it, however the two are written.

    Where the name begins or ends with a letter that has case, a digit or ``_``, it does not count within a longer word
    of such: ``Ann`` is not in ``Anna``. Other scripts have no blanks between words: there it counts anywhere.

    >>> mentions("ANNA  BERG's order", "Anna Berg"), mentions("Annabel", "Anna")
    (True, False)
    """
    text, name = fold(text), fold(name)
    at = text.find(name)
    while name and at >= 0:
        before, after = text[:at][-1:], text[at + len(name) :][:1]
        if not (_in_words(before + name[0]) or _in_words(name[-1] + after)):
            return True
        at = text.find(name, at + 1)
    return False


def _in_words(pair: str) -> bool:
    """Whether these are two characters that one word would have side by side."""
    return len(pair) == 2 and all(c == "_" or c.isdigit() or c.islower() or c.isupper() for c in pair)
