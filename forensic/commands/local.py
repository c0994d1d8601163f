"""A gallery's folder, asked as a server is: `Local` has the parts and calls of `forensic.client.Remote`.

A command takes one of the two from `forensic.commands.options.open_place`; the types' check holds every call against
both, so that neither can fall behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from forensic.gallery import Filter, Gallery, reports, users
from forensic.gallery.casework import cases
from forensic.gallery.checks import proving
from forensic.gallery.checks.traces import Traces
from forensic.gallery.log import anchoring, trail

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from forensic.candidates import Search
    from forensic.casefile.reporting import Form, Made
    from forensic.casefile.writing import Exported
    from forensic.casework import Repetition
    from forensic.duplicates import Duplicates
    from forensic.enrollment import Item, Summary
    from forensic.errors import ForensicError
    from forensic.gallery import Problem
    from forensic.gallery.checks.proving import Check
    from forensic.gallery.log.anchoring import Anchored
    from forensic.gallery.log.audit import Head
    from forensic.identify import Identifier
    from forensic.ray_cluster import Cluster


class Local:
    """A gallery's folder; it is opened when it is first needed, after the models, and closed by the context manager.

    Args:
        open_it: Opens the gallery, with whoever is at work signed in.
    """

    def __init__(self, open_it: Callable[[], Gallery]) -> None:
        self._open = open_it

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *exception: object) -> None:
        if "gallery" in self.__dict__:
            self.gallery.close()

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.gallery.folder)

    @cached_property
    def gallery(self) -> Gallery:
        """The gallery, open."""
        return self._open()

    @cached_property
    def cases(self) -> Cases:
        """Cases and what belongs to them."""
        return Cases(self.gallery)

    @cached_property
    def people(self) -> People:
        """Who is enrolled."""
        return People(self.gallery)

    @cached_property
    def records(self) -> Records:
        """The log and the reports."""
        return Records(self.gallery)

    @cached_property
    def users(self) -> Users:
        """Who may use the gallery."""
        return Users(self.gallery)

    def identifier(self, route: str, *, device: str, case: str | None, purpose: str, kind: str | None) -> Identifier:
        """What searches; ``kind`` is of sketches that a server would add to the case.

        Raises:
            UsageError, ModelError: As `Identifier` does; or a kind was given.
        """
        from forensic.errors import UsageError
        from forensic.identify import Identifier

        if kind is not None:
            raise UsageError(
                "--kind is for --server, which adds the sketch to the case: forensic case add does it here."
            )
        return Identifier(self.gallery, route, device=device, case=case, purpose=purpose)

    def search_case(
        self,
        reference: str,
        numbers: Sequence[int],
        top: int,
        *,
        route: str,
        together: bool,
        only: Filter | None,
        device: str,
    ) -> Iterator[tuple[str, Search | ForensicError]]:
        """`forensic.casework.search_case`."""
        from forensic import casework
        from forensic.identify import Identifier

        identifier = Identifier(self.gallery, route, device=device)
        yield from casework.search_case(identifier, reference, numbers, top, together=together, only=only)

    def rerun(self, number: int, files: Sequence[Path], *, device: str) -> Repetition:
        """`forensic.casework.rerun`."""
        from forensic import casework

        return casework.rerun(self.gallery, number, files, device=device)

    def write_report(self, searches: Sequence[Search], file: Path) -> None:
        """`forensic.report.write`."""
        from forensic import report

        report.write(searches, self.gallery, file)

    def enroll(
        self,
        items: Sequence[Item],
        *,
        route_names: Sequence[str],
        policy: Path | None,
        keep_until: date | None,
        device: str,
        cluster: Cluster | None,
        progress: Callable[[Summary], None],
    ) -> Summary:
        """`forensic.enrollment.enroll`; nothing is opened before models, policy and cluster are found to be sound."""
        from forensic import enrollment, matching
        from forensic.faces import Detector, Finder
        from forensic.faces.policy import load as load_policy

        limits = load_policy(policy)
        here = device if cluster is None else "cpu"  # a cluster's machines have the device
        routes = [route for name in route_names for route in matching.load(name, device=here).routes]
        if cluster is None:
            finder = Finder(Detector(device))
            return enrollment.enroll(
                self.gallery, items, routes, finder, policy=limits, keep_until=keep_until, progress=progress
            )
        from forensic.ray_workers import Elsewhere

        with Elsewhere(cluster, routes, limits, device=device) as preparer:
            return enrollment.enroll_by(preparer, self.gallery, items, keep_until=keep_until, progress=progress)

    def reindex(
        self,
        route: str,
        *,
        everything: bool,
        device: str,
        cluster: Cluster | None,
        progress: Callable[[int, int], None],
    ) -> Summary:
        """`forensic.identify.Identifier.reindex`."""
        if cluster is None:
            from forensic.identify import Identifier

            return Identifier(self.gallery, route, device=device).reindex(everything=everything, progress=progress)
        from forensic import matching, reindexing
        from forensic.faces.policy import load as load_policy
        from forensic.ray_workers import Elsewhere

        gallery, routes = self.gallery, matching.load(route).routes  # a gallery that is not there is told first
        with Elsewhere(cluster, routes, load_policy(), device=device) as preparer:
            return reindexing.reindex(preparer, gallery, routes, everything=everything, progress=progress)


class Cases:
    """`forensic.gallery.casework.cases` of one gallery."""

    def __init__(self, gallery: Gallery) -> None:
        self.open_case = partial(cases.open_case, gallery)
        self.add_sketch = partial(cases.add_sketch, gallery)
        self.listed = partial(cases.listed, gallery)
        self.find = partial(cases.find, gallery)
        self.sketches = partial(cases.sketches, gallery)
        self.searches = partial(cases.searches, gallery)
        self.searched = partial(cases.searched, gallery)
        self.decide = partial(cases.decide, gallery)
        self._gallery = gallery

    def report(self, reference: str, form: Form) -> Made:
        """`forensic.casefile.reporting.of_case`."""
        from forensic.casefile import reporting

        return reporting.of_case(self._gallery, reference, form)

    def search_report(self, number: int, form: Form) -> Made:
        """`forensic.casefile.reporting.of_search`."""
        from forensic.casefile import reporting

        return reporting.of_search(self._gallery, number, form)

    def export(self, reference: str, out: Path) -> Exported:
        """`forensic.casefile.writing.export`."""
        from forensic.casefile import writing

        return writing.export(self._gallery, reference, out)


class People:
    """The calls of a `Gallery` that are about people."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self.size = gallery.size
        self.look_through = gallery.look_through
        self.view = gallery.view
        self.person = gallery.person
        self.photo = gallery.photo
        self.update = gallery.update
        self.update_photo = gallery.update_photo
        self.merge = gallery.merge
        self.keep = gallery.keep
        self.split = gallery.split
        self.expunge = gallery.expunge
        self.expunge_photo = gallery.expunge_photo
        self.due = gallery.due
        self.expunge_due = gallery.expunge_due

    def duplicates(self, route: str, above: float, limit: int) -> tuple[Duplicates, dict[int, str]]:
        """`forensic.duplicates.find`, and the names of the photos' files by the photos' numbers."""
        from forensic.duplicates import find

        found = find(self._gallery, route, above, limit)
        return found, {number: self.photo(number).file_name for pair in found.pairs for number in pair.photos}

    def path(self, sha256: str) -> str | None:
        """Where a photo's original lies, if another program can read it there."""
        store = self._gallery.objects
        return None if self._gallery.sealing is not None else store.where(store.name(sha256))


class Records:
    """The audit log, what it tells of the expunged, and the accuracy reports of one gallery; and its checks."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self.entries = partial(trail.entries, gallery)
        self.export_head = partial(trail.export_head, gallery)
        self.tombstones = partial(proving.tombstones, gallery)
        self.reports = partial(reports.listed, gallery)
        self.report = partial(reports.show, gallery)

    def verify(self, head: Head | None) -> list[Problem]:
        """`Gallery.verify`."""
        return self._gallery.verify(head)

    def repair(self, source: Path | None, head: Head | None) -> tuple[list[Problem], list[Problem]]:
        """`forensic.mending.mend`: what was mended, and what is still wrong."""
        from forensic.mending import mend

        return mend(self._gallery, source, head)

    def verify_log(self, head: Head | None, roots: Sequence[Certificate]) -> tuple[int, Anchored]:
        """How many entries the log has; what is wrong with it or with its anchors."""
        problems, size = trail.verify(self._gallery, head)
        anchors = anchoring.verify(self._gallery, roots)
        return size, anchors._replace(problems=[*problems, *anchors.problems])

    def prove(self, number: int, *, texts: Sequence[str], photos: Sequence[Path], wipe: bool) -> list[Check]:
        """`forensic.gallery.checks.proving.prove`."""
        traces = Traces.of(tuple(texts), tuple(photos))
        return proving.prove(self._gallery, number, traces=traces, wipe=wipe)


class Users:
    """`forensic.gallery.users` of one gallery."""

    def __init__(self, gallery: Gallery) -> None:
        self.add = partial(users.add, gallery)
        self.listed = partial(users.listed, gallery)
        self.set_role = partial(users.set_role, gallery)
        self.set_password = partial(users.set_password, gallery)
        self.remove = partial(users.remove, gallery)
