"""Decode images in a confined process, as requested.

Only confined processes import this module. Everything that Pillow would import at its first use of
a format is imported here, because nothing can be opened later.
"""

import contextlib
import functools
import io
import mmap
from collections.abc import Callable
from typing import Final

import cv2
import msgspec
import numpy as np
from PIL import Image

from footage.images import decode, limits
from footage.images.confined import NO_ROOM, Answer, Content, Request
from footage.images.resize import resized, stretched

_NAMELESS = "\0"
"""Placeholder for the image's name in messages; the calling process adds the name."""

_DECODE: Final[dict[Content, Callable[[bytes, str], decode.RGB]]] = {
    "colours": decode.decode_image,
    "indexes": decode.decode_indexes,
}


def answer(request: bytes, files: list[int]) -> bytes:
    """Return encoded `Answer`s, one per image; the pixels are written to the first file."""
    wanted = msgspec.msgpack.decode(request, type=Request)
    memory, *images = files
    read: list[Callable[[], bytes]] = [
        functools.partial(decode.read_descriptor, image, _NAMELESS) for image in images
    ]
    read += [functools.partial(bytes, image) for image in wanted.images]
    answers, end = [], 0
    with mmap.mmap(memory, 0) as room:
        for one in read:
            found, end = _answer(wanted, one, room, end)
            answers.append(found)
    return msgspec.msgpack.encode(answers)


def _answer(
    wanted: Request, read: Callable[[], bytes], room: mmap.mmap | bytearray, start: int
) -> tuple[Answer, int]:
    """Write the pixels of one image into the room; return the outcome, and where they end.

    No variable is a view of the room, because errors keep the variables of all callers alive for a
    while, and a room with views cannot be closed.
    """
    try:
        image = _DECODE[wanted.content](read(), _NAMELESS)
    except limits.ImageError as error:
        return Answer(error.message.replace(_NAMELESS, "").strip()), start
    scale = resized if wanted.filter == "area" else stretched
    pictures = [scale(image, size) for size in wanted.sizes] or [image]
    if start + sum(each.nbytes for each in pictures) > len(room):
        return Answer(NO_ROOM), start
    for each in pictures:
        np.frombuffer(room, np.uint8, each.nbytes, start).reshape(each.shape)[...] = each
        start += each.nbytes
    return Answer(shapes=tuple((each.shape[0], each.shape[1]) for each in pictures)), start


def _prepare() -> None:
    """Decode an image of each format and variant, so that nothing is left to import."""
    cv2.setNumThreads(0)
    Image.MAX_IMAGE_PIXELS = limits.MAX_PIXELS // 2  # Pillow refuses twice as many
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in (*decode.FORMATS, "MPO"):
        for mode in ("RGB", "L", "P", "RGBA", "CMYK", "I;16", "F"):
            file = io.BytesIO()
            with contextlib.suppress(OSError, KeyError, ValueError):  # no such variant
                Image.new(mode, (4, 4)).save(file, kind, exif=exif)
                _answer(Request((2, 8)), file.getvalue, bytearray(1000), 0)


_prepare()
