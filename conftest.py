"""What several test files share: synthetic videos and a small store made of them."""

import os
from pathlib import Path

import pytest
import simplejpeg
from hypothesis import settings

from footage.store import commit
from footage.store import writer as store_writing
from footage.store.reader import Store
from tests.support import synthetic
from tests.support.labelled_shapes import draw_shapes

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
    for video in range(6):
        name = f"group{video % 2}/video{video}.mp4#{video:012x}"
        with store_writing.VideoWriter(path, name) as writer:
            shots = []
            for shot in range(3):
                frames = list(synthetic.scene(100 * video + shot, 2 + (shot + video) % 3 / 2))[::12]
                for index, image in enumerate(frames):
                    seconds = 10 * shot + index / 2
                    writer.add(shot, index, seconds, simplejpeg.encode_jpeg(image, quality=90))
                start, end = 10.0 * shot, 10.0 * shot + len(frames) / 2
                shots.append(store_writing.ShotRecord(start, end, 1.0, len(frames)))
            record = store_writing.VideoRecord(
                video=name,
                path=name.split("#")[0],
                content_hash=f"{video:064x}",
                num_bytes=1,
                decoded_seconds=shots[-1].end_seconds,
                num_shots=3,
                num_frames=sum(shot.num_frames for shot in shots),
            )
            writer.finish(record, shots, {})
    commit.commit(path, {"frames_per_second": 2.0}, {}, {})
    return Store.open(path)


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled images: three classes of drawn shapes; read only."""
    return draw_shapes(tmp_path_factory.mktemp("labelled") / "shapes")
