import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.suites.vtab import labels


def scene(distances):
    coordinates = [[10.0, 20.0, distance] for distance in distances]
    return {
        "objects": {
            "size": np.zeros(len(distances), dtype=np.int64),
            "pixel_coords": np.array(coordinates, dtype=np.float32).reshape(-1, 3),
        }
    }


def street(vehicles):
    """Objects as pairs of type and distance."""
    locations = [[1.0, 2.0, distance] for _, distance in vehicles]
    return {
        "objects": {
            "type": np.array([kind for kind, _ in vehicles], dtype=np.int64),
            "location": np.array(locations, dtype=np.float32).reshape(-1, 3),
        }
    }


@given(
    st.floats(-99, 99, width=32),
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=6, unique=True),
)
def test_the_bin_is_the_largest_edge_strictly_below(value, edges):
    edges = tuple(sorted([-100.0, *(edge for edge in edges if edge != -100.0)]))
    expected = max(place for place, edge in enumerate(edges) if edge < value)
    assert labels.last_edge_below(value, edges) == expected


@pytest.mark.parametrize("value", [-100.0, -200.0, float("nan")])
def test_a_value_without_a_bin_is_refused(value):
    with pytest.raises(ValueError, match="lowest edge"):
        labels.last_edge_below(value, (-100.0, 8.0))


@pytest.mark.parametrize(("count", "label"), [(3, 0), (4, 1), (10, 7)])
def test_three_objects_are_class_0_and_ten_class_7(count, label):
    assert labels.clevr_count(scene([9.0] * count)) == label


@pytest.mark.parametrize(
    ("distance", "label"),
    [(0.5, 0), (8.0, 0), (8.001, 1), (8.5, 1), (9.0, 2), (9.25, 3), (9.5, 3), (10.0, 4), (11, 5)],
)
def test_a_clevr_distance_on_an_edge_falls_into_the_lower_bin(distance, label):
    assert labels.clevr_closest_distance(scene([50.0, distance, 60.0])) == label


@pytest.mark.parametrize(
    ("distance", "label"),
    [(-3.0, 0), (8.0, 0), (8.01, 1), (20.0, 1), (20.01, 2), (900.0, 2), (999.0, 2), (999.5, 3)],
)
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_kitti_distance_on_an_edge_falls_into_the_lower_bin(distance, label, kind):
    assert labels.kitti_closest_vehicle(street([(7, 1.0), (kind, distance)])) == label


@pytest.mark.parametrize("objects", [[], [(3, 5.0)], [(3, 5.0), (7, 1.0)]])
def test_a_street_without_car_van_or_truck_is_class_3(objects):
    assert labels.kitti_closest_vehicle(street(objects)) == 3


def test_two_positions_share_a_class():
    found = [labels.dsprites_x_position({"label_x_position": np.int64(x)}) for x in range(32)]
    assert found == [x // 2 for x in range(32)]


def test_three_and_two_orientations_share_a_class_in_turn():
    found = [labels.dsprites_orientation({"label_orientation": np.int64(o)}) for o in range(40)]
    assert np.bincount(found).tolist() == [3, 2] * 8
    assert found == sorted(found)


def test_the_two_labels_of_a_toy_are_not_mixed_up():
    record = {"label_azimuth": np.int64(17), "label_elevation": np.int64(8), "label_category": 4}
    assert labels.smallnorb_azimuth(record) == 17
    assert labels.smallnorb_elevation(record) == 8


def test_a_mask_becomes_black_and_white_and_grey_stays_grey():
    image = np.array([[[0], [1]]], dtype=np.uint8)
    assert labels.mask_as_rgb({"image": image}).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    assert labels.grey_as_rgb({"image": image}).tolist() == [[[0, 0, 0], [1, 1, 1]]]
