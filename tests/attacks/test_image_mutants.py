"""Hundreds of damaged images: each gives pixels or a reason, and none affects another."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from footage.images.confined import ConfinedDecoders
from footage.images.limits import ImageError
from footage.images.resize import resized
from tests.attacks.test_mutants import DAMAGES

KINDS = {
    "jpeg": ("JPEG", {"quality": 80}),
    "progressive": ("JPEG", {"progressive": True, "exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08"}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {274: 6}}),
    "deflated tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
}


def original(kind):
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    format_, options = KINDS[kind]
    Image.fromarray(coarse).resize((128, 96)).save(file, format_, **options)
    return file.getvalue()


@pytest.mark.slow
def test_every_damaged_image_gives_pixels_or_a_reason_and_whole_ones_are_never_blamed(
    tmp_path, trials
):
    draw = random.Random(0)
    whole = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(whole).save(tmp_path / "whole.png")
    paths = []
    for number in range(1_000):
        data = bytearray(original(draw.choice(list(KINDS))))
        for _ in range(draw.choice([1, 1, 3])):
            draw.choice(DAMAGES)(data, draw)
            if not data:
                break
        paths.append(tmp_path / f"{number}.image")
        paths[-1].write_bytes(data)
        if number % 10 == 0:
            paths.append(tmp_path / "whole.png")
    with ConfinedDecoders() as decoders:
        found = decoders.squares(paths, [32])
    expected = resized(whole, 32)
    reasons = 0
    for path, each in zip(paths, found, strict=True):
        if path.name == "whole.png":
            np.testing.assert_array_equal(each[32], expected)
        elif isinstance(each, ImageError):
            reasons += 1
            assert each.message.startswith(f"{path} ")
            assert each.message.isprintable()
        else:
            assert each[32].shape == (32, 32, 3)
    assert 300 < reasons < 1_000
    trials(len(paths))
