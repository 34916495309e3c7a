"""Small data sets with the features that TFDS gives, in which the classes are known beforehand.

Each record is made from its classes, never the other way round, so that the label rules are not
tested against themselves. Splits have their real sizes; records are made when they are read.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from footage.suites.vtab.tasks import VtabTask, records

CLEVR_BINS = ((0.1, 8.0), (8.01, 8.5), (8.51, 9.0), (9.01, 9.5), (9.51, 10.0), (10.01, 30.0))
"""First and last distance of each class; the last lies on the edge."""
KITTI_BINS = ((-1.0, 8.0), (8.01, 20.0), (20.01, 80.0))
ORIENTATIONS = (
    *((0, 1, 2), (3, 4), (5, 6, 7), (8, 9), (10, 11, 12), (13, 14), (15, 16, 17), (18, 19)),
    *((20, 21, 22), (23, 24), (25, 26, 27), (28, 29), (30, 31, 32), (33, 34), (35, 36, 37)),
    (38, 39),
)
"""Of each class."""

Record = dict[str, Any]
Classes = dict[str, int]
"""The class of a record in each task that is made of it."""


def miniature(task: VtabTask) -> VtabTask:
    """The task with fewer images in each part, at the places where the real parts begin."""

    def shorter(part: str, count: int) -> str:
        split, places = records(part, task.sizes)
        return f"{split}[{places.start}:{places.start + count}]"

    return dataclasses.replace(
        task,
        train800=shorter(task.train800, 24),
        val200=shorter(task.val200, 8),
        test=shorter(task.test, 10),
    )


@dataclasses.dataclass(frozen=True)
class MiniatureRecords:
    """A data set as `footage.suites.vtab.export` wants it."""

    task: VtabTask
    sizes: Mapping[str, int]

    @property
    def name(self) -> str:
        return self.task.builder.replace("*", "0")

    def read(self, part: str) -> Iterator[Record]:
        for record, _ in self.with_classes(part):
            yield record

    def with_classes(self, part: str) -> list[tuple[Record, Classes]]:
        split, places = records(part, self.sizes)
        return [make(self.task, split, place) for place in places]


def make(task: VtabTask, split: str, place: int) -> tuple[Record, Classes]:
    """One record and its classes, which depend on the builder and the place alone."""
    generator = np.random.default_rng([place, len(split)])
    family = task.builder.partition(":")[0]
    if family in MAKERS:
        return MAKERS[family](generator)
    label = int(generator.integers(task.num_classes))
    return {"image": _colours(generator), "label": np.int64(label)}, {task.name: label}


def _colours(generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, 256, (6, 7, 3), dtype=np.uint8)


def _in_bin(generator: np.random.Generator, edges: tuple[float, float]) -> float:
    return edges[1] if generator.random() < 0.3 else float(generator.uniform(*edges))


def _clevr(generator: np.random.Generator) -> tuple[Record, Classes]:
    count, distance = int(generator.integers(8)), int(generator.integers(6))
    coordinates = generator.uniform(40, 90, (count + 3, 3)).astype(np.float32)
    coordinates[generator.integers(count + 3), 2] = _in_bin(generator, CLEVR_BINS[distance])
    objects = {
        "3d_coords": generator.normal(size=(count + 3, 3)).astype(np.float32),
        "pixel_coords": coordinates,
        "size": generator.integers(0, 2, count + 3),
        "shape": generator.integers(0, 3, count + 3),
    }
    record = {"file_name": b"CLEVR.png", "image": _colours(generator), "objects": objects}
    return record, {"clevr_count": count, "clevr_dist": distance}


def _kitti(generator: np.random.Generator) -> tuple[Record, Classes]:
    label = int(generator.integers(4))
    people = [(int(generator.integers(3, 8)), float(generator.uniform(1, 90))) for _ in range(2)]
    vehicles = []
    if label < 3:
        nearest = _in_bin(generator, KITTI_BINS[label])
        vehicles = [(int(generator.integers(3)), nearest + further) for further in (0.0, 7.0)]
    seen = people[: int(generator.integers(3))] + vehicles
    locations = [(1.0, 2.0, distance) for _, distance in seen]
    objects = {
        "type": np.array([kind for kind, _ in seen], dtype=np.int64),
        "location": np.array(locations, dtype=np.float32).reshape(-1, 3),
        "alpha": np.zeros(len(seen), dtype=np.float32),
    }
    return {"image": _colours(generator), "objects": objects}, {"kitti": label}


def _dsprites(generator: np.random.Generator) -> tuple[Record, Classes]:
    place, turn = int(generator.integers(16)), int(generator.integers(16))
    record = {
        "image": generator.integers(0, 2, (64, 64, 1), dtype=np.uint8),
        "label_x_position": np.int64(2 * place + generator.integers(2)),
        "label_y_position": generator.integers(32),
        "label_orientation": generator.choice(ORIENTATIONS[turn]),
        "label_shape": generator.integers(3),
        "label_scale": generator.integers(6),
    }
    return record, {"dsprites_loc": place, "dsprites_ori": turn}


def _smallnorb(generator: np.random.Generator) -> tuple[Record, Classes]:
    azimuth, elevation = int(generator.integers(18)), int(generator.integers(9))
    left, right = generator.integers(0, 256, (2, 96, 96, 1), dtype=np.uint8)
    record = {
        "image": left,
        "image2": right,
        "instance": generator.integers(10),
        "label_azimuth": np.int64(azimuth),
        "label_elevation": np.int64(elevation),
        "label_category": generator.integers(5),
        "label_lighting": generator.integers(6),
    }
    return record, {"smallnorb_azi": azimuth, "smallnorb_ele": elevation}


MAKERS = {"clevr": _clevr, "kitti": _kitti, "dsprites": _dsprites, "smallnorb": _smallnorb}
