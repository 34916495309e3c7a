import contextlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footage.evaluation.images import ImageError, find_images, read_image


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
