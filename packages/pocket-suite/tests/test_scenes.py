from pathlib import Path

import numpy as np
import pytest
from pocket_suite import scenes
from pocket_suite.raster import rasterise
from pocket_suite.shading import Camera, Light, Triangles, render, visible
from pocket_suite.solids import SOLIDS


def brute_force(corners, side):
    """The nearest triangle of each pixel, one pixel and one triangle at a time."""
    found = np.full((side, side), -1)
    for y in range(side):
        for x in range(side):
            best = 0.0
            for number, triangle in enumerate(corners):
                sides = np.vstack([triangle[:, :2].T, np.ones(3)])
                weights = np.linalg.solve(sides, [x + 0.5, y + 0.5, 1])
                depth = weights @ triangle[:, 2]
                if weights.min() >= 0 and depth > best:
                    best, found[y, x] = depth, number
    return found


def test_the_rasteriser_agrees_with_one_pixel_at_a_time():
    draws = np.random.default_rng(0)
    corners = draws.uniform(-4, 20, (12, 3, 3))
    corners[:, :, 2] = draws.uniform(0.1, 1, (12, 3))
    raster = rasterise(corners, 16)
    assert np.array_equal(raster.triangle, brute_force(corners, 16))
    shown = raster.covered
    assert np.allclose(raster.weights[shown].sum(axis=1), 1)
    y, x = np.nonzero(shown)
    places = (corners[raster.triangle[shown]] * raster.weights[shown][..., None]).sum(axis=1)
    assert np.allclose(places[:, :2], np.stack([x, y], axis=1) + 0.5)


def test_triangles_without_area_or_outside_are_not_drawn():
    line = [[1.0, 1, 1], [5, 5, 1], [9, 9, 1]]
    outside = [[-9.0, -9, 1], [-2, -9, 1], [-2, -1, 1]]
    assert not rasterise(np.asarray([line, outside]), 8).covered.any()
    assert not rasterise(np.zeros((0, 3, 3)), 8).covered.any()


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_stand_on_the_ground_with_normals_of_length_one(name):
    corners, normals = SOLIDS[name]
    assert np.isclose(corners[..., 2].min(), 0)
    assert np.allclose(np.linalg.norm(normals, axis=-1), 1)
    assert np.hypot(corners[..., 0], corners[..., 1]).max() < 1.2


def ball_over_ground(towards):
    corners, normals = SOLIDS["sphere"]
    count = len(corners)
    matt = np.zeros(count)
    raised = corners + np.asarray([0, 0, 0.5])
    ball = Triangles(raised, normals, np.ones((count, 3)), matt, matt.astype(int))
    camera = Camera(np.asarray([0.0, -8, 6]), np.asarray([0.0, 0, 1]), 1.0)
    light = Light(np.asarray(towards) / np.linalg.norm(towards), 0.7, 0.3)
    return ball, camera, render(ball, camera, light, np.full((64, 64, 3), 0.5))


def test_a_ball_is_bright_towards_the_light_and_its_shadow_falls_away_from_it():
    ball, camera, picture = ball_over_ground([-1.0, 0.0, 1.0])
    grey = picture.mean(axis=2)
    assert visible(ball, camera, 64, 1)[0] > 100
    y = np.nonzero(grey < 0.3)[0]
    shadow = grey[y.min() : y.max() + 1].min(axis=0)
    assert shadow[40:].min() < 0.2 < 0.45 < shadow[:20].min()
    row = grey[28]
    lit = np.flatnonzero(row > 0.55)
    assert lit.mean() < 31


def test_the_nearer_object_hides_the_farther_one():
    near, far = SOLIDS["cube"][0] + [0.0, -3, 0], SOLIDS["cube"][0] * 0.3 + [0.0, 3, 0]
    corners = np.concatenate([near, far])
    count = len(near)
    both = Triangles(
        corners,
        np.concatenate([SOLIDS["cube"][1]] * 2),
        np.ones((2 * count, 3)),
        np.zeros(2 * count),
        np.repeat([0, 1], count),
    )
    camera = Camera(np.asarray([0.0, -8, 1]), np.asarray([0.0, 0, 0.5]), 1.0)
    assert visible(both, camera, 64, 2)[1] == 0


def test_a_scene_has_as_many_solids_as_its_label_and_all_are_visible():
    renderer = scenes.open_count(0, Path())
    for number in range(6):
        scene = scenes.shown_scene("pocket scene count", 0, 0, number)
        assert renderer("train800", number).label == len(scene.radii) - scenes.FEWEST
        seen = visible(scene.triangles, scene.camera, scenes.SIDE, len(scene.radii))
        assert seen.min() >= scenes.SMALLEST_VISIBLE


def test_a_distance_label_is_the_bin_of_the_nearest_solid():
    renderer = scenes.open_distance(0, Path())
    for number in range(4):
        scene = scenes.shown_scene("pocket scene distance", 0, 2, number)
        to = np.append(scene.places, scene.radii[:, None], axis=1) - scene.camera.place
        depths = to @ scene.camera.axes[2]
        assert np.isclose(scene.distance, depths.min())
        label = renderer("test", number).label
        bounds = (0.0, *scenes.DISTANCES, 100.0)
        assert bounds[label] < depths.min() <= bounds[label + 1]


def test_a_distance_on_a_bound_is_in_the_lower_bin():
    assert [scenes.distance_class(bound) for bound in scenes.DISTANCES] == [0, 1, 2, 3, 4]


def test_the_bins_of_distance_are_about_equally_frequent():
    found = [
        scenes.distance_class(scenes.shown_scene("calibration", 5, number).distance)
        for number in range(200)
    ]
    assert np.bincount(found, minlength=6).min() >= 15


def test_no_two_solids_touch():
    for number in range(20):
        scene = scenes.shown_scene("touching", 0, number)
        for one in range(len(scene.radii)):
            gaps = np.linalg.norm(scene.places - scene.places[one], axis=1)
            gaps -= scene.radii + scene.radii[one]
            assert np.delete(gaps, one).min() > 0.2
