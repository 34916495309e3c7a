"""Open encoded images for training: plain JPEGs in this process, others in confined ones.

The fast decoder of plain JPEGs runs in this process: a checked header bounds its memory and time,
and it makes pictures no larger than a view needs. Other formats are sent to a confined
process in groups, because decoding a small image takes less time than a message.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import Final

from footage.images import confined
from footage.images.confined import Pictures, Untrusted
from footage.images.decode import RGB, Encoded, is_plain_jpeg
from footage.images.limits import ImageError

_BYTES_TOGETHER: Final = 4 * 2**20


def opened(images: Iterable[tuple[str, bytes]]) -> Iterator[Encoded]:
    """Open images by name and content, in order; a few are read ahead.

    Raises:
        ImageError: An image cannot be decoded within `limits`, or not at all.
        MachineError: No confined process can be started, or it was killed from outside.
    """
    group: list[tuple[str, bytes]] = []
    num_bytes = 0
    for name, data in images:
        group.append((name, data))
        num_bytes += len(data)
        if len(group) == confined.IMAGES_PER_CALL or num_bytes > _BYTES_TOGETHER:
            yield from _opened(group)
            group, num_bytes = [], 0
    yield from _opened(group)


def open_one(name: str, data: bytes) -> Encoded:
    """Open one image by name and content, as `opened` does."""
    (encoded,) = _opened([(name, data)])
    return encoded


def _opened(group: list[tuple[str, bytes]]) -> Iterator[Encoded]:
    others = [Untrusted(name, data) for name, data in group if not is_plain_jpeg(data)]
    decoded = iter(confined.shared().decode(others))
    for name, data in group:
        if is_plain_jpeg(data):
            yield Encoded(data, name, _decode_alone)
        else:
            yield Encoded(data, name, functools.partial(_picture, next(decoded)))


def _decode_alone(data: bytes, name: str) -> RGB:
    """Decode an image that looked like a plain JPEG until it was decoded."""
    (found,) = confined.shared().decode([Untrusted(name, data)])
    return _picture(found)


def _picture(found: Pictures | ImageError, *_: object) -> RGB:
    if isinstance(found, ImageError):
        raise found
    picture: RGB = found[0]
    return picture
