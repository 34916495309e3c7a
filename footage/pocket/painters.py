"""Which function draws which task: the registry of the suite."""

from collections.abc import Callable
from typing import Final

from footage.pocket.clipart import open_clipart
from footage.pocket.digits import open_digits
from footage.pocket.doom import close_game, open_doom
from footage.pocket.drawing import Opener
from footage.pocket.fashion import open_fashion
from footage.pocket.instances import open_instance
from footage.pocket.landcover import open_landcover
from footage.pocket.objects import open_azimuth, open_elevation
from footage.pocket.scenes import open_count, open_distance
from footage.pocket.sprites import open_location, open_orientation
from footage.pocket.vehicles import open_distance as open_vehicle_distance

OPENERS: Final[dict[str, Opener]] = {
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
}

CLOSERS: Final[dict[str, Callable[[], None]]] = {"doom": close_game}
"""Ends what a task has started beside this process."""
