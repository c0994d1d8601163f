"""Photos in file systems that URLs name: s3://bucket/folder/photo.jpg, file:///shared/photo.jpg.

They are read through fsspec, with the same bounds as files on the disk. Each protocol is named here: fsspec has others
that run programs, unpack archives or ask any server on the web, and a table of photos may come from strangers. No URL
here can lead out of the folder in which it lies: it has no ``..``, no chain (``::``), no query and no password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forensic import images
from forensic.errors import ImageError, UsageError
from forensic.text import printable

PROTOCOLS = {"file": "", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}
"""Protocol -> the package that it needs beside fsspec."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL, and not as a path.

    >>> is_url("s3://mugshots/a.jpg"), is_url("C:/a.jpg"), is_url("a.jpg")
    (True, False, False)
    """
    return _URL.match(text) is not None


def check(url: str) -> str:
    """The URL, its protocol in small letters.

    Raises:
        UsageError: Its protocol is none of ``PROTOCOLS``, or it has a part that could lead elsewhere.
    """
    found = _URL.fullmatch(url)
    if found is None or found[1].lower() not in PROTOCOLS:
        raise UsageError(f"{printable(url)}: expected a path, or a URL of {', '.join(PROTOCOLS)}.")
    rest = found[2]
    parts = rest.rstrip("/").split("/")
    if found[1].lower() == "file":
        if parts[0]:
            raise UsageError(f"{printable(url)}: a file's URL has three slashes, file:///folder/photo.jpg.")
        parts = parts[1:]
    elif "@" in parts[0] and found[1].lower() == "s3":
        raise UsageError("A URL has a user or a password in it: give them as the file system's own settings.")
    if not all(parts) or {".", ".."} & set(parts) or re.search(r"::|[?#*\\]", rest) or not rest.isprintable():
        raise UsageError(f"{printable(url)}: expected a plain URL, without . or .. as a part, ::, ?, #, * or \\.")
    return f"{found[1].lower()}://{rest}"


def is_within(url: str, folders: Iterable[str]) -> bool:
    """Whether a URL that was checked lies in one of these folders.

    >>> is_within("s3://a/b/c.jpg", ["s3://a/b/"]), is_within("s3://a/bc.jpg", ["s3://a/b"])
    (True, False)
    """
    return any(url.startswith(check(folder).rstrip("/") + "/") for folder in folders)


def path_of(url: str) -> Path:
    """The path of a file's URL; of others, one of which only the name counts."""
    return Path(url.removeprefix("file://"))


def find(url: str) -> list[str]:
    """The file itself, or every file in a folder and its sub-folders, by name, hidden ones left out.

    What is found was not checked: `read_bytes` refuses what it does not read.

    Raises:
        UsageError: There is nothing there, it cannot be reached, or the URL is none.
    """
    url = check(url)
    if url.startswith("file://"):
        if not path_of(url).exists():
            raise UsageError(f"{printable(url)} does not exist. Give files or folders of photos.")
        return [f"file://{path}" for path in images.find_files(path_of(url))]
    files, path = system(url)
    try:
        if files.info(path)["type"] == "file":
            return [url]
        names = sorted(files.find(path))
    except Exception as error:  # file systems raise many types
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be listed ({error})"
        raise UsageError(f"{printable(url)} {reason}. Check the URL and the rights to it.") from None
    above = path.rstrip("/") + "/"
    inner = [name.removeprefix(above) for name in names if name.startswith(above)]
    kept = [name for name in inner if not any(part.startswith(".") for part in name.split("/"))]
    return [f"{url.rstrip('/')}/{name}" for name in kept]


def read_bytes(url: str, start: int = 0, stop: int | None = None) -> bytes:
    """Bytes of a file of at most `images.MAX_BYTES`: all, or those from ``start`` to before ``stop``.

    Raises:
        ImageError: The file is missing, unreadable, empty, too large, or no file.
        UsageError: The URL is none, or its file system needs a package that is not installed.
    """
    url = check(url)
    if url.startswith("file://"):
        return images.read_bytes(path_of(url), start, stop)
    name = printable(url)
    files, path = system(url)
    try:
        about = files.info(path)
        size = about.get("size")
        if about["type"] != "file":
            raise ImageError(f"{name}: not a file with image data. Give a PNG, JPEG, TIFF, BMP or WebP file.")
        if size is not None and size > images.MAX_BYTES:
            raise ImageError(f"{name}: {size:,} bytes, and at most {images.MAX_BYTES:,} are read. Save a smaller copy.")
        end = min(images.MAX_BYTES if size is None else size, images.MAX_BYTES if stop is None else stop)
        data: bytes = files.cat_file(path, start=start, end=end) if end > start else b""
    except ImageError:
        raise
    except Exception as error:  # file systems raise many types
        raise ImageError(f"{name}: cannot be read ({error}). Check the URL and the rights to it.") from None
    if not data:
        raise ImageError(f"{name}: the file is empty. Copy it again from its source.")
    return data


def system(url: str, **settings: object) -> tuple[Any, str]:
    """The file system of a URL that was checked, and the path in it.

    Raises:
        UsageError: It needs a package that is not installed.
    """
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    try:
        found, path = url_to_fs(url, **settings)
    except ImportError:
        package = PROTOCOLS[protocol]
        raise UsageError(f"{protocol}:// needs {package}, which is not installed: pip install {package}") from None
    return found, str(path)
