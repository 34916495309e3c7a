"""Clips with masks of their objects, in the layout of DAVIS 2017.

    DIR/JPEGImages/RES/NAME/00000.jpg     frames, JPEG or PNG
    DIR/Annotations/RES/NAME/00000.png    masks: palette or grey PNG; 0 background, 255 void
    DIR/ImageSets/2017/val.txt            names of the clips; all clips if it is missing

RES is the name of a resolution, such as 480p. The first frame needs a mask. Frames without a mask
are propagated through, but not measured.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from footage.errors import ConfigError
from footage.images import confined
from footage.images.common import some
from footage.images.confined import Content, Picture
from footage.images.decode import is_image_name
from footage.images.limits import ImageError
from footage.io import files

FRAMES: Final = "JPEGImages"
MASKS: Final = "Annotations"
LIST: Final = Path("ImageSets") / "2017" / "val.txt"
RESOLUTION: Final = "480p"
"""The resolution that is read if there are several, as in the evaluation of DAVIS."""

BACKGROUND: Final = 0
VOID: Final = 255

Indexes = UInt8[np.ndarray, "H W"]
"""Index of the object of each pixel."""


class Clip(NamedTuple):
    """The files of one clip, in the order of the frames."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    """None for a frame without a mask."""


class LoadedClip(NamedTuple):
    """The pixels of one clip."""

    frames: UInt8[np.ndarray, "F H W 3"]
    masks: dict[int, Indexes]
    """By the number of the frame; number 0 is always present."""

    @property
    def objects(self) -> list[int]:
        """Indexes of the objects in the first mask."""
        found = np.unique(self.masks[0]).tolist()
        return [index for index in found if index not in (BACKGROUND, VOID)]

    @property
    def measured(self) -> list[int]:
        """Numbers of the frames with masks between the first and the last frame, as in DAVIS."""
        return [number for number in self.masks if 0 < number < len(self.frames) - 1]


def find_clips(folder: Path) -> list[Clip]:
    """Return the clips of a folder, sorted by name.

    Raises:
        ConfigError: A folder or a file is missing.
    """
    resolution = _resolution(folder)
    names = _names(folder, resolution)
    return [_clip(folder, resolution, name) for name in names]


def load_clip(clip: Clip) -> LoadedClip:
    """Decode a clip in the sandbox.

    Raises:
        ConfigError: An image is unreadable, sizes differ, or the first mask has no object.
        MachineError: No confined process can be started, or it was killed from outside.
    """
    frames = _decoded(clip.frames, "colours", clip.name)
    with_mask = {number: path for number, path in enumerate(clip.masks) if path is not None}
    masks = _decoded(list(with_mask.values()), "indexes", clip.name)
    for path, picture in zip((*clip.frames, *with_mask.values()), (*frames, *masks), strict=True):
        if picture.shape != frames[0].shape:
            raise ConfigError(
                f"{path} has {_size(picture)} pixels, but the first frame has {_size(frames[0])}",
                "give all frames and masks of a clip the same size",
            )
    loaded = LoadedClip(
        np.stack(frames),
        {number: mask[..., 0] for number, mask in zip(with_mask, masks, strict=True)},
    )
    if not loaded.objects:
        raise ConfigError(
            f"the first mask of {clip.name} has no object: {clip.masks[0]}",
            "mark the pixels of each object with its index, from 1 to 254",
        )
    return loaded


def digest(clips: Sequence[Clip]) -> str:
    """Digest of the names and contents of all files."""
    content = hashlib.sha256()
    for clip in clips:
        for path in (*clip.frames, *(mask for mask in clip.masks if mask is not None)):
            content.update(f"{clip.name} {path.stem} {files.sha256(path)}\n".encode())
    return content.hexdigest()


def of_object(mask: Indexes, index: int) -> Bool[np.ndarray, "H W"]:
    """The pixels of one object."""
    return np.asarray(mask == index)


def _resolution(folder: Path) -> str:
    missing = [name for name in (FRAMES, MASKS) if not (folder / name).is_dir()]
    if missing:
        raise ConfigError(
            f"{str(folder)!r} does not contain the folder {missing[0]}",
            f"give a folder in the layout of DAVIS: {FRAMES}/480p/CLIP/00000.jpg and"
            f" {MASKS}/480p/CLIP/00000.png",
        )
    found = sorted({each.name for each in (folder / FRAMES).iterdir() if each.is_dir()})
    common = [name for name in found if (folder / MASKS / name).is_dir()]
    if RESOLUTION in common or len(common) == 1:
        return RESOLUTION if RESOLUTION in common else common[0]
    raise ConfigError(
        f"{FRAMES} and {MASKS} in {str(folder)!r} have"
        f" {f'several resolutions: {some(common)}' if common else 'no resolution in common'}",
        f"put the clips into {FRAMES}/{RESOLUTION} and {MASKS}/{RESOLUTION}",
    )


def _names(folder: Path, resolution: str) -> list[str]:
    place = folder / FRAMES / resolution
    listed = folder / LIST
    if not listed.is_file():
        names = sorted(each.name for each in place.iterdir() if each.is_dir())
        if not names:
            raise ConfigError(f"{str(place)!r} contains no clips", "add a folder for each clip")
        return names
    names = sorted(set(listed.read_text("utf-8", errors="replace").split()))
    missing = [name for name in names if name in (".", "..") or "/" in name]
    missing += [name for name in names if name not in missing and not (place / name).is_dir()]
    if missing or not names:
        raise ConfigError(
            f"{str(listed)!r} lists {some(missing) if missing else 'no clips'}"
            + f", which {str(place)!r} does not contain" * bool(missing),
            "list names of clips, one per line, or remove the list to evaluate all clips",
        )
    return names


def _clip(folder: Path, resolution: str, name: str) -> Clip:
    place, masks = folder / FRAMES / resolution / name, folder / MASKS / resolution / name
    frames = sorted(each for each in place.iterdir() if is_image_name(each.name))
    if len(frames) < 3:
        raise ConfigError(
            f"{str(place)!r} contains {len(frames)} frames", "a clip needs at least three frames"
        )
    paths = [masks / f"{frame.stem}.png" for frame in frames]
    known = [path if path.is_file() else None for path in paths]
    if known[0] is None or not any(known[1:-1]):
        wanted = "of the first frame" if known[0] is None else "between the first and last frame"
        raise ConfigError(
            f"clip {name} has no mask {wanted}: {str(paths[known[0] is not None])!r} is missing",
            "add the mask, or remove the clip",
        )
    return Clip(name, tuple(frames), tuple(known))


def _decoded(paths: Sequence[Path], content: Content, name: str) -> list[Picture]:
    pictures = confined.shared().whole(paths, content)
    failed = [each for each in pictures if isinstance(each, ImageError)]
    if failed:
        raise ConfigError(
            f"{len(failed)} of {len(paths)} {'frames' if content == 'colours' else 'masks'} of"
            f" {name} cannot be read: {failed[0].message}",
            "fix them, or remove the clip",
        )
    return [each for each in pictures if not isinstance(each, ImageError)]


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
