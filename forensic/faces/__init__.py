"""Find, align and describe one face: on photos and on drawings alike."""

from forensic.faces.align import CROP, PORTRAIT, Aligned, Frame, warp
from forensic.faces.detect import Detector, Face
from forensic.faces.finder import Finder, read_landmarks

__all__ = ["CROP", "PORTRAIT", "Aligned", "Detector", "Face", "Finder", "Frame", "read_landmarks", "warp"]
