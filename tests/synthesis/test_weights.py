import hashlib
import json
import os

import pytest
import torch
from safetensors.torch import save_file

from forensic import weights as store
from forensic.errors import ModelError, UsageError
from forensic.synthesis import load, save, weights
from forensic.synthesis.trainer import Trainer


@pytest.fixture
def trained(make_tiny, tmp_path):
    """A weight file of a tiny pix2pix, from sketch to photo."""
    path = tmp_path / "mine.safetensors"
    save(make_tiny("pix2pix", source="sketch", target="photo"), path)
    return path


@pytest.fixture
def nothing_shipped(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "SHIPPED", tmp_path / "shipped")


def test_missing_weights_say_what_to_do(nothing_shipped) -> None:
    with pytest.raises(ModelError, match="forensic train pix2pix --source sketch --target photo --data DIR"):
        load("pix2pix", source="sketch", target="photo")
    with pytest.raises(ModelError, match="forensic train deepfacepencil --source sketch --target photo"):
        load("deepfacepencil")  # which goes no other way
    with pytest.raises(ModelError, match="forensic train pix2pix --source photo --target sketch"):
        load("pix2pix", target="sketch")


def test_a_file_of_ones_own_has_its_hash_as_digest(trained) -> None:
    translator = load("pix2pix", weights=trained)
    assert translator.digest == hashlib.sha256(trained.read_bytes()).hexdigest()
    assert (translator.source, translator.target) == ("sketch", "photo")
    assert not hasattr(translator, "discriminator")
    assert weights.count_parameters(translator) == sum(p.numel() for p in translator.parameters())


def test_weights_too_large_for_half_precision_stay_as_they_are(make_tiny, tmp_path) -> None:
    translator = make_tiny("pix2pix")
    weight = translator.generator.down[0][0].weight
    with torch.no_grad():
        weight[0, 0, 0, 0] = 1e5  # half precision ends at 65,504
    save(translator, tmp_path / "large.safetensors")
    loaded = load("pix2pix", weights=tmp_path / "large.safetensors").state_dict()
    torch.testing.assert_close(loaded["generator.down.0.0.weight"], weight.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(make_tiny, tmp_path, value) -> None:
    """They would make black faces without a word."""
    translator = make_tiny("pix2pix")
    save(translator, path := tmp_path / "good.safetensors")
    before = path.read_bytes()
    with torch.no_grad():
        translator.generator.down[0][0].weight[0, 0, 0, 0] = value
    with pytest.raises(ModelError, match=r"not finite.*down\.0\.0\.weight"):
        save(translator, path)
    assert path.read_bytes() == before
    tensors, about = store.read(path)
    tensors["generator.down.0.0.weight"][0, 0, 0, 0] = value
    store.write(path, tensors, about)
    with pytest.raises(ModelError, match=r"not finite.*down\.0\.0\.weight"):
        load("pix2pix", weights=path)


def test_installed_weights_load_by_name(nothing_shipped, trained) -> None:
    entry = weights.install(trained)
    assert entry.path.parent == store.installed_folder()
    assert weights.entries("pix2pix") == [entry]
    assert weights.entries("pencil") == []
    assert load("pix2pix", source="sketch", target="photo").digest == entry.sha256
    assert load("pix2pix").digest == entry.sha256
    with pytest.raises(ModelError, match="from photo to sketch"):
        load("pix2pix", source="photo")


def test_a_changed_file_is_refused_before_it_is_read(nothing_shipped, trained, monkeypatch) -> None:
    entry = weights.install(trained)
    content = bytearray(entry.path.read_bytes())
    content[-1] ^= 1
    entry.path.write_bytes(content)
    monkeypatch.setattr(store, "read", lambda path: pytest.fail("read an unverified file"))
    with pytest.raises(ModelError, match=f"the manifest states {entry.sha256}"):
        load("pix2pix", source="sketch", target="photo")
    entry.path.unlink()
    with pytest.raises(ModelError, match="is missing, though the manifest lists it"):
        load("pix2pix", source="sketch", target="photo")


STRAYS = ["", ".", "..", "../kept", "/kept", "sub/kept", "manifest.json"]
BROKEN = ["{", "[]", '{"x": {"file": "x"}}', '{"x": {"file": 1, "sha256": "", "kind": ""}}']


@pytest.mark.parametrize("file", STRAYS)
def test_a_line_cannot_name_a_file_elsewhere(nothing_shipped, file) -> None:
    """Who removes the weights deletes it."""
    folder = store.installed_folder()
    (folder / "sub").mkdir(parents=True)
    for kept in (folder.parent / "kept", folder / "sub" / "kept"):
        kept.touch()
    content = json.dumps({"x": {"file": file, "sha256": "", "kind": "translator"}})
    (folder / "manifest.json").write_text(content)
    for act in (store.entries, lambda: store.uninstall("x")):
        with pytest.raises(ModelError, match=r"is no name of a file in this folder.*Bring it back"):
            act()
    assert (folder.parent / "kept").exists()
    assert (folder / "sub" / "kept").exists()
    assert (folder / "manifest.json").read_text() == content


@pytest.mark.parametrize("lost", ["source", "target"])
def test_a_translators_line_says_from_what_to_what(nothing_shipped, trained, lost) -> None:
    entry = weights.install(trained)
    manifest = store.installed_folder() / "manifest.json"
    lines = json.loads(manifest.read_text())
    del lines[entry.name][lost]
    manifest.write_text(json.dumps(lines))
    with pytest.raises(ModelError, match=f"does not say from what to what .*forensic models remove {entry.name}"):
        load("pix2pix", source="sketch", target="photo")


def test_a_checkpoint_is_told_from_weights(make_tiny, make_pairs, tmp_path) -> None:
    method = make_tiny("pix2pix")
    Trainer(method, method.recipe, make_pairs(1), out=tmp_path).save()
    for act in (lambda path: load("pix2pix", weights=path), weights.install):
        with pytest.raises(ModelError, match=r"is the checkpoint of a training and holds no weights .*snapshots/"):
            act(tmp_path / "checkpoint.safetensors")


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_manifest_is_an_error_that_says_what_to_do(nothing_shipped, trained, content) -> None:
    """Nobody writes over it, and no weight file is left beside it that it does not list."""
    entry = weights.install(trained)
    before = entry.path.read_bytes()
    manifest = store.installed_folder() / "manifest.json"
    manifest.write_text(content)
    acts = (
        lambda: load("pix2pix", source="sketch", target="photo"),
        lambda: store.install("other", "translator", b"other", {}),
        lambda: store.uninstall(entry.name),
    )
    for act in acts:
        with pytest.raises(ModelError, match=rf"{manifest} is not a manifest .*expected name -> .*Bring it back"):
            act()
    assert manifest.read_text() == content
    assert entry.path.read_bytes() == before
    assert not (manifest.parent / "other.safetensors").exists()


def test_a_broken_manifest_of_the_package_calls_for_another_one(nothing_shipped) -> None:
    store.SHIPPED.mkdir()
    (store.SHIPPED / "manifest.json").write_text("{")
    with pytest.raises(ModelError, match="Install the package again"):
        store.entries()


def test_other_kinds_in_a_manifest_are_left_alone(nothing_shipped, trained) -> None:
    folder = store.installed_folder()
    folder.mkdir(parents=True)
    embedder = {"file": "e.safetensors", "sha256": "0", "kind": "embedder"}
    (folder / "manifest.json").write_text(json.dumps({"embedder": embedder}))
    entry = weights.install(trained)
    assert weights.entries("pix2pix") == [entry]
    assert json.loads((folder / "manifest.json").read_text())["embedder"] == embedder


def test_weights_that_do_not_fit_are_refused(trained, tmp_path) -> None:
    with pytest.raises(UsageError, match="from sketch to photo, not from photo"):
        load("pix2pix", source="photo", weights=trained)
    with pytest.raises(UsageError, match="'pencil' has no weights"):
        load("pencil", weights=trained)
    with pytest.raises(ModelError, match="No file"):
        load("pix2pix", weights=tmp_path / "none.safetensors")
    state, description = store.read(trained)
    other = tmp_path / "other.safetensors"
    store.write(other, state, description | {"method": "cyclegan"})
    with pytest.raises(ModelError, match="weights of 'cyclegan', not of 'pix2pix'"):
        load("pix2pix", weights=other)
    first = next(iter(state))
    store.write(other, {name: value for name, value in state.items() if name != first}, description)
    with pytest.raises(ModelError, match=f"it lacks \\['{first}'\\]"):
        load("pix2pix", weights=other)
    store.write(other, state | {first: torch.zeros(3)}, description)
    with pytest.raises(ModelError, match="does not fit the networks"):
        load("pix2pix", weights=other)
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(ModelError, match="not one that this toolkit wrote"):
        load("pix2pix", weights=other)
    other.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        load("pix2pix", weights=other)


@pytest.mark.parametrize("needs", [{}, {"parsing": "0" * 64}, {"parsing": "0" * 64, "depth": "1"}])
def test_weights_beside_other_priors_are_refused(make_tiny, tmp_path, needs) -> None:
    path = tmp_path / "isegan.safetensors"
    save(make_tiny("isegan"), path)
    state, description = store.read(path)
    assert list(description["needs"]) == ["parsing"]
    assert load("isegan", weights=path).needs == description["needs"]
    store.write(path, state, description | {"needs": needs})
    with pytest.raises(ModelError, match="Bring back the earlier weights, or train 'isegan' again"):
        load("isegan", weights=path)


def test_a_one_way_model_goes_one_way(nothing_shipped, make_tiny, tmp_path) -> None:
    path = tmp_path / "msg.safetensors"
    save(make_tiny("msg-sarl", cycle=False), path)
    entry = weights.install(path)
    assert entry.name == "msg-sarl-photo-to-sketch"
    with pytest.raises(ModelError, match="no weights of 'msg-sarl' from sketch to photo"):
        load("msg-sarl", source="sketch")
    save(make_tiny("msg-sarl"), path)
    assert weights.install(path).name == "msg-sarl"
    assert load("msg-sarl", source="sketch", target="photo").source == "sketch"


def test_a_failed_checkpoint_leaves_the_last_one(make_tiny, make_pairs, tmp_path, monkeypatch) -> None:
    method = make_tiny("pix2pix")
    trainer = Trainer(method, method.recipe, make_pairs(1), out=tmp_path)
    trainer.save()
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    trainer.step(next(trainer._batches()))
    with pytest.raises(OSError, match="no space left"):
        trainer.save()
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_shipped_weights_are_what_the_manifest_says() -> None:
    for entry in store.entries("translator"):
        assert store.verified(entry).stat().st_size <= 16 * 2**20
        assert entry.path.with_suffix(".md").is_file()
        about = entry.about
        assert load(about["method"], source=about["source"], target=about["target"]).digest == entry.sha256
