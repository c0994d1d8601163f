"""Files that come in: their size is known before they are read, and pictures are decoded elsewhere."""

from __future__ import annotations

from starlette.datastructures import UploadFile

from forensic import images
from forensic.errors import UsageError
from forensic.web.jobs import File
from forensic.web.problems import TooLarge
from forensic.web.server import Server

LONGEST_NAME = 255
"""Characters of a file's name: as many as any file system takes."""
_SENT_AS = {"%22": '"', "%0D": "\r", "%0A": "\n"}


def path_of(upload: UploadFile) -> str:
    """What a file is called at its sender, with its path where that was sent."""
    return unescaped(upload.filename or "").replace("\\", "/")


def unescaped(name: str) -> str:
    """A name of a form's file, in which a quotation mark and the ends of lines stand as all browsers send them.

    A percent sign itself is sent as it is, so that a file that is called so cannot be told from the others.

    >>> unescaped("Jane %22JD%22 Doe 100%.png")
    'Jane "JD" Doe 100%.png'
    """
    for sent, meant in _SENT_AS.items():
        name = name.replace(sent, meant)
    return name


def take(server: Server, upload: UploadFile) -> File:
    """A file that was uploaded, with its name alone; a browser may send a whole path.

    Raises:
        UsageError: It has no name, or holds nothing.
        TooLarge: It has more bytes than the server takes.
    """
    name = path_of(upload).rpartition("/")[2].replace("\0", "")
    most = server.settings.upload_bytes
    if not name or len(name) > LONGEST_NAME:
        raise UsageError(f"A file needs a name of 1 to {LONGEST_NAME} characters.")
    if upload.size is not None and upload.size > most:
        raise TooLarge(f"{images.display_name(name)} has {upload.size:,} bytes; expected at most {most:,}.")
    data = upload.file.read(most + 1)
    if len(data) > most:
        raise TooLarge(f"{images.display_name(name)} has more than {most:,} bytes.")
    if not data:
        raise UsageError(f"{images.display_name(name)} is empty. Copy it again from its source.")
    return File(name, data)


def take_picture(server: Server, upload: UploadFile) -> tuple[str, images.Decoded]:
    """A picture that was uploaded, decoded in another process, and its name.

    Raises:
        UsageError, TooLarge: As for `take`.
        ImageError: It is no usable image.
        Busy: Too many are being decoded.
    """
    file = take(server, upload)
    return file.name, server.decoder.decode(file.data, images.display_name(file.name))
