"""Originals in a bucket of an S3 server: Amazon's, or one of its kind.

One request stores a file, whole or not at all, and the server has it for good when it answers: nothing is half written,
and no other name is needed meanwhile. A bucket may keep what is overwritten or deleted as older versions: everything
here that lists or deletes means all versions.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby, islice
from typing import Any, NamedTuple

from forensic import urls
from forensic.gallery.objects import PLAIN, Codec, ObjectStore, is_original
from forensic.parallel import ordered

PAGE = 1000
"""Names that the server takes or tells of at once."""
THREADS = 16
"""Files that are written or looked up at once."""
WHOLE = 2**31
"""Bytes that are sent in one request; a larger file would be sent in parts, which a crash leaves there."""
SETTINGS = {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 1}}
TRIES = 2
"""Of s3fs, each with those of the settings below it."""
NUMBERS = {FileNotFoundError: errno.ENOENT, FileExistsError: errno.EEXIST, PermissionError: errno.EACCES}
"""The system's numbers of errors that s3fs raises without."""
NO_VERSIONS = ("NotImplemented", "MethodNotAllowed")
"""What servers answer that know no versions."""


class _Version(NamedTuple):
    """A version of a file.

    Attributes:
        name: The file's.
        number: The version's; None where the server knows none.
        is_file: Whether it has a content; else it marks that the file was deleted.
    """

    name: str
    number: str | None
    is_file: bool


class BucketStore(ObjectStore):
    """Originals below a URL, ``s3://bucket/folder``.

    Args:
        url: Without a password: the server's address and the credentials are the AWS variables' and files'
            (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ~/.aws, ...), which fsspec's s3fs reads.
        codec: How they lie there.
        claim: As for `ObjectStore`.

    Every method raises OSError where the server refuses or is away, or s3fs is not installed.
    """

    def __init__(self, url: str, codec: Codec = PLAIN, claim: str | None = None) -> None:
        super().__init__(url, codec, claim)
        self._bucket, _, folder = url.removeprefix("s3://").partition("/")
        self._above = f"{folder}/" if folder else ""

    @cached_property
    def _system(self) -> Any:
        system, _ = urls.system(
            self.place,
            use_listings_cache=False,
            skip_instance_cache=True,
            max_concurrency=1,  # a file is read in one request, without asking first how long it is
            config_kwargs=SETTINGS,
        )
        system.retries = TRIES
        return system

    def remove(self, hashes: Iterable[str]) -> None:
        """See `ObjectStore`; a server has no half written files."""
        self.check()
        self.discard(map(self.name, hashes))

    def _names(self) -> Iterator[str]:
        """Also those of which an older version alone is left."""
        return (name for name, _ in groupby(name for name, _, _ in self._versions()))  # listed in their order

    def holds(self, name: str) -> bool:
        """See `ObjectStore`."""
        return any(found == name for found, _, _ in self._versions(name))

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Every version of every file, with its name."""
        for name, version, is_file in self._versions():
            if is_file:
                with _as_os_errors(self.place):
                    data = self._system.cat_file(self._path(name), version_id=version)
                yield name, data

    def clear(self) -> None:
        """Remove all originals; other files stay."""
        before: list[_Version] = []  # listed anew each time: a server may lose its place where files go meanwhile
        while some := list(islice((one for one in self._versions() if is_original(one.name)), PAGE)):
            if some == before:
                raise OSError(errno.EIO, f"the S3 server lists {len(some)} files still that it deleted", self.place)
            self._delete(iter(some))
            before = some

    def discard(self, names: Iterable[str]) -> None:
        """Remove files, in all their versions."""
        with ThreadPoolExecutor(THREADS) as pool:
            listed = ordered(pool, lambda name: [one for one in self._versions(name) if one.name == name], names)
            self._delete(version for versions in listed for version in versions)

    def _delete(self, versions: Iterator[_Version]) -> None:
        while some := list(islice(versions, PAGE)):
            keys = [{"Key": self._above + name} | ({"VersionId": number} if number else {}) for name, number, _ in some]
            answer = self._ask("delete_objects", Delete={"Objects": keys, "Quiet": True})
            if errors := answer.get("Errors"):
                first = errors[0]
                said = f"{first.get('Message') or first.get('Code')} ({first.get('Key')})"
                said = f"the S3 server does not delete {len(errors)} of {len(some)} files: {said}"
                raise OSError(errno.EACCES, said, self.place)

    def _versions(self, beginning: str = "") -> Iterator[_Version]:
        """All versions of the files whose names begin so, by name."""
        after: dict[str, str] = {}
        while True:
            try:
                page = self._ask("list_object_versions", Prefix=self._above + beginning, MaxKeys=PAGE, **after)
            except OSError as error:
                if _code(error) not in NO_VERSIONS:
                    raise
                yield from self._present(beginning)  # what is there is all there is
                return
            files = ((entry, True) for entry in page.get("Versions", ()))
            gone = ((entry, False) for entry in page.get("DeleteMarkers", ()))
            for entry, is_file in sorted((*files, *gone), key=lambda one: one[0]["Key"]):
                if name := entry["Key"].removeprefix(self._above):  # else what stands for a folder in some programs
                    yield _Version(name, entry["VersionId"], is_file)
            if not page.get("IsTruncated"):
                return
            after = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _present(self, beginning: str) -> Iterator[_Version]:
        after: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=self._above + beginning, MaxKeys=PAGE, **after)
            for entry in page.get("Contents", ()):
                if name := entry["Key"].removeprefix(self._above):
                    yield _Version(name, None, True)
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def _ask(self, what: str, **how: object) -> dict[str, Any]:
        """One request to the server about the bucket."""
        with _as_os_errors(self.place):
            answer: dict[str, Any] = self._system.call_s3(what, Bucket=self._bucket, **how)
        return answer

    def _path(self, name: str) -> str:
        return f"{self._bucket}/{self._above}{name}"

    def _put(self, files: Mapping[str, bytes]) -> None:
        """Side by side; whatever goes wrong, none is still under way when this ends."""
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in ordered(pool, self._put_one, files.items()):
                pass

    def _put_one(self, file: tuple[str, bytes]) -> None:
        name, data = file
        with _as_os_errors(self.place):
            self._system.pipe_file(self._path(name), data, chunksize=WHOLE)

    def _get(self, name: str) -> bytes:
        with _as_os_errors(self.place):
            data: bytes = self._system.cat_file(self._path(name))
        return data


def _code(error: OSError) -> str | None:
    """What the server called an error."""
    answer = getattr(error.__cause__, "response", None) or {}
    code: str | None = answer.get("Error", {}).get("Code")
    return code


@contextmanager
def _as_os_errors(place: str) -> Iterator[None]:
    """Let what goes wrong be an OSError that names the place, as with files on a disk: libraries raise many types."""
    try:
        yield
    except OSError as error:
        number = error.errno or next((number for kind, number in NUMBERS.items() if isinstance(error, kind)), errno.EIO)
        raise OSError(number, error.strerror or f"the S3 server: {error}", place) from error.__cause__ or error
    except Exception as error:
        said = str(error).rstrip(".") or type(error).__name__
        raise OSError(errno.EIO, f"the S3 server: {said}", place) from error
