"""Packs for a bare machine, what stands in there for libraries, and the way back."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from forensic.errors import DataError, UsageError
from forensic.synthesis import create
from forensic.synthesis.examples import Examples

TORCH_AND_NUMPY = (
    *("torch", "torchgen", "functorch", "triton", "numpy", "numpy.libs", "nvidia", "typing_extensions.py", "sympy"),
    *("mpmath", "networkx", "jinja2", "markupsafe", "filelock", "fsspec", "packaging", "isympy.py"),
)


def tiny():
    torch.manual_seed(0)
    return create("pix2pix", size=32, width=4)


def test_images_come_back_as_jpeg_brings_them(make_pairs) -> None:
    import campaign_data

    def by_pillow(faces, quality):
        made = []
        for face in faces:
            content = io.BytesIO()
            Image.fromarray(face.transpose(1, 2, 0)).save(content, "JPEG", quality=quality, subsampling="4:2:0")
            made.append(np.asarray(Image.open(content)).transpose(2, 0, 1))
        return np.stack(made)

    pairs = make_pairs(3, 64)
    for pixels in (pairs.photo.numpy(), pairs.sketch.numpy()):
        for quality in (30, 95):
            made = campaign_data.decode(campaign_data.encode(pixels, quality))
            assert made.dtype == np.uint8
            ours, pillows = (np.abs(some.astype(int) - pixels).mean() for some in (made, by_pillow(pixels, quality)))
            assert ours < 1.3 * pillows + 0.1
            assert np.abs(made.astype(int) - by_pillow(pixels, quality)).mean() < 1.5
    with pytest.raises(UsageError, match="--quality is 0"):
        campaign_data.encode(pixels, 0)


def test_packed_pairs_keep_their_styles_and_take_a_size(make_pairs, tmp_path) -> None:
    import campaign_data

    styled = Examples(*make_pairs(3, 64)[:2], torch.tensor([2, 0, 1]))
    campaign_data.write_examples(tmp_path / "a.npz", styled, 90)
    read = campaign_data.read_examples(tmp_path / "a.npz", 32)
    assert read.photo.shape == (3, 3, 32, 32)
    assert read.style.tolist() == [2, 0, 1]
    near = (read.sketch.float() - make_pairs(3, 32).sketch.float()).abs().mean()
    assert near < 6
    with pytest.raises(DataError, match=r"no data set 'cufs', but none\. Pack it too"):
        campaign_data.unpacked("cufs", tmp_path, 32)


def test_a_pack_that_is_too_large_is_not_written(make_pairs, monkeypatch, tmp_path) -> None:
    import campaign_pack
    from campaign_data import Pairs
    from campaign_work import PACKAGE

    def write():
        pairs = {"cufs": Pairs(make_pairs(2, 64), None)}
        return campaign_pack.pack(tmp_path / "p.tar", PACKAGE, {"a": tiny()}, pairs, {"commit": "c"}, quality=90)

    packed = write()
    assert packed.total == (tmp_path / "p.tar").stat().st_size < campaign_pack.LIMIT
    with tarfile.open(tmp_path / "p.tar") as archive:
        names = archive.getnames()
    assert "campaign/data/cufs-kept.npz" in names
    assert not [name for name in names if name.endswith((".safetensors", ".pt", ".pkl"))], "pix2pix consults none"
    (tmp_path / "p.tar").unlink()
    monkeypatch.setattr(campaign_pack, "LIMIT", 1000)
    with pytest.raises(DataError, match=r"The pack would take .* data 0\.0 MB.*lower --quality than 90"):
        write()
    assert not list(tmp_path.iterdir())


def test_results_come_back_in_volumes_and_what_does_not_fit_is_named(monkeypatch, tmp_path) -> None:
    import campaign_pack

    out = tmp_path / "out"
    (out / "runs").mkdir(parents=True)
    (out / "plan.json").write_text("{}")
    for name, size in (("a", 30_000), ("b", 200_000), ("c", 20_000)):
        (out / "runs" / name / "samples").mkdir(parents=True)
        (out / "runs" / name / "run.json").write_text(json.dumps({"weights": {"file": "w.safetensors"}}))
        (out / "runs" / name / "w.safetensors").write_bytes(bytes(size))
        for epoch in ("0001", "0002"):
            (out / "runs" / name / "samples" / f"{epoch}.png").write_bytes(epoch.encode())
    monkeypatch.setattr(campaign_pack, "LIMIT", 120_000)
    monkeypatch.setattr(campaign_pack, "VOLUME", 40_000)
    collected = campaign_pack.collect(out, tmp_path / "in", ["a", "b", "c", "not begun"])
    assert collected.left_out == ["runs/b/w.safetensors (0.2 MB)"]
    assert len(collected.files) > 1
    sizes = [path.stat().st_size for path in collected.files]
    assert max(sizes) <= 40_000
    assert sum(sizes) == collected.total <= 120_000
    campaign_pack.receive(tmp_path / "in", tmp_path / "home")
    home = {str(path.relative_to(tmp_path / "home")) for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert {"plan.json", "runs/a/w.safetensors", "runs/c/w.safetensors", "runs/b/samples/0002.png"} <= home
    assert "runs/a/samples/0001.png" not in home
    with pytest.raises(UsageError, match="holds collected results already"):
        campaign_pack.collect(out, tmp_path / "in", ["a"])
    collected.files[0].unlink()
    with pytest.raises(DataError, match="lacks volumes"):
        campaign_pack.receive(tmp_path / "in", tmp_path / "home")


# A bare machine


def test_the_stand_ins_do_what_the_libraries_do(tmp_path) -> None:
    import campaign_standins
    from safetensors.torch import load_file, save
    from torchvision.ops import deform_conv2d

    torch.manual_seed(0)
    tensors = {
        "a": torch.rand(3, 2),
        "b": torch.rand(5).half(),
        "c": torch.tensor(7),
        "d": torch.rand(2).bfloat16(),
        "e": torch.empty(0, 3),
        "f": torch.tensor([True, False, True]),
    }
    (tmp_path / "ours").write_bytes(campaign_standins.save(tensors, {"forensic": "{}"}))
    (tmp_path / "theirs").write_bytes(save(tensors, {"forensic": "{}"}))
    with campaign_standins.SafeFile(tmp_path / "theirs") as file:
        assert file.metadata() == {"forensic": "{}"}
        ours = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    theirs = load_file(tmp_path / "ours")
    for found in (ours, theirs):
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
        assert all(found[name].dtype == tensors[name].dtype for name in tensors)
    (tmp_path / "cut").write_bytes((tmp_path / "theirs").read_bytes()[:-1])
    with pytest.raises(campaign_standins.SafetensorError):
        campaign_standins.SafeFile(tmp_path / "cut")

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    campaign_standins.Picture(pixels).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert np.array_equal(np.asarray(opened), pixels)

    x, offset, mask = torch.rand(2, 6, 9, 8), 2 * torch.randn(2, 36, 9, 8), torch.rand(2, 18, 9, 8)
    weight, bias = torch.randn(5, 6, 3, 3), torch.randn(5)
    made = campaign_standins.deform_conv2d(x, offset, weight, bias, padding=(1, 1), mask=mask)
    torch.testing.assert_close(
        made, deform_conv2d(x, offset, weight, bias, padding=(1, 1), mask=mask), atol=1e-4, rtol=1e-4
    )


def test_volumes_with_a_path_out_of_the_folder_are_refused_and_nothing_is_written(tmp_path) -> None:
    import campaign_pack

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in ("runs/run.json", "../away.json"):
            archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "campaign.tar.00").write_bytes(content.getvalue())
    with pytest.raises(DataError, match=r"away\.json, which is no file of a campaign's folder"):
        campaign_pack.receive(tmp_path / "in", tmp_path / "home")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_pack_runs_beside_torch_and_numpy_alone(data, tmp_path) -> None:
    """Packed here, run in a fresh interpreter that sees neither this checkout nor any other library."""
    import campaign

    common = ["--hold-out", "2", "--size", "32", "--width", "4", "--default", "batch=4", "--default", "epochs=1"]
    pack = ["pack", "pix2pix", "--data", f"cufs={data}", "--out", str(tmp_path / "out"), *common]
    assert campaign.main([*pack, "--pack", str(tmp_path / "pack.tar")]) == 0
    subprocess.run(["tar", "-xf", tmp_path / "pack.tar", "-C", tmp_path], check=True)
    site, bare = Path(torch.__file__).parents[1], tmp_path / "bare"
    bare.mkdir()
    for name in TORCH_AND_NUMPY:
        if (site / name).exists():
            (bare / name).symlink_to(site / name)
    script = tmp_path / "campaign" / "experiments" / "campaign.py"
    results = tmp_path / "results"
    arguments = [str(script), "run", "pix2pix", "--packed", str(tmp_path / "campaign"), "--budget", "1h"]
    arguments += ["--out", str(results), *common]
    code = (
        f"import runpy, sys; sys.path.append({str(bare)!r}); sys.argv = {arguments!r};"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = results / "runs" / "cufs" / "pix2pix"
    record = json.loads((folder / "run.json").read_text())
    assert record["state"] == "finished"
    assert {"safetensors", "PIL", "rich", "tensorboard", "torchvision", "platformdirs"} == set(record["stand_ins"])
    assert (record["pairs"], record["held_out"], record["quality"]) == (4, 2, 92)
    assert record["images_per_second"]["inference"].keys() == {"1", "16"}
    with Image.open(next((folder / "samples").iterdir())) as grid:
        assert grid.size == (2 * 32, 3 * 32)
    from forensic.synthesis import load

    assert load("pix2pix", weights=folder / "pix2pix-photo-to-sketch.safetensors").size == 32
