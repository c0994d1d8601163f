"""What many tests share: people drawn by the program, and a gallery of them."""

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")  # test processes side by side would fight for the cores

from collections.abc import Iterator
from pathlib import Path

import pytest

from forensic.datasets.synthetic import Made, make_people

PEOPLE = 12  # of this seed, two have a second photo


def pytest_configure(config: pytest.Config) -> None:
    """Pillow's warnings are passed over as `forensic.images` has it; pytest sets filters of its own for each test."""
    config.addinivalue_line("filterwarnings", r"ignore:::PIL\.")


@pytest.fixture(autouse=True, scope="session")
def _no_installed_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests see the shipped weights alone, whatever the user has installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORENSIC_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        patch.delenv("FORENSIC_GALLERY", raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _tables_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A gallery costs the migrations' tenth of a second once, and not a thousand times."""
    from gallery_tables import made_once

    with made_once(tmp_path_factory.mktemp("tables")):
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch works in one thread, and its random state is afterwards what it was."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def people_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/, photos-later/, sketches/ and people.csv of synthetic people."""
    return tmp_path_factory.mktemp("people")


@pytest.fixture(scope="session")
def people(people_folder: Path) -> list[Made]:
    """The people of ``people_folder``."""
    return make_people(people_folder, PEOPLE, seed=4)


@pytest.fixture(scope="session")
def enrolled(people: list[Made], people_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A gallery of the synthetic people, enrolled along the default route. Tests do not change it: they copy it."""
    from forensic import Gallery, Identifier
    from forensic.gallery.log import audit

    folder = tmp_path_factory.mktemp("enrolled") / "gallery"
    with Gallery(folder, create=True) as gallery:
        summary = Identifier(gallery).enroll(people_folder / "people.csv")
        assert not summary.failures
        with gallery.reading() as session:
            head = audit.head(session)
    yield folder
    with Gallery(folder) as gallery, gallery.reading() as session:
        assert audit.head(session) == head, "a test searched or changed what others take for untouched"


@pytest.fixture(scope="module")
def searchable(enrolled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it for the tests of one file, which leave their searches on record."""
    return shutil.copytree(enrolled, tmp_path_factory.mktemp("searchable") / "gallery")
