"""Whether the server is at work, for whoever watches over it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from forensic.web.access import for_anybody
from forensic.web.api.models import Told, failing
from forensic.web.problems import Busy
from forensic.web.routing import Route
from forensic.web.server import Server

router = APIRouter(tags=["server"], route_class=Route)


class Health(Told):
    """That the server takes requests."""

    status: Literal["ok"] = Field(examples=["ok"])


@router.get("/health", dependencies=[for_anybody()], responses=failing(503), operation_id="health")
async def health(request: Request) -> Health:
    """Whether the server takes requests; 503 while it is being stopped."""
    server: Server = request.app.state.server
    if server.jobs.ending:
        raise Busy("The server is being stopped.", 5)
    return Health(status="ok")
