"""The gallery: people, their photos, the originals' bytes and the templates made of them."""

from forensic.gallery.filtering import Filter, Matching
from forensic.gallery.records import Enrollment, Outcome, Problem, Size, Space, Templates
from forensic.gallery.store import Gallery

__all__ = ["Gallery", "Filter", "Matching", "Enrollment", "Outcome", "Space", "Templates", "Problem", "Size"]
