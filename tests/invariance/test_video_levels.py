"""Features are constructed so that every distance, and so the whole profile, is known."""

import math

import numpy as np
import pytest
import torch

from footage.errors import ConfigError
from footage.evaluation.features import pixel_extractor
from footage.invariance.video_levels import (
    ChosenFrame,
    FrameFeatures,
    choose_frames,
    frame_features,
    profile_of,
)

VIDEOS, SHOTS, FRAMES = 6, 3, 4


def frames():
    return [
        ChosenFrame(video, SHOTS * video + shot, frame)
        for video in range(VIDEOS)
        for shot in range(SHOTS)
        for frame in range(FRAMES)
    ]


def hierarchy(of_video, of_shot, of_frame):
    """Features with an axis for each video, shot and frame, of these squared lengths.

    Cosines are then sums of what two frames share: the square of the video's part, and so on.
    """
    chosen = frames()
    rows = torch.tensor([frame.row for frame in chosen])
    videos = torch.tensor([frame.video for frame in chosen])
    parts = [
        math.sqrt(of_video) * torch.nn.functional.one_hot(videos),
        math.sqrt(of_shot) * torch.nn.functional.one_hot(rows),
        math.sqrt(of_frame) * torch.eye(len(chosen)),
    ]
    return torch.cat(parts, dim=1)


def test_a_profile_of_known_features_is_as_calculated():
    plain = hierarchy(0.6, 0.3, 0.1)
    found = profile_of(FrameFeatures(plain, plain, plain), frames(), seed=0)
    assert found.others.value == pytest.approx(1.0)
    assert found.levels["view"].ratio.value == pytest.approx(0.0, abs=1e-6)
    assert found.levels["shot"].ratio.value == pytest.approx(0.1)
    assert found.levels["video"].ratio.value == pytest.approx(0.4)
    for level in found.levels.values():
        assert level.ratio.low == pytest.approx(level.ratio.value, abs=1e-6)
        assert level.hit.value == 1.0
        assert level.videos == VIDEOS
    assert found.alignment == pytest.approx(0.0, abs=1e-6)


def test_chance_is_counted():
    plain = hierarchy(0.6, 0.3, 0.1)
    found = profile_of(FrameFeatures(plain, plain, plain), frames(), seed=0)
    total = VIDEOS * SHOTS * FRAMES
    assert found.levels["view"].chance == pytest.approx(1 / total)
    assert found.levels["shot"].chance == pytest.approx((FRAMES - 1) / (total - 1))
    in_video = (SHOTS - 1) * FRAMES
    assert found.levels["video"].chance == pytest.approx(in_video / (total - FRAMES))


def test_features_that_ignore_the_shot_find_no_shot():
    plain = hierarchy(0.5, 0.0, 0.5)
    found = profile_of(FrameFeatures(plain, plain, plain), frames(), seed=0)
    assert found.levels["shot"].ratio.value == pytest.approx(0.5)
    assert found.levels["video"].ratio.value == pytest.approx(0.5)


def test_a_profile_agrees_with_loops_over_pairs():
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(VIDEOS * SHOTS * FRAMES, 7, generator=generator).double()
    chosen = frames()
    found = profile_of(FrameFeatures(plain, plain, plain.flip(1)), chosen, seed=0)
    cosine = torch.nn.functional.cosine_similarity(plain[:, None], plain[None], dim=2)
    distance = (1 - cosine).numpy()
    within, between = {"shot": {}, "video": {}}, {}
    for i, first in enumerate(chosen):
        for j, second in enumerate(chosen):
            if first.video != second.video:
                between.setdefault((first.video, second.video), []).append(distance[i, j])
            elif first.row != second.row:
                within["video"].setdefault(first.video, []).append(distance[i, j])
            elif i != j:
                within["shot"].setdefault(first.video, []).append(distance[i, j])
    others = np.mean([np.mean(each) for each in between.values()])
    assert found.others.value == pytest.approx(others)
    for name, videos in within.items():
        mean = np.mean([np.mean(each) for each in videos.values()])
        assert found.levels[name].distance.value == pytest.approx(mean)
        assert found.levels[name].ratio.value == pytest.approx(mean / others)
        assert found.levels[name].ratio.low < mean / others < found.levels[name].ratio.high


def test_every_video_weighs_alike_however_many_frames_it_has():
    # One video whose two frames are alike, one whose ten frames are at right angles.
    plain = torch.cat([torch.eye(13)[:1].repeat(2, 1), torch.eye(13)[1:11]])
    chosen = [ChosenFrame(0, 0, 0), ChosenFrame(0, 0, 1)]
    chosen += [ChosenFrame(1, 1, place) for place in range(10)]
    found = profile_of(FrameFeatures(plain, plain, plain), chosen, seed=0)
    assert found.levels["shot"].distance.value == pytest.approx(0.5)


def test_a_level_without_pairs_is_not_there():
    chosen = [ChosenFrame(video, video, 0) for video in range(4)]
    plain = torch.eye(4)
    found = profile_of(FrameFeatures(plain, plain, plain), chosen, seed=0)
    assert set(found.levels) == {"view"}


def test_features_that_are_all_alike_have_no_ratio():
    plain = torch.ones(VIDEOS * SHOTS * FRAMES, 3)
    found = profile_of(FrameFeatures(plain, plain, plain), frames(), seed=0)
    assert math.isnan(found.levels["shot"].ratio.value)


def test_frames_are_chosen_evenly_and_never_more_than_asked(tiny_store):
    names = sorted(set(tiny_store.shots["video"].to_pylist()))
    chosen = choose_frames(tiny_store, names, videos=4, shots=2, frames=3, seed=0)
    assert len(chosen) == 4 * 2 * 3
    assert {frame.video for frame in chosen} == {0, 1, 2, 3}
    assert len({frame.row for frame in chosen}) == 8
    other = choose_frames(tiny_store, names, videos=4, shots=2, frames=3, seed=5)
    assert {frame.row for frame in other} != {frame.row for frame in chosen}


def test_only_eligible_videos_are_looked_at(tiny_store):
    names = sorted(set(tiny_store.shots["video"].to_pylist()))
    chosen = choose_frames(tiny_store, names[:2], videos=9, shots=9, frames=9, seed=0)
    rows = tiny_store.shots["video"].to_pylist()
    assert {rows[frame.row] for frame in chosen} == set(names[:2])
    with pytest.raises(
        ConfigError, match=r"at least 2 videos to compare, and .* has 1 that no model"
    ):
        choose_frames(tiny_store, names[:1], videos=9, shots=9, frames=9, seed=0)


def test_frames_of_a_store_become_features_and_one_model_changes_no_other(tiny_store):
    names = sorted(set(tiny_store.shots["video"].to_pylist()))
    chosen = choose_frames(tiny_store, names, videos=3, shots=2, frames=2, seed=0)
    alone = frame_features(tiny_store, chosen, {"a": pixel_extractor(16)}, seed=0, batch_size=5)[
        "a"
    ]
    extractors = {"b": pixel_extractor(8), "a": pixel_extractor(16)}
    beside = frame_features(tiny_store, chosen, extractors, seed=0)["a"]
    assert alone.plain.shape == (12, 3 * 16 * 16)
    for one, other in zip(alone, beside, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(alone.first, alone.second)
