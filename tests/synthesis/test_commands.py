import json
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from invented import pair_folder
from PIL import Image

from forensic import datasets
from forensic import weights as store
from forensic.commands.methods import methods
from forensic.commands.synthesize import synthesize
from forensic.commands.train import train
from forensic.datasets import Pair, split_pairs
from forensic.errors import DataError, FaceError, TrainingError, UsageError
from forensic.synthesis import weights
from forensic.synthesis.examples import load as load_examples

TINY = ["--size", "32", "--width", "4", "--epochs", "1"]


@pytest.fixture
def data(tmp_path):
    return pair_folder(tmp_path / "data", "abcd")


def run(command, *arguments):
    """A command's result; its errors propagate as they do to the command line's main."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_train_install_synthesize(data, tmp_path, monkeypatch) -> None:
    direction = ["--source", "sketch", "--target", "photo"]
    out = tmp_path / "run"
    result = run(train, "pix2pix", "--data", data, "--out", out, *TINY, *direction, "--hold-out", 1, "--install")
    assert result.exit_code == 0
    assert "pix2pix-sketch-to-photo.safetensors" in result.output
    assert "held_out/l1" in json.loads((out / "log.jsonl").read_text())
    (pix2pix,) = [line for line in json.loads(run(methods, "--json").output) if line["name"] == "pix2pix"]
    assert str(tmp_path / "installed" / "pix2pix-sketch-to-photo.safetensors") in pix2pix["weights"]

    class Finder:
        def one(self, image):
            if image.width < 100:
                raise FaceError("no face here")
            return SimpleNamespace(portrait=Image.new("RGB", (256, 256), "grey"), warnings=("two faces",))

    monkeypatch.setattr("forensic.faces.Finder", Finder)
    Image.new("RGB", (20, 20)).save(tmp_path / "faceless.png")
    (tmp_path / "text.png").write_text("no image")
    good = data / "sketches" / "a.png"
    result = run(synthesize, "pix2pix", tmp_path / "faceless.png", tmp_path / "text.png", good, "--out", tmp_path)
    assert result.exit_code == 3
    assert "faceless.png: no face here" in result.output
    assert result.output.count("text.png") == 1
    assert "a.png: two faces" in result.output
    with Image.open(tmp_path / "a-synthetic.png") as opened:
        written = opened.copy()
    assert written.size == (256, 256)
    assert written.info["Title"] == "synthetic, not evidence"
    assert "sketch to photo" in written.info["Software"]
    assert len(written.info["Model-SHA256"]) == 64
    assert run(synthesize, "pencil", good, "--out", tmp_path).exit_code == 0


def test_faces_of_equal_stems_do_not_overwrite_each_other(data, tmp_path, monkeypatch) -> None:
    class Finder:
        def one(self, image):
            return SimpleNamespace(portrait=image.resize((256, 256)), warnings=())

    monkeypatch.setattr("forensic.faces.Finder", Finder)
    result = run(synthesize, "pencil", data, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert len(list((tmp_path / "out").iterdir())) == 8


@pytest.fixture
def found(monkeypatch):
    """Every picture has a face, which is all of it."""

    class Finder:
        def one(self, image):
            return SimpleNamespace(portrait=image.resize((256, 256)), warnings=())

    monkeypatch.setattr("forensic.faces.Finder", Finder)


def painted(*files):
    """Pictures of one grey each, the first the darkest."""
    for index, file in enumerate(files):
        file.parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (32, 32), (40 * (index + 1),) * 3).save(file)


def test_a_numbered_face_does_not_overwrite_a_file_that_is_called_so(found, tmp_path) -> None:
    """x/a, y/a and y/a-2: the second of the name a is not a-2."""
    painted(tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", tmp_path / "y" / "a-2.png")
    result = run(synthesize, "blend", tmp_path / "x", tmp_path / "y", "--out", tmp_path / "out")
    assert result.exit_code == 0
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"a-synthetic.png", "a-2-synthetic.png", "a-3-synthetic.png"}
    alone = tmp_path / "alone"
    run(synthesize, "blend", tmp_path / "y" / "a-2.png", "--out", alone)
    assert (tmp_path / "out" / "a-2-synthetic.png").read_bytes() == (alone / "a-2-synthetic.png").read_bytes()


@pytest.mark.parametrize("inside", [".", "made"])
def test_what_was_made_is_no_input(found, tmp_path, inside) -> None:
    """--out is the folder of the photos or lies in it: a second call makes the same again, and nothing of it."""
    photos = tmp_path / "photos"
    painted(photos / "a.png", photos / "b.png")
    for _ in range(2):
        result = run(synthesize, "pencil", photos, "--out", photos / inside)
        assert result.exit_code == 0
        names = sorted(line.rsplit("/", 1)[-1] for line in result.output.split())
        assert names == ["a-synthetic.png", "b-synthetic.png"]
    asked = run(synthesize, "pencil", photos / inside / "a-synthetic.png", "--out", photos / inside)
    assert asked.output.strip().endswith("a-synthetic-synthetic.png")


def test_nothing_to_translate_is_an_error(found, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no file in .*empty"):
        run(synthesize, "pencil", tmp_path / "empty", "--out", tmp_path / "out")


def test_a_face_that_finds_no_place_is_told_and_the_rest_goes_on(found, tmp_path) -> None:
    long = tmp_path / "photos" / f"{'n' * 250}.png"
    painted(tmp_path / "photos" / "a.png", long, tmp_path / "photos" / "z.png")
    result = run(synthesize, "pencil", tmp_path / "photos", "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "its face cannot be written (File name too long)" in result.output
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_names_do_not_drive_the_terminal(found, tmp_path) -> None:
    painted(tmp_path / "photos" / "a\x1b[2J.png")
    result = run(synthesize, "pencil", tmp_path / "photos", "--out", tmp_path / "out")
    assert result.output.strip().endswith("a\\x1b[2J-synthetic.png")


@pytest.mark.parametrize("command", [train, synthesize])
def test_a_folder_that_cannot_be_made_is_an_error_before_the_work(found, data, tmp_path, monkeypatch, command) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("forensic.synthesis.examples.load", lambda *_, **__: pytest.fail("it read the images"))
    inputs = ["--data", data, *TINY] if command is train else [data / "photos"]
    method = "pix2pix" if command is train else "pencil"
    with pytest.raises(UsageError, match="cannot be made"):
        run(command, method, *inputs, "--out", tmp_path / "file" / "run")


def test_a_device_that_is_not_there_is_told_before_the_images_are_read(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("forensic.synthesis.examples.load", lambda *_, **__: pytest.fail("it read the images"))
    with pytest.raises(UsageError, match="'cuda:77' cannot be used"):
        run(train, "pix2pix", "--data", data, "--out", tmp_path / "run", *TINY, "--device", "cuda:77")


def test_every_style_has_a_file_of_its_own(data, tmp_path, monkeypatch) -> None:
    """Trained on pairs that state their styles, then asked for one style and for all."""

    class Finder:
        def one(self, image):
            return SimpleNamespace(portrait=image.resize((256, 256)), warnings=())

    monkeypatch.setattr("forensic.faces.Finder", Finder)
    rows = [
        f"{stem},train,{style},photos/{stem}.png,sketches/{stem}.png"
        for stem, style in zip("abcd", "0120", strict=True)
    ]
    (data / "pairs.csv").write_text("\n".join(["identity,split,style,photo,sketch", *rows]))
    assert run(train, "hida", "--data", data, "--out", tmp_path / "run", *TINY, "--hold-out", 1).exit_code == 0
    made = tmp_path / "run" / "hida-photo-to-sketch.safetensors"
    ask = ["hida", data / "photos" / "a.png", "--weights", made, "--out", tmp_path / "out"]
    for options, expected in [
        ([], ["a-synthetic.png"]),
        (["--style", "2"], ["a-style-2-synthetic.png"]),
        (["--style", "all"], [f"a-style-{style}-synthetic.png" for style in (1, 2, 3)]),
    ]:
        result = run(synthesize, *ask, *options)
        assert result.exit_code == 0
        assert [line.rsplit("/", 1)[-1] for line in result.output.split()] == expected
    pixels, digests = set(), set()
    for style in (1, 2, 3):
        with Image.open(tmp_path / "out" / f"a-style-{style}-synthetic.png") as opened:
            assert opened.info["Software"].endswith(f"photo to sketch, style {style}")
            digests.add(opened.info["Model-SHA256"])
            pixels.add(opened.convert("L").tobytes())
    assert len(digests) == len(pixels) == 3
    with pytest.raises(UsageError, match="'pencil' has no styles to choose from: leave --style 2 out"):
        run(synthesize, "pencil", data / "photos" / "a.png", "--style", "2", "--out", tmp_path / "out")


def test_a_run_is_resumed_but_never_overwritten(data, tmp_path) -> None:
    arguments = ["pix2pix", "--data", data, "--out", tmp_path / "run", *TINY]
    assert run(train, *arguments).exit_code == 0
    weights = (tmp_path / "run" / "pix2pix-photo-to-sketch.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="holds a training already"):
        run(train, *arguments)
    assert run(train, *arguments, "--resume").exit_code == 0
    assert (tmp_path / "run" / "pix2pix-photo-to-sketch.safetensors").read_bytes() == weights
    with pytest.raises(TrainingError, match="seed was 0, is 3"):
        run(train, *arguments, "--resume", "--seed", 3)


def test_a_configuration_file_stands_behind_the_options(data, tmp_path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text("[method]\nsize = 64\nwidth = 4\n[recipe]\nepochs = 2\nbatch = 3\n")
    arguments = ["pix2pix", "--data", data, "--config", config, "--size", 32]
    assert run(train, *arguments, "--out", tmp_path / "run").exit_code == 0
    from forensic.weights import read

    configuration = read(tmp_path / "run" / "checkpoint.safetensors")[1]["configuration"]
    assert configuration["settings"]["size"] == 32
    assert configuration["recipe"]["batch"] == 3
    for content, message in [
        ("[recipe]\nepoch = 1", "Unknown recipe setting 'epoch'"),
        ("[method]\nlevels = 1", "no setting 'levels'"),
    ]:
        config.write_text(content)
        with pytest.raises(UsageError, match=message):
            run(train, *arguments, "--out", tmp_path / "other")


def test_a_configuration_file_may_name_the_method(data, tmp_path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text('[method]\nname = "pix2pix"\nsize = 32\nwidth = 4\n[recipe]\nepochs = 1\n')
    arguments = ["--data", data, "--config", config, "--out", tmp_path / "run"]
    shown = run(train, *arguments).output
    assert "pix2pix-photo-to-sketch.safetensors" in shown
    assert "Try them: forensic synthesize pix2pix IMAGES --weights" in shown
    with pytest.raises(UsageError, match="is for the method 'pix2pix', not 'sdgan'"):
        run(train, "sdgan", *arguments)
    with pytest.raises(UsageError, match="Which method"):
        run(train, "--data", data, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("pix2pxi", [], "Did you mean 'pix2pix'"),
        ("pencil", [], "has nothing to train"),
        ("pix2pix", ["--source", "photo"], "--source and --target together"),
        ("pix2pix", ["--hold-out", 4], "--hold-out is 4"),
        ("pix2pix", ["--device", "cuda:77"], "'cuda:77' cannot be used"),
        ("pix2pix", ["--device", "meta"], "'meta' cannot be used"),
    ],
)
def test_requests_that_cannot_be_met(data, tmp_path, method, options, message) -> None:
    settings = TINY if method == "pix2pix" else []
    with pytest.raises(UsageError, match=message):
        run(train, method, "--data", data, "--out", tmp_path / "run", *settings, *options)


def test_an_empty_folder_is_an_error(data, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"pairs\.csv"):
        run(train, "pix2pix", "--data", tmp_path / "empty", "--out", tmp_path / "run", *TINY)
    with pytest.raises(DataError, match="no pair in split 'test'"):
        run(train, "pix2pix", "--data", data, "--split", "test", "--out", tmp_path / "run", *TINY)


def test_methods_as_table_and_as_json() -> None:
    listed = json.loads(run(methods, "--json").output)
    assert {"pencil", "pix2pix"} <= {line["name"] for line in listed}
    for line in listed:
        assert line.keys() == {"name", "source", "target", "two_way", "paper", "parameters", "weights"}
        assert isinstance(line["weights"], list)
    assert {line["name"]: line["parameters"] for line in listed}["pencil"] == 0
    exemplary = {"fast-rslcr", "lle", "mrf", "mwf", "rslcr", "ssd"}
    twofold = {"col-cgan", "cyclegan", "drit", "dualgan", "kd-plus", "kt", "mdal", "msg-sarl", "ps2man", "u-gat-it"}
    assert {line["name"] for line in listed if line["two_way"]} == exemplary | twofold
    (row,) = [line.split() for line in run(methods).output.splitlines() if line.split()[:1] == ["hida"]]
    assert row[:9] == ["hida", "photo", "to", "sketch", "80.6", "M", "shipped", "Gao", "et"]


@pytest.mark.parametrize("command", [train, synthesize, methods])
def test_help_teaches_by_examples_on_lines_of_their_own(command) -> None:
    lines = [line.strip() for line in run(command, "--help").output.splitlines()]
    assert "\\b" not in " ".join(lines)
    if command is not methods:
        assert any(line.startswith(f"forensic {command.name} ") for line in lines)


class Grey:
    """A finder that finds a grey face in everything."""

    def one(self, image):
        return SimpleNamespace(portrait=Image.new("RGB", (256, 256), "grey"), warnings=())


def test_lle_takes_its_exemplars_from_a_folder(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("forensic.faces.Finder", Grey)
    sketch = data / "sketches" / "a.png"
    with pytest.raises(UsageError, match="--exemplars DIR"):
        run(synthesize, "lle", sketch, "--out", tmp_path)
    with pytest.raises(UsageError, match="takes no exemplars"):
        run(synthesize, "pencil", sketch, "--out", tmp_path, "--exemplars", data)
    for source in ("photo", "sketch"):
        given = ["--exemplars", data, "--source", source]
        assert run(synthesize, "lle", sketch, "--out", tmp_path / source, *given).exit_code == 0
    written = [(tmp_path / source / "a-synthetic.png").read_bytes() for source in ("photo", "sketch")]
    assert written[0] != written[1]


def test_exemplars_are_training_pairs(data, tmp_path, monkeypatch) -> None:
    (data / "pairs.csv").write_text("identity,split,photo,sketch\na,test,photos/a.png,sketches/a.png\n")
    monkeypatch.setattr("forensic.faces.Finder", Grey)
    given = ["lle", data / "photos" / "a.png", "--exemplars", data, "--out", tmp_path]
    with pytest.raises(DataError, match=r"no pair in split 'train'\. Exemplars are training pairs") as raised:
        run(synthesize, *given)
    options = {option for parameter in synthesize.params for option in parameter.opts}
    assert {word.strip(".") for word in str(raised.value).split() if word.startswith("--")} <= options


@pytest.mark.parametrize("seed", [99999999999999999999, -1, 2**63])
def test_a_seed_is_one_that_the_generators_take(data, tmp_path, seed) -> None:
    result = run(train, "pix2pix", "--data", data, "--out", tmp_path / "run", *TINY, "--seed", seed)
    assert (result.exit_code, "is not in the range 0<=x<=" in result.output) == (2, True)
    torch.manual_seed(2**63 - 1)  # the greatest that is let in


def test_one_file_goes_either_way(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("forensic.faces.Finder", Grey)
    out = tmp_path / "run"
    settings = [*TINY, "--set", "blocks=1", "--set", "pool=0"]
    assert run(train, "cyclegan", "--data", data, "--out", out, *settings, "--install").exit_code == 0
    assert (out / "cyclegan.safetensors").is_file()
    for source in ("photo", "sketch"):
        made = run(synthesize, "cyclegan", data / "photos" / "a.png", "--out", tmp_path / source, "--source", source)
        assert made.exit_code == 0
        with Image.open(tmp_path / source / "a-synthetic.png") as image:
            assert f"{source} to" in image.info["Software"]
    with pytest.raises(UsageError, match="one of them is 'photo'"):
        weights.load("cyclegan", source="photo", target="photo")


def test_set_changes_any_setting(data, tmp_path) -> None:
    out = tmp_path / "run"
    changes = [
        "--set",
        "patch=16",
        "--set",
        "learning_rate=1e-4",
        "--set",
        "betas=[0.0, 0.9]",
        "--set",
        "source=sketch",
    ]
    run(train, "pix2pix", "--data", data, "--out", out, *TINY, *changes, "--set", "target=photo")
    configuration = store.read(out / "checkpoint.safetensors")[1]["configuration"]
    assert configuration["settings"]["patch"] == 16
    assert configuration["settings"]["source"] == "sketch"
    assert configuration["recipe"]["learning_rate"] == 1e-4
    assert configuration["recipe"]["betas"] == [0.0, 0.9]
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        run(train, "pix2pix", "--data", data, "--out", tmp_path / "other", "--set", "patch")
    with pytest.raises(UsageError, match="has no setting 'patches'"):
        run(train, "pix2pix", "--data", data, "--out", tmp_path / "other", "--set", "patches=3")


def test_train_takes_the_split_that_keeps_people_apart(data, tmp_path, monkeypatch) -> None:
    """Officially a and b are to be trained on, apart from the others' people c alone."""
    listed = datasets.pairs(data)

    def pairs(folder, *, resplit=False):
        return [
            pair._replace(split="train" if pair.identity in ("c" if resplit else "ab") else "test") for pair in listed
        ]

    monkeypatch.setitem(split_pairs.__globals__, "pairs", pairs)
    for options, stems in (([], "ab"), (["--resplit"], "c")):
        out = tmp_path / stems
        assert run(train, "pix2pix", "--data", data, "--out", out, *TINY, *options).exit_code == 0
        configuration = store.read(out / "checkpoint.safetensors")[1]["configuration"]
        expected, _ = load_examples([pair for pair in listed if pair.identity in stems], 32)
        assert (configuration["pairs"], configuration["data"]) == (len(stems), expected.digest())


def test_a_person_is_held_out_with_all_photos(monkeypatch, tmp_path) -> None:
    people = {"a": "x", "b": "y", "c": "x", "d": "z"}
    pairs = [Pair(name, "", "train", tmp_path, tmp_path, {}, person) for name, person in people.items()]
    monkeypatch.setitem(split_pairs.__globals__, "pairs", lambda folder, resplit: pairs)
    kept, held = split_pairs(tmp_path, "train", 1)
    assert [pair.identity for pair in held] == ["a", "c"]
    assert [pair.identity for pair in kept] == ["b", "d"]
