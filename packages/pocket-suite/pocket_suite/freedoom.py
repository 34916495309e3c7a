"""The world of the tasks `doom-place`, `doom-item` and `doom-depth`, and of their footage.

It consists of five levels of Freedoom, which ViZDoom contains: a military base (MAP01), computer
rooms (MAP08), a plant (MAP09), a city (MAP12) and a castle in a lake of blood (MAP20).

The player stands where it could have walked in a straight line from something to pick up.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Bool, Float

from footage.suites.pocket import Part
from pocket_suite import engine
from pocket_suite.wad import Walls, read_walls

if TYPE_CHECKING:
    import vizdoom

LEVELS: Final = ("MAP01", "MAP08", "MAP09", "MAP12", "MAP20")
PICKUPS: Final = ("Health", "Armor", "Ammo", "Weapon")
"""Categories of objects that the player can stand on."""
CELL: Final = 96
"""Side of the square cells of a level, in map units; all positions in a cell are in one split."""
MARGIN: Final = 16
"""Minimum distance of a position from the edge of its cell: so positions of different splits are
at least 32 units apart, the width of the player. [ours]"""
DARKEST: Final = 15.0
"""Minimum mean of an image, which has values up to 255."""
UNITS_OF_DEPTH: Final = 7.4
"""Map units per unit of the depth buffer, measured on objects at known distances."""
_PARTS_OF_CELLS: Final = ("train800", "test", "train800", "test", "val200")
_LONGEST_WAY: Final = 300.0
"""Maximum distance from an object to pick up, in map units."""
_CLEARANCE: Final = 20.0
"""Minimum distance from walls; the player is 16 units from its centre to its sides."""
_CANDIDATES: Final = 4000
"""Number of positions that are drawn before the level starts again."""
_TICS_TO_START: Final = 10
"""The player does not turn in the first seven tics of a level."""
_TICS_TO_REST: Final = 2


def wad() -> Path:
    """Return the file of the levels."""
    import vizdoom

    return Path(vizdoom.__file__).with_name("freedoom2.wad")


Accepts = Callable[[Float[np.ndarray, "P 2"]], Bool[np.ndarray, " P"]]
"""A function that accepts or rejects positions."""

Aim = Callable[[float, float], float]
"""A function from a position to the direction in which to look, in degrees."""


@functools.cache
def walls(level: str) -> Walls:
    """Return the walls of a level."""
    return read_walls(wad(), level)


@functools.cache
def game() -> "vizdoom.DoomGame":
    """Return the game engine of this process."""
    import vizdoom

    started = vizdoom.DoomGame()
    started.set_doom_game_path(str(wad()))
    started.set_doom_map(LEVELS[0])
    started.set_depth_buffer_enabled(True)
    buttons = vizdoom.Button
    started.set_available_buttons(
        [buttons.TURN_LEFT_RIGHT_DELTA, buttons.MOVE_FORWARD, buttons.ATTACK, buttons.USE]
    )
    started.add_game_args("+cl_showsecretmessage 0")
    engine.start_game(started)
    return started


def close_freedoom() -> None:
    """End the engine of this process, if any."""
    engine.close_game(game)


def start_level(level: str, draws: np.random.Generator, cheats: Sequence[str]) -> None:
    """Start a level anew, in a state that depends on the draws alone."""
    if game().get_doom_map() != level:  # it restarts the level, and so does the new episode
        game().set_doom_map(level)
    game().set_seed(int(draws.integers(1 << 31)))
    game().new_episode()
    for cheat in cheats:
        game().send_game_command(cheat)
    act(tics=_TICS_TO_START)


def act(
    turn: float = 0, *, tics: int, walk: bool = False, attack: bool = False, use: bool = False
) -> None:
    """Turn left by an angle in degrees, and hold buttons, during a number of tics of 1/35 s."""
    turn = (turn + 180) % 360 - 180
    game().make_action([-turn / tics, walk, attack, use], tics)


def jump_to(x: float, y: float) -> None:
    """Move the player to a position at once."""
    game().send_game_command(f"warp {x:.0f} {y:.0f}")


def current_state() -> Any:  # noqa: ANN401 (vizdoom is optional)
    """Return the state of a game that is not finished."""
    state = game().get_state()
    assert state is not None
    return state


def positions(kinds: Collection[str]) -> Float[np.ndarray, "P 2"]:
    """Return the positions of all objects of some kinds or categories."""
    return np.array(
        [
            (item.position_x, item.position_y)
            for item in current_state().objects
            if item.name in kinds or item.category in kinds
        ]
    ).reshape(-1, 2)


def views(
    level: str, draws: np.random.Generator, part: Part, accepts: Accepts, aim: Aim
) -> Iterator[tuple[Any, str]]:
    """Look around in a level that has just started, from random positions of a split.

    Args:
        level: Name of the level.
        draws: Generator of all draws.
        part: The split to which the positions belong.
        accepts: Whether positions may be used.
        aim: Where to look.

    Yields:
        The state of the game and the name of the player's cell.
    """
    starts = positions(PICKUPS)
    start = starts[draws.integers(len(starts), size=_CANDIDATES)]
    points = start + draws.uniform(-_LONGEST_WAY, _LONGEST_WAY, start.shape)
    suits = accepts(points) & is_in_part(points, part)
    for one, point in zip(start[suits], points[suits], strict=True):
        if walls(level).allow(one, point, _CLEARANCE):
            x, y = point
            turn = aim(x, y) - current_state().game_variables[2]
            jump_to(x, y)
            act(turn, tics=_TICS_TO_REST)
            state = current_state()
            if engine.screen(state).mean() >= DARKEST:
                yield state, f"{level}-{int(x // CELL)}-{int(y // CELL)}"


def is_in_part(points: Float[np.ndarray, "P 2"], part: Part) -> Bool[np.ndarray, " P"]:
    """Return which positions belong to a split; those near the edge of a cell belong to none.

    Each row and column of cells repeats the splits train, test, train, test, validation, so every
    region of five cells contains all of them.
    """
    column, row = (points // CELL).astype(int).T
    parts = np.array(_PARTS_OF_CELLS)[(column + 2 * row) % len(_PARTS_OF_CELLS)]
    gaps = points % CELL
    inside = ((gaps >= MARGIN) & (gaps <= CELL - MARGIN)).all(1)
    return np.asarray(inside & (parts == part))
