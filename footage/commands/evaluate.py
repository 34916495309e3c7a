"""The command `footage evaluate`: on labelled images, held-out videos or a suite of tasks.

Labelled images of your own are split here. Their table has four columns of features: `chance` (the
commonest class), `pixels` (the image itself at 16 x 16), `untrained` (the same network with random
weights) and `model`. Retrieval in the videos that a run held out has the same columns and needs no
labels. A suite brings its own split and has a row for each task.
"""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, overload

from footage import arguments
from footage.arguments import Location, Locations
from footage.errors import ConfigError, UnknownNameError
from footage.evaluation import runner
from footage.evaluation.averages import OTHER, Summary, summarise
from footage.evaluation.config import EvaluateConfig
from footage.evaluation.dataset import open_task
from footage.evaluation.held_out import evaluate_held_out
from footage.evaluation.labelled import Evaluated, LabelledEvaluation
from footage.evaluation.models import UNKNOWN, Contender, FeatureFunction
from footage.evaluation.probes import PROTOCOLS
from footage.evaluation.protocols import protocols as named
from footage.evaluation.results import ResultRow
from footage.evaluation.suite import Suite
from footage.evaluation.suite_results import SuiteRow
from footage.images.common import some
from footage.io.walk import text
from footage.models import load as models
from footage.models.config import Preprocessing
from footage.progress import progress_bar
from footage.runs import layout
from footage.suites import pocket
from footage.suites.task_spec import TaskRow
from footage.suites.vtab import tasks as vtab
from footage.suites.vtab.folder import open_suite, task_folders

SUITES: Final[dict[str, tuple[str, Sequence[TaskRow]]]] = {
    "vtab": ("vtab-1k", vtab.ROWS),
    "pocket": ("pocket", pocket.COUNTED),
    "folder": ("", ()),
}
"""Name in results and table of each suite; a folder of tasks that no table knows has neither."""


class Evaluation(NamedTuple):
    """The result rows and the files that hold them."""

    rows: list[ResultRow]
    files: list[Path]


class SuiteEvaluation(NamedTuple):
    """What was found on a suite."""

    rows: list[SuiteRow]
    """One for each protocol and task."""
    summaries: dict[str, Summary]
    """Averages by protocol."""
    files: list[Path]


@overload
def evaluate(
    model: Location,
    *,
    labels: Locations = (),
    out: Location = "",
    config: EvaluateConfig | None = None,
    overwrite: bool = False,
) -> Evaluation: ...


@overload
def evaluate(
    model: Location | FeatureFunction,
    *,
    suite: str,
    data: Location,
    out: Location = "",
    config: EvaluateConfig | None = None,
    preprocessing: Preprocessing = UNKNOWN,
) -> SuiteEvaluation: ...


@arguments.renamed(labelled="labels")
def evaluate(
    model: Location | FeatureFunction,
    *,
    labels: Locations = (),
    suite: str = "",
    data: Location = "",
    out: Location = "",
    config: EvaluateConfig | None = None,
    preprocessing: Preprocessing = UNKNOWN,
    overwrite: bool = False,
) -> Evaluation | SuiteEvaluation:
    """Evaluate a model on labelled images, on held-out videos, or on a suite of tasks.

    On a suite the same call goes on where it was killed. A run's results are also written beside
    it, in `RUN/evaluations/`.

    Args:
        model: A run folder, an exported file or folder, or a timm name; on a suite also an ONNX
            file, `pixels`, or a function from normalised images (B, 3, H, W) to features (B, D).
        labels: Folders with one subfolder per class, or list files.
        suite: vtab, pocket, or folder for tasks that no table knows.
        data: The folder that holds the suite's tasks.
        out: A JSON file for all results on labelled images; a folder for those on a suite, which is
            RUN/evaluations or evaluations when left out.
        config: Protocols, seed and sizes; the defaults when left out.
        preprocessing: Of a function, or of an ONNX file that does not say.
        overwrite: Evaluate again and replace the results in `out`; not for suites.

    Raises:
        CheckpointError: The model cannot be read.
        ConfigError: A folder cannot be used, images in it cannot be read, or `out` holds the
            results of something else.
    """
    config = arguments.settings(config, EvaluateConfig)
    data, out = arguments.location(data, "data"), arguments.location(out, "out")
    judged = model if callable(model) else arguments.location(model, "model")
    paths = arguments.locations(labels, "labels")
    if suite:
        if paths or config.held_out:
            raise ConfigError(
                "a suite cannot be combined with labelled images or held-out videos",
                "evaluate on each separately",
            )
        contender = Contender(
            model=judged, size=config.size, untrained=config.untrained, preprocessing=preprocessing
        )
        return _on_suite(contender, suite, data, out, config)
    if not isinstance(judged, str):
        raise ConfigError("functions can only be evaluated on a suite", "pass suite= and data=")
    if not paths and not config.held_out:
        raise ConfigError(
            "nothing to evaluate on was given",
            "add --labels DIR, --held-out, or --suite SUITE --data DIR",
        )
    loaded = models.load(judged, size=config.size, seed=config.seed)
    found = []
    if config.held_out:
        found.append(_on_held_out(loaded, out, config, overwrite))
    if paths:
        found.append(_on_labelled(loaded, paths, out, config, overwrite))
    rows = [row for each in found for row in each.rows]
    return Evaluation(rows, [path for each in found for path in each.files])


def _on_suite(
    contender: Contender, name: str, data: str | Path, out: str | Path, config: EvaluateConfig
) -> SuiteEvaluation:
    if name not in SUITES:
        raise UnknownNameError("suite", name, SUITES)
    if not str(data):
        hint = f"add --data DIR; to build it, {pocket.BUILD_HINT}" if name == "pocket" else ""
        raise ConfigError(f"--suite {name} needs its images", hint or "add --data DIR")
    suite_name, rows = SUITES[name]
    folders = task_folders(Path(data), rows)
    if rows and folders and not {row.name for row in rows} & folders.keys():
        raise ConfigError(
            f"{str(data)!r} does not contain any task of {suite_name}; it contains"
            f" {some(list(folders))}",
            f"the tasks of {suite_name} are {some([row.name for row in rows])}; for tasks of your"
            " own use --suite folder",
        )
    table = {row.name: row.group for row in rows} or dict.fromkeys(folders, OTHER)
    suite = open_suite(data, rows, name=suite_name or _own_name(Path(data)), only=config.tasks)
    folder = Path(out) if str(out) else _usual_out(contender, suite, is_known=bool(suite_name))
    job = runner.Job(
        contender=contender,
        tasks=suite.tasks,
        protocols=named(config.protocols),
        out=folder.resolve(),
        batch_size=config.batch_size,
        workers=config.workers,
    )
    with progress_bar(f"evaluate {suite.name}") as bar:
        told = runner.Progress(
            start=lambda total, done: bar.update(done, total=total), advance=bar.advance
        )
        found = runner.run(job, suite, table, told)
    summaries = {
        each.name: summarise([row for row in found if row.protocol == each.name], config.averaging)
        for each in job.protocols
    }
    return SuiteEvaluation(found, summaries, [folder / each.name for each in job.protocols])


def _own_name(data: Path) -> str:
    """Name of a suite of one's own: that of its folder, unless a known suite is called so."""
    name = text(data.resolve().name)
    return f"{name} (own tasks)" if name in {known for known, _ in SUITES.values()} else name


def _usual_out(contender: Contender, suite: Suite, *, is_known: bool) -> Path:
    """Where results go without --out; two folders of tasks of the same name have a place each."""
    name = suite.name
    if not is_known:
        name += "-" + hashlib.sha256(os.fsencode(suite.path.resolve())).hexdigest()[:8]
    run = Path(str(contender.model))
    if (run / layout.RUN).is_file():
        return run / layout.EVALUATIONS / (f"{name}-untrained" if contender.untrained else name)
    return Path(layout.EVALUATIONS) / name / re.sub(r"[^\w.-]+", "-", contender.name)


def _on_held_out(
    model: models.Model, out: str | Path, config: EvaluateConfig, overwrite: bool
) -> Evaluated:
    run = Path(model.name)
    if not (run / layout.RUN).is_file():
        raise ConfigError(
            f"held-out videos belong to a run, and {model.name!r} is none", "give a run's folder"
        )
    if str(out):
        raise ConfigError(
            "results on held-out videos are kept in the run's folder", "leave out --out"
        )
    return evaluate_held_out(run, model, seed=config.seed, overwrite=overwrite)


def _on_labelled(
    model: models.Model,
    labelled: Sequence[str | Path],
    out: str | Path,
    config: EvaluateConfig,
    overwrite: bool,
) -> Evaluated:
    unknown = [name for name in config.protocols if name not in PROTOCOLS]
    if unknown:
        raise ConfigError(
            f"on labelled images protocols must be some of {', '.join(PROTOCOLS)}, got {unknown}",
            "the others need a suite: --suite folder --data DIR",
        )
    tasks = [open_task(path, config.seed) for path in labelled]
    _check_names([task.name for task in tasks])
    evaluation = LabelledEvaluation(
        model,
        tasks,
        config.protocols,
        seed=config.seed,
        batch_size=config.batch_size,
    )
    with progress_bar("evaluate") as bar:

        def begin(name: str, num_images: int) -> Callable[[float], None]:
            bar.begin(f"evaluate {name}", num_images, "images")
            return bar.advance

        return evaluation.run(Path(out) if str(out) else None, overwrite=overwrite, progress=begin)


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"several labelled folders are called {twice[0]}",
            "evaluate them one by one, or rename one: task names must be unique",
        )
