import pytest
import torch

from forensic.errors import UsageError
from forensic.synthesis import Recipe, Translator, create, method, names, registry

CHOOSING = ("isegan", "sca-gan", "deepfacepencil")
"""Methods whose adversarial loss is a choice; their discriminators are not held to a range, as Wasserstein's are."""


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


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("isegan", {"L_per": "False"}, "L_per is 'False', expected bool"),
        ("isegan", {"criterion": "foo"}, "expected 'log' or 'least-squares'"),
        *((name, {"criterion": "wasserstein"}, "expected 'log' or 'least-squares'[.]") for name in CHOOSING),
        ("isegan", {"stage": True}, "stage is True, expected 1 or 2"),
        ("isegan", {"stage": 1.0}, "stage is 1.0, expected 1 or 2"),
        ("isegan", {"patches": 70}, r"expected tuple\[int, int\]"),
        ("isegan", {"patches": [70]}, r"expected tuple\[int, int\]"),
        ("isegan", {"alpha": "x"}, "expected float"),
        ("sdgan", {"size": "abc"}, "expected int"),
        ("sdgan", {"size": 64.0}, "expected int"),
        ("sdgan", {"size": 0}, "expected 32 or more"),
        ("sdgan", {"width": 0}, "expected 1 or more"),
        ("sdgan", {"depth": "7"}, "expected int or None"),
        ("pix2pix", {"discriminator_rate": -1.0}, "expected 0 or more"),
        ("pix2pix", {"dropout": 2.0}, r"'pix2pix': dropout is 2\.0, expected 0 to 1\."),
        ("pix2pix", {"lambda_l1": -5.0}, r"lambda_l1 is -5\.0, expected 0 or more\."),
        ("sdgan", {"eta": float("nan")}, "eta is nan, expected 0 or more"),
        ("isegan", {"mu": float("inf")}, "mu is inf, expected 0 or more"),
        ("cyclegan", {"pool": -1}, r"pool -1 is below 0\."),
        ("cyclegan", {"blocks": -1}, "blocks is -1, expected 0 or more"),
        ("msg-sarl", {"pools": []}, "pools is"),
        ("deepfacepencil", {"kernels": 5}, "kernels is 5"),
        ("cyclegan", {"pool": "x"}, "expected int"),
    ],
)
def test_a_value_of_another_type_or_range_is_refused(name: str, settings: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        registry.create(name, **settings)


def test_bounds_are_taken_in_and_no_paper_is_beyond_them() -> None:
    assert create("pix2pix", size=32, width=1, dropout=1.0, lambda_l1=0.0).settings["dropout"] == 1.0
    for name in names():
        with torch.device("meta"):
            create(name, **create(name).settings)


@pytest.fixture
def declared(monkeypatch):
    """Registers a method of the settings that a constructor declares, for as long as the test lasts."""
    monkeypatch.setattr(registry, "_methods", {**registry._methods})

    def register(constructor, **attributes):
        names()  # all others first
        return method("declared")(type("Declared", (Translator,), {"__init__": constructor, **attributes}))

    return register


def test_defaults_are_held_to_what_given_settings_are(declared) -> None:
    """Else a method is trained to its end, and its weights cannot be loaded."""

    def constructor(self, *, lambda_kl: float = -1.0) -> None:
        Translator.__init__(self)
        self.lambda_kl = lambda_kl

    cls = declared(constructor)
    with pytest.raises(UsageError, match=r"'declared': lambda_kl is -1\.0, expected 0 or more"):
        create("declared")
    cls.bounds = {"lambda_kl": (-2, 2)}
    assert create("declared").settings == {"lambda_kl": -1.0}
    with pytest.raises(UsageError, match=r"'declared': lambda_kl is 3\.0, expected -2 to 2"):
        create("declared", lambda_kl=3.0)


def test_a_list_is_a_setting_too(declared) -> None:
    def constructor(self, *, layers: list[int] = (5, 4)) -> None:  # type: ignore[assignment]
        Translator.__init__(self)
        self.layers = layers

    declared(constructor)
    assert create("declared", layers=[3]).settings == {"layers": [3]}
    with pytest.raises(UsageError, match=r"layers is \['a'\], expected list\[int\]"):
        create("declared", layers=["a"])


def test_a_setting_that_is_not_kept_is_named(declared) -> None:
    def constructor(self, *, width: int = 4, r1: float = 1.0) -> None:
        Translator.__init__(self)
        self.width = width

    declared(constructor)
    with pytest.raises(TypeError, match=r"Declared does not keep r1: its constructor has to set self\.r1 = r1"):
        create("declared").settings  # noqa: B018


@pytest.mark.parametrize(("content_patch", "least"), [(16, 32), (34, 48), (70, 96)])
def test_drits_content_is_large_enough_for_the_last_norm_that_judges_it(content_patch, least) -> None:
    settings = {"width": 4, "blocks": 1, "content_patch": content_patch}
    with pytest.raises(UsageError, match=f"expected (a size of )?{least} or more"):
        create("drit", size=least - 4, **settings)
    smallest = create("drit", size=least, **settings)
    assert smallest.content_discriminator(torch.zeros(1, 16, least // 4, least // 4)).numel() >= 1


@pytest.mark.parametrize("betas", [3, [0.5], [0.5, "x"], [0.5, 1.0]])
def test_betas_are_two_numbers(betas: object) -> None:
    with pytest.raises(UsageError, match="expected two numbers"):
        Recipe().changed(betas=betas)
