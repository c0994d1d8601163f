"""Reports as answers: the same for a browser and for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from forensic.casefile import page, reporting
from forensic.casefile.probes import Points, Probes
from forensic.casefile.reporting import Form, Made
from forensic.gallery.casework import cases
from forensic.gallery.casework.casework_models import Sketch
from forensic.web.access import Visitor

if TYPE_CHECKING:
    from forensic.faces import Aligned
    from forensic.routes import Route
    from forensic.web.server import Server

TYPES = {Form.PDF: "application/pdf", Form.HTML: "text/html; charset=utf-8"}
DESCRIBED: dict[str, Any] = {
    "description": "The report.",
    "content": {
        "application/pdf": {"schema": {"type": "string", "format": "binary"}},
        "text/html": {"schema": {"type": "string"}},
    },
}
"""How a document of the API describes a report."""


def of_case(request: Request, visitor: Visitor, number: int, form: Form) -> Response:
    """The report of a case.

    Raises:
        NotFound: There is no such case.
    """
    reference = cases.by_number(visitor.gallery, number).reference
    probes, decode = _probes(visitor.server), visitor.server.decoder.decode
    return _answer(request, reporting.of_case(visitor.gallery, reference, form, probes=probes, decode=decode), form)


def of_search(request: Request, visitor: Visitor, number: int, form: Form) -> Response:
    """The report of a search.

    Raises:
        NotFound: There is no such search.
    """
    probes, decode = _probes(visitor.server), visitor.server.decoder.decode
    return _answer(request, reporting.of_search(visitor.gallery, number, form, probes=probes, decode=decode), form)


def _answer(request: Request, made: Made, form: Form) -> Response:
    """A PDF is to be kept, a page to be looked at; the file's name has a number and names nobody."""
    kept = "attachment" if form is Form.PDF else "inline"
    headers = {"content-disposition": f'{kept}; filename="{made.name}"'}
    if form is Form.HTML:
        own = {"content-security-policy": page.policy(made.content)}  # in place of the site's
        request.state.headers = getattr(request.state, "headers", {}) | own
    return Response(made.content, headers=headers, media_type=TYPES[form])


def _probes(server: Server) -> Probes:
    """The server's own models and its memory of faces."""

    def face(sketch: Sketch, points: Points) -> Aligned:
        return server.engine.face_again(sketch, points)

    def route(name: str) -> Route:
        return server.engine.route(name)

    return Probes(face, route)
