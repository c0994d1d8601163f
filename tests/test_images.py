import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from forensic import images
from forensic.errors import ImageError


@pytest.fixture
def gradient() -> np.ndarray:
    """A colour picture, 40 high and 60 wide, whose corners all differ."""
    rows, columns = np.mgrid[0:40, 0:60]
    return np.stack([rows * 6, columns * 4, (rows + columns) * 2], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "BMP"])
def test_lossless_formats_come_back_to_the_pixel(gradient: np.ndarray, fmt: str) -> None:
    decoded = images.decode(encoded(Image.fromarray(gradient), fmt))
    assert decoded.format == fmt
    assert decoded.image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(decoded.image), gradient)


def test_the_name_says_nothing_about_the_type(tmp_path, gradient: np.ndarray) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encoded(Image.fromarray(gradient), "WEBP", lossless=True))
    decoded = images.read(path)
    assert decoded.format == "WEBP"
    assert decoded.data == path.read_bytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(gradient: np.ndarray, orientation: int) -> None:
    """Oracle: what a camera in that position stored, written out by hand for each orientation."""
    stored = {
        1: gradient,
        2: gradient[:, ::-1],
        3: gradient[::-1, ::-1],
        4: gradient[::-1],
        5: gradient.transpose(1, 0, 2),
        6: np.rot90(gradient, 1),
        7: gradient[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(gradient, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = images.decode(encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(decoded.image), gradient)


def test_sixteen_bit_grey_keeps_its_scale() -> None:
    """A dark 16-bit scan stays dark: it is not stretched to the range that it happens to use."""
    deep = np.full((32, 32), 0x4000, dtype=np.uint16)
    decoded = images.decode(encoded(Image.fromarray(deep), "PNG"))
    assert np.unique(np.asarray(decoded.image)).tolist() == [64]


def deep_tiff(values: np.ndarray, *, white_is_zero: bool = False) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0 if white_is_zero else 1
    return encoded(Image.fromarray(values), "TIFF", tiffinfo=tags)


def greys(data: bytes) -> np.ndarray:
    """The picture's greys, which are the same in all three channels."""
    pixels = np.asarray(images.decode(data).image)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def twelve_bit_tiff(values: np.ndarray) -> bytes:
    """A file by TIFF 6.0's own words: a header, nine fields, and one strip of rows, two values in three bytes."""
    height, width = values.shape
    first, second = values[:, ::2].astype(int), values[:, 1::2].astype(int)
    strip = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8).tobytes()
    fields = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: height}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in (fields | {279: len(strip)}).items())
    return b"II*\0" + struct.pack("<IH", 8, 9) + entries + struct.pack("<I", 0) + strip


def test_white_of_twelve_bits_is_white() -> None:
    share = np.linspace(0, 1, 40 * 30).reshape(40, 30)
    np.testing.assert_allclose(greys(twelve_bit_tiff(np.rint(share * 4095))), 255 * share, atol=0.6)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint16, 65535), (np.float32, 1.0)])
def test_a_tiff_whose_zero_is_white_is_no_negative(dtype: type, white: float) -> None:
    """Oracle: the TIFF 6.0 specification, by which 0 is imaged as white then and the highest value as black."""
    share = np.linspace(0, 1, 40 * 30).reshape(40, 30)
    stored = (share * white).astype(dtype)
    data = deep_tiff(stored, white_is_zero=True)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.tag_v2[262] == 0
        assert opened.mode in ("I;16", "F")
        np.testing.assert_array_equal(np.asarray(images.upright_rgb(opened)), np.asarray(images.decode(data).image))
    np.testing.assert_allclose(greys(data), 255 * (1 - share), atol=0.51)
    np.testing.assert_allclose(greys(deep_tiff(stored)), 255 * share, atol=0.51)


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
@pytest.mark.parametrize("overshoot", [1.0, 1.001, 1.3])
def test_floats_are_read_on_their_own_scale(white: float, overshoot: float) -> None:
    """What overshoots white is white; the rest stays as it is. What is no number is none of the scale's business."""
    share = np.linspace(0, 1, 40 * 30).reshape(40, 30).astype(np.float32)
    values = share * white
    values[0, 0], values[0, 1], values[0, 2] = overshoot * white, np.nan, np.inf
    shown = greys(deep_tiff(values))
    np.testing.assert_allclose(shown.flat[3:], 255 * share.flat[3:], atol=0.51)
    assert shown[0, :3].tolist() == [255, 0, 255]


def test_floats_on_no_known_scale_are_refused_with_the_reason() -> None:
    values = np.full((32, 32), 1e6, np.float32)
    with pytest.raises(ImageError, match=r"scan\.tif: its floating-point values reach 1e\+06"):
        images.decode(deep_tiff(values), "scan.tif")


def test_transparency_shows_white_paper() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert images.decode(encoded(clear, "PNG")).image.getpixel((5, 5)) == (255, 255, 255)


def test_cmyk_and_palette_become_rgb(gradient: np.ndarray) -> None:
    picture = Image.fromarray(gradient)
    for image, fmt in ((picture.convert("CMYK"), "JPEG"), (picture.convert("P"), "PNG"), (picture.convert("1"), "PNG")):
        assert images.decode(encoded(image, fmt)).image.mode == "RGB"


def test_a_bomb_is_refused_before_it_is_decoded(gradient: np.ndarray) -> None:
    data = encoded(Image.fromarray(gradient), "PNG")
    with pytest.raises(ImageError, match="60 x 40"):
        images.decode(data, "bomb.png", max_pixels=2399)
    assert images.decode(data, max_pixels=2400).image.size == (60, 40)


def test_a_bomb_that_pillow_warns_of_is_refused() -> None:
    """One-bit pictures past its bound, and past twice that, where it raises."""
    for side in (10_000, 20_000):
        data = encoded(Image.new("1", (side, side)), "PNG")
        with pytest.raises(ImageError, match=r"bomb\.png: (10000 x 10000|claims more than 64,000,000) pixels"):
            images.decode(data, "bomb.png")


def with_damaged_metadata() -> bytes:
    """A sound TIFF of which Pillow warns: a tag's values lie behind the file's end."""
    data = bytearray(encoded(Image.new("RGB", (40, 40), "red"), "TIFF", software="a longer word"))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, place) == (TiffImagePlugin.SOFTWARE,):
            struct.pack_into("<I", data, place + 8, 1_000_000)
    return bytes(data)


def test_damaged_metadata_is_passed_over_in_silence() -> None:
    data = with_damaged_metadata()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
    assert caught, "Pillow says nothing of it"
    code = "import sys; from forensic import images; print(images.decode(sys.stdin.buffer.read()).image.size)"
    for options in ((), ("-W", "error")):
        done = subprocess.run([sys.executable, *options, "-c", code], input=data, capture_output=True, check=True)
        assert (done.stdout, done.stderr) == (b"(40, 40)\n", b"")


def test_floats_that_are_no_numbers_are_passed_over_in_silence() -> None:
    grey = np.full((40, 40), 0.5, np.float32)
    grey.view(np.uint32)[3, 3] = 0x7FA00001  # a NaN that processors signal
    decoded = images.decode(encoded(Image.fromarray(grey), "TIFF")).image
    assert decoded.getpixel((5, 5)) == (128, 128, 128)


def test_decoding_leaves_the_processs_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of the whole process: what one thread sets and takes back, another one meets halfway."""
    before, during, opened = list(warnings.filters), [], Image.open

    def noted(*arguments: Any, **options: Any) -> Any:
        during.append(list(warnings.filters))
        return opened(*arguments, **options)

    monkeypatch.setattr(Image, "open", noted)
    images.decode(with_damaged_metadata())
    assert during == [before]
    assert warnings.filters == before


@pytest.mark.parametrize("cut", [100, 1000, 10_000])
def test_every_truncation_is_an_image_error(cut: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "PNG")
    with pytest.raises(ImageError, match=r"cut\.png: (truncated|the content)"):
        images.decode(data[:-cut], "cut.png")


def test_errors_name_the_file_and_hide_control_characters(tmp_path) -> None:
    path = tmp_path / "evil\x1b[2J.png"
    path.write_text("hello")
    with pytest.raises(ImageError) as caught:
        images.read(path)
    assert "evil\\x1b[2J.png" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_named_pipe_does_not_block(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="no regular file"):
        images.read(tmp_path / "pipe.png")


def test_tensors_keep_the_convention(gradient: np.ndarray) -> None:
    tensor = images.to_tensor([Image.fromarray(gradient)])
    assert tensor.shape == (1, 3, 40, 60)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert tensor[0, 1, 0, 59].item() == pytest.approx(gradient[0, 59, 1] / 127.5 - 1)
    np.testing.assert_array_equal(np.asarray(images.to_image(tensor[0])), gradient)
    with pytest.raises(ValueError, match="one size"):
        images.to_tensor([Image.new("RGB", (10, 10)), Image.new("RGB", (11, 10))])


def test_find_files_is_sorted_and_ends_in_a_loop_of_links(tmp_path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.png", "b/a.png", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    links: list[Path] = []
    found = [str(path.relative_to(tmp_path)) for path in images.find_files(tmp_path, links.append)]
    assert found == ["c.png", "b/a.png"]
    assert links == [tmp_path / "b" / "loop"]


def test_a_decoded_picture_has_the_name_that_it_came_with(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert images.read(tmp_path / "a.png").name == str(tmp_path / "a.png")
    assert (images.decode(data, "sketch 3").name, images.decode(data).name) == ("sketch 3", "image")


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder of somebody whom closed folders stop, as they do not stop a superuser."""
    folder, user = Path(tempfile.mkdtemp()), os.geteuid()
    folder.chmod(0o755)
    try:
        if user == 0:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield folder
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


def test_a_folder_that_cannot_be_listed_is_told_when_it_is_read() -> None:
    with as_nobody() as folder:
        for name in ("closed", "open"):
            (folder / name).mkdir()
            (folder / name / "a.png").write_bytes(b"x")
        (folder / "closed").chmod(0)
        assert list(images.find_files(folder)) == [folder / "open" / "a.png", folder / "closed"]
        assert list(images.find_files(folder / "closed")) == [folder / "closed"]
        with pytest.raises(ImageError, match=r"closed: cannot be read \(Permission denied\)"):
            images.read(folder / "closed")
        (folder / "closed").chmod(0o700)
