"""The server's process: it bounds connections, believes a proxy or none, and ends in order."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Sequence

import uvicorn

from forensic.web.app import create
from forensic.web.protocol import Impatient
from forensic.web.server import Server

CONNECTIONS = 512
"""At once; one more gets 503. Whoever waits for a job holds one."""
KEPT_OPEN = 20
"""Seconds that an idle connection lives: longer than a refusal asks programs to wait, so that they do not come back at
the moment at which it is closed."""

SWITCH = 0.0005
"""Seconds that a thread may keep Python's global lock while others want it. A search calls the database and the models
some fifty times and waits for the lock after each: ten times as long with Python's own five milliseconds."""


class Process(uvicorn.Server):
    """Runs an assembled server until SIGTERM or Ctrl-C.

    Then nothing new begins, whoever waits for a job is told at once that it is kept, running searches end, and what
    waits is done after the next start.

    Args:
        server: What runs.
        listening: A socket that listens.
        proxies: Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed where browsers come by https.
        say: Told where it listens, once it answers: host and port.
    """

    def __init__(
        self, server: Server, *, listening: socket.socket, proxies: Sequence[str], say: Callable[[str, int], None]
    ) -> None:
        settings = server.settings
        sys.setswitchinterval(SWITCH)
        super().__init__(
            uvicorn.Config(
                create(server),
                log_config=None,
                access_log=False,
                server_header=False,
                http=Impatient,
                ws="none",
                limit_concurrency=CONNECTIONS,
                proxy_headers=settings.https,
                forwarded_allow_ips=list(proxies),
                timeout_keep_alive=KEPT_OPEN,
                timeout_graceful_shutdown=int(settings.drain_seconds),
            )
        )
        self._server, self._listening, self._say = server, listening, say

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the end."""
        super().run(sockets or [self._listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            host, port, *_ = self._listening.getsockname()
            self._say(host, port)
            threading.Thread(target=self._server.engine.warm, daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the queue first: uvicorn waits for answers that are still to come, and some wait for their job."""
        await asyncio.to_thread(self._server.jobs.stop)
        await super().shutdown(sockets)
