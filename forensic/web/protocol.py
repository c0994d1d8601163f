"""HTTP as uvicorn speaks it, with bounds on what no route sees.

That is headers, the rest of a body that was answered, and answers that nobody takes.
"""

from __future__ import annotations

import asyncio
import math

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS = 20.0
"""For a request's line and headers, from the connection's beginning or from the first byte; for the rest of a body that
was not read, from the answer."""
BYTES = 1 << 16
"""Of a request's line and headers, and of what came with them."""
UNREAD = 60.0
"""Seconds in which a client has to take `PORTION` of an answer that waits for it, or all of it."""
PORTION = 1 << 16
"""Bytes: what the slowest line carries, and so much that an answer is not taken for ever."""


class Impatient(HttpToolsProtocol):
    """Closes connections of those who send headers without end, or none, or a body that has been answered already.

    Those who do not take their answers lose the connection too, with what waits for them.
    """

    _clock: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _unread = 0
    _read = 0
    _most: float = BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        # Whatever waits is noticed then, also what is too little to stop a route, on a connection that is being closed.
        transport.set_write_buffer_limits(high=0)
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

    def pause_writing(self) -> None:
        """Wait for the client to take what is there for it."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Wait no more."""
        self._stop_watching()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self._stop_watching()
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

    def _watch(self) -> None:
        self._stop_watching()
        self._unread = self.transport.get_write_buffer_size()
        self._taking = self.loop.call_later(UNREAD, self._look_again)

    def _stop_watching(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _look_again(self) -> None:
        if self._unread - self.transport.get_write_buffer_size() >= PORTION:
            self._watch()
        else:
            self._stop_watching()
            self.transport.abort()  # closing would wait for the client
