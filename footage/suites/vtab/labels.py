"""Derive images and labels from raw records, as the original VTAB code does.

A record is a TFDS example: a mapping from feature names to numpy values. A distance belongs to the
last bin whose lower edge is strictly below it, so a value on an edge belongs to the lower bin. The
arithmetic is that of the original, in float32.

Source: `data/{clevr,kitti,dsprites,smallnorb}.py` of google-research/task_adaptation at d7630d3.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from jaxtyping import Float, UInt8

from footage.suites.vtab.tasks import LabelRule, PixelRule

Record = Mapping[str, Any]

RGB = UInt8[np.ndarray, "height width 3"]

CLEVR_FEWEST: Final = 3
"""Smallest number of objects in a scene."""
CLEVR_EDGES: Final = (0.0, 8.0, 8.5, 9.0, 9.5, 10.0, 100.0)
"""Bin edges of the distance from the camera, in the units of the CLEVR annotations."""

KITTI_EDGES: Final = (-100.0, 8.0, 20.0, 999.0)
"""Bin edges of the distance from the camera, in metres."""
KITTI_NO_VEHICLE: Final = 1000.0
KITTI_NUM_VEHICLES: Final = 3
"""Number of vehicle types: Car, Van and Truck are the first types in TFDS."""

DSPRITES_POSITIONS_PER_CLASS: Final = 2.0
"""Positions per class: 32 positions in 16 classes."""
DSPRITES_ORIENTATIONS_PER_CLASS: Final = 2.5
"""Orientations per class: 40 in 16 classes, alternately three and two."""


def last_edge_below(value: float | np.floating[Any], edges: tuple[float, ...]) -> int:
    """Return the index of the last of the ascending edges that is strictly below a value.

    Raises:
        ValueError: No edge is below it, or the value is NaN.
    """
    below = np.float32(value) > np.array(edges, dtype=np.float32)
    if not below.any():
        raise ValueError(f"no bin contains {value}: the lowest edge is {edges[0]}")
    return int(below.nonzero()[0][-1])


def stored_label(record: Record) -> int:
    """Return the class given by the data set."""
    return int(record["label"])


def clevr_count(record: Record) -> int:
    """Return class 0 for three objects, up to 7 for ten."""
    return len(record["objects"]["size"]) - CLEVR_FEWEST


def clevr_closest_distance(record: Record) -> int:
    """Return the bin of the closest object's distance, the third pixel coordinate.

    Raises:
        ValueError: There is no object, or it is closer than the lowest edge.
    """
    distances: Float[np.ndarray, " objects"] = np.asarray(record["objects"]["pixel_coords"])[:, 2]
    return last_edge_below(distances.min(), CLEVR_EDGES)


def kitti_closest_vehicle(record: Record) -> int:
    """Return the bin of the distance to the closest car, van or truck; 3 for none.

    Raises:
        ValueError: The distance is below the lowest edge.
    """
    types = np.asarray(record["objects"]["type"])
    locations: Float[np.ndarray, "objects 3"] = np.asarray(record["objects"]["location"])
    distances = locations.reshape(-1, 3)[types < KITTI_NUM_VEHICLES, 2]
    return last_edge_below(distances.min(initial=KITTI_NO_VEHICLE), KITTI_EDGES)


def dsprites_x_position(record: Record) -> int:
    """Return one of sixteen classes of two adjacent positions each."""
    return int(record["label_x_position"] // DSPRITES_POSITIONS_PER_CLASS)


def dsprites_orientation(record: Record) -> int:
    """Return one of sixteen classes of alternately three and two adjacent orientations."""
    return int(record["label_orientation"] // DSPRITES_ORIENTATIONS_PER_CLASS)


def smallnorb_azimuth(record: Record) -> int:
    """Return one of the eighteen directions around the toy."""
    return int(record["label_azimuth"])


def smallnorb_elevation(record: Record) -> int:
    """Return one of the nine elevations of the camera."""
    return int(record["label_elevation"])


def stored_pixels(record: Record) -> RGB:
    """Return the image given by the data set."""
    return np.asarray(record["image"])


def grey_as_rgb(record: Record) -> RGB:
    """Repeat a grey image in three channels; for smallNORB, that of the left camera."""
    return np.tile(record["image"], (1, 1, 3))


def mask_as_rgb(record: Record) -> RGB:
    """Convert a mask of zeros and ones to black and white."""
    return grey_as_rgb(record) * np.uint8(255)


LABELS: Final[Mapping[LabelRule, Callable[[Record], int]]] = {
    "stored_label": stored_label,
    "clevr_count": clevr_count,
    "clevr_closest_distance": clevr_closest_distance,
    "kitti_closest_vehicle": kitti_closest_vehicle,
    "dsprites_x_position": dsprites_x_position,
    "dsprites_orientation": dsprites_orientation,
    "smallnorb_azimuth": smallnorb_azimuth,
    "smallnorb_elevation": smallnorb_elevation,
}

PIXELS: Final[Mapping[PixelRule, Callable[[Record], RGB]]] = {
    "stored_pixels": stored_pixels,
    "grey_as_rgb": grey_as_rgb,
    "mask_as_rgb": mask_as_rgb,
}
