"""HTTP as uvicorn speaks it, with bounds on what no route reads: headers, and the rest of a body that was answered."""

from __future__ import annotations

import asyncio
import math

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS = 20.0
"""For a request's line and headers, from the connection's beginning or from the first byte; for the rest of a body that
was not read, from the answer."""
BYTES = 1 << 16
"""Of a request's line and headers, and of what came with them."""


class Impatient(HttpToolsProtocol):
    """Closes connections of those who send headers without end, or none, or a body that has been answered already."""

    _clock: asyncio.TimerHandle | None = None
    _read = 0
    _most: float = BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to headers that have not ended."""
        super().data_received(data)
        if self._clock is not None:
            self._read += len(data)
            if self._read > self._most:
                self._give_up()

    def on_message_begin(self) -> None:
        """Wait for the end of the headers."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the rest of the request, where there is one: nothing else ends a connection that goes on sending."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            self._wait(math.inf)

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self, most: float = BYTES) -> None:
        self._stop_waiting()
        self._read, self._most = 0, most
        self._clock = self.loop.call_later(SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        self._stop_waiting()
        self.transport.close()
