"""Cube, sphere, cylinder, cone and torus as triangles, standing on the ground around the origin."""

from typing import Final

import numpy as np
from jaxtyping import Float, Int

Corners = Float[np.ndarray, "_ 3 3"]
Solid = tuple[Corners, Corners]
"""Corners and normals of the triangles; radius about 1, the lowest point at z = 0."""

_AROUND: Final = 40
"""Number of edges that approximate a circle."""


def _grid(
    points: Float[np.ndarray, "rows columns 3"], normals: Float[np.ndarray, "rows columns 3"]
) -> Solid:
    """Make two triangles per cell of a grid of points."""

    def cells(values: Float[np.ndarray, "rows columns 3"]) -> Corners:
        a, b, c, d = values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]
        two = np.stack([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)], axis=2)
        return np.asarray(two.reshape(-1, 3, 3))

    return cells(points), cells(normals)


def _turned(
    radius: Float[np.ndarray, " n"],
    height: Float[np.ndarray, " n"],
    normal: Float[np.ndarray, "n 2"],
) -> Solid:
    """Make a surface of revolution about the z axis from its profile."""
    angle = np.linspace(0, 2 * np.pi, _AROUND + 1)
    cosine, sine = np.cos(angle), np.sin(angle)

    def around(
        out: Float[np.ndarray, " n"], up: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n m 3"]:
        flat = np.broadcast_to(up[:, None], (len(up), len(angle)))
        return np.stack([out[:, None] * cosine, out[:, None] * sine, flat], axis=-1)

    return _grid(around(radius, height), around(normal[:, 0], normal[:, 1]))


def _joined(*solids: Solid) -> Solid:
    return (
        np.concatenate([corners for corners, _ in solids]),
        np.concatenate([normals for _, normals in solids]),
    )


def _disc(height: float, radius: float) -> Solid:
    return _turned(
        np.asarray([0.0, radius]), np.full(2, height), np.asarray([[0.0, 1.0], [0.0, 1.0]])
    )


def _cube() -> Solid:
    half = 0.8
    ends = np.asarray([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
    faces: list[Corners] = []
    normals: list[Corners] = []
    order: Int[np.ndarray, "2 3"] = np.asarray([[0, 1, 2], [0, 2, 3]])
    for axis in range(3):
        for sign in (-1, 1):
            square = np.insert(ends, axis, sign * half, axis=1)
            square[:, 2] += half
            faces.append(square[order])
            normals.append(np.broadcast_to(np.eye(3)[axis] * sign, (2, 3, 3)))
    return np.concatenate(faces), np.concatenate(normals)


def _sphere() -> Solid:
    angle = np.linspace(-np.pi / 2, np.pi / 2, _AROUND // 2 + 1)
    normal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _turned(normal[:, 0], 1 + normal[:, 1], normal)


def _cylinder() -> Solid:
    side = _turned(np.full(2, 0.85), np.asarray([0.0, 1.7]), np.asarray([[1.0, 0.0]] * 2))
    return _joined(side, _disc(1.7, 0.85))


def _cone() -> Solid:
    slope = np.asarray([[2.0, 1.0]] * 2) / np.sqrt(5)
    return _turned(np.asarray([1.0, 0.0]), np.asarray([0.0, 2.0]), slope)


def _torus() -> Solid:
    angle = np.linspace(0, 2 * np.pi, 21)
    normal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _turned(0.65 + 0.35 * normal[:, 0], 0.35 + 0.35 * normal[:, 1], normal)


SOLIDS: Final[dict[str, Solid]] = {
    "cube": _cube(),
    "sphere": _sphere(),
    "cylinder": _cylinder(),
    "cone": _cone(),
    "torus": _torus(),
}
