"""Labelled images in tar files, in the WebDataset layout.

    0001.jpg  0001.cls  0002.jpg  0002.cls ...      members of one sample share all but the suffix

The label is the text of `.cls`, the entry `label` of `.json`, or the text of `.txt`, whichever
exists first in this order. Headers are read once, when the images are opened; after that each image
is a single read at a known offset. Nothing is unpacked.
"""

import logging
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Int

from footage.errors import ConfigError
from footage.images.common import Found, checked_names
from footage.images.decode import SUFFIXES

log = logging.getLogger(__name__)

_MEMBER: Final = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)
"""Key and suffix; the suffix begins at the first dot of the file name."""
_LABELS: Final = ("cls", "json", "txt")
_MOST_LABEL_BYTES: Final = 2**20


class TarImages(NamedTuple):
    """Images at known offsets in tar files."""

    files: tuple[Path, ...]
    file_of: Int[np.ndarray, " N"]
    offsets: Int[np.ndarray, " N"]
    sizes: Int[np.ndarray, " N"]

    def read(self, row: int) -> bytes:
        """Return the bytes of one image file."""
        path, size = self.files[self.file_of[row]], int(self.sizes[row])
        with path.open("rb", buffering=0) as file:
            file.seek(int(self.offsets[row]))
            data: bytes = file.read(size)
        if len(data) != size:
            raise ValueError(f"{path} ends in the middle of it")
        return data


class _Sample(NamedTuple):
    """One image of a tar file."""

    name: str
    class_name: str
    offset: int
    size: int


def open_tars(root: Path, files: Sequence[Path]) -> Found:
    """Open the labelled images of tar files, named by file and member.

    Raises:
        ConfigError: A file is damaged or compressed, or a sample has two images or no readable
            label.
    """
    log.info("reading the headers of %d tar files in %s", len(files), root)
    samples: list[_Sample] = []
    file_of: list[int] = []
    for number, path in enumerate(files):
        found = _samples(path, path.relative_to(root).as_posix())
        samples += found
        file_of += [number] * len(found)
    sizes = np.array([sample.size for sample in samples], dtype=np.int64)
    offsets = np.array([sample.offset for sample in samples], dtype=np.int64)
    return Found(
        kind="WebDataset",
        names=checked_names([sample.name for sample in samples], root),
        class_names=[sample.class_name for sample in samples],
        sizes=sizes,
        source=TarImages(tuple(files), np.array(file_of, dtype=np.int64), offsets, sizes),
    )


def _samples(path: Path, shown: str) -> list[_Sample]:
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, dict[str, bytes]] = {}
    end = 0
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.size < 0 or member.offset < end:  # otherwise the loop would never end
                    raise tarfile.ReadError(f"a negative size at byte {member.offset}")
                end = member.offset_data
                matched = _MEMBER.fullmatch(member.name)
                if matched is None or not member.isreg() or member.issparse():
                    continue
                key, suffix = matched[1], matched[2].lower()
                if f".{suffix}" in SUFFIXES:
                    if key in images:
                        raise ConfigError(
                            f"{path} has two images for one sample: {images[key].name} and "
                            f"{member.name}",
                            "keep one of them",
                        )
                    images[key] = member
                elif suffix in _LABELS:
                    labels.setdefault(key, {})[suffix] = _text(tar, member, path)
            _check_end(tar)
    except ConfigError:
        raise
    except Exception as error:  # tarfile raises almost anything for damaged headers
        raise ConfigError(
            f"{path} is not a whole, uncompressed tar file: {error}", "fetch or pack it again"
        ) from error
    return [
        _Sample(
            f"{shown}/{member.name}",
            _class_name(labels.get(key, {}), f"{path}/{key}"),
            member.offset_data,
            member.size,
        )
        for key, member in images.items()
    ]


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    file = tar.extractfile(member)
    if file is None or member.size > _MOST_LABEL_BYTES:
        raise ConfigError(
            f"{path}/{member.name} has {member.size} bytes, too many for a label",
            "write a word or a whole number",
        )
    return file.read()


def _check_end(tar: tarfile.TarFile) -> None:
    """Refuse a damaged header in the middle, which `tarfile` treats as the end."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if any(tar.fileobj.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError(f"no header at byte {tar.offset}")


def _class_name(labels: dict[str, bytes], shown: str) -> str:
    """Return the class name of one sample; empty if it has no label."""
    for suffix in _LABELS:
        if suffix not in labels:
            continue
        try:
            content = labels[suffix]
            value = _label_in(content) if suffix == "json" else content.decode().strip()
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"the label {shown}.{suffix} cannot be read: {error}",
                'write a word or a whole number, or JSON such as {"label": 3}',
            ) from error
        if value is not None:
            return _word(value, f"{shown}.{suffix}")
    return ""


def _label_in(content: bytes) -> object:
    found = msgspec.json.decode(content)
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found.get("label")


def _word(value: object, shown: str) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if not is_number and not isinstance(value, str):
        raise ConfigError(f"{shown} has the label {value!r}", "write a whole number or a word")
    text = str(value).strip()
    return "" if text == "-1" else text
