"""Footage of the world of `freedoom`: a scripted player explores the levels.

The player walks where there is room, opens doors, turns when it is stuck, and fights or avoids the
monsters that it sees. Every few seconds it is moved to another position of the level, which is a
cut, as after a door or a respawn. Each episode is a video; `truth.json` lists level and cuts.
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from footage.errors import ConfigError
from footage.io import files
from footage.seeding import generator
from footage.synthetic.encoding import encode_video
from footage.synthetic.rendered import TRUTH, TRUTH_VERSION, Truth, is_complete
from pocket_suite import freedoom
from pocket_suite.drawing import Pixels
from pocket_suite.engine import HIGH, WIDE, is_visible, screen

FPS: Final = Fraction(35)
"""Frame rate of videos: one frame per tic of the game."""
TICS_PER_STEP: Final = 4
"""Number of tics for which the player repeats an action."""
SECONDS: Final = (30.0, 60.0)
"""Shortest and longest episode."""
SECONDS_BETWEEN_CUTS: Final = (5.0, 15.0)
_CHEATS: Final = ("god", "give all")
_SMALLEST_MONSTER: Final = 60
"""Minimum number of visible pixels of a monster that the player notices."""
_COURAGE: Final = 0.6
"""How often the player decides to fight and not to avoid monsters."""
_AIMED: Final = 8.0
"""The player attacks within this angle, in degrees."""
_ROOM_AHEAD: Final = 9.0
"""The player turns when a wall is nearer than this, in units of the depth buffer."""


def render_gameplay(folder: str | Path, *, num_episodes: int = 160, seed: int = 0) -> list[Path]:
    """Render videos of the game with `truth.json` next to them; an existing complete set is kept.

    Args:
        folder: Where to write the videos.
        num_episodes: Number of videos, of 45 seconds on average.
        seed: Seed of all random draws; the same seed gives the same videos.

    Raises:
        ConfigError: The number of episodes is out of range, or ViZDoom is not installed.
        BusyError: Another process is rendering into the folder.
    """
    if num_episodes < 1:
        raise ConfigError(f"episodes must be at least 1, got {num_episodes}")
    try:
        import vizdoom  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the Python package vizdoom is not installed", "pip install 'pocket-suite[doom]'"
        ) from error
    folder = Path(folder)
    settings: dict[str, int | float] = {"num_episodes": num_episodes, "seed": seed}
    paths = [folder / f"episode-{number:04d}.mp4" for number in range(num_episodes)]
    if is_complete(folder, settings, paths):
        return paths
    with files.exclusive(folder / ".lock", folder):
        try:
            videos = [_render(path, number, seed) for number, path in enumerate(paths)]
        finally:
            freedoom.close_freedoom()
        TRUTH.write(folder / "truth.json", Truth(TRUTH_VERSION, settings, videos))
    return paths


def _render(path: Path, number: int, seed: int) -> dict[str, Any]:
    """Play and encode one episode; return its entry in the ground truth."""
    draws = generator("pocket gameplay", seed, number)
    level = freedoom.LEVELS[number % len(freedoom.LEVELS)]
    num_frames = round(draws.uniform(*SECONDS) * FPS)
    cuts: list[int] = []
    partial = path.with_name(path.name + ".partial")
    encode_video(partial, play(level, draws, num_frames, cuts), FPS, (WIDE, HIGH))
    os.replace(partial, path)
    return {
        "file": path.name,
        "level": level,
        "num_frames": num_frames,
        "cut_frames": cuts,
        "cut_seconds": [round(float(cut / FPS), 6) for cut in cuts],
    }


def play(
    level: str, draws: np.random.Generator, num_frames: int, cuts: list[int]
) -> Iterator[Pixels]:
    """Explore a level; add the number of the first frame after each cut to `cuts`."""
    freedoom.start_level(level, draws, _CHEATS)
    game = freedoom.game()
    spots = freedoom.positions(freedoom.PICKUPS)
    steps_until_cut = 0
    for number in range(0, num_frames, TICS_PER_STEP):
        if game.is_episode_finished():  # the player walked into the level's exit
            freedoom.start_level(level, draws, _CHEATS)
            steps_until_cut = 0
        action = Action()
        if steps_until_cut == 0:
            freedoom.jump_to(*spots[draws.integers(len(spots))])
            freedoom.act(draws.uniform(-180, 180), tics=TICS_PER_STEP)
            player = Explorer(draws)
            steps_until_cut = round(draws.uniform(*SECONDS_BETWEEN_CUTS) * FPS / TICS_PER_STEP)
            if number > 0:
                cuts.append(number)
        else:
            action = player.action(freedoom.current_state())
        steps_until_cut -= 1
        for _ in range(min(TICS_PER_STEP, num_frames - number)):
            if not game.is_episode_finished():
                freedoom.act(
                    action.turn / TICS_PER_STEP,
                    tics=1,
                    walk=action.walks,
                    attack=action.attacks,
                    use=action.uses,
                )
            if not game.is_episode_finished():
                picture = screen(freedoom.current_state())
            yield picture


class Action(NamedTuple):
    """An action of the player in one step."""

    turn: float = 0.0
    """Turn to the left, in degrees."""
    walks: bool = False
    attacks: bool = False
    uses: bool = False
    """Whether the player opens a door in front of it."""


class Explorer:
    """The scripted player."""

    def __init__(self, draws: np.random.Generator) -> None:
        self._draws = draws
        self._position = (0.0, 0.0)
        self._turn = 0.0
        """Degrees per step by which the player turns away from a wall; 0 while it walks."""
        self._steps_left = 0
        """Minimum number of steps for which it keeps turning."""
        self._fights = True

    def action(self, state: Any) -> Action:  # noqa: ANN401 (vizdoom is optional)
        """Choose the next action."""
        x, y, _ = state.game_variables
        moved = float(np.hypot(x - self._position[0], y - self._position[1]))
        self._position = (x, y)
        left, ahead, right = _room(state)
        self._steps_left = max(0, self._steps_left - 1)
        if self._turn and (self._steps_left or ahead < _ROOM_AHEAD):
            return Action(self._turn, walks=moved > 0 and ahead > _ROOM_AHEAD)
        self._turn = 0.0
        offset = _nearest_monster(state)
        if offset is not None:
            attacks = self._fights and abs(offset) < _AIMED
            turn = np.clip(-offset, -15, 15) if self._fights else np.copysign(12, offset)
            return Action(float(turn), walks=not attacks, attacks=attacks)
        if ahead < _ROOM_AHEAD or moved < TICS_PER_STEP:
            is_stuck = moved < TICS_PER_STEP
            side = self._draws.choice([-1, 1]) if is_stuck else left - right
            self._turn = float(np.copysign(self._draws.uniform(8, 22), side))
            self._steps_left = int(self._draws.integers(2, 14 if is_stuck else 7))
            self._fights = self._draws.uniform() < _COURAGE
            return Action(uses=True)  # the wall may be a door
        turn = 8 * (left - right) / (left + right + 1) + self._draws.normal(0, 3)
        return Action(turn, walks=True)


def _nearest_monster(state: Any) -> float | None:  # noqa: ANN401
    """Return the angle of the largest monster in view, in degrees to the right; None for none."""
    monsters = [
        entry
        for entry in state.labels
        if entry.object_category == "Monster" and is_visible(state, entry, _SMALLEST_MONSTER)
    ]
    if not monsters:
        return None
    monster = max(monsters, key=lambda entry: (entry.width * entry.height, -entry.object_id))
    half = state.labels_buffer.shape[1] / 2
    return float(np.degrees(np.arctan((monster.x + monster.width / 2) / half - 1)))


def _room(state: Any) -> tuple[float, float, float]:  # noqa: ANN401
    """Return the depth on the left, ahead (of what is nearest) and on the right."""
    high, wide = state.depth_buffer.shape
    middle = state.depth_buffer[high * 2 // 5 : high * 3 // 5].astype(float)
    ahead = np.percentile(middle[:, wide * 2 // 5 : wide * 3 // 5], 10)
    left, right = middle[:, : wide // 2].mean(), middle[:, wide // 2 :].mean()
    return float(left), float(ahead), float(right)
