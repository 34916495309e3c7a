"""Limits on the cost of decoding one image, checked first: pixels, memory, scans and chunks.

The memory of a decode is computed from the header: the decoder's buffers, the picture in Pillow's
memory, and three bytes per pixel for the result.

    JPEG    2 bytes per coefficient if it is progressive or has several scans
    WebP    two canvases of 4 bytes per pixel, the lossless decoder's 4, and two copies of the frame
    TIFF    the largest strip or tile; a second picture if it must be rotated
    PPM, BMP, if Pillow decodes them in Python: two copies of the samples

The file's own bytes are not counted; they are limited by `MAX_FILE_BYTES`.
"""

import struct
from typing import Final

from PIL import Image, TiffImagePlugin

from footage.errors import FootageError
from footage.images import jpeg

MAX_PIXELS: Final = 89_478_485
"""Largest picture, in pixels; Pillow warns above the same size."""

MAX_BYTES: Final = 2**30
"""Maximum memory per decode, in bytes: enough for most 8-bit formats at `MAX_PIXELS`."""

MAX_FILE_BYTES: Final = 2**29
"""Largest file, in bytes."""

MAX_SCANS: Final = 50
"""Maximum number of scans of a progressive JPEG; encoders write about ten."""

MAX_PIECES: Final = 100_000
"""Maximum number of chunks of a PNG; encoders write one per 8 kB."""

MAX_TAGS: Final = 4096
"""Maximum number of entries in a TIFF directory, as in libtiff."""

MAX_PYTHON_SAMPLES: Final = 8_000_000
"""Maximum number of values that Pillow decodes in Python, at about a microsecond per value."""

RGB_BYTES: Final = 3
OVERHEAD: Final = 24 * 2**20
"""Memory for tables, row buffers and allocator overhead, for a picture of any size."""
_WEBP_BYTES: Final = 17
_SAMPLE_COPIES: Final = 3
_ONE_BYTE: Final = frozenset({"1", "L", "P"})
_PYTHON_DECODERS: Final = frozenset({"bmp_rle", "ppm", "ppm_plain"})
_UNBOUNDED_TIFF: Final = frozenset({"lzma", "webp"})
"""TIFF compressions whose memory use is not declared by any tag."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_TIFF: Final = {
    b"II*\x00": ("<L", 4, "<H"),
    b"MM\x00*": (">L", 4, ">H"),
    b"II+\x00": ("<Q", 8, "<Q"),
    b"MM\x00+": (">Q", 8, ">Q"),
}
"""By the first bytes: format and position of the directory's offset, format of its entry count."""

_CURE: Final = "make it smaller or remove it"


class ImageError(FootageError):
    """One image cannot be read."""


def check_file(name: str, num_bytes: int) -> None:
    """Refuse a file that is too large."""
    if num_bytes > MAX_FILE_BYTES:
        raise ImageError(
            f"{name} has {num_bytes:,} bytes, more than the {MAX_FILE_BYTES:,} allowed", _CURE
        )


def check_size(name: str, width: int, height: int) -> None:
    """Refuse a picture with too many pixels."""
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS:,} allowed", _CURE
        )


def check_jpeg(name: str, data: bytes, header: jpeg.JpegHeader) -> None:
    """Refuse a plain JPEG that is too large or has too many scans."""
    check_size(name, header.width, header.height)
    _check_memory(name, memory_of_jpeg(header))
    if header.coefficient_bytes:
        _check_scans(name, data)


def check_structure(name: str, data: bytes) -> None:
    """Refuse a file with too many chunks or tags, before Pillow lists them."""
    if data.startswith(_PNG):
        place, pieces = len(_PNG), 0
        while place + 8 <= len(data):
            place += 12 + int.from_bytes(data[place : place + 4])
            pieces += 1
            if pieces > MAX_PIECES:
                raise ImageError(f"{name} has more than {MAX_PIECES:,} chunks", _CURE)
    if data[:4] in _TIFF:
        directory, place, number = _TIFF[data[:4]]
        try:
            (first,) = struct.unpack_from(directory, data, place)
            (count,) = struct.unpack_from(number, data, first)
        except (struct.error, OverflowError):
            return  # Pillow reports the missing data
        if count > MAX_TAGS:
            raise ImageError(
                f"{name} has {count:,} tags, more than the {MAX_TAGS:,} allowed", _CURE
            )


def check_opened(name: str, data: bytes, image: Image.Image) -> None:
    """Refuse an image that Pillow has opened but not decoded, if decoding it costs too much."""
    check_size(name, image.width, image.height)
    if image.format in ("JPEG", "MPO"):
        _check_scans(name, data)
    samples = image.width * image.height * len(image.getbands())
    if _is_python(image) and samples > MAX_PYTHON_SAMPLES:
        raise ImageError(
            f"{name} has {samples:,} values in a slow encoding of {image.format}, more than the "
            f"{MAX_PYTHON_SAMPLES:,} allowed",
            "save it as PNG or remove it",
        )
    compression = image.info.get("compression")
    if compression in _UNBOUNDED_TIFF:
        raise ImageError(
            f"{name} is compressed with {compression}, whose memory use cannot be bounded",
            "save it with another compression or remove it",
        )
    _check_memory(name, memory_of(image))


def memory_of_jpeg(header: jpeg.JpegHeader) -> int:
    """Return the peak memory of the fast decoder in bytes, including its result."""
    pixels = header.width * header.height
    turned = RGB_BYTES * pixels if header.orientation != jpeg.UPRIGHT else 0
    return RGB_BYTES * pixels + max(header.coefficient_bytes, turned)


def memory_of(image: Image.Image) -> int:
    """Return the peak memory in bytes to decode an opened image, including the result."""
    pixels = image.width * image.height
    stored = pixels * _bytes_per_pixel(image.mode)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        is_upright = image.tag_v2.get(jpeg.ORIENTATION, jpeg.UPRIGHT) == jpeg.UPRIGHT
        turned = 0 if is_upright else stored
        return stored + max(RGB_BYTES * pixels, turned, _strip_bytes(image))
    if image.format == "WEBP":
        return (_WEBP_BYTES + RGB_BYTES) * pixels
    if image.format in ("JPEG", "MPO"):
        coefficients = jpeg.COEFFICIENT_BYTES * len(image.getbands()) * pixels
        return stored + max(RGB_BYTES * pixels, coefficients)
    if _is_python(image):
        sample_bytes = 4 if image.mode in ("I", "F") else 1
        samples = pixels * len(image.getbands()) * sample_bytes
        return stored + max(RGB_BYTES * pixels, _SAMPLE_COPIES * samples)
    return stored + RGB_BYTES * pixels


def _is_python(image: Image.Image) -> bool:
    """Return whether Pillow decodes this variant of the format in Python."""
    return any(tile[0] in _PYTHON_DECODERS for tile in getattr(image, "tile", ()))


def _strip_bytes(image: TiffImagePlugin.TiffImageFile) -> int:
    """Return the size of the largest strip or tile, which libtiff decodes at once."""
    tags = image.tag_v2
    bits = max(int(each) for each in tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    samples = int(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))
    pixel_bytes = max(4, -(-bits * samples // 8))
    if TiffImagePlugin.TILEWIDTH in tags:
        area = int(tags[TiffImagePlugin.TILEWIDTH]) * int(tags[TiffImagePlugin.TILELENGTH])
        return area * pixel_bytes
    width, height = (int(tags[each]) for each in (256, 257))
    rows = min(int(tags.get(TiffImagePlugin.ROWSPERSTRIP, height)), height)
    return rows * width * pixel_bytes


def _bytes_per_pixel(mode: str) -> int:
    """Return the bytes per pixel of an image in Pillow's memory."""
    if mode in _ONE_BYTE:
        return 1
    return 2 if mode.startswith("I;16") else 4


def _check_scans(name: str, data: bytes) -> None:
    if jpeg.count_scans(data, MAX_SCANS) > MAX_SCANS:
        raise ImageError(
            f"{name} is a JPEG of more than {MAX_SCANS} scans", "encode it again or remove it"
        )


def _check_memory(name: str, picture_bytes: int) -> None:
    wanted = picture_bytes + OVERHEAD
    if wanted > MAX_BYTES:
        raise ImageError(
            f"{name} takes {wanted / 2**20:,.0f} MiB to decode, more than the "
            f"{MAX_BYTES / 2**20:,.0f} MiB allowed",
            _CURE,
        )
