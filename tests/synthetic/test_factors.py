from pathlib import Path

import numpy as np
import pytest

from footage.synthetic import factors, solids
from footage.synthetic.factors import FACTORS, MOVES, RANGES, STEPS, SceneKey

KEY = SceneKey(seed=0, number=1, size=32)


@pytest.fixture(scope="module")
def shots():
    return factors.controlled(KEY)


def changed(first, second):
    """Share of pixels that differ by more than a little."""
    return float((np.abs(first.astype(int) - second.astype(int)).max(axis=-1) > 12).mean())


def test_every_factor_has_its_frames_and_its_words(shots):
    assert set(shots.shots) == set(MOVES) == set(RANGES)
    assert set(FACTORS) == set(MOVES) - {"identity"}
    for frames in shots.shots.values():
        assert frames.shape == (len(STEPS), KEY.size, KEY.size, 3)
        assert frames.dtype == np.uint8


def test_the_same_key_gives_the_same_pixels_and_another_scene_others(shots):
    again = factors.controlled(KEY)
    assert np.array_equal(again.anchor, shots.anchor)
    for name, frames in again.shots.items():
        assert np.array_equal(frames, shots.shots[name])
    assert changed(shots.anchor, factors.rendered(factors.scene(KEY._replace(number=2)))) > 0.5


@pytest.mark.parametrize("name", MOVES)
def test_each_step_of_a_factor_is_another_frame(shots, name):
    frames = [shots.anchor, *shots.shots[name]]
    for place, first in enumerate(frames):
        for second in frames[place + 1 :]:
            assert changed(first, second) > 0.005


@pytest.mark.parametrize("name", MOVES)
def test_only_what_is_named_moves(name):
    start = factors.scene(KEY)
    fields = {
        "colour": {"hue"},
        "contrast": {"contrast"},
        "lighting": {"lamp"},
        "orientation": {"pose"},
        "distance": {"pose"},
        "background": {"backdrop"},
        "identity": {"thing"},
    }[name]
    moved = MOVES[name](start, 0, KEY)
    assert {each for each in start._fields if getattr(moved, each) is not getattr(start, each)} == (
        fields
    )
    if name == "orientation":
        assert moved.pose == start.pose._replace(yaw=moved.pose.yaw)
    if name == "distance":
        assert moved.pose == start.pose._replace(distance=moved.pose.distance)


def test_lighting_and_object_leave_the_sky_alone_and_the_background_leaves_the_object(shots):
    sky = np.s_[:4]
    for name in ("lighting", "orientation", "identity"):
        assert np.array_equal(shots.shots[name][0][sky], shots.anchor[sky])
    middle = np.s_[13:19, 13:19]
    assert changed(shots.shots["background"][0], shots.anchor) > 0.4
    assert changed(shots.shots["background"][0][middle], shots.anchor[middle]) < 0.2


def test_contrast_keeps_the_mean_brightness_of_a_frame_that_does_not_clip():
    grey = np.tile(np.linspace(90, 160, 32).astype(np.uint8)[:, None, None], (1, 32, 3))
    moved = factors._contrasted(grey, 2.0)
    assert moved.mean() == pytest.approx(grey.mean(), abs=1)
    assert moved.std() == pytest.approx(2 * grey.std(), rel=0.02)


def test_a_full_turn_of_the_hue_changes_nothing(shots):
    turned = factors._hue_turned(shots.anchor, 1.0)
    assert int(np.abs(turned.astype(int) - shots.anchor).max()) <= 1


def test_the_document_tells_the_ranges_that_the_results_tell():
    text = (Path(__file__).parents[2] / "docs" / "guides" / "invariance.md").read_text("utf-8")
    for name in FACTORS:
        assert f"| `{name}` | {RANGES[name]} |" in text


# --- the renderer -------------------------------------------------------------------------------


def ball(radius=0.8):
    part = solids.Part(
        kind="ball",
        place=np.zeros(3, np.float32),
        turn=np.eye(3, dtype=np.float32),
        size=np.full(3, radius, np.float32),
        colours=np.ones((2, 3), np.float32),
        pattern="plain",
        cells=1.0,
    )
    return solids.Solid((part,), -radius)


def test_a_ball_has_the_size_that_geometry_says():
    pose = solids.Pose(yaw=0.3, elevation=0.0, distance=5.0)
    black = np.zeros((128, 128, 3), np.uint8)
    drawn = solids.picture(ball(), pose, solids.Lamp(np.pi, 0.5), black)
    seen = np.tan(np.arcsin(0.8 / 5.0)) / np.tan(np.radians(solids.VIEW_ANGLE / 2))
    assert (drawn.max(axis=2) > 0).mean() == pytest.approx(np.pi * seen**2 / 4, rel=0.05)


@pytest.mark.parametrize(("azimuth", "bright"), [(np.pi / 2, "left"), (-np.pi / 2, "right")])
def test_the_lit_side_is_the_one_that_faces_the_lamp(azimuth, bright):
    pose = solids.Pose(yaw=0.0, elevation=0.2, distance=4.0)
    black = np.zeros((64, 64, 3), np.uint8)
    drawn = solids.picture(ball(), pose, solids.Lamp(azimuth, 0.3), black).astype(float)
    left, right = drawn[:, :32].mean(), drawn[:, 32:].mean()
    assert (left > 1.3 * right) if bright == "left" else (right > 1.3 * left)


def test_the_shadow_falls_away_from_the_lamp():
    pose = solids.Pose(yaw=0.0, elevation=0.5, distance=5.0)
    white = np.full((64, 64, 3), 255, np.uint8)
    drawn = solids.picture(ball(), pose, solids.Lamp(np.pi / 2, 0.7), white)
    ground = drawn[40:60].astype(float)
    assert ground[:, 40:].mean() < ground[:, :24].mean() - 5


def test_a_ball_looks_the_same_however_it_is_turned():
    backdrop = np.full((48, 48, 3), 100, np.uint8)
    first, second = (
        solids.picture(ball(), solids.Pose(yaw, 0.3, 4.0), solids.Lamp(2.5, 0.8), backdrop)
        for yaw in (0.0, 1.0)
    )
    assert changed(first, second) < 0.01


@pytest.mark.parametrize("number", range(5))
def test_objects_fit_the_unit_ball_and_stand_on_the_floor(number):
    thing = solids.solid(np.random.default_rng(number))
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (20_000, 3)).astype(np.float32)
    inside = points[solids._distance(thing, points)[0] < 0]
    assert 0.7 < np.linalg.norm(inside, axis=1).max() < 1.02
    assert inside[:, 2].min() == pytest.approx(thing.bottom, abs=0.12)
