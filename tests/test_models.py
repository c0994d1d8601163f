import hashlib
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from forensic import models, weights
from forensic.backbones.mobilefacenet import MobileFaceNet
from forensic.backbones.vgg import VGG
from forensic.commands.models import list_models
from forensic.commands.models import models as commands
from forensic.errors import ModelError, UsageError
from forensic.models import Known
from forensic.recognition import embedding
from forensic.synthesis import create, load, perceptual
from forensic.synthesis.weights import install, save


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published checkpoint of a known model, with random weights."""
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))
    torch.manual_seed(0)
    path = tmp_path / "published.pt"
    torch.save(MobileFaceNet().state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    made_up = Known("made-up", "embedder", "mobilefacenet", "file:nowhere.pt", digest, "none", "tests")
    monkeypatch.setattr(models, "KNOWN", (made_up, made_up._replace(name="unchecked", sha256=None)))
    return path


def test_a_file_is_known_by_its_hash_and_works_once_imported(published: Path) -> None:
    entry = models.import_file(published)
    assert entry.name == "made-up"
    assert embedding.load("made-up").embed(torch.zeros(1, 3, 112, 112), "photo").shape == (1, 128)
    assert not entry.shipped
    assert entry.about["origin_sha256"] == hashlib.sha256(published.read_bytes()).hexdigest()


def test_another_file_is_refused_before_it_is_opened(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    other.write_bytes(published.read_bytes() + b"x")
    with pytest.raises(ModelError, match="none of made-up"):
        models.import_file(other)
    with pytest.raises(ModelError, match="expected"):
        models.import_file(other, name="made-up")
    with pytest.raises(UsageError, match="Known: made-up"):
        models.import_file(other, name="nosuch")
    with pytest.raises(ModelError, match="cannot be read"):
        models.import_file(tmp_path / "absent.pt")


def test_an_unknown_hash_must_be_stated(published: Path) -> None:
    with pytest.raises(ModelError, match="--sha256"):
        models.import_file(published, name="unchecked")
    with pytest.raises(ModelError, match="expected 00"):
        models.import_file(published, name="unchecked", sha256="00" * 32)
    with pytest.raises(ModelError, match="2 digits, expected 64"):
        models.import_file(published, name="unchecked", sha256="00")
    stated = hashlib.sha256(published.read_bytes()).hexdigest()
    assert models.import_file(published, name="unchecked", sha256=stated.upper()).name == "unchecked"


def test_a_publishers_first_digits_are_enough(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    shortened = models.KNOWN[0]._replace(sha256=digest[:8])
    monkeypatch.setattr(models, "KNOWN", (shortened,))
    assert models.import_file(published).about["origin_sha256"] == digest
    with pytest.raises(ModelError, match="expected 00"):  # what a person states counts beside them
        models.import_file(published, sha256="00" * 32)
    other = "0" if digest[0] != "0" else "1"
    monkeypatch.setattr(models, "KNOWN", (shortened._replace(sha256=other * 8),))
    with pytest.raises(ModelError, match=f"one that begins with {other * 8}"):
        models.import_file(published, name="made-up")


def test_every_kind_is_listed_and_can_be_brought_in() -> None:
    kinds = {"embedder", "features", "parsing", "saliency", "depth"}
    assert {model.kind for model in models.KNOWN} == kinds
    rows = {row["name"]: row for row in json.loads(CliRunner().invoke(list_models, ["--json"]).output)}
    for model in models.KNOWN:
        assert (rows[model.name]["kind"], rows[model.name]["state"]) == (model.kind, "absent")
    assert models.known("vgg19").url.endswith("vgg19-dcbb9e9d.pth")
    with pytest.raises(ModelError, match="not published as a file"):
        models.fetch("hed-vgg16")


def test_vgg19_comes_in_without_its_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))
    path = tmp_path / "vgg19.pth"
    torch.save(VGG("vgg19").state_dict() | {"classifier.6.bias": torch.zeros(1000)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(models, "KNOWN", (models.known("vgg19")._replace(sha256=digest[:8]),))
    entry = models.import_file(path)
    assert (entry.kind, entry.about["architecture"]) == ("features", "vgg19")
    tensors, _ = weights.read(weights.verified(entry))
    assert set(tensors) == set(VGG("vgg19").state_dict())
    assert perceptual.load("vgg19").digest == entry.sha256


class Attack:
    """What a hostile pickle would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("attacked"),))


def test_a_pickle_is_not_executed(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"weight": Attack()}, buffer)
    path = tmp_path / "attack.pt"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="more than tensors"):
        models.import_file(path, name="unchecked", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert not Path("attacked").exists()


def test_what_does_not_fit_is_not_installed(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="does not fit"):
        models.import_file(path, name="unchecked", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert not [entry for entry in weights.entries() if not entry.shipped]


def run(*arguments: object) -> str:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments], catch_exceptions=False).output


def test_what_train_installed_is_removed_and_the_shipped_is_in_effect_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))
    shipped = load("pix2pix", source="sketch", target="photo").digest
    for source, target in (("sketch", "photo"), ("photo", "sketch")):
        path = tmp_path / f"{source}.safetensors"
        own = create("pix2pix", source=source, target=target, size=32, width=4)
        save(own, path)
        install(path)
    assert load("pix2pix", source="sketch", target="photo").digest != shipped
    said = run("remove", "pix2pix-sketch-to-photo")
    assert f"In effect again: the shipped pix2pix-sketch-to-photo, SHA-256 {shipped[:12]}" in said
    assert load("pix2pix", source="sketch", target="photo").digest == shipped
    with pytest.raises(UsageError, match=r"pix2pix-sketch-to-photo ships .* removed: pix2pix-photo-to-sketch \(in"):
        run("remove", "pix2pix-sketch-to-photo")
    assert "No other weights are called pix2pix-photo-to-sketch" in run("remove", "pix2pix-photo-to-sketch")
    assert [path.name for path in (tmp_path / "weights").glob("[!.]*")] == ["manifest.json"]
    with pytest.raises(UsageError, match=r"No weights 'nosuch' are installed\. .* removed: none"):
        run("remove", "nosuch")


def test_importing_own_weights_says_how_they_are_installed(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(create("pix2pix", size=32, width=4), path)
    for options in ([], ["--name", "made-up"]):
        with pytest.raises(UsageError, match=r"'pix2pix' that `forensic train` wrote.* --resume --install .*--weights"):
            run("import", path, *options)


def test_models_are_fetched_over_https_alone() -> None:
    assert {model.url.partition(":")[0] for model in models.KNOWN} == {"https"}


def test_fetch_reads_checks_and_installs(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = models.KNOWN[0]._replace(url=published.as_uri())
    monkeypatch.setattr(models, "KNOWN", (there,))
    seen: list[int] = []
    models.fetch("made-up", progress=lambda done, total: seen.append(done))
    assert seen[-1] == published.stat().st_size
    monkeypatch.setattr(models, "KNOWN", (there._replace(url=published.with_name("gone.pt").as_uri()),))
    with pytest.raises(ModelError, match="forensic models import FILE --name made-up"):
        models.fetch("made-up")
    monkeypatch.setattr(models, "KNOWN", (there._replace(url="https://example.org/project"),))
    with pytest.raises(ModelError, match="not published as a file"):
        models.fetch("made-up")


def test_what_is_installed_and_removed_at_once_is_listed_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path / "weights"))
    write = weights.write_bytes

    def slowly(path: Path, content: bytes) -> None:
        """Long enough for the others to have read the manifest before it is written."""
        if path.name == "manifest.json":
            time.sleep(0.02)
        write(path, content)

    monkeypatch.setattr(weights, "write_bytes", slowly)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: weights.install(f"w{number}", "features", b"x", {}), range(12)))
        list(pool.map(lambda number: weights.uninstall(f"w{number}"), range(6)))
    assert {entry.name for entry in weights.entries("features") if not entry.shipped} == {f"w{n}" for n in range(6, 12)}
    assert len(list((tmp_path / "weights").glob("*.safetensors"))) == 6


def test_a_folder_that_another_program_keeps_changing_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORENSIC_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(weights, "PATIENCE", 0.1)
    with weights._sole_writer(tmp_path), pytest.raises(ModelError, match="Another program"):
        weights.install("a", "features", b"x", {})
    assert weights.install("a", "features", b"x", {}).path.is_file()
