"""The same picture gives the same pixels in every format and orientation."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from footage.data.config import LabelledViewConfig
from footage.data.image_views import labelled_view_of
from footage.images.decode import Encoded, decode_image
from footage.images.opening import open_one
from footage.seeding import generator

ORIENTATIONS = range(1, 9)
XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


def picture(height=30, width=44):
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def stored(upright, orientation):
    """The pixels that a file with this orientation holds."""
    transpositions = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = Image.fromarray(upright)
    return image.transpose(transpositions[orientation]) if orientation > 1 else image


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation, *, sideline=b""):
    found = Image.Exif()
    found[0x0112] = orientation
    if sideline:
        found[0x010F] = sideline.decode()  # a tag whose value lies outside its entry
    return found


def png_with_late_exif(image, orientation):
    """The chunk eXIf may follow the pixels."""
    data = saved(image, "PNG")
    content = b"eXIf" + exif(orientation).tobytes()[6:]
    chunk = (len(content) - 4).to_bytes(4) + content + zlib.crc32(content).to_bytes(4)
    return data[:-12] + chunk + data[-12:]


def png_with_xmp(image, orientation):
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.format(orientation))
    return saved(image, "PNG", pnginfo=text)


LOSSLESS = {
    "png": lambda image, turn: saved(image, "PNG", exif=exif(turn)),
    "png, exif behind the pixels": png_with_late_exif,
    "png, xmp": png_with_xmp,
    "webp": lambda image, turn: saved(image, "WEBP", lossless=True, exif=exif(turn)),
    "webp, xmp": lambda image, turn: saved(
        image, "WEBP", lossless=True, xmp=XMP.format(turn).encode()
    ),
    "tiff": lambda image, turn: saved(image, "TIFF", tiffinfo={0x0112: turn}),
    "tiff, compressed": lambda image, turn: saved(
        image, "TIFF", tiffinfo={0x0112: turn}, compression="tiff_lzw"
    ),
    "tiff, xmp": lambda image, turn: saved(
        image, "TIFF", tiffinfo={700: XMP.format(turn).encode()}
    ),
}
JPEG = {
    "jpeg": lambda image, turn: saved(image, "JPEG", exif=exif(turn)),
    "jpeg, other tags": lambda image, turn: saved(image, "JPEG", exif=exif(turn, sideline=b"Make")),
    "jpeg, progressive": lambda image, turn: saved(
        image, "JPEG", exif=exif(turn), progressive=True
    ),
    "jpeg, xmp": lambda image, turn: saved(image, "JPEG", xmp=XMP.format(turn).encode()),
    "jpeg, cmyk": lambda image, turn: saved(image.convert("CMYK"), "JPEG", exif=exif(turn)),
}


def views(data, size=64):
    """Views larger than the picture, so that no decoder may downscale."""
    config = LabelledViewConfig(policy="none")
    return [
        labelled_view_of(open_one("a", data), generator("test", n), config, size) for n in range(8)
    ]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_lossless_format_gives_the_same_pixels_size_and_views(kind, orientation):
    data = LOSSLESS[kind](stored(picture(), orientation), orientation)
    np.testing.assert_array_equal(decode_image(data, "a"), picture())
    encoded = Encoded(data, "a")
    assert (encoded.height, encoded.width) == (30, 44)
    np.testing.assert_array_equal(views(data), views(saved(Image.fromarray(picture()), "PNG")))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", JPEG)
def test_every_jpeg_gives_the_views_of_its_upright_pixels(kind, orientation):
    data = JPEG[kind](stored(picture(), orientation), orientation)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    encoded = Encoded(data, "a")
    assert (encoded.height, encoded.width) == (30, 44)
    np.testing.assert_array_equal(encoded.pixels(), np.asarray(upright))
    np.testing.assert_array_equal(views(data), views(saved(upright, "PNG")))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_jpeg_is_decoded_smaller_too_and_its_views_hardly_change(orientation):
    large = picture(600, 880)
    upright = views(saved(Image.fromarray(large), "JPEG"), 40)
    turned = views(saved(stored(large, orientation), "JPEG", exif=exif(orientation)), 40)
    encoded = Encoded(saved(stored(large, orientation), "JPEG", exif=exif(orientation)), "a")
    assert encoded.pixels(150).shape == (150, 220, 3)
    for first, second in zip(upright, turned, strict=True):
        assert np.abs(first.astype(int) - second).mean() < 3


@pytest.mark.parametrize("value", [0, 9, 65535])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_orientation_that_does_not_exist_turns_nothing(kind, value):
    image = Image.fromarray(picture())
    plain, odd = saved(image, kind), saved(image, kind, exif=exif(value))
    np.testing.assert_array_equal(decode_image(odd, "a"), decode_image(plain, "a"))


@pytest.mark.filterwarnings("ignore")  # what Pillow has to remark on damaged data
def test_damaged_exif_means_the_same_to_the_fast_decoder_as_to_pillow():
    data = saved(stored(picture(), 6), "JPEG", exif=exif(6, sideline=b"Somebody's camera"))
    random = np.random.default_rng(0)
    start = data.index(b"Exif")
    end = start - 2 + int.from_bytes(data[start - 2 : start])
    for _ in range(500):
        damaged = np.frombuffer(data, dtype=np.uint8).copy()
        damaged[random.integers(start, end, 2)] = random.integers(0, 256, 2)
        with Image.open(io.BytesIO(damaged.tobytes())) as image:
            turn = image.getexif().get(0x0112, 1)
            height, width = image.height, image.width
        expected = (width, height) if turn in (5, 6, 7, 8) else (height, width)
        assert decode_image(damaged.tobytes(), "a").shape[:2] == expected
