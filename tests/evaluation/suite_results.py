"""Made-up rows of all nineteen tasks of VTAB-1k."""

import msgspec

from footage.evaluation.suite_results import SuiteRow
from footage.suites.vtab.tasks import ROWS

VTAB = {row.name: row.group for row in ROWS}


def row(task: str, value: float, **changes: object) -> SuiteRow:
    """A row of the lightweight protocol, with changes."""
    made = SuiteRow(
        suite="vtab-1k",
        task=task,
        group=VTAB.get(task, "other"),
        model="a",
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
        marks=("lossy JPEG dump",),
        missing={},
        architecture="resnet50",
        start="random weights, seed 0",
        size=224,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        resize="bilinear",
        precision="float32",
    )
    return msgspec.structs.replace(made, **changes)


def suite(**changes: object) -> list[SuiteRow]:
    """All nineteen tasks: 0.9 in natural, 0.6 in specialized, 0.3 in structured ones."""
    by_group = {"natural": 0.9, "specialized": 0.6, "structured": 0.3}
    return [row(task, by_group[group], **changes) for task, group in VTAB.items()]
