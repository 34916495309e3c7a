"""Decoders that an image has taken over or damaged; tests run them confined."""

import mmap
import os
import signal
import time

import msgspec

from footage.images import decoder_process
from footage.images.confined import Request


def answer(request: bytes, files: list[int]) -> bytes:
    """Run the command in the first image; decode all images if it is not a command."""
    wanted = msgspec.msgpack.decode(request, type=Request)
    images = [os.pread(file, 2**20, 0) for file in files[1:]] or list(wanted.images)
    for image in images:
        order = image.decode("latin-1").split(maxsplit=1)
        if order and order[0] in ORDERS:
            return ORDERS[order[0]](wanted, files, images)
    return decoder_process.answer(request, files)


def _crash(*_: object) -> bytes:
    os.kill(os.getpid(), signal.SIGABRT)
    return b""


def _burn(*_: object) -> bytes:
    while True:
        pass


def _sleep(*_: object) -> bytes:
    time.sleep(60)
    return b""


def _allocate(*_: object) -> bytes:
    return bytes(2**34)


def _shapes(*shapes: tuple[int, int], count: int = 1) -> bytes:
    return msgspec.msgpack.encode([{"reason": "", "shapes": shapes}] * count)


def _shrink(wanted: Request, files: list[int], images: list[bytes]) -> bytes:
    os.ftruncate(files[0], 0)
    return decoder_process.answer(msgspec.msgpack.encode(wanted), files)


def _scribble(wanted: Request, files: list[int], images: list[bytes]) -> bytes:
    """Claim success without having decoded anything."""
    with mmap.mmap(files[0], 0) as mapped:
        mapped[:3] = b"abc"
    return _shapes(*((size, size) for size in wanted.sizes), count=len(images))


ORDERS = {
    "crash": _crash,
    "burn": _burn,
    "sleep": _sleep,
    "allocate": _allocate,
    "shrink": _shrink,
    "scribble": _scribble,
    "nothing": lambda *_: b"",
    "text": lambda *_: b"\xff" * 100,
    "nested": lambda *_: b"\x91" * 100_000,
    "none": lambda *_: msgspec.msgpack.encode([]),
    "surplus": lambda *_: _shapes((8, 8), count=5),
    "large": lambda *_: _shapes((2**40, 2**40)),
    "larger": lambda *_: _shapes((2**63, 2**63)),
    "negative": lambda *_: _shapes((-8, -8)),
    "float": lambda *_: msgspec.msgpack.encode([{"reason": "", "shapes": [[8.5, float("nan")]]}]),
    "other": lambda *_: _shapes((9, 9)),
    "several": lambda *_: _shapes((8, 8), (8, 8)),
    "reason": lambda *_: msgspec.msgpack.encode([{"reason": "\x1b[2J" + "x" * 100_000}]),
}
