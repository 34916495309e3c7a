import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from footage.video.decode import Video
from footage.video.detectors.adaptive import AdaptiveCuts, DissolveTest, FadeTest, HardCutTest
from footage.video.detectors.base import Boundary
from footage.video.scaling import TinyFrames
from footage.video.shots import ShotBuilder
from tests.support import synthetic

FPS = synthetic.FPS


def found_cuts(path, detector):
    """Times of the shots that begin after a cut."""
    tiny = TinyFrames()
    builder = ShotBuilder(0.0, 0.5, 0.25)
    with Video(path, 10**7) as video:
        for frame in video.frames():
            builder.add(detector.push(tiny(frame.picture), frame.seconds))
            end = frame.seconds + frame.duration
    builder.add(detector.finish())
    _, shots = builder.finish(end)
    return [shot.start_seconds for shot in shots[1:]]


def precision_and_recall(found, true, tolerance=0.1):
    hits = sum(any(abs(one - cut) <= tolerance for one in found) for cut in true)
    right = sum(any(abs(one - cut) <= tolerance for cut in true) for one in found)
    return right / max(1, len(found)), hits / len(true)


def test_cut_is_the_first_frame_of_the_new_shot(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.cuts([1, 2], 1.0))
    assert found_cuts(path, AdaptiveCuts()) == pytest.approx([1.0], abs=1e-6)


def test_hard_cuts_are_found_and_nothing_else(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.cuts(range(30), 1.5))
    true = [1.5 * number for number in range(1, 30)]
    precision, recall = precision_and_recall(found_cuts(path, AdaptiveCuts()), true, 1.5 / FPS)
    assert precision >= 0.95
    assert recall >= 0.9


def test_fades_through_black_are_found(tmp_path):
    shots = [list(synthetic.scene(seed, 2.0)) for seed in range(8)]
    faded = [
        synthetic.fade(synthetic.fade(shot, 10, to_black=True), 10, to_black=False)
        for shot in shots
    ]
    path = synthetic.encode(tmp_path / "a.mp4", itertools.chain.from_iterable(faded))
    true = [2.0 * number for number in range(1, 8)]
    precision, recall = precision_and_recall(found_cuts(path, AdaptiveCuts()), true, 0.25)
    assert precision == 1
    assert recall == 1


@pytest.mark.parametrize("length", [10, 18, 30])
def test_dissolves_between_fast_scenes_are_partly_found_and_nothing_else(tmp_path, length):
    frames = list(synthetic.scene(0, 4.0))
    true = []
    for seed in range(1, 8):
        true.append((len(frames) - length / 2) / FPS)
        frames = synthetic.dissolve(frames, list(synthetic.scene(seed, 4.0)), length)
    path = synthetic.encode(tmp_path / "a.mp4", frames)
    precision, recall = precision_and_recall(found_cuts(path, AdaptiveCuts()), true, 0.2)
    assert precision == 1
    assert recall > 0.4  # a quarter of the picture goes by within a second


def dissolves(frames, fps=20):
    """What the test of dissolves says of tiny pictures."""
    test, found = DissolveTest(), []
    for number, image in enumerate(frames):
        was_settled = test.settled_seconds
        new = test.push(image, number / fps)
        assert all(one.begin_seconds >= was_settled for one in new)
        found += new
    return found + test.finish()


def tiny_picture(seed):
    return np.random.default_rng(seed).integers(0, 255, (27, 48, 3), np.uint8)


def stills(seed, count):
    return [tiny_picture(seed)] * count


@pytest.mark.parametrize("length", [8, 16, 30])
def test_a_dissolve_is_one_boundary_in_its_middle_that_covers_most_of_it(length):
    frames = synthetic.dissolve(stills(1, 40 + length), stills(2, 40 + length), length)
    (found,) = dissolves(frames)
    begin, end = 2.0, 2.0 + length / 20
    assert found.seconds == pytest.approx((begin + end) / 2, abs=0.1)
    assert found.begin_seconds <= begin + 0.2
    assert found.end_seconds >= end - 0.2
    assert 0.07 < found.score <= 1


def test_hard_cuts_fades_and_changes_of_light_are_no_dissolves():
    assert dissolves(stills(1, 40) + stills(2, 40)) == []
    black = [np.zeros((27, 48, 3), np.uint8)] * 40
    faded = synthetic.dissolve(stills(1, 40), black, 15)
    assert dissolves(synthetic.dissolve(faded, stills(2, 40), 15)) == []
    brighter = [cv2.convertScaleAbs(tiny_picture(1), alpha=0.5)] * 40
    assert dissolves(synthetic.dissolve(stills(1, 40), brighter, 20)) == []


def test_the_last_dissolve_is_told_at_the_end():
    frames = synthetic.dissolve(stills(1, 40), stills(2, 22), 12)
    assert len(dissolves(frames[:-2])) == 1


def test_quick_detector_finds_what_that_of_pyscenedetect_finds(tmp_path):
    frames = synthetic.cuts(range(10), 1.0)
    tiny = [cv2.resize(image, (48, 27), interpolation=cv2.INTER_AREA) for image in frames]
    stock, quick = AdaptiveDetector(min_scene_len=0), HardCutTest()
    num_cuts = 0
    for number, image in enumerate(tiny):
        found = stock.process_frame(FrameTimecode(number, 25.0), image)
        assert quick.push(image[:, :, ::-1]) == bool(found)
        assert stock._frame_score == pytest.approx(quick._changes[-1], rel=1e-9)
        assert [cut.frame_num for cut in found] in ([], [number - HardCutTest.WIDTH])
        num_cuts += len(found)
    assert num_cuts == 9


def test_one_moving_shot_is_not_cut(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(5, 8.0))
    assert found_cuts(path, AdaptiveCuts()) == []


def fades(levels):
    test = FadeTest()
    return [
        boundary
        for number, level in enumerate(levels)
        for boundary in test.push(float(level), number / 10)
    ]


def test_short_black_is_one_boundary_in_its_middle():
    assert fades([100] * 10 + [0] * 8 + [100] * 10) == [Boundary(1.4, 1.0, 1.0, 1.8)]


def test_long_black_is_a_shot_of_its_own():
    found = fades([100] * 10 + [0] * 40 + [100] * 10)
    assert [boundary.seconds for boundary in found] == [1.0, 5.0]


def test_black_at_the_ends_is_no_cut():
    assert fades([0] * 10 + [100] * 10 + [0] * 10) == []


def build(raw, frames, end, minimum=0.5, margin=0.25):
    builder = ShotBuilder(0.0, minimum, margin)
    for seconds in frames:
        builder.offer(seconds, seconds)
    builder.add(raw)
    return builder.finish(end)


def test_boundaries_closer_than_the_minimum_are_one_and_the_surest_stays():
    _, shots = build([Boundary(2.0, 0.2), Boundary(2.3, 0.9), Boundary(5.0, 0.5)], [], 8.0)
    assert [(shot.start_seconds, shot.score) for shot in shots] == [(0, 1), (2.3, 0.9), (5, 0.5)]


def test_boundaries_next_to_the_ends_make_no_shots_but_hide_frames():
    placed, shots = build(
        [Boundary(0.3, 0.5), Boundary(7.8, 0.5)], np.arange(0, 8, 0.1).tolist(), 8.0
    )
    assert [(shot.start_seconds, shot.end_seconds) for shot in shots] == [(0, 8)]
    assert 0.55 < placed[0].seconds < 0.65
    assert 7.45 < placed[-1].seconds < 7.55


def test_frames_near_a_boundary_are_not_kept():
    placed, _ = build([Boundary(1.0, 0.5)], [0.5, 0.75, 0.8, 1.2, 1.25, 1.5], 3.0)
    assert [one.seconds for one in placed] == [0.5, 1.5]


def test_a_video_shorter_than_the_margins_keeps_its_frame_farthest_from_a_boundary():
    placed, shots = build([Boundary(0.1, 0.5)], [0.0, 0.12, 0.19], 0.2)
    assert [(one.shot, one.number, one.seconds) for one in placed] == [(0, 0, 0.19)]
    assert [(shot.start_seconds, shot.end_seconds) for shot in shots] == [(0, 0.2)]


def test_a_video_whose_shots_are_all_shorter_than_the_margins_keeps_one_frame():
    cuts = [Boundary(second / 2, 0.5) for second in range(1, 8)]
    placed, shots = build(cuts, [0.45, 0.76, 1.3, 2.2, 3.6], 4.0, margin=0.5)
    assert len(shots) == 8
    assert [(one.shot, one.number, one.seconds) for one in placed] == [(1, 0, 0.76)]


def test_frames_behind_a_cut_near_the_end_are_the_last_resort():
    placed, shots = build([Boundary(0.6, 0.5)], [0.5, 0.62, 0.8], 0.9, margin=1.0)
    assert len(shots) == 1
    assert [(one.shot, one.seconds) for one in placed] == [(0, 0.8)]


@st.composite
def videos(draw):
    end = draw(st.floats(1.0, 20.0))
    raw = draw(st.lists(st.tuples(st.floats(0.05, end), st.floats(0, 1)), max_size=25))
    return end, sorted(Boundary(*one) for one in raw)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(videos())
def test_shots_partition_the_video_and_frames_lie_in_their_shots(video):
    end, raw = video
    placed, shots = build(raw, np.arange(0, end, 0.1).tolist(), end)
    assert shots[0].start_seconds == 0
    assert shots[-1].end_seconds == end
    assert all(a.end_seconds == b.start_seconds for a, b in itertools.pairwise(shots))
    assert all(shot.end_seconds - shot.start_seconds >= 0.5 - 1e-9 for shot in shots)
    assert placed
    for one in placed:
        assert shots[one.shot].start_seconds <= one.seconds < shots[one.shot].end_seconds
        distance = min((abs(one.seconds - boundary.seconds) for boundary in raw), default=1.0)
        assert distance > 0.25 - 1e-9 or len(placed) == 1
    for number in range(len(shots)):
        assert [one.number for one in placed if one.shot == number] == list(
            range(sum(one.shot == number for one in placed))
        )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(videos(), st.floats(0.0, 1.5))
def test_streaming_gives_what_knowing_everything_at_once_gives(video, delay):
    end, raw = video
    frames = np.arange(0, end, 0.1).tolist()
    builder = ShotBuilder(0.0, 0.5, 0.25)
    placed, rest = [], list(raw)
    for seconds in frames:
        builder.offer(seconds, seconds)
        known = [boundary for boundary in rest if boundary.seconds < seconds - delay]
        rest = rest[len(known) :]
        builder.add(known)
        placed += builder.settle(seconds - delay)
    builder.add(rest)
    last, shots = builder.finish(end)
    assert (placed + last, shots) == build(raw, frames, end)


def test_slow_footage_in_a_fast_container_is_cut_where_it_cuts(tmp_path):
    # every picture is shown three times, and moves a quarter of its width from one to the next
    rushes = [
        np.roll(next(iter(synthetic.scene(seed, 1.0))), 24 * step, axis=1)
        for seed in (3, 4)
        for step in range(FPS)
    ]
    path = synthetic.encode(tmp_path / "a.mp4", [image for image in rushes for _ in range(3)])
    assert found_cuts(path, AdaptiveCuts()) == pytest.approx([3.0], abs=3.5 / FPS)


def test_still_pictures_are_cut_where_they_change(tmp_path):
    stills = [next(iter(synthetic.scene(seed, 1.0))) for seed in range(4)]
    path = synthetic.encode(tmp_path / "a.mp4", [still for still in stills for _ in range(3 * FPS)])
    assert found_cuts(path, AdaptiveCuts()) == pytest.approx([3.0, 6.0, 9.0], abs=1.5 / FPS)
