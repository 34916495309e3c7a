"""Read one image of unknown origin: few formats, bounded cost, upright, three channels.

Everything that opens a still image goes through here, so that a labelled photo, an image to embed
and a query of the report are decoded alike. A plain JPEG takes a fast decoder with the same pixels;
everything else is left to Pillow. Videos are decoded by `footage.video.decode`.
"""

import io
import logging
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Final

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from footage.errors import ConfigError
from footage.images import jpeg, limits
from footage.images.limits import ImageError as ImageError
from footage.io.files import without_waiting
from footage.io.walk import walk

log = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""Formats that may be decoded. Pillow's other decoders are rare and have more vulnerabilities."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)
"""Suffixes of image files in a folder, in lower case."""

RGB = UInt8[np.ndarray, "height width 3"]

_CURE: Final = "fix it or remove it"
_WHOLE: Final = limits.MAX_PIXELS
_SIDEWAYS: Final = frozenset({5, 6, 7, 8})
_UPSIDE_DOWN: Final = frozenset({3, 4, 7, 8})
_MIRRORED: Final = frozenset({2, 3, 6, 7})
_BYTE: Final = 255.0
_BAND: Final = 64
"""Rows that are converted to RGB at a time, so that no second whole picture is needed."""


def is_image_name(name: str) -> bool:
    """Return whether a file in a folder counts as an image, by its suffix; hidden files do not."""
    return PurePath(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def find_images(folder: Path) -> list[Path]:
    """Find every image below a folder, sorted by path; skipped files are logged.

    Links to folders are followed; hidden files and folders are skipped.

    Raises:
        ConfigError: A folder cannot be listed.
    """
    found = walk(folder, is_image_name)
    if unreadable := found.skipped.unreadable:
        raise ConfigError(
            f"{len(unreadable)} folders cannot be listed: {unreadable[0]}",
            "check their permissions",
        )
    if str(found.skipped):
        log.info("skipped in %s: %s", folder, found.skipped)
    return found.files


def read_image(path: Path) -> RGB:
    """Decode an image file into upright RGB, in this process.

    Raises:
        ImageError: missing, not a regular file, of another format, damaged, or too large.
    """
    with open_regular(path) as file:
        return decode_image(read_descriptor(file.fileno(), str(path)), str(path))


@contextmanager
def open_regular(path: Path) -> Iterator[io.FileIO]:
    """Open an image file.

    Raises:
        ImageError: missing, not a regular file, or larger than `limits.MAX_FILE_BYTES`.
    """
    try:
        opened = open(path, "rb", buffering=0, opener=without_waiting)  # noqa: SIM115
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror}", _CURE) from error
    with opened as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is not a regular file", _CURE)
        limits.check_file(str(path), status.st_size)
        yield file


def read_descriptor(descriptor: int, name: str) -> bytes:
    """Read the bytes of an open file.

    Raises:
        ImageError: They cannot be read.
    """
    try:
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limits.MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError(f"{name} cannot be read: {error.strerror}", _CURE) from error


def decode_image(data: bytes, name: str, min_short_side: int = _WHOLE) -> RGB:
    """Decode the bytes of an image file into upright RGB, as `Encoded` does.

    Args:
        data: The file's bytes.
        name: Name of the image in errors.
        min_short_side: As in `Encoded.pixels`.

    Raises:
        ImageError: of another format, truncated, damaged, or too large.
    """
    return Encoded(data, name).pixels(min_short_side)


def decode_indexes(data: bytes, name: str) -> RGB:
    """Decode the bytes of a PNG mask into indexes of objects, repeated in three channels.

    An index is that of the palette, or else the grey value.

    Raises:
        ImageError: not a PNG with a palette or 8-bit grey values, truncated, damaged or too large.
    """
    with _opened(data, name) as image:
        if image.format != "PNG" or image.mode not in ("P", "L", "1"):
            raise ImageError(
                f"{name} is not a mask: it is a {image.format} with mode {image.mode}",
                "save masks as PNG with a palette or 8-bit grey values",
            )
        image.load()
        indexes = np.asarray(image, dtype=np.uint8)
        return np.repeat(indexes[..., None], 3, axis=2)


def is_plain_jpeg(data: bytes) -> bool:
    """Return whether the fast decoder can read an image, according to its header."""
    return _plain_header(data) is not None


def _plain_header(data: bytes) -> jpeg.JpegHeader | None:
    header = jpeg.read_header(data)
    return header if header is not None and header.components in (1, 3) else None


class Encoded:
    """An encoded image of known size.

    The orientation is applied. Transparent pixels are composited on white. Sixteen-bit and floating
    grey images are scaled to eight bits by their full range. The first frame of an animation is
    read.

    Attributes:
        height: Height of the whole, upright picture.
        width: Width of the whole, upright picture.
    """

    def __init__(
        self, data: bytes, name: str, decode_other: Callable[[bytes, str], RGB] | None = None
    ) -> None:
        """Read the size. The size of anything but a plain JPEG is that of its decoded pixels.

        Args:
            data: The file's bytes.
            name: Name of the image in errors.
            decode_other: Decodes images other than plain JPEGs; by default, Pillow in this process.

        Raises:
            ImageError: of another format, truncated, damaged, or too large.
        """
        self._data = data
        self._name = name
        self._decode_other = decode_other or _pixels
        self._decoded: RGB | None = None
        self._jpeg = _plain_header(data)
        if self._jpeg is not None:
            limits.check_jpeg(name, data, self._jpeg)
            stored = self._jpeg.height, self._jpeg.width
            self.height, self.width = _upright_size(*stored, self._jpeg.orientation)
        else:
            self._decoded = self._decode_other(data, name)
            self.height, self.width, _ = self._decoded.shape

    def pixels(self, min_short_side: int = _WHOLE) -> RGB:
        """Decode the upright picture.

        Args:
            min_short_side: A plain JPEG may be delivered at half its size or less as long as its
                short side keeps this many pixels; the default delivers it whole.

        Raises:
            ImageError: truncated or damaged.
        """
        if self._decoded is not None:
            return self._decoded
        assert self._jpeg is not None
        try:
            # Factors between 1/2 and 1 take longer than a whole decode: no fast transform exists
            image: RGB = simplejpeg.decode_jpeg(
                self._data, min_height=min_short_side, min_width=min_short_side, min_factor=2
            )
            return _turned(image, self._jpeg.orientation)
        except ValueError:
            pass  # Pillow tolerates more, and reports what is wrong
        whole = self._decode_other(self._data, self._name)
        if whole.shape != (self.height, self.width, 3):
            raise ImageError(f"{self._name} is damaged: it declares two sizes", _CURE)
        return whole


def _turned(image: UInt8[np.ndarray, "_ _ 3"], orientation: int) -> UInt8[np.ndarray, "_ _ 3"]:
    if orientation == jpeg.UPRIGHT:
        return image
    height, width, channels = image.shape
    upright = np.empty((*_upright_size(height, width, orientation), channels), dtype=np.uint8)
    _as_stored(upright, orientation)[...] = image
    return upright


def _upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    return (width, height) if orientation in _SIDEWAYS else (height, width)


def _as_stored(upright: UInt8[np.ndarray, "_ _ 3"], orientation: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Return a view of upright pixels in the layout of the file."""
    if orientation in _UPSIDE_DOWN:
        upright = upright[::-1]
    if orientation in _MIRRORED:
        upright = upright[:, ::-1]
    return upright.swapaxes(0, 1) if orientation in _SIDEWAYS else upright


def _pixels(data: bytes, name: str) -> RGB:
    with _opened(data, name) as image:
        return upright_rgb(image)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Open an image of bounded cost without decoding its pixels; damage raises an `ImageError`."""
    try:
        with warnings.catch_warnings():
            # Pillow warns where we refuse, and about odd metadata that does not affect the pixels.
            warnings.simplefilter("ignore")
            limits.check_structure(name, data)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                limits.check_opened(name, data, image)
                yield image
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        begins = f"it begins with {data[:8]!r}" if data else "it is empty"
        shown = f"{name} is not an image of a known format ({begins})"
        raise ImageError(shown, _CURE) from error
    except (Image.DecompressionBombError, MemoryError, OverflowError) as error:
        raise ImageError(f"{name} is too large to decode: {error}", _CURE) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError) as error:
        # Pillow's decoders raise any of these for damaged files.
        raise ImageError(f"{name} is damaged: {error}", _CURE) from error
    except Exception as error:  # boundary of one image: any error becomes its reason
        shown = f"{name} is damaged: {type(error).__name__}: {error}"
        raise ImageError(shown, _CURE) from error


def upright_rgb(image: Image.Image) -> RGB:
    """Return the pixels of a picture as displayed: upright, on white, with 8 bits per channel."""
    image.load()
    # After loading, as in Pillow's exif_transpose: a PNG may declare it after the pixels
    declared = image.getexif().get(jpeg.ORIENTATION, jpeg.UPRIGHT)
    orientation = int(declared) if declared in range(1, 9) else jpeg.UPRIGHT
    upright = np.empty((*_upright_size(image.height, image.width, orientation), 3), dtype=np.uint8)
    stored = _as_stored(upright, orientation)
    is_grey = image.mode.startswith("I") or image.mode == "F"
    white = _white_level(image) if is_grey else _BYTE
    for rows, band in _bands(image):
        stored[rows] = _rgb(_eight_bits(band, white) if is_grey else band)
    return upright


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    for top in range(0, image.height, _BAND):
        bottom = min(top + _BAND, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _rgb(image: Image.Image) -> RGB:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    pixels: RGB = np.asarray(image.convert("RGB"), dtype=np.uint8)
    return pixels


def _white_level(image: Image.Image) -> float:
    """Return the grey value that becomes white; Pillow's own conversion would clip above 255."""
    largest = 0.0
    for _, band in _bands(image):
        values = np.asarray(band)
        if not np.isfinite(values).all():
            raise ValueError("pixels that are not finite")
        largest = max(largest, float(values.max(initial=0)))
    if image.mode.startswith("I;16") or largest > _BYTE:
        return max(65535.0, largest)
    return 1.0 if image.mode == "F" and largest <= 1 else _BYTE


def _eight_bits(image: Image.Image, white: float) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    if white != _BYTE:
        values = values / white * _BYTE
    return Image.fromarray(np.clip(np.rint(values), 0, _BYTE).astype(np.uint8))
