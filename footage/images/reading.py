"""Read one image of unknown origin: few formats, bounded size, upright, three channels.

Everything that opens a still image goes through here, so that a labelled photo, an image to embed
and a query of the report are decoded alike. A plain JPEG in memory takes a fast path, with the same
pixels; whatever that refuses is left to Pillow. Decoding videos is `videos.video`'s.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from footage.errors import FootageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""What may be decoded. Pillow's other decoders are rarely used and more often found unsafe."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)
"""Which files of a folder are taken for images, in lower case."""

MAX_PIXELS = 89_478_485
"""Checked before decoding: a quarter of a gigabyte as RGB, where Pillow itself begins to warn."""

RGB = UInt8[np.ndarray, "height width 3"]

File = io.BufferedReader | io.BytesIO

_CURE: Final = "mend it or leave it out"
_UPRIGHT: Final = 1
_ORIENTATION: Final = 0x0112
_SIDEWAYS: Final = (5, 6, 7, 8)
_EXIF: Final = b"Exif\x00\x00"
_SCAN: Final = b"\xff\xda"
"""The marker after which a JPEG's segments end and its pixels begin."""


class ImageError(FootageError):
    """One image cannot be read."""


def is_image_name(path: Path) -> bool:
    """Whether a file found in a folder counts as an image: by suffix, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def find_images(folder: Path) -> list[Path]:
    """Every image below a folder, in the order of their paths; hidden files and folders are not."""
    return sorted(
        path
        for path in folder.rglob("*")
        if is_image_name(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def read_image(path: Path) -> RGB:
    """Decode an image file into upright RGB.

    The EXIF orientation is applied. Transparent pixels are laid over white. Sixteen-bit and
    floating grey images are brought to eight bits by their full range. Of an animation, the first
    frame is read.

    Raises:
        ImageError: missing, of another format, truncated, damaged, or above `MAX_PIXELS`.
    """
    try:
        with path.open("rb") as file:
            return _pixels(file, str(path))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror}") from error


def decode_image(data: bytes, name: str, min_short_side: int = MAX_PIXELS) -> RGB:
    """Decode the bytes of an image file into upright RGB, as `read_image` does.

    Args:
        data: The file's bytes.
        name: What errors call the image.
        min_short_side: A plain JPEG may be delivered at half its size or less as long as its short
            side keeps this many pixels; the default delivers it whole.

    Raises:
        ImageError: of another format, truncated, damaged, or above `MAX_PIXELS`.
    """
    if _plain_jpeg_size(data, name) is not None:
        try:
            # Factors between 1/2 and 1 take longer than a whole decode: they have no fast transform
            image: RGB = simplejpeg.decode_jpeg(
                data, min_height=min_short_side, min_width=min_short_side, min_factor=2
            )
            return image
        except ValueError:
            pass  # Pillow bears more, and says what is wrong
    return _pixels(io.BytesIO(data), name)


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width, in pixels, that `decode_image` would deliver whole; nothing is decoded.

    Raises:
        ImageError: of another format, damaged at its begin, or above `MAX_PIXELS`.
    """
    size = _plain_jpeg_size(data, name)
    if size is not None:
        return size
    with _opened(io.BytesIO(data), name) as image:
        sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
        return (image.width, image.height) if sideways else (image.height, image.width)


def _plain_jpeg_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Height and width of a JPEG that needs neither turning nor another colour space; else None."""
    if not data.startswith(b"\xff\xd8"):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    if colours in ("CMYK", "YCCK") or (_has_exif(data) and not _is_upright(data, name)):
        return None
    _check_size(name, width, height)
    return height, width


def _has_exif(data: bytes) -> bool:
    """Whether a JPEG has camera data; its segments are walked, since a search reads all of it."""
    place = 2
    marker = data[place : place + 2]
    while marker[:1] == b"\xff" and marker != _SCAN:
        if data[place + 4 : place + 10] == _EXIF:
            return True
        filled = marker == b"\xff\xff"
        place += 1 if filled else 2 + int.from_bytes(data[place + 2 : place + 4])
        marker = data[place : place + 2]
    return False


def _is_upright(data: bytes, name: str) -> bool:
    with _opened(io.BytesIO(data), name) as image:
        return bool(image.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT)


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS:,} allowed",
            "make it smaller or leave it out",
        )


def _pixels(file: File, name: str) -> RGB:
    with _opened(file, name) as image:
        return _upright_rgb(image)


@contextmanager
def _opened(file: File, name: str) -> Iterator[Image.Image]:
    """An image of bounded size whose pixels are not decoded yet; damage becomes an `ImageError`."""
    try:
        with warnings.catch_warnings():
            # Pillow warns where we refuse, and about odd metadata that does not touch the pixels.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                _check_size(name, image.width, image.height)
                yield image
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        shown = f"{name} is not an image of a known format ({_first_bytes(file)})"
        raise ImageError(shown, _CURE) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError) as error:
        # Pillow's decoders report damage by any of these.
        raise ImageError(f"{name} is damaged: {error}", _CURE) from error
    except (Image.DecompressionBombError, MemoryError, OverflowError) as error:
        raise ImageError(f"{name} is too large to decode: {error}", _CURE) from error
    except (TypeError, AttributeError, RuntimeError, ZeroDivisionError) as error:
        shown = f"{name} is damaged beyond what the decoder foresaw: {error}"
        raise ImageError(shown, _CURE) from error


def _upright_rgb(image: Image.Image) -> RGB:
    upright: Image.Image = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _eight_bits(upright)
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, rgba)
    pixels: RGB = np.asarray(upright.convert("RGB"), dtype=np.uint8)
    return pixels


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey values as bytes; Pillow's own conversion would clip them at 255 instead of scaling."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("pixels that are not finite")
    if image.mode.startswith("I;16") or values.max(initial=0) > 255:
        values = values / max(65535.0, values.max(initial=0)) * 255
    elif image.mode == "F" and values.max(initial=0) <= 1:
        values = values * 255
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _first_bytes(file: File) -> str:
    file.seek(0)
    first = file.read(8)
    return f"it begins with {first!r}" if first else "it is empty"
