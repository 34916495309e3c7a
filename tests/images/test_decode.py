import contextlib
import io
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from footage.images.decode import Encoded, ImageError, decode_image, find_images, read_image
from tests.support.descriptors import open_files


def _gradient() -> np.ndarray:
    rows, columns = np.mgrid[0:20, 0:30]
    return np.stack([rows * 10, columns * 8, rows + columns], axis=-1).astype(np.uint8)


def test_png_pixels_come_back_as_they_were_written(tmp_path: Path) -> None:
    Image.fromarray(_gradient()).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), _gradient())


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "tiff", "gif", "ppm"])
def test_other_formats_are_read_as_three_channels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(_gradient()).save(path)
    assert read_image(path).shape == (20, 30, 3)
    assert np.abs(read_image(path).astype(int) - _gradient()).mean() < 30


def test_the_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(_gradient())
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees clockwise to be upright
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(_gradient(), k=-1))


def test_transparent_pixels_lie_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (9, 9, 9, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    expected = np.rint(ramp / 65535 * 255)
    assert np.abs(read_image(tmp_path / "a.png")[..., 0] - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "not an image of a known format .it is empty"),
        ("text.jpg", b"hello there", "not an image of a known format"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image of a known format"),
    ],
)
def test_what_is_no_image_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / name)


def test_a_named_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png is not a regular file"):
        read_image(tmp_path / "pipe.png")


def test_a_folder_is_refused_by_name_and_does_not_stay_open(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be opened: Is a directory"):
        read_image(tmp_path)
    assert open_files(tmp_path) == []


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png cannot be opened"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"a\."):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tiff", "bmp", "webp"])
def test_flipped_bytes_raise_an_image_error_or_give_pixels(tmp_path: Path, suffix: str) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(_gradient()).save(path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    for _ in range(40):
        damaged = whole.copy()
        places = generator.integers(0, len(damaged), 6)
        damaged[places] = generator.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(ImageError):
            assert read_image(path).ndim == 3


def test_a_small_file_that_claims_to_be_huge_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    assert path.stat().st_size < 100_000
    with pytest.raises(ImageError, match=r"20000 x 20000 pixels|too large"):
        read_image(path)


def test_images_are_found_below_a_folder_whatever_the_case_of_their_suffix(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.JPG", "deep/a.png", ".hidden/c.png", "notes.txt", "._d.png"):
        (tmp_path / name).touch()
    assert [path.name for path in find_images(tmp_path)] == ["b.JPG", "a.png"]


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _turned(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _encoded(Image.fromarray(_gradient()), kind, exif=exif)


IMAGES = {
    "jpeg": _encoded(Image.fromarray(_gradient()), "JPEG", quality=95),
    "progressive": _encoded(Image.fromarray(_gradient()), "JPEG", progressive=True),
    "grey jpeg": _encoded(Image.fromarray(_gradient()).convert("L"), "JPEG"),
    "cmyk jpeg": _encoded(Image.fromarray(_gradient()).convert("CMYK"), "JPEG"),
    "upright jpeg": _turned("JPEG", 1),
    "turned jpeg": _turned("JPEG", 6),
    "mirrored jpeg": _turned("JPEG", 2),
    "turned png": _turned("PNG", 8),
    "16 bit": _encoded(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)), "PNG"),
    "webp": _encoded(Image.fromarray(_gradient()), "WEBP"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_bytes_give_the_pixels_that_the_file_gives(tmp_path: Path, name: str) -> None:
    (tmp_path / "image").write_bytes(IMAGES[name])
    pixels = read_image(tmp_path / "image")
    np.testing.assert_array_equal(decode_image(IMAGES[name], name), pixels)
    encoded = Encoded(IMAGES[name], name)
    assert (encoded.height, encoded.width) == pixels.shape[:2]


def test_a_plain_jpeg_comes_smaller_where_that_is_enough_and_upright_exif_does_not_matter() -> None:
    picture = Image.new("RGB", (400, 300), (200, 30, 90))
    exif = Image.Exif()
    exif[0x0112] = 1
    for data in (_encoded(picture, "JPEG"), _encoded(picture, "JPEG", exif=exif)):
        sides = {asked: min(decode_image(data, "a", asked).shape[:2]) for asked in (75, 76, 151)}
        assert sides == {75: 75, 76: 113, 151: 300}


def test_camera_data_behind_other_segments_and_fill_bytes_is_found() -> None:
    data = IMAGES["turned jpeg"]
    comment = b"\xff\xfe\x00\x06\xff\xda00"  # holds what looks like the begin of the pixels
    assert decode_image(data[:2] + comment + b"\xff" + data[2:], "a").shape == (30, 20, 3)


def test_a_jpeg_with_a_harmless_fault_is_read_all_the_same(tmp_path: Path) -> None:
    data = IMAGES["jpeg"][:20] + b"\x00\x00" + IMAGES["jpeg"][20:]
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(data)
    (tmp_path / "a.jpg").write_bytes(data)
    np.testing.assert_array_equal(decode_image(data, "a"), read_image(tmp_path / "a.jpg"))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", IMAGES["jpeg"][:300], b"text"])
def test_damaged_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^cat/1\.jpg is "):
        decode_image(data, "cat/1.jpg")


@pytest.mark.parametrize("name", ["jpeg", "turned jpeg", "webp"])
def test_flipped_bytes_in_memory_raise_an_image_error_or_give_pixels(name: str) -> None:
    generator = np.random.default_rng(0)
    whole = np.frombuffer(IMAGES[name], dtype=np.uint8)
    for _ in range(100):
        damaged = whole.copy()
        places = generator.integers(0, len(damaged), 6)
        damaged[places] = generator.integers(0, 256, 6)
        with contextlib.suppress(ImageError):
            encoded = Encoded(damaged.tobytes(), name)
            assert encoded.pixels().shape == (encoded.height, encoded.width, 3)


def test_a_jpeg_that_claims_to_be_huge_is_refused_before_decoding() -> None:
    data = _encoded(Image.new("L", (16, 16)), "JPEG")
    frame = data.index(b"\xff\xc0")
    huge = data[: frame + 5] + (60_000).to_bytes(2) * 2 + data[frame + 9 :]
    with pytest.raises(ImageError, match="60000 x 60000 pixels"):
        decode_image(huge, "a")


def test_links_to_folders_are_followed_once_and_what_is_skipped_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "class").mkdir()
    for name in ("elsewhere/a.png", "class/b.jpg", "class/.c.jpg", "class/notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "class" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "class" / "loop").symlink_to(tmp_path / "class")
    with caplog.at_level(logging.INFO):
        found = find_images(tmp_path / "class")
    assert [path.name for path in found] == ["b.jpg", "a.png"]
    assert "1 of other types (.txt 1), 1 hidden" in caplog.text
