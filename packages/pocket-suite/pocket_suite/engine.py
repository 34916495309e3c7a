"""The game engine ViZDoom (Kempka et al. 2016), a separate program, started once per process."""

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from pocket_suite.drawing import Pixels

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

    import vizdoom

WIDE, HIGH = 160, 120
"""Size of images in pixels; the engine renders twice as many in both directions."""


def start_game(game: "vizdoom.DoomGame") -> None:
    """Start a game without window and sound whose screen shows the world alone."""
    import vizdoom

    game.set_doom_config_path(os.devnull)
    game.add_game_args("+gl_cachenodes 0")
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_render_hud(False)
    game.set_render_weapon(False)
    game.set_render_crosshair(False)
    game.set_labels_buffer_enabled(True)
    game.set_objects_info_enabled(True)
    variables = vizdoom.GameVariable
    game.set_available_game_variables([variables.POSITION_X, variables.POSITION_Y, variables.ANGLE])
    # The engine would leave folders in the working directory.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        game.init()


def close_game(cached: "_lru_cache_wrapper[vizdoom.DoomGame]") -> None:
    """End the engine that a cached function started in this process, if any."""
    if cached.cache_info().currsize:
        cached().close()
        cached.cache_clear()


def screen(state: Any) -> Pixels:  # noqa: ANN401 (vizdoom is optional)
    """Return the picture of a state."""
    return np.asarray(
        cv2.resize(state.screen_buffer, (WIDE, HIGH), interpolation=cv2.INTER_AREA), np.uint8
    )


def is_visible(state: Any, item: Any, smallest: int) -> bool:  # noqa: ANN401
    """Return whether an entry of the labels covers at least `smallest` pixels of an image."""
    scale = state.labels_buffer.shape[1] // WIDE
    return bool(np.count_nonzero(state.labels_buffer == item.value) >= smallest * scale**2)
