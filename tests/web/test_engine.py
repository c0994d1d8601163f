"""What the server's engine remembers, counted as it lies in memory."""

import numpy as np
import pytest
from PIL import Image

from forensic.faces import Aligned, Face
from forensic.web import engine


def test_a_face_is_counted_with_its_picture() -> None:
    """A page scanned at 300 dots an inch is no megabyte: Pillow keeps four bytes a pixel."""
    points = np.array([[100, 100], [150, 100], [125, 130], [105, 160], [145, 160]], np.float32)
    face = Face(np.array([80, 60, 170, 190], np.float32), points, 1.0, "manual")
    scanned = Aligned(Image.new("RGB", (2480, 3508)), face)
    assert engine._size(scanned) == pytest.approx(4 * 2480 * 3508, rel=0.05)
    assert engine._size(b"12345") == 5
