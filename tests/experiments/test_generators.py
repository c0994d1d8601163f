"""What experiments/generators.py writes of the models that took part."""

from types import SimpleNamespace

import pytest


def test_two_weights_of_one_method_are_two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    import generators

    embedder, there, back = "a" * 64, "b" * 64, "c" * 64
    models = {
        "direct": {"mobilefacenet": embedder},
        "photo-to-sketch:pix2pix": {"mobilefacenet": embedder, "pix2pix": there},
        "sketch-to-photo:pix2pix": {"mobilefacenet": embedder, "pix2pix": back},
    }
    monkeypatch.setattr(generators.routes, "load", lambda name: SimpleNamespace(models=models[name]))
    found = generators.models_of(models)
    assert found == {embedder: "mobilefacenet", there: "pix2pix", back: "pix2pix"}
    rows = [{"system": "direct+direct@patches", "rank1": 0.5, "weights": [], "gain": None}]
    alone = {"photo-to-sketch:pix2pix": 0.5, "sketch-to-photo:pix2pix": 0.25}
    results = {"sketches": 2, "people": 2, "alone": alone, "rows": rows, "models": found, "made_by": {"torch": "2.13"}}
    page = list(generators.page(results))
    assert page[-2] == f"\nModels: `mobilefacenet` {'a' * 12}; `pix2pix` {'b' * 12}; `pix2pix` {'c' * 12}."
    assert page[-1] == "Made by torch 2.13."
