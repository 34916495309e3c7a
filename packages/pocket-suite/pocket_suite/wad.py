"""The walls of a Doom level, read from its WAD file.

Source: the format as described in the Unofficial Doom Specs (Fell 1994). Recalled.
"""

import struct
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

PLAYER_HEIGHT: Final = 56
"""Height of the player in map units."""
_LUMPS_OF_LEVEL: Final = 10
_BLOCKS_ALL: Final = 1
_NO_SIDE: Final = 0xFFFF
_LINE: Final = np.dtype(
    [("ends", "<u2", 2), ("flags", "<u2"), ("special", "<u2", 2), ("sides", "<u2", 2)]
)
_SIDE: Final = np.dtype([("texture", "S28"), ("sector", "<u2")])
_SECTOR: Final = np.dtype([("floor", "<i2"), ("ceiling", "<i2"), ("rest", "S22")])


class Walls(NamedTuple):
    """The lines of a level that the player cannot cross."""

    start: Float[np.ndarray, "W 2"]
    end: Float[np.ndarray, "W 2"]

    def allow(self, a: Float[np.ndarray, "2"], b: Float[np.ndarray, "2"], clearance: float) -> bool:
        """Return whether the straight way from `a` to `b` crosses no wall, and `b` is clear."""
        along, from_wall = self.end - self.start, b - self.start
        share = np.clip((from_wall * along).sum(-1) / (along**2).sum(-1), 0, 1)
        gap = np.linalg.norm(from_wall - share[:, None] * along, axis=-1)
        sides = _cross(along, from_wall) * _cross(along, a - self.start)
        ends = _cross(b - a, self.start - a) * _cross(b - a, self.end - a)
        return bool(gap.min() >= clearance and not ((sides <= 0) & (ends <= 0)).any())


def read_walls(path: Path, level: str) -> Walls:
    """Read the walls of a level: solid lines, low ceilings and closed doors."""
    lumps = _lumps(path, level)
    lines = np.frombuffer(lumps["LINEDEFS"], _LINE)
    sides = np.frombuffer(lumps["SIDEDEFS"], _SIDE)
    sectors = np.frombuffer(lumps["SECTORS"], _SECTOR)
    points = np.frombuffer(lumps["VERTEXES"], "<i2").reshape(-1, 2).astype(float)
    solid = (lines["flags"] & _BLOCKS_ALL > 0) | (lines["sides"] == _NO_SIDE).any(1)
    touched = np.where(lines["sides"] == _NO_SIDE, 0, lines["sides"])
    floors = sectors["floor"][sides["sector"][touched]].astype(int)
    ceilings = sectors["ceiling"][sides["sector"][touched]].astype(int)
    solid |= ceilings.min(1) - floors.max(1) < PLAYER_HEIGHT
    ends = lines["ends"][solid]
    return Walls(points[ends[:, 0]], points[ends[:, 1]])


def _lumps(path: Path, level: str) -> dict[str, bytes]:
    """Return the data of a level by name."""
    with path.open("rb") as file:
        _, count, offset = struct.unpack("<4sII", file.read(12))
        file.seek(offset)
        entries = [struct.unpack("<II8s", file.read(16)) for _ in range(count)]
        names = [name.rstrip(b"\0").decode("ascii") for _, _, name in entries]
        first = names.index(level) + 1
        lumps = {}
        for number in range(first, first + _LUMPS_OF_LEVEL):
            start, size, _ = entries[number]
            file.seek(start)
            lumps[names[number]] = file.read(size)
    return lumps


def _cross(a: Float[np.ndarray, "*_ 2"], b: Float[np.ndarray, "W 2"]) -> Float[np.ndarray, " W"]:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
