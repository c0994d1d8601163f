"""The walk: a sketch goes in, a ranked list of candidates comes out.

image -> find and align -> translate and describe -> search -> records -> candidates
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forensic import devices, enrollment, images, parallel, routes
from forensic.enrollment import Summary
from forensic.errors import FaceError, GalleryError, ImageError, StaleIndex, UsageError
from forensic.faces import Aligned, Finder
from forensic.gallery import Gallery
from forensic.recognition.index import Index, best_per_person

LEAD = (
    "A candidate is an investigative lead, not an identification: a trained examiner compares the faces, and a "
    "second one confirms independently."
)
SYNTHETIC = "synthetic, not evidence"


class Candidate(NamedTuple):
    """One person of the gallery who may be the mate of a probe.

    Attributes:
        rank: 1 for the most similar.
        person: The person's label in the gallery.
        photo: File name of the person's most similar photo.
        photo_sha256: Hash of that photo's file.
        score: Similarity, -1 to 1; comparable within one route only.
    """

    rank: int
    person: str
    photo: str
    photo_sha256: str
    score: float


@dataclass(frozen=True)
class Search:
    """One probe's search and its answer.

    Attributes:
        probe: The probe's path, or ``image`` where none was given.
        sha256: Hash of the probe's file; of its pixels where there is no file.
        route: Name of the route that was searched.
        models: Name and SHA-256 of every model that took part.
        gallery_size: Photos that were searched.
        candidates: Most similar first, each person once.
        warnings: What a person must know of this search.
        face: The probe's face.
        synthesized: The translated portrait, where the route made one.
    """

    probe: str
    sha256: str
    route: str
    models: dict[str, str]
    gallery_size: int
    candidates: tuple[Candidate, ...]
    warnings: tuple[str, ...]
    face: Aligned = field(repr=False, compare=False)
    synthesized: Image.Image | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The search as plain data; the same probe and gallery give the same, to the byte."""
        return {
            "probe": self.probe,
            "sha256": self.sha256,
            "route": self.route,
            "models": self.models,
            "gallery_size": self.gallery_size,
            "candidates": [
                {**candidate._asdict(), "score": round(candidate.score, 6)} for candidate in self.candidates
            ],
            "warnings": list(self.warnings),
        }


class Identifier:
    """Enrolls photos in a gallery and searches it with sketches, along one route.

    Args:
        gallery: An open gallery.
        route: Name of the route, see `forensic.routes`.
        device: Where models run, as torch names it; a device that is not there is an error.

    Raises:
        UsageError: No route of that name, or no such device.
        ModelError: A model is missing or damaged.
    """

    def __init__(self, gallery: Gallery, route: str = routes.DEFAULT, *, device: str = "cpu") -> None:
        devices.find(device)
        self.gallery = gallery
        self.route = routes.load(route, device=device)
        self._device = device
        self._loaded: tuple[int, Index, dict[int, str]] | None = None

    @cached_property
    def finder(self) -> Finder:
        """Finds faces; made when it is first needed."""
        from forensic.faces import Detector

        return Finder(Detector(self._device))

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
        return enrollment.enroll(self.gallery, items, [self.route], self.finder, progress=progress)

    def identify(self, image: str | os.PathLike[str] | Image.Image, k: int = 10) -> list[Candidate]:
        """The ``k`` most similar people, best first; `search` tells more.

        Raises:
            ImageError, FaceError, GalleryError: As `search` does.
        """
        return list(self.search(image, k).candidates)

    def search(
        self,
        image: str | os.PathLike[str] | Image.Image,
        k: int = 10,
        *,
        face: int | None = None,
        landmarks: NDArray[np.floating] | None = None,
    ) -> Search:
        """Search the gallery with one probe.

        Args:
            image: A sketch, as a file or an RGB image.
            k: How many candidates; fewer come back from a smaller gallery.
            face: Which face, 1 for the largest.
            landmarks: Five points given by a person, shape (5, 2).

        Raises:
            ImageError: The file is no usable image.
            FaceError: No face was found.
            StaleIndex: The gallery lacks templates of the route's space.
            GalleryError: The gallery is empty or damaged.
            UsageError: ``k`` is below 1, or the landmarks are no face's.
        """
        if k < 1:
            raise UsageError(f"{k} candidates were asked for; expected at least 1.")
        name, sha256, picture = _open(image)
        index, people = self._index()
        try:
            aligned = self.finder.one(picture, face=face, landmarks=landmarks)
        except FaceError as error:
            raise FaceError(f"{name}: {error}") from None
        template = self.route.describe([aligned], "probe")
        found = best_per_person(index, template, people, k)[0]
        candidates = []
        for rank, best in enumerate(found, 1):
            photo = self.gallery.photo(best.id)
            candidates.append(Candidate(rank, best.person, photo.file_name, photo.sha256, best.score))
        synthesized = self.route.synthesize(aligned) if self.route.translated == "probe" else None
        return Search(
            probe=name,
            sha256=sha256,
            route=self.route.name,
            models=self.route.models,
            gallery_size=len(index),
            candidates=tuple(candidates),
            warnings=(*aligned.warnings, *self._known_probe(sha256)),
            face=aligned,
            synthesized=synthesized,
        )

    def search_all(
        self,
        files: Iterable[str | os.PathLike[str]],
        k: int = 10,
        *,
        face: int | None = None,
        landmarks: NDArray[np.floating] | None = None,
    ) -> Iterator[Search | ImageError | FaceError]:
        """Search with many probes, on all cores; each one's answer is that of `search`, or its error.

        Raises:
            StaleIndex, GalleryError, UsageError: As `search` does, for all of them.
        """

        def one(file: str | os.PathLike[str]) -> Search | ImageError | FaceError:
            try:
                return self.search(file, k, face=face, landmarks=landmarks)
            except (ImageError, FaceError) as error:
                return error

        self._index()
        _ = self.finder  # made once, before the threads ask for it
        with parallel.workers() as pool:
            yield from parallel.ordered(pool, one, files)

    def reindex(
        self, *, everything: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Summary:
        """Describe photos in the route's space, from the stored originals.

        Landmarks are those stored at enrollment, so that a person's corrections hold.

        Args:
            everything: Also the photos that have a template, in place of a damaged one.
            progress: Called with how many are done, of how many.
        """
        missing = self.gallery.photos() if everything else self.gallery.missing(self.route.space)
        space, summary = enrollment.gallery_space(self.route), Summary()
        for start in range(0, len(missing), enrollment.BATCH):
            templates = {}
            for photo in missing[start : start + enrollment.BATCH]:
                try:
                    picture = images.decode(self.gallery.photo_bytes(photo), photo.file_name).image
                except GalleryError as error:
                    summary.failures.append(enrollment.Failure(photo.file_name, str(error)))
                    continue
                aligned = self.finder.one(picture, landmarks=np.array(photo.landmarks))
                templates[photo.id] = self.route.describe([aligned], "gallery")[0]
            summary.enrolled += self.gallery.add_templates(space, templates)
            progress(summary.done, len(missing))
        return summary

    def _index(self) -> tuple[Index, dict[int, str]]:
        """The index of the route's space, of the gallery as it is now."""
        space = self.route.space
        revision = self.gallery.revision(space)
        if self._loaded is None or self._loaded[0] != revision:
            self._loaded = self._load(space)
        _, index, people = self._loaded
        lacking = self.gallery.size().photos - len(index)
        if lacking or not len(index):
            self._refuse(lacking)
        return index, people

    def _load(self, space: str) -> tuple[int, Index, dict[int, str]]:
        """The index from its cache, or from the gallery's templates where the cache is missing or out of date."""
        revision = self.gallery.revision(space)
        cache = self.gallery.index_folder / f"{space[:16]}.safetensors"
        index = Index.load(cache, space=space, revision=str(revision))
        if index is not None:
            return revision, index, self.gallery.labels(index.ids)
        templates = self.gallery.templates(space)
        index = Index.build(templates.vectors, templates.photo_ids)
        if len(index):
            content = index.to_bytes(space=space, revision=str(templates.revision))
            self.gallery.save_index(cache.name, content, space=space, revision=templates.revision)
        return templates.revision, index, dict(zip(templates.photo_ids.tolist(), templates.people, strict=True))

    def _refuse(self, lacking: int) -> None:
        if not self.gallery.size().photos:
            raise GalleryError(f"The gallery {self.gallery.folder} is empty. Enroll photos: forensic enroll PATH...")
        raise StaleIndex(
            f"{lacking} photos of the gallery have no template of the route {self.route.name!r} with its present "
            f"models. Make them: forensic gallery reindex --route {self.route.gallery_route}"
        )

    def _known_probe(self, sha256: str) -> Sequence[str]:
        person = self.gallery.known([sha256]).get(sha256)
        return () if person is None else (f"this very file is enrolled in the gallery, as {person!r}.",)


def _open(image: str | os.PathLike[str] | Image.Image) -> tuple[str, str, Image.Image]:
    if isinstance(image, Image.Image):
        import hashlib

        picture = image.convert("RGB")
        return "image", hashlib.sha256(picture.tobytes()).hexdigest(), picture
    decoded = images.read(image)
    return images.display_name(image), decoded.sha256, decoded.image
