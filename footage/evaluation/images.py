"""Read one image file of unknown origin: few formats, bounded size, upright, three channels.

Everything that opens a still image goes through `read_image`, so that a labelled photo, an image to
embed and a query of the report are decoded alike. Video frames are `video.py`'s.
"""

import warnings
from pathlib import Path

import numpy as np
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
        with warnings.catch_warnings():
            # Pillow warns where we refuse, and about odd metadata that does not touch the pixels.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(
                        f"{path} has {image.width} x {image.height} pixels, "
                        f"more than the {MAX_PIXELS:,} allowed",
                        "make it smaller or leave it out",
                    )
                return _upright_rgb(image)
    except ImageError:
        raise
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image of a known format ({_first_bytes(path)})") from (
            error
        )
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError) as error:
        # Pillow's decoders report damage by any of these.
        raise ImageError(f"{path} is damaged: {error}") from error
    except (Image.DecompressionBombError, MemoryError, OverflowError) as error:
        raise ImageError(f"{path} is too large to decode: {error}") from error
    except (TypeError, AttributeError, RuntimeError, ZeroDivisionError) as error:
        raise ImageError(f"{path} is damaged beyond what the decoder foresaw: {error}") from error


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


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        first = file.read(8)
    return f"it begins with {first!r}" if first else "it is empty"
