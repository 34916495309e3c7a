from collections import Counter

import numpy as np
import pytest
from pocket_suite import instances, meshes, objects, vehicles
from pocket_suite.drawing import PARTS
from pocket_suite.objects import around, standing
from pocket_suite.shading import about_z
from pocket_suite.vehicles import BOUNDS, NO_VEHICLE

from footage.errors import FootageError

NAME = "scopia/van"


def test_a_model_has_the_size_and_the_front_of_its_catalogue(assets):
    mesh = meshes.load(assets, NAME)
    flat = mesh.corners.reshape(-1, 3)
    assert np.allclose(flat.max(axis=0) - flat.min(axis=0), [1.8, 4.0, 1.5])
    assert np.allclose(flat.min(axis=0), [-0.9, -2.0, 0])
    assert np.allclose(flat[flat[:, 1] < -1.99, 2].max(), 0.75)
    assert np.allclose(flat[flat[:, 1] > 1.99, 2].max(), 1.5)
    assert np.allclose(np.linalg.norm(mesh.normals, axis=-1), 1)
    assert Counter(mesh.material.tolist()) == {1: 6, 2: 6}


def test_normals_are_perpendicular_to_the_faces(assets):
    mesh = meshes.load(assets, NAME)
    edges = mesh.corners[:, 1] - mesh.corners[:, 0]
    assert np.allclose(np.einsum("tx,tcx->tc", edges, mesh.normals), 0, atol=1e-9)


def test_an_unknown_model_is_an_error(assets):
    with pytest.raises(FootageError, match="scopia/ufo"):
        meshes.load(assets, "scopia/ufo")


def test_the_front_is_towards_the_camera_at_azimuth_0_and_to_the_right_at_90_degrees(assets):
    front = np.asarray([0.0, -1.0, 0.0])
    assert np.allclose(front @ about_z(np.pi / 2), [1, 0, 0])
    triangles = standing(meshes.load(assets, NAME), 0.0)
    camera = around(triangles, np.radians(40), 4.0)
    assert camera.seen(front) @ [0, 0, 1] < camera.seen(-front) @ [0, 0, 1]
    turned = standing(meshes.load(assets, NAME), np.pi / 2)
    low = turned.corners[turned.corners[..., 0] > 0.8]
    high = turned.corners[turned.corners[..., 0] < -0.8]
    assert low[:, 2].max() < high[:, 2].max()


def test_every_category_is_in_every_split_and_no_model_in_two():
    names = [name for of_category in objects.CATEGORIES.values() for name in of_category]
    assert len(set(names)) == len(names) == 72
    parts = objects.models("any", 3)
    assert sorted(name for part in PARTS for name in parts[part]) == sorted(names)
    for part, count in objects.SHARES.items():
        for of_category in objects.CATEGORIES.values():
            assert len(set(parts[part]) & set(of_category)) == count


def test_poses_and_lights_of_instances_are_distributed_over_the_splits():
    assert sorted(sum(instances.AZIMUTHS.values(), ())) == list(range(12))
    assert sorted(sum(instances.LIGHTS.values(), ())) == list(range(8))
    assert len(set(instances.MODELS)) == 20


def test_a_vehicle_at_a_bound_is_in_the_nearer_class():
    assert [vehicles.distance_class(bound) for bound in BOUNDS] == [0, 1]
    assert vehicles.distance_class(20.1) == 2


def test_the_nearest_vehicle_is_in_its_class():
    draws = np.random.default_rng(0)
    for _ in range(50):
        for label in range(NO_VEHICLE):
            depths = [one.depth for one in vehicles._vehicles(label, ["scopia/van"], draws)]
            assert min(depths) == depths[0]
            assert vehicles.distance_class(depths[0]) == label
    assert vehicles._vehicles(NO_VEHICLE, ["scopia/van"], draws) == []


def test_a_ground_of_photographs_has_no_seam():
    places = vehicles._mirrored(np.linspace(-2000, 2000, 8001)[None])
    assert np.abs(np.diff(places)).max() < 0.51
    assert places.min() >= 0
    assert places.max() <= vehicles._TILE - 1
