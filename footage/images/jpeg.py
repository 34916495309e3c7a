"""Read the header of a JPEG: size, components, scans and orientation.

Only JPEGs with an unambiguous structure get a header and use the fast decoder. Everything else is
left to Pillow. Only the segments before the pixels are parsed, so a header costs microseconds.
"""

import itertools
import re
import struct
from typing import Final, NamedTuple

_START: Final = b"\xff\xd8"
_START_OF_SCAN: Final = 0xDA
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1, 0xC9})
_PROGRESSIVE: Final = frozenset({0xC2, 0xCA})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xDA)})
_APP1: Final = 0xE1
_MOST_SEGMENTS: Final = 10_000
_EXIF: Final = b"Exif\x00\x00"
_XMP_ORIENTATION: Final = b"tiff:Orientation"
_SCAN: Final = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
"""All scan headers that a decoder accepts; the length depends on the number of components."""

COEFFICIENT_BYTES: Final = 2

_BLOCK: Final = 8

ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_KIND_BYTES: Final = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))
"""Bytes per value, by its type in a directory."""
_ENTRY_BYTES: Final = 12
UPRIGHT: Final = 1


class JpegHeader(NamedTuple):
    """The properties declared before the first scan."""

    width: int
    """Stored width, before the orientation is applied."""
    height: int
    components: int
    orientation: int
    """Orientation as in EXIF, 1 to 8."""
    coefficient_bytes: int
    """Size of the coefficients that a decoder buffers until the last scan; 0 if it streams."""


def read_header(data: bytes) -> JpegHeader | None:
    """Read the header of a JPEG; None if the file should be left to Pillow."""
    if not data.startswith(_START):
        return None
    exif = b""
    frame: tuple[int, bytes] | None = None
    place = len(_START)
    for _ in range(_MOST_SEGMENTS):
        if place + 4 > len(data) or data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _WITHOUT_LENGTH or marker == 0:
            return None
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        content = data[place + 4 : end]
        if end > len(data):
            return None
        if marker == _APP1 and content.startswith(_EXIF):
            if exif:
                return None
            exif = content[len(_EXIF) :]
        elif marker == _APP1 and _XMP_ORIENTATION in content:
            return None
        elif marker in _FRAMES:
            if frame is not None:
                return None
            frame = marker, content
        elif marker == _START_OF_SCAN:
            orientation = _orientation(exif) if exif else UPRIGHT
            if frame is None or orientation is None:
                return None
            return _header(*frame, content, orientation)
        place = end
    return None


def count_scans(data: bytes, most: int) -> int:
    """Return an upper bound on the number of scans of a JPEG, counted up to one above `most`.

    Every byte sequence that looks like the header of a scan counts, at any position, so no
    difference between two parsers can hide a scan.
    """
    return sum(1 for _ in itertools.islice(_SCAN.finditer(data), most + 1))


def _header(marker: int, frame: bytes, scan: bytes, orientation: int) -> JpegHeader | None:
    if marker not in _SEQUENTIAL | _PROGRESSIVE or len(frame) < 6 or not scan:
        return None
    bits, height, width, components = struct.unpack_from(">BHHB", frame)
    if bits != 8 or not width or not height or len(frame) != 6 + 3 * components:
        return None
    factors = [divmod(frame[7 + 3 * number], 16) for number in range(components)]
    if not all(1 <= each <= 4 for pair in factors for each in pair):
        return None
    streams = marker in _SEQUENTIAL and scan[0] == components
    coefficients = 0 if streams else _coefficients(width, height, factors)
    return JpegHeader(width, height, components, orientation, coefficients * COEFFICIENT_BYTES)


def _coefficients(width: int, height: int, factors: list[tuple[int, int]]) -> int:
    """Return the number of coefficients of all components, each padded to whole blocks."""
    across = -(-width // (_BLOCK * max(horizontal for horizontal, _ in factors)))
    down = -(-height // (_BLOCK * max(vertical for _, vertical in factors)))
    blocks = sum(across * horizontal * down * vertical for horizontal, vertical in factors)
    return blocks * _BLOCK**2


def _orientation(exif: bytes) -> int | None:
    """Return the orientation in the first directory of EXIF data, 1 if absent, None if unclear."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    try:
        if order is None:
            return None
        (first,) = struct.unpack_from(f"{order}L", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, first)
        places = [first + 2 + _ENTRY_BYTES * number for number in range(count)]
        entries = [struct.unpack_from(f"{order}HHLL", exif, place) for place in places]
        values = [struct.unpack_from(f"{order}H", exif, place + 8)[0] for place in places]
    except struct.error:
        return None
    if not all(_is_whole(len(exif), *entry[1:]) for entry in entries):
        return None
    found = [
        (kind, length, value)
        for (tag, kind, length, _), value in zip(entries, values, strict=True)
        if tag == ORIENTATION
    ]
    if not found:
        return UPRIGHT
    kind, length, value = found[0]
    if len(found) > 1 or kind != _SHORT or length != 1:
        return None
    return value if 1 <= value <= 8 else UPRIGHT


def _is_whole(exif_bytes: int, kind: int, length: int, place: int) -> bool:
    """Return whether an entry's value lies within the data; parsers differ on those that do not."""
    size = _KIND_BYTES.get(kind, 0) * length
    return size > 0 and (size <= 4 or place + size <= exif_bytes)
