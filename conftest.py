"""What several test files share: synthetic videos and a small store made of them."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
import simplejpeg
from hypothesis import settings

from footage.store.reader import Store
from tests.support import synthetic
from tests.support.labelled_shapes import draw_shapes
from tests.support.stores import write_store

pytest_plugins = ["tests.support.trials"]

settings.register_profile("fast", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos of three shots each, in two subfolders."""
    return synthetic.folder_of_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of six videos of three shots of four to six frames of 96x72 px; read only."""
    path = tmp_path_factory.mktemp("store")
    videos = []
    for video in range(6):
        shots = [
            [
                simplejpeg.encode_jpeg(image, quality=90)
                for image in list(synthetic.scene(100 * video + shot, 2 + (shot + video) % 3 / 2))[
                    ::12
                ]
            ]
            for shot in range(3)
        ]
        videos.append((f"group{video % 2}/video{video}.mp4#{video:012x}", shots))
    return write_store(path, videos)


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled images: three classes of drawn shapes; read only."""
    return draw_shapes(tmp_path_factory.mktemp("labelled") / "shapes")


@pytest.fixture
def memory_bucket() -> Iterator[str]:
    """The URL of a folder in memory that no other test of this process writes to."""
    url = f"memory://{uuid4().hex}"
    yield url
    memory, path = fsspec.url_to_fs(url)
    if memory.exists(path):
        memory.rm(path, recursive=True)


os.environ.pop("PYTHONUNBUFFERED", None)  # some machines set it; it changes what a full disk does
if "FOOTAGE_CACHE" not in os.environ:
    os.environ["FOOTAGE_CACHE"] = tempfile.mkdtemp(prefix="footage-cache-")
    atexit.register(shutil.rmtree, os.environ["FOOTAGE_CACHE"], ignore_errors=True)
_SHARED_CACHE = os.environ["FOOTAGE_CACHE"]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty cache, so that no test depends on the results of another."""
    if os.environ.get("FOOTAGE_CACHE") == _SHARED_CACHE:
        monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path_factory.mktemp("cache")))
