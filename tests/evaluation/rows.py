"""Made-up rows of all nineteen tasks of VTAB-1k, and of a labelled folder."""

import json
from typing import Any

import msgspec

from footage.evaluation.leakage import Leakage
from footage.evaluation.results import ResultRow
from footage.suites.vtab.tasks import ROWS

VTAB = {row.name: row.group for row in ROWS}


def row(task: str, value: float, **changes: object) -> ResultRow:
    """A row of the lightweight protocol, with changes."""
    made = ResultRow(
        suite="vtab-1k",
        task=task,
        group=VTAB.get(task, "other"),
        model="a",
        baseline="",
        metric="top-1",
        split="train800, val200 and test lists",
        seed=0,
        protocol="lightweight",
        sweep_size=4,
        seed_rule="median of 3 seeds",
        generation="v2",
        value=value,
        standard_error=0.01,
        seed_values=(value,),
        chance=0.1,
        validation=0.5,
        selected={"setting": 1.0, "optimizer": "sgd"},
        num_classes=10,
        num_train=800,
        num_val=200,
        num_test=1000,
        deviations=("lossy JPEG dump",),
        missing={},
        architecture="resnet50",
        weights_origin="random weights, seed 0",
        size=224,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        resize="bilinear",
        precision="float32",
    )
    return msgspec.structs.replace(made, **changes)


def suite(**changes: object) -> list[ResultRow]:
    """All nineteen tasks: 0.9 in natural, 0.6 in specialized, 0.3 in structured ones."""
    by_group = {"natural": 0.9, "specialized": 0.6, "structured": 0.3}
    return [row(task, by_group[group], **changes) for task, group in VTAB.items()]


HASH = "0123456789abcdef"


def labelled(**changes: object) -> ResultRow:
    """A row of a run on a labelled folder, with changes."""
    made = row(
        "photos", 0.75, suite="", group="other", model="runs/first", protocol="knn",
        seed_rule="one run", sweep_size=32, standard_error=0.1, chance=0.5, validation=0.8,
        selected={"temperature": 0.07}, num_classes=2, num_train=60, num_val=20, num_test=20,
        deviations=(), split="60/20/20 per class, seed 0", architecture="resnet18",
        weights_origin="step 12 of runs/first", size=32, resize="area", images=HASH, weights=HASH,
        leakage=Leakage(images=3, frames=0, copies=1, unchecked=()),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


VERSION_2 = (
    "model", "task", "protocol", "metric", "value", "standard_error", "validation", "selected",
    "num_classes", "num_train", "num_val", "num_test", "split", "seed", "architecture", "size",
    "images", "weights", "leakage", "interval",
)  # fmt: skip


def version_2(row: ResultRow) -> dict[str, object]:
    """A row as version 2 of the JSON file contained it."""
    plain = msgspec.to_builtins(row)
    changed = {"column": row.role, "start": row.weights_origin}
    return {name: plain[name] for name in VERSION_2} | changed


def earlier_identity(identity: dict[str, Any]) -> dict[str, Any]:
    """The description of an evaluation as earlier versions wrote it."""
    text = json.dumps(identity).replace('"model": {', '"contender": {')
    for name in ("warmup", "final"):
        text = text.replace(f'"{name}_fraction"', f'"{name}_share"')
    found: dict[str, Any] = json.loads(text.replace('"decay_fractions"', '"decay_shares"'))
    return found
