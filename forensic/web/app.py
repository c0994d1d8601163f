"""The application: gallery, models and routes put together, and taken apart in order when the server ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartParser
from starlette.routing import Mount
from starlette.types import Scope

import forensic
from forensic.gallery import Gallery
from forensic.gallery.rights import Right
from forensic.web import access, api, pages, problems, routing, work
from forensic.web.decoding import Decoder
from forensic.web.engine import Engine
from forensic.web.headers import Bounds, Guard
from forensic.web.housekeeping import Housekeeping
from forensic.web.jobs import Jobs
from forensic.web.problems import SignedOut
from forensic.web.server import Server
from forensic.web.settings import Settings
from forensic.web.state import State
from forensic.web.throttling import Rate

STATIC = Path(__file__).with_name("static")


def assemble(settings: Settings) -> Server:
    """Everything that the routes share, not yet at work.

    Raises:
        GalleryError: The gallery, or the server's state beside it, cannot be opened.
    """
    gallery = Gallery(settings.gallery)
    try:
        state = State(gallery)
    except BaseException:
        gallery.close()
        raise
    decoder = Decoder(settings.workers, pixels=settings.pixels, seconds=settings.decoding_seconds)
    engine = Engine(gallery, settings, decoder)
    jobs = Jobs(state, gallery, work.handlers(engine), workers=settings.workers, waiting=settings.waiting)
    return Server(settings, gallery, state, decoder, engine, jobs, Rate(settings.requests_a_minute))


def create(server: Server) -> FastAPI:
    """The application of an assembled server; it works between its start-up and its shut-down."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        housekeeping = Housekeeping(server)
        await run_in_threadpool(routing.began, server.state)
        await run_in_threadpool(server.jobs.start)
        await run_in_threadpool(housekeeping.start)
        try:
            yield
        finally:
            await run_in_threadpool(server.jobs.drain, server.settings.drain_seconds)
            await run_in_threadpool(housekeeping.stop)
            server.close()

    # Files stay in memory, within the bounds of `Guard`: a spooled copy of a face would outlast an expunge.
    MultiPartParser.spool_max_size = server.settings.batch_bytes
    app = FastAPI(
        title="forensic",
        version=forensic.__version__,
        summary="Match a witness's face sketch against a gallery of mugshots.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        form_limits=access.FIELDS,
        lifespan=lifespan,
    )
    app.state.server = server
    app.include_router(pages.router, include_in_schema=False)
    app.include_router(api.router, prefix="/api/v1")
    app.mount("/static", StaticFiles(directory=STATIC))
    problems.add_handlers(app)
    routes = list(routes_of(app))  # once: FastAPI makes each of them anew for whoever asks, a quarter of a second
    for route in routes:
        rights_of(route)  # a route that does not say who may call it ends the start
    settings = server.settings
    bounds = Bounds(settings.upload_bytes, settings.batch_bytes, _takes_batch(routes), _knows(server))
    app.add_middleware(Guard, hosts=settings.hosts, https=settings.https, bounds=bounds)
    return app


def routes_of(app: FastAPI) -> Iterator[RouteContext]:
    """Every route that a handler of ours answers, with its whole path: pages and API, of all included routers.

    Raises:
        TypeError: There is one of another kind, which cannot say who may call it.
    """
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            yield context
        elif not (isinstance(context.original_route, Mount) and context.path == "/static"):
            raise TypeError(f"{context.path} is no route that can say who may call it.")


def rights_of(context: RouteContext) -> tuple[Right, ...] | None:
    """The rights that a route asks for, empty where a sign-in is enough; None where it is open to anybody.

    Raises:
        TypeError: It does not say, or says it twice.
    """
    found: tuple[Right, ...] | None = _declared(context).rights
    return found


def _declared(context: RouteContext) -> Any:
    """What a route says of who may call it: `access.allowed` or `access.for_anybody`."""
    declared = [one.call for one in context.dependant.dependencies if hasattr(one.call, "rights")]
    if len(declared) != 1:
        raise TypeError(f"{context.path} does not say who may call it: declare allowed(...) or for_anybody(), once.")
    return declared[0]


def _takes_batch(routes: Iterable[RouteContext]) -> Callable[[Scope], bool]:
    """Says whether the route of a request takes uploads of several files."""
    taking = [route.path_regex for route in routes if _declared(route).batch]
    return lambda scope: any(pattern.match(scope["path"]) for pattern in taking)


def _knows(server: Server) -> Callable[[Scope], Awaitable[bool]]:
    """Says whether somebody who is signed in makes a request."""

    def known(scope: Scope) -> bool:
        try:
            access.known(server, Request(scope))
        except SignedOut:
            return False
        return True

    async def knows(scope: Scope) -> bool:
        return await run_in_threadpool(known, scope)

    return knows
