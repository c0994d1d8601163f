"""Pages: every value is escaped, what is lacking is an error, and each page knows who looks at it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

import forensic
from forensic.candidates import LEAD, SYNTHETIC
from forensic.gallery.rights import Right
from forensic.text import counted, printable

if TYPE_CHECKING:
    from forensic.web.access import Visitor

environment = jinja2.Environment(
    loader=jinja2.ChoiceLoader([jinja2.PackageLoader("forensic.web"), jinja2.PackageLoader("forensic")]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters |= {"printable": printable, "counted": counted}
environment.filters["moment"] = lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC"
environment.filters["stamp"] = lambda text: f"{text[:10]} {text[11:19]} UTC"  # a moment as it is on record
environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
environment.globals |= {"LEAD": LEAD, "SYNTHETIC": SYNTHETIC, "VERSION": forensic.__version__, "Right": Right}

HEADINGS = {
    HTTPStatus.BAD_REQUEST: "This cannot be read",
    HTTPStatus.FORBIDDEN: "You may not do this",
    HTTPStatus.NOT_FOUND: "There is no such thing",
    HTTPStatus.METHOD_NOT_ALLOWED: "This is not done so",
    HTTPStatus.REQUEST_TIMEOUT: "It took too long",
    HTTPStatus.CONFLICT: "This does not fit what is there",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "This is too large",
    HTTPStatus.MISDIRECTED_REQUEST: "This is another server",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Something in this is not right",
    HTTPStatus.TOO_MANY_REQUESTS: "Too much at once",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now",
}
"""What the page of an error is headed."""


def page(
    request: Request,
    template: str,
    visitor: Visitor | None,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """A template as an answer.

    Args:
        request: What is answered.
        template: Its file.
        visitor: Who looks; None for nobody who is signed in.
        status: Of the answer.
        headers: Of the answer, further ones.
        values: What the template shows.
    """
    text = environment.get_template(template).render(
        request=request,
        visitor=visitor,
        csrf=visitor.visit.csrf if visitor and visitor.visit else "",
        failed=status >= HTTPStatus.BAD_REQUEST,
        **values,
    )
    return HTMLResponse(text, status, headers)


def _back(request: Request) -> str:
    """The page of this server that a request came from, else the first one: a link may come from anybody."""
    try:
        found = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/"
    ours = found.netloc == request.headers.get("host") and found.scheme in ("http", "https")
    return found._replace(scheme="", netloc="").geturl() if ours and not found.path.startswith("//") else "/"


def error_page(
    request: Request, status: HTTPStatus, detail: str, number: str, headers: dict[str, str] | None = None
) -> HTMLResponse:
    """An error for a person; for a part of a page, the words alone."""
    template = "problem-part.html" if "hx-request" in request.headers else "problem.html"
    visitor = getattr(request.state, "visitor", None)
    told = {"title": HEADINGS.get(status, status.phrase), "detail": detail, "number": number, "back": _back(request)}
    return page(request, template, visitor, status=status.value, headers=headers, **told)
