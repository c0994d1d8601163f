"""The OpenAPI document: what FastAPI knows of the routes, with who may call them and what every answer carries."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import forensic
from forensic.gallery.rights import RIGHTS, Right
from forensic.web.api.models import Problem, failing
from forensic.web.routing import REPLAYED, once

PATH = "/openapi.json"
TOKEN, SESSION, CSRF = "token", "session", "csrf"
SAFE = ("get", "head")
_OPERATIONS = (*SAFE, "post", "put", "patch", "delete")

DESCRIPTION = """\
Match a witness's face sketch against a gallery of mugshots. **A candidate is an investigative lead, not an
identification**: a trained examiner compares the faces, and a second one confirms independently.

- **Who asks**: make a token with `POST /api/v1/tokens`, send it as `Authorization: Bearer ...`. It may do what its
  user's role and its own scopes both allow.
- **Numbers**: cases, people, photos, searches and users appear in addresses by number, so that no log on the way names
  anybody.
- **Lists** come as `{"items": [...], "next": cursor}`; give the cursor to go on, null is the end.
- **Writes** that may be repeated take an `Idempotency-Key`: the same key with the same request is done once.
- **Long work** is a job: with `Prefer: wait=30` the answer is what came of it if it ends in time, else where it stands.
- **Errors** are problems (RFC 9457, `application/problem+json`): the `detail` says what was given, what was expected
  and what to do.
- Every answer carries `X-Request-Id`, which stands in the entries of the audit log that the request made.
"""
TAGS = {
    "tokens": "Who asks: tokens of programs.",
    "cases": "Cases, without which nobody searches.",
    "sketches": "Sketches of cases, and the face that is found in one.",
    "searches": "Searches, verdicts on candidates, and what is on record.",
    "reports": "Reports of searches and cases, to read and to keep.",
    "jobs": "Long work.",
    "people": "Who is enrolled, their photos, enrolling and expunging.",
    "gallery": "The gallery as a whole, and how accurate searches are.",
    "audit": "Who did what, and whether the log is whole.",
    "users": "Who may use the gallery.",
    "server": "The server itself.",
}
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {"description": "The request's number.", "schema": {"type": "string"}},
    "RateLimit-Limit": {"description": "Requests a minute.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "How many are left of them.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until all are there again.", "schema": {"type": "integer"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    "Location": {"description": "Where it is found.", "schema": {"type": "string", "format": "uri-reference"}},
    REPLAYED: {
        "description": "`true` where the answer is that of an earlier request of the same key.",
        "schema": {"type": "string"},
    },
}
SCHEMES = {
    TOKEN: {"type": "http", "scheme": "bearer", "description": "A token of `POST /api/v1/tokens`."},
    SESSION: {"type": "apiKey", "in": "cookie", "name": "forensic", "description": "A browser that is signed in."},
    CSRF: {"type": "apiKey", "in": "header", "name": "X-CSRF-Token", "description": "What a browser's writes carry."},
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of an application, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title="forensic",
            version=forensic.__version__,
            openapi_version="3.1.0",
            summary=app.summary,
            description=DESCRIPTION,
            license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
            tags=[{"name": name, "description": text} for name, text in TAGS.items()],
            routes=app.routes,
        )
        components = made.setdefault("components", {})
        components["securitySchemes"], components["headers"] = SCHEMES, HEADERS
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        components["schemas"].setdefault("Problem", schema)
        _describe(app, made["paths"])
        app.openapi_schema = made
    return app.openapi_schema


def _describe(app: FastAPI, paths: dict[str, Any]) -> None:
    from forensic.web.app import rights_of, routes_of

    for route in routes_of(app):
        for method in route.methods or ():
            operation = paths.get(cast(str, route.path_format), {}).get(method.lower())
            if operation is not None:
                heeds = any(one.call is once for one in route.dependant.dependencies)
                _complete(operation, method.lower(), rights_of(route), heeds=heeds)


def _complete(operation: dict[str, Any], method: str, rights: tuple[Right, ...] | None, *, heeds: bool) -> None:
    """Say of one operation what it is called, who may call it, and which headers its answers have."""
    operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
    if rights is None:
        operation["security"] = []
    else:
        scopes = [right.name.lower() for right in rights]
        browser: dict[str, list[str]] = {SESSION: scopes} | ({} if method in SAFE else {CSRF: []})
        operation["security"] = [{TOKEN: scopes}, browser]
        operation["x-roles"] = sorted(set.intersection(*(set(RIGHTS[right]) for right in rights))) if rights else []
    if "requestBody" in operation:
        operation["responses"] |= {str(status): one for status, one in failing(400, 408, 413).items()}
    for status, response in operation["responses"].items():
        names = ["X-Request-Id"]
        if rights is not None:
            names += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"] if status < "300" else []
        names += ["Retry-After"] if status in ("429", "503") else []
        names += ["Location"] if method == "post" and status in ("201", "202") else []
        names += [REPLAYED] if heeds and status < "300" else []
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def operations(made: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of everything in a document, in its order."""
    return [
        (path, method, item[method]) for path, item in made["paths"].items() for method in _OPERATIONS if method in item
    ]
