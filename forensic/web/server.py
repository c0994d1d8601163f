"""What the routes share while the server runs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forensic.gallery import Gallery
from forensic.web.settings import Settings
from forensic.web.state import State

if TYPE_CHECKING:
    from forensic.web.decoding import Decoder
    from forensic.web.engine import Engine
    from forensic.web.jobs import Jobs
    from forensic.web.throttling import Rate


@dataclass(frozen=True)
class Server:
    """The running application.

    Attributes:
        settings: What the agency has set.
        gallery: The gallery, with nobody at work in it: routes take the visitor's.
        state: The server's own memory.
        decoder: Opens pictures.
        engine: The models.
        jobs: Long work.
        rate: How often programs may ask.
        start_key: What opens a gallery without users: whoever started the server has it.
        cursor_key: Signs the places in lists that programs are given to go on from.
    """

    settings: Settings
    gallery: Gallery
    state: State
    decoder: Decoder
    engine: Engine
    jobs: Jobs
    rate: Rate
    start_key: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    cursor_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def close(self) -> None:
        """Give back what is open, once nobody works with it any more."""
        self.decoder.close()
        self.state.close()
        self.gallery.close()
