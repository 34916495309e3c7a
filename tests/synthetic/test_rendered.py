"""Rendered videos: what the truth says is what the pixels show."""

import json
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

from footage.errors import BusyError, ConfigError, FootageError
from footage.io.files import exclusive
from footage.synthetic.art import SHAPES, TEXTURES
from footage.synthetic.rendered import NUM_SHOTS, TRUTH, render_clips
from tests.support.mutations import bit_flips, mutations


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    paths = render_clips(folder, num_videos=4, seed=3, shortest_seconds=3, longest_seconds=5)
    truth = json.loads((folder / "truth.json").read_text())
    return paths, truth["videos"]


def test_a_video_has_the_frames_that_the_truth_says(clips):
    for path, truth in zip(*clips, strict=True):
        frames = decoded(path)
        assert truth["file"] == path.name
        assert len(frames) == truth["num_frames"] == sum(s["num_frames"] for s in truth["shots"])
        assert frames[0].shape == (truth["height"], truth["width"], 3)


def test_the_picture_changes_more_at_a_cut_than_anywhere_else_nearby(clips):
    for path, truth in zip(*clips, strict=True):
        small = np.stack(
            [cv2.resize(f, (32, 32), interpolation=cv2.INTER_AREA) for f in decoded(path)]
        ).astype(float)
        change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2, 3))
        for cut in truth["cut_frames"]:
            around = np.delete(change[max(cut - 8, 0) : cut + 7], min(cut - 1, 7))
            assert change[cut - 1] > 1.5 * np.median(around)
            assert change[cut - 1] > around.max()


def test_cut_seconds_are_cut_frames_over_the_frame_rate(clips):
    for truth in clips[1]:
        assert truth["cut_seconds"] == pytest.approx(
            [frame / truth["fps"] for frame in truth["cut_frames"]], abs=1e-5
        )
        assert len(truth["shots"]) == NUM_SHOTS
        assert min(shot["num_frames"] for shot in truth["shots"]) >= truth["fps"]


def test_everything_that_came_stays_to_the_end_of_the_film(clips):
    for truth in clips[1]:
        shown = [{actor["cast"] for actor in shot["actors"]} for shot in truth["shots"]]
        assert shown == [set(range(number + 1)) for number in range(NUM_SHOTS)]
        assert len(truth["world"]["cast"]) == NUM_SHOTS
        assert len({thing["shape"] for thing in truth["world"]["cast"]}) == NUM_SHOTS


def test_the_last_thing_to_come_is_in_front_of_the_others(clips):
    for truth in clips[1]:
        for number, shot in enumerate(truth["shots"]):
            *behind, front = shot["actors"]
            assert front["cast"] == number
            for other in behind:
                assert front["start"][2] > other["start"][2]
                assert front["end"][2] > other["end"][2]


def test_the_light_of_every_film_turns_from_blue_through_red_to_blue(clips):
    for truth in clips[1]:
        warmth = [shot["light"]["start"][0] / shot["light"]["start"][2] for shot in truth["shots"]]
        assert warmth == sorted(warmth)
        end = truth["shots"][-1]["light"]["end"]
        assert end[0] / end[2] < warmth[-1]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    settings = {"num_videos": 1, "shortest_seconds": 3, "longest_seconds": 3}
    first, again, other = (
        render_clips(tmp_path / name, seed=seed, **settings)[0].read_bytes()
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again != other


def test_a_longer_set_begins_with_the_shorter_one(clips, tmp_path):
    (alone,) = render_clips(tmp_path, num_videos=1, seed=3, shortest_seconds=3, longest_seconds=5)
    assert alone.read_bytes() == clips[0][0].read_bytes()


def test_rendering_twice_leaves_finished_videos_alone(tmp_path):
    settings = {"num_videos": 1, "shortest_seconds": 3, "longest_seconds": 3}
    (path,) = render_clips(tmp_path, **settings)
    before = path.stat().st_mtime_ns
    render_clips(tmp_path, **settings)
    assert path.stat().st_mtime_ns == before
    (tmp_path / "truth.json").write_text("half a fi")
    render_clips(tmp_path, **settings)
    assert path.stat().st_mtime_ns != before
    assert json.loads((tmp_path / "truth.json").read_text())["videos"]


def test_a_second_process_does_not_render_into_the_same_folder(tmp_path):
    render_clips(tmp_path, num_videos=1, shortest_seconds=3, longest_seconds=3)
    with exclusive(tmp_path / ".lock", tmp_path), pytest.raises(BusyError, match="being written"):
        render_clips(tmp_path, num_videos=2, shortest_seconds=3, longest_seconds=3)
    assert {path.name for path in tmp_path.iterdir()} == {"rendered-000.mp4", "truth.json"}


def test_damaged_truth_is_an_error_and_never_another_truth(clips):
    path = clips[0][0].parent / "truth.json"
    plain = json.loads(path.read_text())
    for name, data in mutations({key: plain[key] for key in ("schema_version", "settings")}):
        with pytest.raises(FootageError):
            TRUTH.parse(data, name)
    for place, data in bit_flips(path.read_bytes(), 100):
        try:
            assert TRUTH.parse(data, str(place)) == TRUTH.read(path)
        except FootageError as error:
            assert error.hint  # noqa: PT017 (either outcome is right)


def test_out_of_range_settings_name_the_field(tmp_path):
    with pytest.raises(ConfigError, match="num_videos must be at least 1, got 0"):
        render_clips(tmp_path, num_videos=0)
    with pytest.raises(ConfigError, match="shortest_seconds"):
        render_clips(tmp_path, shortest_seconds=5, longest_seconds=4)


def test_every_shape_and_texture_can_be_drawn():
    generator = np.random.default_rng(0)
    for texture in TEXTURES.values():
        height = texture(generator, 40, 60)
        assert height.shape == (40, 60)
        assert height.min() == 0
        assert height.max() == pytest.approx(1)
        assert height.std() > 0.05
    for parts in SHAPES.values():
        for part in parts:
            assert np.abs(part.outline).max() <= 1.1


def test_rendering_needs_no_torch():
    code = "import footage.synthetic.rendered, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
