"""What an agency may set; the defaults serve one examiner on one machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from forensic import matching


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the application behaves.

    Attributes:
        gallery: The gallery's folder.
        hosts: Names under which it may be called, without a port; others are refused, so that no stranger's page can
            reach it under a name of its own (DNS rebinding).
        https: Whether browsers reach it by https, as behind a proxy: cookies are then sent in no other way.
        routes: What the search form offers, the first one chosen.
        device: Where models run.
        approximate: Kind of the index, where it looks at a part of the gallery.
        search_device: Where templates are compared; None for the processor.
        longest_list: Most candidates of one search.
        workers: Searches at once.
        waiting: Jobs that may wait; one more is told to come back.
        upload_bytes: Largest file.
        batch_bytes: Largest upload of several files.
        pixels: Largest picture.
        decoding_seconds: For one picture.
        idle_minutes: After so long without a request a session ends.
        session_hours: So long after sign-in it ends anyway.
        requests_a_minute: Of one user to the API.
        drain_seconds: What running jobs get at the end.
    """

    gallery: Path
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    https: bool = False
    routes: tuple[str, ...] = field(default=(matching.DEFAULT, "direct", "direct@patches"))
    device: str = "cpu"
    approximate: str | None = None
    search_device: str | None = None
    longest_list: int = 50
    workers: int = 2
    waiting: int = 64
    upload_bytes: int = 20 * 1024 * 1024
    batch_bytes: int = 200 * 1024 * 1024
    pixels: int = 25_000_000
    decoding_seconds: float = 10.0
    idle_minutes: int = 30
    session_hours: int = 12
    requests_a_minute: int = 600
    drain_seconds: float = 20.0
