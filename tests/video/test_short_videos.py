"""Videos that are shorter than the margins around cuts keep a frame; stores made before open."""

import numpy as np
import simplejpeg

from footage.commands.ingest import ingest
from footage.store.reader import Store
from tests.support import odd_videos, synthetic
from tests.support.earlier_stores import as_earlier
from tests.support.ingesting import CONFIG, HERE


def ingested(folder, tmp_path):
    ingest([str(folder)], tmp_path / "out", CONFIG, HERE)
    store = Store.open(tmp_path / "out")
    store.verify()
    return store


def test_a_fifth_of_a_second_with_a_cut_keeps_its_first_frame(tmp_path):
    dark, bright = (np.full((48, 64, 3), level, np.uint8) for level in (60, 200))
    times = [number / 1000 for number in range(200)]
    synthetic.encode(tmp_path / "in" / "a.mkv", [dark] * 25 + [bright] * 175, fps=1000, times=times)
    store = ingested(tmp_path / "in", tmp_path)
    (row,) = store.videos.to_pylist()
    assert (row["status"], row["reason"], row["num_frames"]) == ("ok", "", 1)
    (frame,) = store.frames_of_shot(0)
    assert frame.seconds == 0.0
    assert abs(int(simplejpeg.decode_jpeg(frame.jpeg).mean()) - 60) < 4


def test_a_video_of_one_frame_keeps_it(tmp_path):
    synthetic.encode(tmp_path / "in" / "a.mp4", synthetic.scene(1, 1 / 24))
    store = ingested(tmp_path / "in", tmp_path)
    assert [(row["status"], row["num_frames"]) for row in store.videos.to_pylist()] == [("ok", 1)]


def test_a_store_from_before_mirroring_was_recorded_opens_and_grows(tmp_path):
    synthetic.encode(tmp_path / "in" / "a.mp4", synthetic.scene(1, 1.0))
    ingested(tmp_path / "in", tmp_path)
    as_earlier(tmp_path / "out", 1)
    assert Store.open(tmp_path / "out").videos["mirrored"].to_pylist() == [False]
    flipped = odd_videos.matrix(-1, 0, 0, 1)
    odd_videos.write(
        tmp_path / "in" / "b.mp4", [odd_videos.marked_picture()] * 24, display_matrix=flipped
    )
    store = ingested(tmp_path / "in", tmp_path)
    assert store.videos["mirrored"].to_pylist() == [False, True]
