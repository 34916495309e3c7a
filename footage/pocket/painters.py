"""Which function draws which task: the registry of the suite."""

from typing import Final

from footage.pocket.clipart import open_clipart
from footage.pocket.drawing import Opener
from footage.pocket.fashion import open_fashion
from footage.pocket.scenes import open_count, open_distance
from footage.pocket.sprites import open_location, open_orientation

OPENERS: Final[dict[str, Opener]] = {
    "fashion": open_fashion,
    "clipart": open_clipart,
    "scene-count": open_count,
    "scene-distance": open_distance,
    "sprite-location": open_location,
    "sprite-orientation": open_orientation,
}
