"""Check that a JPEG has the form that our own encoder writes, without decoding it.

A kept frame comes from a process that a hostile video may have taken over, and will be decoded in
training. So only the simplest form is accepted: baseline, one scan, three components of 8 bits,
and no marker that simplejpeg does not write. Source: ITU-T T.81, annex B.
"""

import re
import struct
from typing import NamedTuple

_SEGMENTS = {0xE0: "JFIF", 0xDB: "quantisation", 0xC0: "frame", 0xC4: "Huffman", 0xDA: "scan"}
"""Markers that may occur between the start of the image and its pixels."""
_FRAME, _SCAN = 0xC0, 0xDA
_COMPONENTS = 3
_MARKER = re.compile(rb"\xff[^\x00]")


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


def plain_jpeg_size(data: bytes) -> Size:
    """Return the size of a plain JPEG.

    Raises:
        ValueError: It is not one; the message names the first difference.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("no start of a JPEG")
    size = None
    position = 2
    while True:
        if len(data) < position + 4:
            raise ValueError("a JPEG that ends in its header")
        first, marker, length = struct.unpack_from(">BBH", data, position)
        if first != 0xFF or marker not in _SEGMENTS or length < 2:
            raise ValueError(f"a JPEG with the marker {first:02x}{marker:02x}")
        content = data[position + 4 : position + 2 + length]
        if len(content) != length - 2:
            raise ValueError("a JPEG that ends in its header")
        position += 2 + length
        if marker == _FRAME:
            if size is not None:
                raise ValueError("a JPEG with two frames")
            size = _size(content)
        if marker == _SCAN:
            break
    if size is None or content[:1] != bytes([_COMPONENTS]):
        raise ValueError("a JPEG without a frame of three components")
    end = _MARKER.search(data, position)
    if end is None or end.start() != len(data) - 2 or data[-1] != 0xD9:
        raise ValueError("a JPEG whose scan does not end with the image")
    return size


def _size(frame: bytes) -> Size:
    if len(frame) != 6 + 3 * _COMPONENTS:
        raise ValueError("a JPEG with another number of components")
    bits, height, width, components = struct.unpack_from(">BHHB", frame)
    if bits != 8 or components != _COMPONENTS or 0 in (width, height):
        raise ValueError(f"a JPEG of {width}x{height} with {components} components of {bits} bits")
    return Size(width, height)
