"""What makes a record of a photo: read it, find the face, judge it, describe it.

A `Preparer` does that: `Here` in this process, `forensic.ray_workers.Elsewhere` on the machines of a cluster. None of
them touches the gallery, which `forensic.enrollment` and `forensic.reindexing` alone write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from forensic import images, urls
from forensic.errors import FaceError, ImageError, UsageError
from forensic.faces import Finder
from forensic.faces.policy import Policy
from forensic.gallery import Enrollment, Space
from forensic.intake import Item, reason_of
from forensic.routes import Route


@dataclass(frozen=True)
class Failure:
    """A file that was not enrolled, and why.

    Attributes:
        file: Its name.
        reason: In words, which may name a person.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class Passed:
    """What holds no photo by its own word, so that nothing went wrong.

    Attributes:
        reason: In words that name nobody, without a full stop.
    """

    reason: str


class Fate(NamedTuple):
    """What became of one item, in words that name neither a file nor a person.

    Attributes:
        status: "enrolled"; "already" for a photo that the same person has; "conflict" for one that somebody else has,
            or that is a case's sketch; "passed" for a record that shows no face; "refused".
        sha256: Content hash; empty where the file was not enrolled, nor is it there under another label.
        verdict: The quality policy's, "accept", "warn" or "refuse"; empty where the photo was not judged.
        reasons: Why it was refused, or what a person should look at.
    """

    status: Literal["enrolled", "already", "conflict", "passed", "refused"]
    sha256: str = ""
    verdict: str = ""
    reasons: tuple[str, ...] = ()


class Refused(NamedTuple):
    """A failure of which more is to be told than its reason."""

    failure: Failure
    fate: Fate


Content = tuple[bytes, str] | Failure | Passed
"""A photo's bytes and their SHA-256, or why there are none. The bytes are empty where whoever prepares reads them."""
Prepared = Enrollment | Failure | Refused
"""What became of a photo before it came to the gallery."""


class Preparer(Protocol):
    """Makes records; every call may come from several threads at once, and waits for its answer."""

    @property
    def threads(self) -> int | None:
        """Calls that it is worth to make at once; None for one a core."""
        ...

    def read(self, item: Item) -> Content:
        """A photo's content, or why there is none."""
        ...

    def prepare(self, item: Item, content: tuple[bytes, str]) -> Prepared:
        """The record of a photo, given what `read` told; or why there is none."""
        ...

    def describe(self, photo: Stored, space: str) -> NDArray[np.float32] | Failure:
        """The template of an original in the space with that digest, shape (dimension,); or why there is none."""
        ...

    def stop(self) -> None:
        """Let calls that wait for somebody to do them end in an error."""
        ...


class Stored(NamedTuple):
    """An original of a gallery.

    Attributes:
        data: Its bytes.
        file_name: What the gallery calls it.
        landmarks: Those stored at enrollment, shape (5, 2), in pixels.
    """

    data: bytes
    file_name: str
    landmarks: Sequence[Sequence[float]]


class Here(NamedTuple):
    """Prepares photos in this process.

    Attributes:
        routes: Routes whose gallery side is described.
        finder: Finds the faces.
        policy: What is good enough.
        decode: Opens a photo from its bytes and the name that errors call it.
        threads: As `Preparer` has it.
    """

    routes: Mapping[str, Route]
    finder: Finder
    policy: Policy
    decode: Callable[[bytes, str], images.Decoded] = images.decode
    threads: int | None = None

    def read(self, item: Item) -> Content:
        """As `read` of this module."""
        return read(item)

    def prepare(self, item: Item, content: tuple[bytes, str]) -> Prepared:
        """Decode, find, judge and describe one photo."""
        data, sha256 = content
        try:
            decoded = self.decode(data, item.name)
            aligned = self.finder.one(decoded.image)
        except (ImageError, FaceError) as error:
            return Failure(item.name, reason_of(error, item))
        assessed = self.policy.assess(decoded.image, aligned.face)
        if assessed.verdict == "refuse":
            failure = Failure(item.name, f"the policy on quality refuses it: {'; '.join(assessed.reasons)}.")
            return Refused(failure, Fate("refused", "", assessed.verdict, assessed.reasons))
        remarks = (*(f"{reason}." for reason in assessed.reasons), *(item.record.warnings if item.record else ()))
        return Enrollment(
            person=item.person,
            data=data,
            sha256=sha256,
            file_name=item.file_name,
            format=decoded.format,
            size=decoded.image.size,
            landmarks=aligned.face.landmarks,
            method=aligned.face.method,
            score=aligned.face.score,
            warnings=(*aligned.warnings, *remarks),
            metadata=item.metadata,
            templates={gallery_space(route): route.describe([aligned], "gallery")[0] for route in self.routes.values()},
            quality=assessed.to_json(),
        )

    def describe(self, photo: Stored, space: str) -> NDArray[np.float32] | Failure:
        """Describe an original by the landmarks that are stored with it."""
        try:
            picture = images.decode(photo.data, photo.file_name).image
        except ImageError as error:
            return Failure(photo.file_name, str(error))
        aligned = self.finder.again(picture, np.array(photo.landmarks))
        described: NDArray[np.float32] = self.routes[space].describe([aligned], "gallery")[0]
        return described

    def stop(self) -> None:
        """Nobody waits: calls do their work themselves."""


def by_space(routes: Sequence[Route]) -> dict[str, Route]:
    """Routes by their spaces' digests; of several with one space, the last."""
    return {route.space: route for route in routes}


def gallery_space(route: Route) -> Space:
    """A route's template space as the gallery records it."""
    made_by = route.models if route.translated == "gallery" else {route.embedder.name: route.embedder.digest}
    return Space(route.space, route.gallery_route, route.embedder.dimension, made_by)


def read(item: Item) -> Content:
    """A photo's bytes and their SHA-256; or why there are none."""
    start, stop = 0, None
    if item.link:
        return Passed("it is a link to a folder, and links are not followed: name the folder too")
    if item.record:
        if item.record.passed:
            return Passed(f"it shows {item.record.passed!r} and no FACE")
        if item.record.problem:
            return Failure(item.name, item.record.problem)
        start, stop = item.record.start, item.record.stop
    try:
        if item.data is not None:
            data = item.data[start:stop]
        elif item.url:
            data = urls.read_bytes(item.url, start, stop)
        else:
            data = images.read_bytes(item.path, start, stop)
    except (ImageError, UsageError) as error:  # the latter of a URL alone
        return Failure(item.name, reason_of(error, item))
    return data, hashlib.sha256(data).hexdigest()
