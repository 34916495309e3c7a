"""Limits for one image: refused from the header, and decoding takes the computed memory."""

import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footage.images import jpeg, limits
from footage.images.decode import ImageError, decode_image, read_image


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def progressive(image, extra_scans):
    """A progressive JPEG that refines a coefficient of its first component again and again."""
    data = saved(image, "JPEG", progressive=True)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x10"
    return data[:-2] + scan * extra_scans + b"\xff\xd9"


def with_declared_size(data, width, height):
    """A JPEG whose header declares another size."""
    frame = next(data.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def png_of(width, height, depth, colour, chunks=b""):
    """A PNG of zeros that need not be decodable to its end."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"\x00" * 1000)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunks, chunk(b"IDAT", pixels))
    ) + chunk(b"IEND", b"")


def tiff_of(width, height, tags=(), *, bits=8, samples=3):
    """A little-endian TIFF with one strip, and other tags if wanted."""
    entries = {
        256: (4, width),
        257: (4, height),
        258: (3, bits),
        259: (3, 8),
        262: (3, 2 if samples == 3 else 1),
        273: (4, 8),
        277: (3, samples),
        278: (4, height),
        279: (4, 8),
        **dict(tags),
    }
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHLL", tag, kind, 1, value) for tag, (kind, value) in sorted(entries.items())
    )
    return b"II*\x00" + struct.pack("<L", 16) + b"\x00" * 8 + directory + struct.pack("<L", 0)


def webp_canvas(width, height):
    """A WebP animation whose canvas is larger than the picture in it."""
    picture = saved(Image.new("RGB", (16, 16)), "WEBP")[12:]

    def chunk(kind, content):
        return kind + struct.pack("<I", len(content)) + content

    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = bytes(6) + (15).to_bytes(3, "little") * 2 + bytes(4) + picture
    content = b"WEBP" + chunk(b"VP8X", b"\x02\x00\x00\x00" + canvas)
    content += chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", frame)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def bmp_of(width, height):
    data = bytearray(saved(Image.new("RGB", (2, 2)), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def gif_canvas(width, height):
    data = bytearray(saved(Image.new("P", (4, 4)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


GREY = Image.new("L", (16, 16))
COLOUR = Image.new("RGB", (16, 16))

PIXELS = r"pixels, more than the 89,478,485 allowed|too large"
MEMORY = r"MiB to decode, more than the 1,024 MiB allowed"

BOMBS = {
    "jpeg, pixels": (with_declared_size(saved(GREY, "JPEG"), 60_000, 60_000), PIXELS),
    "jpeg, scans": (progressive(COLOUR, limits.MAX_SCANS), "JPEG of more than 50 scans"),
    "jpeg, scans of a turned cmyk": (
        progressive(COLOUR.convert("CMYK"), limits.MAX_SCANS),
        "JPEG of more than 50 scans",
    ),
    "jpeg, coefficients": (
        with_declared_size(saved(COLOUR.convert("CMYK"), "JPEG", progressive=True), 9_420, 9_420),
        MEMORY,
    ),
    "png, pixels": (png_of(20_000, 20_000, 1, 0), PIXELS),
    "png, chunks": (
        png_of(8, 8, 8, 2, b"\x00\x00\x00\x00teXt\x00\x00\x00\x00" * 100_001),
        "more than 100,000 chunks",
    ),
    "webp, pixels": (webp_canvas(16_000, 16_000), PIXELS),
    "webp, memory": (webp_canvas(9_000, 9_000), MEMORY),
    "gif, pixels": (gif_canvas(60_000, 60_000), PIXELS),
    "bmp, pixels": (bmp_of(60_000, 60_000), PIXELS),
    "ppm, pixels": (b"P6 60000 60000 255\n", PIXELS),
    "ppm, words": (b"P3 6000 6000 255\n0 0 0", "108,000,000 values in a slow encoding of PPM"),
    "ppm, 16 bit": (b"P6 6000 6000 65535\n", "108,000,000 values in a slow encoding of PPM"),
    "tiff, pixels": (tiff_of(60_000, 60_000), PIXELS),
    "tiff, tile": (tiff_of(16, 16, {322: (4, 60_000), 323: (4, 60_000), 324: (4, 8)}), MEMORY),
    "tiff, lzma": (tiff_of(16, 16, {259: (3, 34925)}), "lzma, whose memory use cannot be bounded"),
    "tiff, tags": (
        b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 5000) + bytes(60_000),
        "5,000 tags, more than the 4,096",
    ),
    "bigtiff, tags": (
        b"II+\x00\x08\x00\x00\x00" + struct.pack("<QQ", 16, 2**60) + bytes(100),
        "1,152,921,504,606,846,976 tags",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_would_cost_much_is_refused_from_its_header(name):
    data, message = BOMBS[name]
    assert len(data) < 2_000_000
    began = time.process_time()
    with pytest.raises(ImageError, match=message):
        decode_image(data, "a")
    assert time.process_time() - began < 1.0


def test_scans_hidden_in_another_segment_count_and_ten_of_them_do_not():
    decode_image(progressive(COLOUR, 10), "a")
    data = progressive(COLOUR, 10)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x10" * limits.MAX_SCANS
    comment = b"\xff\xfe" + (len(scan) + 2).to_bytes(2) + scan
    with pytest.raises(ImageError, match="more than 50 scans"):
        decode_image(data[:2] + comment + data[2:], "a")


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(limits.MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match=r"536,870,913 bytes, more than the 536,870,912"):
        read_image(tmp_path / "a.png")


def test_what_photos_are_like_is_far_from_every_limit():
    """A 50-megapixel camera's JPEG, progressive and turned, and a 36-megapixel WebP."""
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = with_declared_size(
        saved(COLOUR, "JPEG", progressive=True, subsampling=0, exif=exif), 8_660, 5_774
    )
    with pytest.raises(ImageError, match="damaged"):  # it passed the limits and was decoded
        decode_image(jpeg[:-200], "a")
    with pytest.raises(ImageError, match="damaged"):
        decode_image(webp_canvas(7_000, 5_200)[:-10], "a")


# --- memory, measured ----------------------------------------------------------------------------

PEAK = """
import io, sys
from PIL import Image
from footage.images import decode
def status(key):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
small = io.BytesIO()
Image.new("RGB", (64, 64)).save(small, sys.argv[2])
decode.decode_image(small.getvalue(), "small")
data = open(sys.argv[1], "rb").read()
open("/proc/self/clear_refs", "w").write("5")  # begin the peak again
before = status("VmRSS")
pixels = decode.decode_image(data, "large")
print(status("VmHWM") - before)
"""


def turned(tag=6):
    exif = Image.Exif()
    exif[0x0112] = tag
    return exif


FORMS = {
    "jpeg": ("RGB", "JPEG", {}, 3),
    "jpeg, turned": ("RGB", "JPEG", {"exif": turned()}, 6),
    "jpeg, progressive": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}, 9),
    "jpeg, progressive, turned": ("L", "JPEG", {"progressive": True, "exif": turned()}, 6),
    "jpeg, cmyk, progressive": ("CMYK", "JPEG", {"progressive": True}, 12),
    "png": ("RGB", "PNG", {"compress_level": 1}, 7),
    "png, 16 bit": ("I;16", "PNG", {"compress_level": 1}, 5),
    "png, transparent": ("RGBA", "PNG", {"compress_level": 1, "exif": turned()}, 7),
    "webp": ("RGB", "WEBP", {"method": 0}, 20),
    "webp, lossless": ("RGBA", "WEBP", {"lossless": True, "quality": 0, "method": 0}, 20),
    "tiff": ("F", "TIFF", {}, 8),
    "tiff, turned": ("RGB", "TIFF", {"tiffinfo": {274: 6}, "compression": "tiff_lzw"}, 8),
    "tiff, jpeg": ("RGB", "TIFF", {"compression": "jpeg"}, 7),
    "gif": ("P", "GIF", {}, 4),
    "bmp": ("RGB", "BMP", {}, 7),
    "ppm, 16 bit": ("I;16", "PPM", {}, 7),
    "ppm, decoded in python": ("I;16", "PPM", {}, 16),
}
"""Mode, format, options, and bytes per pixel at the peak."""


def noisy(mode, width, height):
    tile = np.random.default_rng(0).integers(0, 256, (16, width // 8, 3), dtype=np.uint8)
    rows = np.tile(tile.repeat(8, axis=1), (-(-height // 16), 1, 1))[:height]
    if mode in ("I;16", "F"):
        return Image.fromarray(rows[..., 0].astype({"I;16": np.uint16, "F": np.float32}[mode]))
    image = Image.fromarray(rows)
    return image.quantize(16) if mode == "P" else image.convert(mode)


def form(name, width, height):
    mode, kind, options, bytes_per_pixel = FORMS[name]
    data = saved(noisy(mode, width, height), kind, **options)
    if name == "ppm, decoded in python":  # a range that is not a whole number of bytes
        data = data.replace(b"65535", b"65534", 1)
    return data, kind, bytes_per_pixel


@pytest.mark.parametrize("name", FORMS)
def test_the_memory_of_a_decode_is_known_from_the_header(name):
    data, _, bytes_per_pixel = form(name, 320, 160)
    header = jpeg.read_header(data)
    with Image.open(io.BytesIO(data)) as image:
        is_plain = header is not None and header.components in (1, 3)
        memory = limits.memory_of_jpeg(header) if is_plain else limits.memory_of(image)
    assert memory == bytes_per_pixel * 320 * 160


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_decode_takes_the_memory_that_is_known_from_the_header(tmp_path, name):
    width, height = 3_200, 2_400
    data, kind, bytes_per_pixel = form(name, width, height)
    (tmp_path / "a").write_bytes(data)
    measured = peak_of(tmp_path / "a", kind)
    assert measured <= bytes_per_pixel * width * height + limits.OVERHEAD
    assert measured >= 0.7 * bytes_per_pixel * width * height


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jpeg, progressive", "png, transparent", "webp"])
def test_the_largest_image_that_is_let_pass_takes_no_more_than_the_limit(tmp_path, name):
    bytes_per_pixel = FORMS[name][3]
    pixels = min(limits.MAX_PIXELS, (limits.MAX_BYTES - limits.OVERHEAD) // bytes_per_pixel)
    width = int(pixels**0.5) // 16 * 16
    height = pixels // width // 16 * 16
    data, kind, _ = form(name, width, height)
    (tmp_path / "a").write_bytes(data)
    assert peak_of(tmp_path / "a", kind) <= limits.MAX_BYTES


def peak_of(path, kind):
    """Bytes by which the memory of a process grows while it decodes, beyond the file's own."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path, kind],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)
