"""Rendered films: the same seed gives the same frames, and the factors are those of the pixels."""

import json

import numpy as np
import pytest
from pocket_suite.shading import Camera

from experiments import films
from experiments.film_render import Lamp, Stage, Standing
from experiments.film_things import FAMILIES, joined, thing
from experiments.film_world import world
from footage.errors import ConfigError
from footage.seeding import generator
from footage.video.decode import Video

SIZE = (64, 64)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    films.make_all(folder, 1, seed=3)
    return folder


def factors_of(out):
    return json.loads((out / "factors" / "film-000.json").read_text("utf-8"))


def pictures(path):
    with Video(path, 10**6) as video:
        return np.stack(
            [frame.picture.to_ndarray(format="rgb24") for frame in video.frames()]
        ).astype(float)


def a_stage(seed=1, count=1):
    setting = world(generator("a test", seed))
    setting = setting._replace(props=[], prop_places=setting.prop_places[:0])
    return Stage(setting, setting.cast[:count])


EYE = Camera(np.asarray([0.0, -3.0, 1.2]), np.asarray([0.0, 0.0, 0.5]), 1.2)
LAMP = Lamp(-1.0, 0.8, 0.8)


def test_frames_change_most_at_the_cuts_of_the_ground_truth(out):
    truth = json.loads((out / "truth.json").read_text("utf-8"))
    one = truth["videos"]["film-000.mp4"]
    seen = pictures(out / "film-000.mp4")
    changes = np.abs(np.diff(seen, axis=0)).mean(axis=(1, 2, 3))
    cuts = [round(seconds * films.FPS) for seconds in one["cut_seconds"]]
    assert len(seen) == sum(shot["num_frames"] for shot in factors_of(out)["shots"])
    assert sorted(np.argsort(-changes)[: len(cuts)] + 1) == cuts


def test_frames_depend_only_on_the_seed():
    def first_frame(seed, number):
        setting, shots, size = films.plan(seed, number)
        return next(films.frames(setting, shots[0], size))

    picture, factors = first_frame(3, 0)
    again, same = first_frame(3, 0)
    assert (picture == again).all()
    assert factors == same
    assert first_frame(4, 0)[1] != factors != first_frame(3, 1)[1]


def test_a_killed_run_resumes_with_the_same_bytes_and_refuses_other_settings(out):
    path = out / "film-000.mp4"
    content = path.read_bytes()
    path.unlink()
    films.make_all(out, 1, seed=3)
    assert path.read_bytes() == content
    with pytest.raises(ConfigError, match="another --out"):
        films.make_all(out, 1, seed=4)


def test_objects_rotate_and_the_lamp_orbits_in_every_shot(out):
    for one in factors_of(out)["shots"]:
        for values in (
            *np.transpose([frame["yaw"] for frame in one["frames"]]),
            [frame["lamp_azimuth"] for frame in one["frames"]],
        ):
            unwrapped = np.unwrap(np.radians(values))
            assert abs(np.degrees(unwrapped[-1] - unwrapped[0])) > 25


def test_an_object_covers_the_pixels_that_it_changes():
    stage = a_stage()
    with_object, (count,) = stage.draw([Standing(0, 0, 0.4, 1.0)], EYE, LAMP, SIZE)
    far_away = [Standing(0, -20.0, 0, 1.0)]  # behind the camera: neither it nor its shadow is seen
    without, (none,) = stage.draw(far_away, EYE, LAMP, SIZE)
    changed = (np.abs(with_object.astype(int) - without).max(axis=2) > 8).sum()
    assert none == 0
    assert 0 < count <= changed + count / 5


def test_a_full_rotation_gives_the_same_frame_and_half_a_rotation_another():
    stage = a_stage()
    start, whole, half = (
        stage.draw([Standing(0, 0, yaw, 1.0)], EYE, LAMP, SIZE)[0].astype(int)
        for yaw in (0.3, 0.3 + 2 * np.pi, 0.3 + np.pi)
    )
    assert np.abs(start - whole).mean() < 0.1
    assert np.abs(start - half).mean() > 0.5


def test_the_side_towards_the_lamp_is_brighter():
    stage = a_stage()
    left, right = (
        stage.draw([Standing(0, 0, 0, 1.0)], EYE, Lamp(azimuth, 0.5, 0.9), SIZE)[0].astype(float)
        for azimuth in (np.pi, 0.0)  # from -x, which is left of this camera, and from +x
    )
    difference = (left - right).mean(axis=2)[20:50]
    assert difference[:, 24:32].mean() > difference[:, 32:40].mean()


def test_a_nearer_object_hides_a_farther_one():
    stage = a_stage(count=2)
    behind = [Standing(0, 1.2, 0, 1.0), Standing(0, -0.4, 0, 1.0)]
    apart = [Standing(0.8, 0.4, 0, 1.0), Standing(-0.8, 0.4, 0, 1.0)]
    hidden, _ = stage.draw(behind, EYE, LAMP, SIZE)[1]
    free, _ = stage.draw(apart, EYE, LAMP, SIZE)[1]
    assert hidden < free


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_normals_point_out_of_every_family_of_objects(family):
    for seed in range(5):
        surface = joined(FAMILIES[family](generator("a family", seed)))
        corners = surface.points[surface.faces]
        turn = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        agree = (turn * surface.normals[surface.faces].sum(axis=1)).sum(axis=1)
        assert agree.min() > -1e-9  # a triangle at a pole may have no area
        # The volume inside a closed surface is above 0 if its triangles face outwards.
        assert (corners[:, 0] * turn).sum() > 0


def test_an_object_stands_on_the_ground_and_is_about_a_metre_in_size():
    for seed in range(10):
        one = thing(generator("a thing", seed))
        assert one.surface.points[:, 2].min() == pytest.approx(0)
        assert 0.4 < max(one.radius, one.height / 2) < 0.7
