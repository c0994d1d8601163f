"""ZIP files of the plainest kind: files one after the other, uncompressed, and nothing between, before or after them.

Only such a file is opened. It cannot unpack to more than its own size, hide bytes, encrypt, link, or hold a name twice;
how much is read is settled before the first file is, whoever made it.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from forensic import regular
from forensic.casefile.layout import MAX_BYTES, MAX_FILES
from forensic.errors import DataError
from forensic.text import printable

EPOCH = (1980, 1, 1, 0, 0, 0)
"""A ZIP file's first moment: the manifest says when an export was made."""
LOCAL_HEADER, CENTRAL_HEADER = 30, 46
END = struct.Struct("<4s4H2LH")
END_MARK, LONG_MARK = b"PK\x05\x06", b"PK\x06\x07"
MAX_ENTRY = 1024
"""Bytes of one file's line in the list at the end."""
ENCRYPTED = 1
UNIX = 3
CHUNK = 2**20


def pack(files: Mapping[str, bytes]) -> bytes:
    """The files as a ZIP file, in their order; the same files are the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = UNIX, (stat.S_IFREG | 0o600) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


class Archive:
    """The export in a file that may come from anybody; a context manager.

    Attributes:
        files: Name of each file in it -> its length in bytes; no more is read.

    Raises:
        DataError: The file cannot be read, is no ZIP file, or one that no export is.
    """

    def __init__(self, path: Path) -> None:
        name = printable(os.fsdecode(path))
        try:
            with ExitStack() as opened:
                file, status = opened.enter_context(regular.opened(path))
                _check_end(file, status.st_size)
                self._archive = zipfile.ZipFile(file)
                _check_entries(self._archive, status.st_size)
                self._close = opened.pop_all().close
        except _Unfit as error:
            raise DataError(f"{name} is no export of a case: {error}.") from None
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{name} cannot be read ({reason}). Check the path and its rights.") from None
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error):
            raise DataError(f"{name} is no export of a case: it is no whole ZIP file. Ask for another copy.") from None
        self.files = {info.filename: info.file_size for info in self._archive.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._archive.close()
        self._close()

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file's content, part by part.

        Raises:
            DataError: It is damaged: cut off, or another one than its checksum says.
        """
        try:
            with self._archive.open(name) as file:
                while part := file.read(CHUNK):
                    yield part
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
            raise DataError(f"{printable(name)} is damaged") from None

    def read(self, name: str, most: int) -> bytes:
        """A file's content.

        Args:
            name: Of the file.
            most: How many bytes it may have.

        Raises:
            DataError: It has more, is damaged or is not there.
        """
        if name not in self.files:
            raise DataError(f"{name} is missing")
        if self.files[name] > most:
            raise DataError(f"{printable(name)} has {self.files[name]:,} bytes, and at most {most:,} are read")
        return b"".join(self.chunks(name))


class _Unfit(Exception):
    """What is wrong with a ZIP file."""


def _check_end(file: IO[bytes], size: int) -> None:
    """Refuse a file whose end is not that of a plain archive, before its list of files is read."""
    if not END.size <= size <= MAX_BYTES:
        raise _Unfit(f"it has {size:,} bytes, expected {END.size} to {MAX_BYTES:,}")
    reach = min(size, 20 + END.size)
    file.seek(-reach, os.SEEK_END)
    tail = file.read(reach)
    mark, _, _, here, count, length, start, comment = END.unpack(tail[-END.size :])
    if mark != END_MARK or comment:
        raise _Unfit("it is no whole ZIP file, or has something after its end. Ask for another copy")
    if LONG_MARK in tail:
        raise _Unfit("it is a ZIP64 file")
    sensible = 0 < count <= MAX_FILES and here == count and length <= count * MAX_ENTRY
    if not sensible or start + length + END.size != size:
        raise _Unfit(f"its list of {count} files is not as exports have it")


def _check_entries(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse everything that the plainest archive does not have."""
    entries = archive.infolist()
    if len({info.filename for info in entries}) < len(entries):
        raise _Unfit("it holds two files of one name")
    place = 0
    for info in entries:
        name = printable(info.orig_filename)[:100]
        if info.flag_bits & ENCRYPTED:
            raise _Unfit(f"{name} is encrypted")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise _Unfit(f"{name} is compressed")
        if info.filename != info.orig_filename or info.is_dir() or not stat.S_ISREG(info.external_attr >> 16):
            raise _Unfit(f"{name} is no regular file")
        if info.header_offset != place or info.extra or info.comment:
            raise _Unfit(f"there is something beside the file {name}")
        place += LOCAL_HEADER + len(_encoded(info)) + info.file_size
    listed = sum(CENTRAL_HEADER + len(_encoded(info)) for info in entries)
    if place + listed + END.size != size:
        raise _Unfit("there are bytes in it that belong to no file")


def _encoded(info: zipfile.ZipInfo) -> bytes:
    """A name as it stands in the archive."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
