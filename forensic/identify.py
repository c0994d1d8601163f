"""The walk: a sketch goes in, a ranked list of candidates comes out.

image -> find and align -> translate and describe -> normalise and fuse -> search -> calibrate -> candidates
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic import devices, enrollment, images, matching, parallel, reindexing
from forensic.candidates import Candidate, Explained, Search
from forensic.enrollment import Summary
from forensic.errors import FaceError, GalleryError, ImageError, UsageError
from forensic.explanation import Explanation, explain, matcher_score, portraits_of
from forensic.faces import Finder, policy
from forensic.gallery import Filter, Gallery, Matching
from forensic.gallery.casework import cases
from forensic.gallery.models import now
from forensic.loading import Memory
from forensic.preparing import Here, by_space
from forensic.ranking import STAGES, Probe, answer, rank
from forensic.search_records import Use, record_of

Picture = str | os.PathLike[str] | Image.Image | images.Decoded
"""What a sketch may be given as."""


def _unwatched(stage: str) -> None:
    """Nobody watches."""


class Identifier:
    """Enrolls photos in a gallery and searches it with sketches, along one or more routes.

    Every search is put on record in the gallery (`Search.number`); the probe is never enrolled.

    Args:
        gallery: An open gallery.
        route: Name of the matcher, routes with ``+`` between, see `forensic.matching`.
        device: Where models run, as torch names it; a device that is not there is an error.
        case: Reference of the case that its searches are for; of a sketch that it holds, no likelihood ratio is stated
            that does not hold for its kind.
        purpose: What they are for where there is no case.
        approximate: "hnsw" or "ivf-pq" to look at a part of the gallery (`forensic.recognition.approximate`): somebody
            who is enrolled may be missing then, which every search says. The index is built when it is loaded.
        search_device: Where templates are compared, such as "cuda" (`forensic.recognition.device_index`): lists are
            the same, to the last bit. None for the processor.

    Raises:
        UsageError: No route of that name, no such device, or ``search_device`` beside ``approximate``.
        ModelError: A model is missing or damaged.
    """

    def __init__(
        self,
        gallery: Gallery,
        route: str = matching.DEFAULT,
        *,
        device: str = "cpu",
        case: str | None = None,
        purpose: str = "",
        approximate: str | None = None,
        search_device: str | None = None,
    ) -> None:
        devices.find(device)
        self.gallery = gallery
        self.case, self.purpose = case, purpose
        self.matcher = matching.load(route, device=device)
        self._device = device
        self._memory = Memory(self.matcher, approximate, search_device)
        self._watch: Callable[[str], None] = _unwatched

    @cached_property
    def finder(self) -> Finder:
        """Finds faces; made when it is first needed."""
        from forensic.faces import Detector

        return Finder(Detector(self._device))

    def acting(
        self,
        gallery: Gallery,
        *,
        case: str | None = None,
        purpose: str = "",
        watch: Callable[[str], None] = _unwatched,
    ) -> Identifier:
        """The same matcher and index at work for somebody else, or for another case.

        Args:
            gallery: The same gallery, with its operator; see `Gallery.acting_as`.
            case: As for the class.
            purpose: As for the class.
            watch: Called with each of ``STAGES`` as a search comes to it. What it raises ends the search, and nothing
                is put on record.
        """
        _ = self.finder  # both use the one that is made now
        other = copy.copy(self)
        other.gallery, other.case, other.purpose, other._watch = gallery, case, purpose, watch
        return other

    def forget(self) -> None:
        """Drop the index; the next search loads it anew. A server does that when somebody was expunged."""
        self._memory.forget()

    def enroll(
        self, *paths: str | os.PathLike[str], progress: Callable[[Summary], None] = lambda summary: None
    ) -> Summary:
        """Enroll photos, folders of photos, or tables (``.csv``) with the columns ``person,file``.

        Raises:
            UsageError: A path does not exist or a table is wrong; nothing was enrolled then.
            GalleryError: The gallery cannot be written.
        """
        tables = [path for path in paths if os.fspath(path).lower().endswith(".csv")]
        files = [path for path in paths if path not in tables]
        items = [item for table in tables for item in enrollment.items_of_csv(table)]
        items += enrollment.items_of(files) if files or not tables else []
        return enrollment.enroll(self.gallery, items, self.matcher.routes, self.finder, progress=progress)

    def identify(self, image: str | os.PathLike[str] | Image.Image, k: int = 10) -> list[Candidate]:
        """The ``k`` most similar people, best first; `search` tells more.

        Raises:
            ImageError, FaceError, GalleryError: As `search` does.
        """
        return list(self.search(image, k).candidates)

    def search(
        self,
        image: Picture,
        k: int = 10,
        *,
        face: int | None = None,
        landmarks: NDArray[np.floating] | None = None,
        only: Filter | None = None,
    ) -> Search:
        """Search the gallery with one probe.

        Args:
            image: A sketch, as a file, a decoded file or an RGB image.
            k: How many candidates; fewer come back from a smaller gallery.
            face: Which face, 1 for the largest.
            landmarks: Five points given by a person, shape (5, 2).
            only: Who is searched, by the gallery's metadata.

        Raises:
            ImageError: The file is no usable image.
            FaceError: No face was found.
            StaleIndex: The gallery lacks templates of every route's space.
            GalleryError: The gallery is empty or damaged.
            UsageError: ``k`` is below 1, or the landmarks are no face's.
        """
        cases.check(self.gallery, self.case)
        started = now()
        with parallel.one_thread():  # as for one of many, so that the same digits come out
            return self._search([self._probe(image, face, landmarks)], k, self._kept(only), started)

    def search_together(
        self,
        images: Sequence[Picture],
        k: int = 10,
        *,
        landmarks: Sequence[NDArray[np.floating] | None] | None = None,
        faces: Sequence[int | None] | None = None,
        only: Filter | None = None,
    ) -> Search:
        """Search with several sketches **of one person** at once: their scores are averaged.

        Sketches of one person are no independent witnesses: the mean claims less than a product of likelihood
        ratios would. ``landmarks`` and ``faces`` are those of each sketch, as `search` takes them.

        Raises:
            ImageError, FaceError: One of the sketches is not usable; leave it out.
            StaleIndex, GalleryError, UsageError: As `search` does.
        """
        if not images:
            raise UsageError("There is no sketch to search with.")
        cases.check(self.gallery, self.case)
        started, none = now(), [None] * len(images)
        with parallel.one_thread():
            given = zip(images, faces or none, landmarks or none, strict=True)
            probes = [self._probe(*one) for one in given]
            return self._search(probes, k, self._kept(only), started)

    def _probe(self, image: Picture, face: int | None, landmarks: NDArray[np.floating] | None) -> Probe:
        self._memory.of(self.gallery)  # an empty or stale gallery is told before a sketch is looked at
        self._watch(STAGES[0])
        name, sha256, picture = _open(image)
        try:
            return Probe(name, sha256, self.finder.one(picture, face=face, landmarks=landmarks), face)
        except FaceError as error:
            raise FaceError(f"{name}: {error}") from None

    def _kept(self, only: Filter | None) -> Matching | None:
        return None if only is None else self.gallery.matching(only)

    def _search(self, probes: Sequence[Probe], k: int, kept: Matching | None, started: datetime) -> Search:
        if k < 1:
            raise UsageError(f"{k} candidates were asked for; expected at least 1.")
        ranking = rank(self.gallery, self._memory, probes, k, kept, self._watch)
        found = answer(self.gallery, probes, ranking, kept)
        self._watch(STAGES[3])
        use = Use(
            started=started,
            ended=now(),
            operator=self.gallery.operator.name,
            case=self.case,
            purpose=self.purpose,
            k=k,
            device=self._device,
            chosen=[probe.chosen for probe in probes],
            owners={photo: owner.number for photo, owner in ranking.owners.items()},
            kept=None if kept is None else kept.digest,
        )
        number = cases.record_search(self.gallery, record_of(found, use), case=self.case)
        kinds = cases.kinds(self.gallery, self.case, [probe.sha256 for probe in probes])
        return replace(found, number=number).of_sketches(kinds)

    def search_all(
        self,
        files: Iterable[str | os.PathLike[str]],
        k: int = 10,
        *,
        face: int | None = None,
        landmarks: NDArray[np.floating] | None = None,
        only: Filter | None = None,
    ) -> Iterator[Search | ImageError | FaceError]:
        """Search with many probes, on all cores; each one's answer is that of `search`, or its error.

        Raises:
            StaleIndex, GalleryError, UsageError: As `search` does, for all of them.
        """

        def one(file: str | os.PathLike[str]) -> Search | ImageError | FaceError:
            started = now()
            try:
                return self._search([self._probe(file, face, landmarks)], k, kept, started)
            except (ImageError, FaceError) as error:
                return error

        def answers() -> Iterator[Search | ImageError | FaceError]:
            with parallel.workers() as pool:
                yield from parallel.ordered(pool, one, files)

        # What is wrong with all of them is told now, and not when the first answer is asked for.
        cases.check(self.gallery, self.case)
        self._memory.of(self.gallery)
        kept = self._kept(only)
        _ = self.finder  # made once, before the threads ask for it
        return answers()

    def explain(self, search: Search, rank: int = 1) -> Search:
        """The search with what a candidate's score hangs on, part by part; of several sketches, the first one's.

        Raises:
            UsageError: The search has no candidate of that rank.
            GalleryError: The candidate's photo has gone or was altered.
        """
        if not 1 <= rank <= len(search.candidates):
            raise UsageError(f"There is no candidate of rank {rank} to explain; the list has {len(search.candidates)}.")
        candidate = search.candidates[rank - 1]
        for photo in self.gallery.photos(candidate.person):
            if photo.sha256 == candidate.photo_sha256:
                picture = images.decode(self.gallery.photo_bytes(photo), photo.file_name).image
                mate = self.finder.again(picture, np.array(photo.landmarks))
                probe = search.faces[0].portrait
                told = Explained(candidate.person, probe, mate.portrait, self.explain_portraits(probe, mate.portrait))
                return replace(search, explained=told)
        raise GalleryError(f"{candidate.person!r} was removed from the gallery after the search. Search again.")

    def explain_portraits(
        self,
        probe: Image.Image,
        candidate: Image.Image,
        *,
        watch: Callable[[int, int], None] = lambda done, total: None,
    ) -> Explanation:
        """What the score between two aligned portraits hangs on, such as those of a search on record.

        Args:
            probe: The probe's, 256 x 256.
            candidate: The candidate's.
            watch: Called before each portrait is described, with how many were, of how many. What it raises ends the
                work.

        Raises:
            ValueError: A portrait is not 256 x 256.
            StaleIndex, GalleryError: As `search` does.
        """
        matcher = self._memory.of(self.gallery).matcher
        done, total = itertools.count(), len(matcher.routes) * portraits_of()
        return explain(matcher_score(matcher, lambda: watch(next(done), total)), probe, candidate)

    def reindex(
        self,
        *,
        everything: bool = False,
        progress: Callable[[int, int], None] = lambda done, total: None,
        workers: int | None = None,
    ) -> Summary:
        """Describe photos in the spaces of all routes, from the stored originals.

        Landmarks are those stored at enrollment, so that a person's corrections hold.

        Args:
            everything: Also the photos that have a template, in place of a damaged one.
            progress: Called with how many are done, of how many.
            workers: Threads that describe photos; by default one a core.
        """
        routes = self.matcher.routes
        here = Here(by_space(routes), self.finder, policy.load(), threads=workers)
        return reindexing.reindex(here, self.gallery, routes, everything=everything, progress=progress)


def _open(image: Picture) -> tuple[str, str, Image.Image]:
    if isinstance(image, images.Decoded):
        return images.display_name(image.name), image.sha256, image.image
    if isinstance(image, Image.Image):
        import hashlib

        picture = images.upright_rgb(image)
        return "image", hashlib.sha256(picture.tobytes()).hexdigest(), picture
    return _open(images.read(image))
