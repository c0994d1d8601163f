"""What can be made good again in a gallery that `verify` found fault with; databases and logs are never touched up.

Files that others may read are closed to them, files that belong to nobody are removed, index files that were altered
too, originals come back from a folder that has them, and faulty templates are dropped for `forensic.mending` to make
them anew. People without photos are left: to expunge them is somebody's decision. So are originals that no photo has:
where the database lost rows, or is an older one, they are the only copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from forensic.gallery import originals, templates
from forensic.gallery.checks import verifying
from forensic.gallery.models import IndexFile, Photo, Template, TemplateSpace
from forensic.gallery.objects import is_original
from forensic.gallery.records import Problem
from forensic.gallery.rights import Right, needs
from forensic.gallery.store import Gallery


@needs(Right.ENROLL)
def repair(gallery: Gallery, source: Path | None = None) -> list[Problem]:
    """Mend what needs no model, in one act, noted in the log.

    Args:
        gallery: The gallery.
        source: A folder in which originals that are missing or altered may lie, under whatever names.

    Returns:
        What was mended; the messages say how. Nothing where the database itself is damaged.
    """
    if verifying.damage(gallery):
        return []
    with gallery.writing() as session:  # nobody else writes: what no photo names is nobody's
        found = verifying.verify(gallery)
        mended = [
            *_closed(found),
            *_without_strays(gallery, found),
            *_without_indexes(gallery, session, found),
            *_dropped_templates(session),
            *_brought_back(gallery, session, found, source),
        ]
        if mended:
            kinds = sorted({problem.kind for problem in mended})
            counts = {kind: sum(problem.kind == kind for problem in mended) for kind in kinds}
            photos = sorted({number for problem in mended if (number := _photo(problem)) is not None})
            gallery.note(session, "repair", mended=counts, photos=photos)
    return mended


def _closed(found: Sequence[Problem]) -> Iterator[Problem]:
    for problem in found:
        path = Path(problem.subject)
        if problem.kind == "permissions" and not path.is_symlink():  # a link's target is not the gallery's
            path.chmod(path.stat().st_mode & 0o700)
            yield problem._replace(message="Is its owner's alone now.")


def _without_strays(gallery: Gallery, found: Sequence[Problem]) -> Iterator[Problem]:
    if originals.are_elsewhere(gallery):
        return  # others may work in that bucket or on that disk: it is for them to delete what is theirs
    store = gallery.objects
    for problem in found:
        if problem.kind == "stray" and not is_original(name := store.named(problem.subject)):
            store.discard([name])
            yield problem._replace(message="No photo had this file: it is deleted.")


def _without_indexes(gallery: Gallery, session: Session, found: Sequence[Problem]) -> Iterator[Problem]:
    for problem in found:
        path = gallery.index_folder / problem.subject
        if problem.kind == "index" and (path.is_symlink() or path.is_file()):
            path.unlink(missing_ok=True)
            session.execute(delete(IndexFile).where(IndexFile.name == problem.subject))
            yield problem._replace(message="Is deleted: the next search makes it anew.")


def _dropped_templates(session: Session) -> Iterator[Problem]:
    for space in session.scalars(select(TemplateSpace).order_by(TemplateSpace.digest)).all():
        faults = verifying.template_faults(session, space)
        for some in templates.chunks(sorted(faults)):
            session.execute(delete(Template).where(Template.space_id == space.id, Template.photo_id.in_(some)))
        if faults:
            templates.touch_segments(session, [space.id], faults)
        for number, fault in sorted(faults.items()):
            yield Problem("template", f"photo {number}", f"It {fault}: that template is dropped.")


def _brought_back(
    gallery: Gallery, session: Session, found: Sequence[Problem], source: Path | None
) -> Iterator[Problem]:
    wanted = {
        session.get_one(Photo, number).sha256: problem
        for problem in found
        if problem.kind == "original" and (number := _photo(problem)) is not None
    }
    for path in sorted(source.rglob("*")) if source and wanted else ():
        if not path.is_file():
            continue
        try:
            data = path.read_bytes()
        except OSError:  # what cannot be read does not have it
            continue
        if problem := wanted.pop(sha256 := hashlib.sha256(data).hexdigest(), None):
            gallery.objects.write({sha256: data})
            yield problem._replace(message=f"Its original is back, from {path}.")


def _photo(problem: Problem) -> int | None:
    """The number of the photo that a problem is about."""
    word, _, rest = problem.subject.partition(" ")
    number = rest.split(" ")[0]
    return int(number) if word == "photo" and number.isdecimal() else None
