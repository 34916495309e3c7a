"""Videos that are intact but odd: rotated, mirrored, or with impossible timestamps."""

from fractions import Fraction

import av
import numpy as np

ONE = 1 << 16
"""The number 1 in a display matrix."""
SIZE = (96, 64)

DIHEDRAL = {
    "upright": (1, 0, 0, 1),
    "90 clockwise": (0, 1, -1, 0),
    "180": (-1, 0, 0, -1),
    "90 counter-clockwise": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed on the other diagonal": (0, -1, -1, 0),
}
"""The numbers a, b, c, d: a point (x, y), y downwards, is shown at (a x + c y, b x + d y)."""


def matrix(a, b, c, d):
    """A display matrix in FFmpeg's layout."""
    linear = [round(one * ONE) for one in (a, b, 0, c, d, 0)]
    return (*linear, 0, 0, 1 << 30)


def marked_picture():
    """A picture that looks different in all eight orientations."""
    image = np.full((SIZE[1], SIZE[0], 3), (40, 60, 90), np.uint8)
    image[:32, :48] = (230, 220, 200)
    image[:16, :64] = (200, 60, 40)
    return image


def shown(image, a, b, c, d):
    """A picture under a display matrix, point by point."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    result = np.empty((to_y.max() + 1, to_x.max() + 1, 3), image.dtype)
    result[to_y, to_x] = image
    return result


def write(path, images, *, display_matrix=None, pixel_aspect=None, codec="libx264", options=None):
    """Write pictures at 24 fps with a display matrix or a pixel aspect ratio."""
    defaults = {"preset": "ultrafast", "crf": "10"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=defaults | (options or {}))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if display_matrix is not None:
            stream.set_display_matrix(display_matrix)
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = Fraction(pixel_aspect)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def sei(degrees, *, horizontal=False, vertical=False):
    """An H.264 SEI message of a display orientation that holds for the pictures that follow."""
    bits = f"0{horizontal:d}{vertical:d}{round(degrees * 65536 / 360):016b}" + "010" + "0" + "1"
    return b"\0\0\0\1\x06\x2f\x03" + int(bits, 2).to_bytes(3, "big") + b"\x80"


def with_messages(data, messages):
    """H.264 with one SEI message (or b"") before each of its IDR pictures."""
    first, *rest = data.split(b"\0\0\1\x65")
    assert len(rest) == len(messages)
    pairs = zip(messages, rest, strict=True)
    return first + b"".join(message + b"\0\0\1\x65" + slices for message, slices in pairs)


def copied(source, target, display_matrix):
    """The same pictures in another container, with a display matrix of its own."""
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        stream = container.streams.video[0]
        copy = output.add_stream_from_template(stream)
        copy.set_display_matrix(display_matrix)
        for number, packet in enumerate(one for one in container.demux(stream) if one.size):
            packet.stream, packet.time_base = copy, Fraction(1, 24)
            packet.pts = packet.dts = number
            output.mux(packet)
    return target


def write_stamped(path, images, seconds, *, codec="libx264", container_format=None):
    """Write pictures with any presentation times, in milliseconds, in any order.

    Decoding times far before them keep FFmpeg from refusing them.
    """
    options = {"x264-params": "bframes=0", "preset": "ultrafast", "crf": "12"}
    with av.open(
        str(path), "w", format=container_format, options={"avoid_negative_ts": "disabled"}
    ) as container:
        stream = container.add_stream(codec, rate=20, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        packets = []
        for image in images:
            packets += stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
        packets += stream.encode()
        ticks = [round(1000 * one) for one in seconds]
        for number, (packet, tick) in enumerate(zip(packets, ticks, strict=True)):
            packet.time_base, packet.duration = Fraction(1, 1000), 50
            packet.pts, packet.dts = tick, min(ticks) - 2 * len(ticks) + number
            container.mux(packet)
    return path


def numbered(count, size=(64, 48)):
    """Pictures that tell by their brightness which one they are, up to 50 of them."""
    return [np.full((size[1], size[0], 3), 20 + 4 * (n % 50), np.uint8) for n in range(count)]
