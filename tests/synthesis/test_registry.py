import pytest
import torch

from forensic.errors import UsageError
from forensic.synthesis import Translator, create, method, names


def test_every_module_in_methods_is_found() -> None:
    assert {"pencil", "pix2pix"} <= set(names())
    assert names() == sorted(names())


def test_an_unknown_name_lists_the_names_and_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Unknown method 'pix2pxi'\. Did you mean 'pix2pix'\? Known: .*pencil"):
        create("pix2pxi")
    with pytest.raises(UsageError, match=r"Unknown method 'zzz'\. Known"):
        create("zzz")


def test_an_unknown_setting_lists_the_settings() -> None:
    with pytest.raises(UsageError, match=r"'pix2pix' has no setting 'lambda'\. It has: source, target, size"):
        create("pix2pix", **{"lambda": 1})


def test_a_duplicate_raises() -> None:
    with pytest.raises(ValueError, match=r"Two methods are named 'pencil': Pencil and .*Other"):

        @method("pencil")
        class Other(Translator):
            pass

    assert create("pencil").translate(torch.zeros(1, 3, 256, 256)).shape == (1, 3, 256, 256)


def test_a_direction_has_two_modalities() -> None:
    with pytest.raises(UsageError, match="from 'photo' to 'photo'"):
        create("pix2pix", source="photo", target="photo")
