"""What a server that runs for weeks does now and then: what has ended goes, in memory and in its state."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import delete

from forensic.gallery import database
from forensic.gallery.models import now
from forensic.web import routing, sessions, throttling
from forensic.web.logs import faults
from forensic.web.server import Server
from forensic.web.state import Made

log = logging.getLogger("forensic.web")
EVERY = 60.0
"""Seconds."""


class Housekeeping:
    """A thread that tidies up once a minute.

    Args:
        server: Whose visits, tokens, failures, jobs and pictures it looks through.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Tidy up now and from now on."""
        self.tidy()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def tidy(self) -> None:
        """Do all of it once; what fails, as on a full disk, is done the next time."""
        server = self.server
        for task in (
            lambda: sessions.tidy(server.state, server.settings),
            lambda: throttling.tidy(server.state),
            server.jobs.tidy,
            self._forget_answers,
            server.engine.heed_removals,
            lambda: database.scrub(server.state.engine, vacuum=False, patience=0),  # uploads leave the log of old pages
        ):
            try:
                task()
            except Exception as error:
                log.error("housekeeping: %s", faults(error))

    def _forget_answers(self) -> None:
        with self.server.state.writing() as session:
            session.execute(delete(Made).where(Made.made_at < now() - routing.KEPT))

    def _work(self) -> None:
        while not self._ended.wait(EVERY):
            self.tidy()
