"""The orientation of a decoded picture, from its display matrix."""

import gc
import itertools
import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type
from jaxtyping import UInt8

# PyAV raises for every frame that carries a kind of side data it does not list, such as EXIF
# (Motion JPEG) or a view number (stereo HEVC). Such data is opaque here.
Type._missing_ = classmethod(lambda cls, _: cls.SEI_UNREGISTERED)  # type: ignore[assignment]


class Orientation(NamedTuple):
    """The transform that makes a picture upright: quarter rotations, then a horizontal flip."""

    quarter_turns: int = 0
    """Number of counter-clockwise rotations by 90 degrees, 0 to 3."""
    mirrored: bool = False

    @property
    def degrees(self) -> int:
        """The rotation in degrees counter-clockwise: -90, 0, 90 or 180."""
        return (90 * self.quarter_turns + 90) % 360 - 90

    def apply(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Return the upright picture."""
        turned = np.rot90(image, self.quarter_turns)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)


class Orientations:
    """Determines the orientation of each picture of one video.

    A display matrix comes from the container (FFmpeg attaches it to every picture), from EXIF data
    of Motion JPEG, or from H.264 and HEVC bitstreams. In a bitstream the matrix of one picture
    also applies to those that follow, so a picture without one uses that of the previous picture,
    up to the next key frame.
    """

    def __init__(self) -> None:
        self._orientation = Orientation()
        self._degrees: int | None = None

    def __call__(self, picture: av.VideoFrame) -> Orientation:
        """Return the orientation of the next picture in temporal order."""
        degrees = int(picture.rotation)
        if picture.key_frame or self._degrees is None or degrees not in (0, self._degrees):
            self._orientation = declared_orientation(picture)
            self._degrees = degrees
        return self._orientation


def declared_orientation(picture: av.VideoFrame) -> Orientation:
    """Return the orientation that the display matrix of one picture specifies."""
    # PyAV's side data and its picture refer to each other. If Python does not collect such cycles
    # automatically, as in a decoder process, they are collected here: they contain whole pictures.
    if not gc.isenabled():
        gc.collect()
    for data in _side_data(picture):
        if data.type is Type.DISPLAYMATRIX and data.buffer_size >= _MATRIX.size:
            return nearest_orientation(_MATRIX.unpack_from(data))
    return Orientation()


def _side_data(picture: av.VideoFrame) -> Iterator[Any]:
    """Yield the side data of a picture by position, since PyAV 19 iterates over its kinds."""
    data: Any = picture.side_data
    for position in itertools.count():
        try:
            yield data[position]
        except IndexError:
            return


_MATRIX = struct.Struct("=9i")


def nearest_orientation(matrix: tuple[int, ...]) -> Orientation:
    """Return the orientation nearest to a display matrix: nine integers, `a b u c d v x y w`.

    A point (x, y), y downwards, is shown at (a x + c y, b x + d y). Scale and angles other than
    right angles are ignored; a singular matrix is ignored completely.
    """
    a, b, _, c, d = matrix[:5]
    area = a * d - b * c
    if abs(area) < (a * a + b * b + c * c + d * d) / 100:
        return Orientation()
    if area < 0:  # remove the mirroring, which comes last: a rotation remains
        a, c = -a, -c
    clockwise = math.atan2(b - c, a + d)
    return Orientation(round(-clockwise / (math.pi / 2)) % 4, area < 0)
