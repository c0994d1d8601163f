"""Users of a gallery, for tests: one of each role, of the role's name."""

from pathlib import Path

from forensic import Gallery
from forensic.gallery import users
from forensic.gallery.rights import Role

PASSWORD = "a long password"


def employ(folder: Path) -> None:
    """Name them in a gallery that has no users."""
    with Gallery(folder) as gallery:
        users.add(gallery, Role.ADMINISTRATOR, Role.ADMINISTRATOR, PASSWORD)
        gallery.sign_in(Role.ADMINISTRATOR, PASSWORD)
        for role in Role:
            if role is not Role.ADMINISTRATOR:
                users.add(gallery, role, role, PASSWORD)
        users.add(gallery, "colleague", Role.EXAMINER, PASSWORD)
