"""The registry of both suites: the functions that render each task."""

from collections.abc import Callable
from typing import Final

from footage.suites.pocket_video import CORRUPTED, corrupted_name
from pocket_suite.clipart import open_clipart
from pocket_suite.corruptions import corrupted
from pocket_suite.digits import open_digits
from pocket_suite.doom import close_doom, open_doom
from pocket_suite.drawing import OpenRenderer
from pocket_suite.fashion import open_fashion
from pocket_suite.freedoom import close_freedoom
from pocket_suite.freedoom_tasks import open_depth, open_item, open_place
from pocket_suite.instances import open_instance
from pocket_suite.landcover import open_landcover
from pocket_suite.objects import open_azimuth, open_elevation
from pocket_suite.scenes import open_count, open_distance
from pocket_suite.sprites import open_location, open_orientation
from pocket_suite.vehicles import open_distance as open_vehicle_distance
from pocket_suite.views import open_views

_CLEAN: Final[dict[str, OpenRenderer]] = {
    "fashion": open_fashion,
    "clipart": open_clipart,
    "object-instance": open_instance,
    "scene-digits": open_digits,
    "landcover": open_landcover,
    "sprite-location": open_location,
    "sprite-orientation": open_orientation,
    "object-azimuth": open_azimuth,
    "object-elevation": open_elevation,
    "doom": open_doom,
    "scene-count": open_count,
    "scene-distance": open_distance,
    "vehicle-distance": open_vehicle_distance,
    "instance": open_views,
    "doom-place": open_place,
    "doom-item": open_item,
    "doom-depth": open_depth,
}

OPEN_RENDERER: Final = _CLEAN | {
    corrupted_name(name): corrupted(_CLEAN[name]) for name in CORRUPTED
}
"""Functions that open the renderer of each task."""

CLOSE_RENDERER: Final[dict[str, Callable[[], None]]] = {
    "doom": close_doom,
    "doom-place": close_freedoom,
    "doom-item": close_freedoom,
    "doom-depth": close_freedoom,
}
"""Functions that end the programs started by a task."""
