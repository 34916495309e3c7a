"""Small packages in the form of the real ones, generated on the fly."""

import gzip
import io
import lzma
import tarfile
import zipfile

import cv2
import numpy as np
from PIL import Image, ImageFont
from pocket_suite import clipart, digits, fashion, landcover, meshes, photos, vehicles, views

FONT = ImageFont.load_default(size=12).font_bytes
"""The TrueType font that is part of Pillow."""


def deb(path, files, *, compression="xz", links=(), control=b"odd"):
    """A Debian package with files, given as name to content, and links, as name to target."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    compress = {"xz": lzma.compress, "gz": gzip.compress, "": bytes}[compression]
    ending = f".{compression}" if compression else ""
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": control,
        f"data.tar{ending}": compress(packed.getvalue()),
    }
    path.write_bytes(ar(members))
    return path


def ar(members):
    """An ar archive."""
    content = b"!<arch>\n"
    for name, data in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        content += data + b"\n" * (len(data) % 2)
    return content


def everything(folder):
    """The unpacked packages of all tasks except doom."""
    draws = np.random.default_rng(0)
    for make in (fashion_files, clipart_files, landcover_files, font_files, photo_files, models):
        make(folder, draws)
    return folder


def idx(array):
    """An array of bytes as an IDX file, compressed."""
    header = np.asarray([0x800 + array.ndim, *array.shape], ">u4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def fashion_files(folder, draws):
    home = folder / fashion.PACKAGE / "usr/share/datasets/fashion-mnist"
    home.mkdir(parents=True)
    for name, count in (("train", 1200), ("t10k", 100)):
        labels = draws.integers(0, 10, count)
        images = np.repeat(labels * 20, 784).reshape(count, 28, 28) + draws.integers(0, 9)
        (home / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (home / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(labels))


def picture(path, draws, side):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = draws.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))


def clipart_files(folder, draws):
    home = folder / clipart.PACKAGE / "usr/share/openclipart/png"
    for name in clipart.CLASSES:
        for number in range(12):
            word = "".join(chr(97 + place) for place in draws.integers(0, 26, 6))
            for copy in range(2):
                picture(home / name / f"{word}_{number}_{copy:02d}.png", draws, 24)


def landcover_files(folder, draws):
    home = folder / landcover.PACKAGE / "usr/share/games/flightgear/Textures/Terrain"
    for item in landcover.groups():
        for name in item.name.split():
            picture(home / f"{name}.png", draws, 180)


def font_files(folder, draws):
    for name in digits.FONTS:
        home = folder / name / "usr/share/fonts"
        home.mkdir(parents=True)
        (home / f"{name}.ttf").write_bytes(FONT)


def photo_files(folder, draws):
    for name in photos.PHOTOS[photos.PLASMA]:
        home = folder / photos.PLASMA / "usr/share/wallpapers" / name / "contents/images"
        picture(home / "256x256.png", draws, 256)
    for name in photos.PHOTOS[photos.MATE]:
        home = folder / photos.MATE / "usr/share/backgrounds/mate/nature"
        home.mkdir(parents=True, exist_ok=True)
        noise = draws.integers(0, 255, (200, 300, 3), dtype=np.uint8)
        Image.fromarray(noise).save(home / f"{name}.jpg")


WEDGE = """
# a box with a lower front, in two materials; polygons, negative numbers and missing normals
v -1 0 -1
v 1 0 -1
v 1 0 1
v -1 0 1
v -1 2 -1
v 1 2 -1
v 1 1 1
v -1 1 1
vn 0 0 1
usemtl side
f 1 2 3 4
f 1/1 5/1 6/1 2/1
f 4//1 3//1 7//1 8//1
usemtl top
f -4 -3 -2 -1
f 1 4 8 5
f 2 6 7 3
"""


def models(folder, draws):
    names = {*views.OBJECTS, *vehicles.VEHICLES, *vehicles.OTHERS}
    names |= {name for of_category in vehicles.CATEGORIES.values() for name in of_category}
    home = folder / meshes.PACKAGE / "usr/share/sweethome3d/furniture"
    home.mkdir(parents=True)
    for library, file in meshes._LIBRARIES.items():
        inside = sorted(name for name in names if name.startswith(library + "/"))
        with zipfile.ZipFile(home / file, "w") as archive:
            lines = ["# a catalogue"]
            for number, name in enumerate(inside, 1):
                stem = name.rpartition("/")[2]
                archive.writestr(f"{name}/{stem}.obj", WEDGE)
                lines += [
                    f"id#{number}={stem}",
                    f"model#{number}=/{name}/{stem}.obj",
                    f"width#{number}=180",
                    f"depth#{number}=400",
                    f"height#{number}=150",
                ]
            archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines))
