"""A suite of two tiny tasks in the PETL folder layout, and a tiny protocol to evaluate with."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import cv2
import torch

from footage.evaluation import execution, runner
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.protocols import VTAB_DECAYS, Protocol, Setting
from footage.evaluation.results import ResultRow
from footage.optim.config import OptimizerConfig
from footage.suites.vtab.folder import open_suite
from tests.support.labelled_shapes import drawn

COUNTS = {"train800": 24, "val200": 12, "test": 18}
KINDS = ("disc", "bars", "slab")


def write_suite(folder: Path, names: tuple[str, ...] = ("first", "second")) -> Path:
    """Tasks of three drawn shapes; the tasks differ in their images."""
    for place, name in enumerate(names):
        write_task(folder / name, place)
    return folder


def write_task(folder: Path, seed: int = 0) -> Path:
    """One task with its four lists."""
    lines: dict[str, list[str]] = {}
    for offset, (part, count) in enumerate(COUNTS.items()):
        (folder / "images" / part).mkdir(parents=True)
        lines[part] = []
        for index in range(count):
            image = drawn(KINDS[index % 3], 10_000 * seed + 1000 * offset + index)
            name = f"images/{part}/{index:06}.png"
            cv2.imwrite(str(folder / name), image)
            lines[part].append(f"{name} {index % 3}\n")
    lines["train800val200"] = lines["train800"] + lines["val200"]
    for part, written in lines.items():
        (folder / f"{part}.txt").write_text("".join(written))
    return folder


def relabel(folder: Path, shift: int = 1) -> None:
    """Change the labels of the test list, and nothing else."""
    path = folder / "test.txt"
    words = [line.split() for line in path.read_text().splitlines()]
    path.write_text("".join(f"{name} {(int(label) + shift) % 3}\n" for name, label in words))


def settings(*learning_rates: float, steps: int = 3) -> tuple[Setting, ...]:
    """A grid over learning rates."""
    return tuple(
        Setting(
            optimizer=OptimizerConfig(name="sgd", learning_rate=rate, weight_decay=0.0),
            schedule=VTAB_DECAYS,
            steps=steps,
            batch_size=8,
        )
        for rate in learning_rates
    )


TINY = Protocol(
    name="tiny", adapt="fine-tune", settings=settings(0.05, 0.005), seeds=(0, 1), size=32
)


def tiny(**changes: object) -> Protocol:
    """The tiny protocol with changes."""
    return dataclasses.replace(TINY, **changes)  # type: ignore[arg-type]


def evaluation(
    data: Path, out: Path, *, workers: int = 1, protocol: Protocol = TINY, **changes: Any
) -> execution.Evaluation:
    """The tiny network, evaluated by one protocol on all tasks of a folder."""
    suite = open_suite(data, ())
    made = execution.Evaluation(
        entries=(
            execution.entry(
                EvaluatedModel(model="test_resnet", size=32), protocol, out / protocol.name
            ),
        ),
        tasks=suite.tasks,
        out=out,
        batch_size=8,
        workers=workers,
        suite=suite.name,
        table=dict.fromkeys(("first", "second"), "other"),
    )
    return dataclasses.replace(made, **changes)


def evaluate(
    data: Path, out: Path, *, workers: int = 1, protocol: Protocol = TINY
) -> list[ResultRow]:
    """All rows of the evaluation; they are in OUT/PROTOCOL afterwards, too."""
    return runner.run(evaluation(data, out, workers=workers, protocol=protocol))


if __name__ == "__main__":  # what the tests of being killed start
    torch.set_num_threads(1)
    evaluate(Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]))
