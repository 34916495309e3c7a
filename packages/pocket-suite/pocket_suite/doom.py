"""doom: classify the nearest item in a maze, good or bad, near or far, after DMLab.

In DMLab (Beattie et al. 2016), the nearest object in view is near, medium or far, and its reward is
positive or negative. In the scenario `health_gathering_supreme` of ViZDoom (Kempka et al. 2016),
medical kits are good and vials of poison are bad. Every image is from a separate game, in which the
player is placed near an item and roughly faces it. The label is that of the nearest item that is
sufficiently visible.
"""

import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite.drawing import Example, TaskRenderer, part_number
from pocket_suite.engine import close_game, is_visible, screen, start_game

if TYPE_CHECKING:
    import vizdoom

SMALLEST_VISIBLE: Final = 30
"""Minimum number of visible pixels of an item; smaller ones are ignored."""
BOUNDS: Final = (50.0, 100.0, 160.0, 215.0)
"""Bin edges of the distance in map units; the player is 32 units wide. [ours]"""
KINDS: Final = ("CustomMedikit", "Poison")
_NUM_DISTANCES: Final = len(BOUNDS) - 1
_SCENARIO: Final = "health_gathering_supreme.cfg"
_TICS_TO_REST: Final = 3
_WIDEST_TURN: Final = 42.0
"""Maximum angle of the item from the centre of the 90-degree view, in degrees."""


def open_doom(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of classifying the kind and distance of the nearest item."""
    purpose = "pocket doom"

    def render_example(part: Part, number: int) -> Example:
        key = (seed, part_number(part), number)
        wanted = int(generator(purpose, *key).integers(len(KINDS) * _NUM_DISTANCES))
        game = _game()
        for attempt in itertools.count():
            draws = generator(purpose, *key, attempt)
            game.set_seed(int(draws.integers(1 << 31)))
            game.new_episode()
            if _stand_before(game, wanted, draws) and _label(game.get_state()) == wanted:
                break
        return Example(screen(game.get_state()), wanted, f"game-{part}-{number}")

    return render_example


def item_class(kind: str, distance: float) -> int | None:
    """Return the class of an item: near, medium and far good ones, then the bad ones."""
    place = sum(bound < distance for bound in BOUNDS[1:])
    return KINDS.index(kind) * _NUM_DISTANCES + place if place < _NUM_DISTANCES else None


def close_doom() -> None:
    """End the engine of this process, if any."""
    close_game(_game)


@functools.cache
def _game() -> "vizdoom.DoomGame":
    """Return the game engine of this process."""
    import vizdoom

    game = vizdoom.DoomGame()
    game.load_config(str(Path(vizdoom.scenarios_path) / _SCENARIO))
    game.set_available_buttons([vizdoom.Button.TURN_LEFT_RIGHT_DELTA])
    start_game(game)
    return game


def _stand_before(game: "vizdoom.DoomGame", wanted: int, draws: np.random.Generator) -> bool:
    """Place the player at the given distance from an item of the given kind, roughly facing it."""
    kind, distance = divmod(wanted, _NUM_DISTANCES)
    items = [item for item in game.get_state().objects if item.name == KINDS[kind]]
    item = items[draws.integers(len(items))]
    far = draws.uniform(BOUNDS[distance], BOUNDS[distance + 1])
    angle = draws.uniform(0, 360)
    x = item.position_x - far * np.cos(np.radians(angle))
    y = item.position_y - far * np.sin(np.radians(angle))
    game.send_game_command(f"warp {x:.0f} {y:.0f}")
    game.make_action([0.0], 1)
    if game.is_episode_finished():
        return False
    turn = angle + draws.uniform(-_WIDEST_TURN, _WIDEST_TURN) - _facing(game.get_state())
    game.make_action([float(-((turn + 180) % 360 - 180))], 1)
    game.make_action([0.0], _TICS_TO_REST)
    return not game.is_episode_finished()


def _facing(state: Any) -> float:  # noqa: ANN401 (vizdoom is optional)
    """Return the player's angle in degrees."""
    return float(state.game_variables[2])


def _label(state: Any) -> int | None:  # noqa: ANN401
    """Return the class of the nearest item in view; None if there is none."""
    x, y, _ = state.game_variables
    seen = [
        (float(np.hypot(item.object_position_x - x, item.object_position_y - y)), item.object_name)
        for item in state.labels
        if item.object_name in KINDS and is_visible(state, item, SMALLEST_VISIBLE)
    ]
    if not seen:
        return None
    distance, kind = min(seen)
    return item_class(kind, distance)
