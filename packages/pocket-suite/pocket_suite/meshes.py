"""Load meshes of furniture, vehicles and people from the Debian package sweethome3d-furniture.

Each library of the package is a zip archive of Wavefront OBJ files and a catalogue of their sizes.
The catalogue contains the rotation that turns the front of a model to the viewer, and its width,
depth and height in centimetres; directions and distances are based on these. Textures are not read,
because every task paints its own colours.
"""

import functools
import re
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from footage.errors import FootageError

PACKAGE: Final = "sweethome3d-furniture"
_FOLDER: Final = "usr/share/sweethome3d/furniture"
_LIBRARIES: Final = {
    "blendswap-cc-0": "BlendSwap-CC-0.sh3f",
    "blendswap-cc-by": "BlendSwap-CC-BY.sh3f",
    "katorlegaz": "KatorLegaz.sh3f",
    "reallusion": "Reallusion.sh3f",
    "scopia": "Scopia.sh3f",
}
_CATALOGUE: Final = "PluginFurnitureCatalog.properties"
LARGEST_MODEL: Final = 8 * 1024**2
"""Maximum size of an OBJ file, in bytes."""
_FROM_Y_UP: Final = np.asarray([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Rotation from models (y up, front towards +z) to our axes (z up, front towards -y)."""


class Mesh(NamedTuple):
    """Triangles of one model in metres, with its base centred on the ground."""

    corners: Float[np.ndarray, "T 3 3"]
    normals: Float[np.ndarray, "T 3 3"]
    material: Int[np.ndarray, " T"]
    """Index of the material."""

    @property
    def height(self) -> float:
        """The height above the ground, in metres."""
        return float(self.corners[..., 2].max())

    @property
    def radius(self) -> float:
        """The distance from the middle of the height to the farthest corner, in metres."""
        middle = np.asarray([0.0, 0.0, self.height / 2])
        return float(np.linalg.norm(self.corners - middle, axis=-1).max())


@functools.lru_cache(maxsize=128)
def load(assets: Path, name: str) -> Mesh:
    """Load a model by its name in the libraries, such as `scopia/van`.

    Raises:
        FootageError: The package has no such model, or a damaged one.
    """
    folder = assets / PACKAGE / _FOLDER
    library = folder / _LIBRARIES[name.partition("/")[0]]
    stem = name.rpartition("/")[2]
    try:
        with zipfile.ZipFile(library) as archive:
            entry = _entries(library)[name]
            member = archive.getinfo(f"{name}/{stem}.obj")
            if member.file_size > LARGEST_MODEL:
                raise FootageError(f"the model {name} has {member.file_size} bytes")
            text = archive.read(member).decode("latin-1")
        return _placed(_parsed(text), entry)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, IndexError) as error:
        raise FootageError(
            f"the model {name} cannot be read from {library.name}: {error!r}",
            f"fetch {PACKAGE} again",
        ) from error


@functools.lru_cache
def _entries(library: Path) -> dict[str, dict[str, str]]:
    """Return the catalogue of a library: the entry of each model, by the model's name."""
    with zipfile.ZipFile(library) as archive:
        text = archive.read(_CATALOGUE).decode("latin-1")
    entries: dict[str, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)\s*=\s*(.*?)\s*$", text, re.MULTILINE):
        entries.setdefault(number, {})[key] = value
    return {
        entry["model"].strip("/").rpartition("/")[0]: entry
        for entry in entries.values()
        if "model" in entry
    }


def _placed(mesh: Mesh, entry: dict[str, str]) -> Mesh:
    """Return the model, rotated and scaled according to its catalogue."""
    turn = np.eye(3)
    if "modelRotation" in entry:
        turn = np.asarray([float(word) for word in entry["modelRotation"].split()]).reshape(3, 3)
    turn = _FROM_Y_UP.T @ turn
    corners = mesh.corners @ turn.T
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    size = np.asarray([float(entry[side]) for side in ("width", "depth", "height")]) / 100
    stretch = size / np.maximum(high - low, 1e-9)
    base = np.asarray([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    normals = mesh.normals @ turn.T / stretch
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return Mesh((corners - base) * stretch, normals / np.maximum(length, 1e-12), mesh.material)


def _parsed(text: str) -> Mesh:
    """Parse an OBJ file; polygons become triangle fans, missing normals are those of faces."""
    points: list[list[float]] = []
    normals: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    face_normals: list[tuple[int, int, int]] = []
    materials: dict[str, int] = {}
    material: list[int] = []
    current = materials.setdefault("", 0)
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            points.append([float(word) for word in words[:3]])
        elif kind == "vn":
            normals.append([float(word) for word in words[:3]])
        elif kind == "usemtl":
            current = materials.setdefault(" ".join(words), len(materials))
        elif kind == "f":
            place = [_index(word, 0, len(points)) for word in words]
            normal = [_index(word, 2, len(normals)) for word in words]
            for last in range(2, len(words)):
                faces.append((place[0], place[last - 1], place[last]))
                face_normals.append((normal[0], normal[last - 1], normal[last]))
                material.append(current)
    corners = np.asarray(points)[np.asarray(faces)]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    chosen = np.repeat(flat[:, None], 3, axis=1)
    numbers = np.asarray(face_normals)
    if normals:
        chosen = np.where(numbers[..., None] >= 0, np.asarray(normals)[numbers], chosen)
    return Mesh(corners, chosen, np.asarray(material))


def _index(word: str, field: int, count: int) -> int:
    """Return the index of a corner's position or normal; -1 if it has none."""
    fields = word.split("/")
    if field >= len(fields) or not fields[field]:
        return -1
    number = int(fields[field])
    return number - 1 if number > 0 else count + number
