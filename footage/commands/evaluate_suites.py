"""The suites that `footage evaluate` knows, and the evaluation of models on one of them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from footage.errors import ConfigError, UnknownNameError
from footage.evaluation import execution
from footage.evaluation.comparison_files import folder_name_of
from footage.evaluation.config import EvaluateConfig
from footage.evaluation.dataset import OTHER
from footage.evaluation.models import CHANCE, EvaluatedModel, with_baselines
from footage.evaluation.protocols import protocols as named
from footage.evaluation.suite import Suite
from footage.images.common import some
from footage.io.walk import text
from footage.runs import layout
from footage.suites import pocket, pocket_video
from footage.suites.task_spec import TaskRow
from footage.suites.vtab import tasks as vtab
from footage.suites.vtab.folder import open_suite, task_folders

SUITES: Final[dict[str, tuple[str, Sequence[TaskRow]]]] = {
    "vtab": ("vtab-1k", vtab.ROWS),
    "pocket": ("pocket", pocket.COUNTED),
    pocket_video.NAME: (pocket_video.NAME, pocket_video.TASKS),
    "folder": ("", ()),
}
"""Name in results and table of each suite; a folder of custom tasks has neither."""


def suite_evaluations(
    models: Sequence[EvaluatedModel], name: str, data: str, out: str, config: EvaluateConfig
) -> list[tuple[execution.Evaluation, Path]]:
    """Return the evaluation of each model on a suite, and the folder of its results.

    Raises:
        ConfigError: The suite or its tasks do not exist.
    """
    return [
        _suite_evaluation(
            each,
            name,
            data,
            str(Path(out) / folder_name_of(each)) if out and len(models) > 1 else out,
            config,
        )
        for each in models
    ]


def _suite_evaluation(
    model: EvaluatedModel, name: str, data: str, out: str, config: EvaluateConfig
) -> tuple[execution.Evaluation, Path]:
    """Return the evaluation of one model, and its folder.

    Raises:
        ConfigError: The suite or its tasks do not exist.
    """
    if name not in SUITES:
        raise UnknownNameError("suite", name, SUITES)
    if not str(data):
        hints = {"pocket": pocket.BUILD_HINT, pocket_video.NAME: pocket_video.BUILD_HINT}
        hint = f"; to build it, {hints[name]}" if name in hints else ""
        raise ConfigError(f"--suite {name} needs its images", f"add --data DIR{hint}")
    suite_name, rows = SUITES[name]
    folders = task_folders(Path(data), rows)
    if rows and folders and not {row.name for row in rows} & folders.keys():
        raise ConfigError(
            f"{str(data)!r} does not contain any task of {suite_name}; it contains"
            f" {some(list(folders))}",
            f"the tasks of {suite_name} are {some([row.name for row in rows])}; for custom tasks,"
            " use --suite folder",
        )
    table = {row.name: row.group for row in rows} or dict.fromkeys(folders, OTHER)
    suite = open_suite(data, rows, name=suite_name or _own_name(Path(data)), only=config.tasks)
    folder = Path(out) if out else _default_out(model, suite, is_known=bool(suite_name))
    protocols = named(config.protocols)
    entries = [
        execution.entry(each, protocol, place.resolve() / protocol.name)
        for each, place in _places(model, folder, is_own=bool(out)).items()
        for protocol in execution.protocols_of(each, protocols)
        if each == model or protocol.frozen
    ]
    evaluation = execution.Evaluation(
        entries=tuple(entries),
        tasks=suite.tasks,
        out=folder.resolve(),
        batch_size=config.batch_size,
        workers=config.workers,
        executor=config.executor,
        ray_address=config.ray_address,
        is_merge=config.merge,
        suite=suite.name,
        table=table,
        replaces=not out,
    )
    return evaluation, folder


def _places(model: EvaluatedModel, folder: Path, *, is_own: bool) -> dict[EvaluatedModel, Path]:
    """The folders of a model's baselines and its own; a baseline alone has none of them.

    Args:
        model: The model under test.
        folder: The folder of its results.
        is_own: Whether the user chose the folder.
    """
    if model.baseline:
        return {model: folder}
    names = {each: each.baseline for each in with_baselines(model) if each.baseline != CHANCE}
    return {model: folder} | {
        each: folder / name if is_own else folder.with_name(f"{folder.name}-{name}")
        for each, name in names.items()
        if name
    }


def _own_name(data: Path) -> str:
    """The name of a custom suite: that of its folder, unless a known suite has that name."""
    name = text(data.resolve().name)
    return f"{name} (own tasks)" if name in {known for known, _ in SUITES.values()} else name


def _default_out(model: EvaluatedModel, suite: Suite, *, is_known: bool) -> Path:
    """The default output folder; two folders of tasks with the same name have separate ones."""
    name = suite.name
    if not is_known:
        name += "-" + hashlib.sha256(os.fsencode(suite.path.resolve())).hexdigest()[:8]
    if model.run:
        return model.run / layout.EVALUATIONS / (f"{name}-untrained" if model.untrained else name)
    return Path(layout.EVALUATIONS) / name / folder_name_of(model)
