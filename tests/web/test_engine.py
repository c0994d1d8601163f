"""What the server's engine remembers, counted as it lies in memory."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from forensic import routes
from forensic.faces import Aligned, Face
from forensic.gallery.rights import Operator, Role
from forensic.web import engine, errands
from forensic.web.access import Visitor
from forensic.web.server import Server


def test_a_face_is_counted_with_its_picture() -> None:
    """A page scanned at 300 dots an inch is no megabyte: Pillow keeps four bytes a pixel."""
    points = np.array([[100, 100], [150, 100], [125, 130], [105, 160], [145, 160]], np.float32)
    face = Face(np.array([80, 60, 170, 190], np.float32), points, 1.0, "manual")
    scanned = Aligned(Image.new("RGB", (2480, 3508)), face)
    assert engine._size(scanned) == pytest.approx(4 * 2480 * 3508, rel=0.05)
    assert engine._size(b"12345") == 5
    assert engine._size(scanned.image) == 4 * 2480 * 3508
    assert engine._size(np.zeros((1000, 512), np.float32)) == 4 * 1000 * 512


def test_looking_for_what_is_not_there_drops_nothing(server: Server) -> None:
    visitor = Visitor(Operator("analyst", Role.ANALYST), "analyst", server.gallery, server, None, None, "ab12")
    kept = server.engine
    kept.kept("names", lambda: ["a.jpg"])
    for number in range(2 * engine.KEPT // engine.FACE):
        assert errands.failures(visitor, str(number)) is None
        assert errands.problems(visitor, str(number)) is None
    assert kept.find("names") == ["a.jpg"]
    assert len(kept._kept) == 1


def test_models_of_reports_lie_apart_from_pictures_and_are_few(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, loaded = server.engine, list[str]()

    def load(name: str, *, device: str) -> Any:
        loaded.append(name)
        return object()

    monkeypatch.setattr(routes, "load", load)
    for name in "aabacab":
        kept.route(name)
    assert loaded == ["a", "b", "c", "b"]
    assert len(kept._routes) == engine.ROUTES
    assert not kept._kept


def test_a_report_takes_the_models_of_a_search(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = server.engine.identifier("direct@patches").matcher.routes[0]
    monkeypatch.setattr(routes, "load", lambda name, **options: pytest.fail("loaded twice"))
    assert server.engine.route("direct@patches") is searched
