"""Decoded pictures as arrays: upright and scaled for storage, tiny for shot detection."""

import re
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.video.format import VideoFormat, VideoFormatComponent
from av.video.plane import VideoPlane
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import UInt8

from footage.errors import VideoError
from footage.video.decode import TimedFrame

UNSPECIFIED = 2
"""AVCOL_SPC_UNSPECIFIED: the file does not declare a colour matrix."""
CONVERTIBLE = frozenset([0, 1, UNSPECIFIED, 4, 5, 6, 7, 9])
"""Colour matrices that FFmpeg converts: RGB, BT.709, FCC, BT.601, SMPTE 240M, BT.2020."""

LONGEST_SIDE = 65_500
"""Maximum pixels per side of a JPEG file."""


class Scaler:
    """Converts decoded pictures to upright RGB with a given short side, without aliasing.

    Smaller pictures keep their size. If the file declares no colour matrix, or one that FFmpeg does
    not convert, large pictures are read as BT.709 and others as BT.601, as players do.
    docs/reference/store.md lists the conversions that are not applied.

    Raises:
        VideoError: FFmpeg cannot convert the pixel format.
    """

    def __init__(self, short_side: int) -> None:
        self._short_side = short_side
        self._resizer, self._reformatter = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: TimedFrame) -> UInt8[np.ndarray, "H W 3"]:
        """Return the picture as it should be displayed."""
        picture = frame.picture
        width, height = self._size(picture, frame.aspect)
        _declare_convertible(picture)
        is_unspecified = int(picture.colorspace) == UNSPECIFIED
        colours = Colorspace.ITU709 if is_unspecified and picture.height >= 720 else None
        if picture.format.name in ("yuv420p", "yuvj420p"):
            picture = self._resized(picture, width, height)
        image = _rgb(self._reformatter, picture, width, height, colours)
        return frame.orientation.apply(image)

    def _resized(self, picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """Scale without converting: FFmpeg takes five times as long to do both at once."""
        small = self._resizer.reformat(
            picture, width, height, format=picture.format.name, interpolation="AREA", threads=1
        )
        if small is not picture:
            small.colorspace, small.color_range = picture.colorspace, picture.color_range
        return small

    def _size(self, picture: av.VideoFrame, aspect: float) -> tuple[int, int]:
        width, height = picture.width * aspect, float(picture.height)
        scale = min(1.0, self._short_side / min(width, height), LONGEST_SIDE / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))


def _declare_convertible(picture: av.VideoFrame) -> None:
    """Replace a colour matrix or range that FFmpeg refuses by "unspecified"."""
    if int(picture.colorspace) not in CONVERTIBLE:
        picture.colorspace = UNSPECIFIED
    if int(picture.color_range) not in (0, 1, 2):
        picture.color_range = 0


def _rgb(
    reformatter: VideoReformatter,
    picture: av.VideoFrame,
    width: int,
    height: int,
    colours: Colorspace | None,
) -> UInt8[np.ndarray, "H W 3"]:
    try:
        small = reformatter.reformat(
            picture,
            width,
            height,
            format="rgb24",
            src_colorspace=colours,
            interpolation="AREA",
            threads=1,
        )
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(
            f"its pixel format {picture.format.name!r} cannot be converted to RGB"
        ) from error
    image: UInt8[np.ndarray, "H W 3"] = small.to_ndarray()
    is_limited = picture.format.name.startswith("gray") and int(picture.color_range) == 1
    return cv2.LUT(image, _LIMITED) if is_limited else image  # FFmpeg treats all grey as full range


_LIMITED = np.clip((np.arange(256) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)
"""Lookup table from limited range (16 to 235) to full range."""


TINY_WIDTH, TINY_HEIGHT = 48, 27
"""Input size of the cut detectors; TransNetV2 was trained on this size."""
ROWS_PER_CELL = 2
"""Number of rows averaged into one row of a tiny frame: using all would take twice as long."""


class TinyFrames:
    """Converts decoded pictures to 48x27 RGB, directly from the planes in memory.

    Converting whole frames to RGB would cost more than decoding them. They are not rotated upright.
    Exact colours do not matter here: all matrices are read as BT.601.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._kind: tuple[str, int, int] = ("", 0, 0)
        self._layout: _Layout | None = None
        """How to read pictures of this kind, which rarely changes within a video."""

    def __call__(self, picture: av.VideoFrame) -> UInt8[np.ndarray, "27 48 3"]:
        """Return the tiny frame of a picture."""
        form = picture.format
        kind = (form.name, picture.width, picture.height)
        if kind != self._kind:
            self._kind, self._layout = kind, _layout(form)
        layout = self._layout
        if layout is None:
            _declare_convertible(picture)
            return _rgb(self._reformatter, picture, TINY_WIDTH, TINY_HEIGHT, None)
        planes = picture.planes
        light = _resized(_cells(planes[0], layout.bits, layout.light))
        range_ = int(picture.color_range)
        is_full = layout.is_full or (range_ != 1 if layout.is_grey else range_ == 2)
        if not is_full:
            light = cv2.LUT(light, _LIMITED)
        if layout.is_grey:
            return cv2.merge((light, light, light))
        colours = [_cells(plane, layout.bits, layout.colour) for plane in planes[1:3]]
        return cv2.cvtColor(cv2.merge((light, _resized(cv2.merge(colours)))), cv2.COLOR_YUV2RGB)


_PLAIN = re.compile(r"(yuva?\d{3}p|yuvj\d{3}p|gray)((9|10|12|14|16)le)?")
"""Planar integer pixel formats with the least significant bit lowest."""


class _Grid(NamedTuple):
    """How a plane is divided into cells of whole pixels."""

    plane_height: int
    step: int
    """Every n-th row is read."""
    height: int
    width: int
    """The part that is divided, in pixels."""
    cells: tuple[int, int]
    """Number of columns and rows of cells."""

    @classmethod
    def of(cls, component: VideoFormatComponent) -> "_Grid":
        """Divide a plane; remaining rows and columns are ignored."""
        across, down = component.width // TINY_WIDTH, component.height // TINY_HEIGHT
        step = max(1, down // ROWS_PER_CELL)
        down //= step
        rows, columns = -(-component.height // step) // down, component.width // across
        return cls(component.height, step, rows * down * step, columns * across, (columns, rows))


class _Layout(NamedTuple):
    """How pictures of one format and size are read."""

    bits: int
    is_grey: bool
    is_full: bool
    """Whether the format itself implies the full range."""
    light: _Grid
    colour: _Grid


def _layout(form: VideoFormat) -> _Layout | None:
    """Return how to read pictures of a format, or None if their planes are not plain."""
    components = form.components
    if not (
        _PLAIN.fullmatch(form.name) is not None
        and len(components) in (1, 3, 4)
        and components[-1].width >= TINY_WIDTH
        and components[-1].height >= TINY_HEIGHT
        and components[1 % len(components)].width >= TINY_WIDTH
        and components[1 % len(components)].height >= TINY_HEIGHT
    ):
        return None
    return _Layout(
        components[0].bits,
        is_grey=len(components) < 3,
        is_full=form.name.startswith("yuvj"),
        light=_Grid.of(components[0]),
        colour=_Grid.of(components[1 % len(components)]),
    )


def _cells(plane: VideoPlane, bits: int, grid: _Grid) -> UInt8[np.ndarray, "H W"]:
    """Downscale a plane by averaging whole pixels per cell, which is fast."""
    sample = np.uint8 if bits == 8 else np.uint16
    rows: Any = np.frombuffer(memoryview(plane), sample).reshape(grid.plane_height, -1)
    rows = rows[: grid.height : grid.step, : grid.width]
    if bits > 8:
        rows = (rows >> (bits - 8)).astype(np.uint8)
    cells: UInt8[np.ndarray, "H W"] = cv2.resize(rows, grid.cells, interpolation=cv2.INTER_AREA)
    return cells


def _resized(cells: UInt8[np.ndarray, "H W *C"]) -> UInt8[np.ndarray, "27 48 *C"]:
    """Resize the cells to the size of a tiny frame by interpolation."""
    tiny: UInt8[np.ndarray, "27 48 *C"]
    tiny = cv2.resize(cells, (TINY_WIDTH, TINY_HEIGHT), interpolation=cv2.INTER_LINEAR)
    return tiny
