"""The command `footage evaluate`: models on labelled images, videos or a suite of tasks.

Labelled images are split here. Models are compared with their baselines: `chance` (the most common
class), `pixels` (the image itself at 16 x 16) and `untrained` (the same network with random
weights). Retrieval in the videos that a run held out has the same baselines and needs no labels. A
suite defines its own split and has averages over its tasks.

The first of several models is compared with each of the others, a single one with its untrained
network. Answers of earlier evaluations are reused by content, see `result_cache`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands.evaluate_masks import on_masks
from footage.commands.evaluate_progress import log_start, shown
from footage.commands.evaluate_suites import suite_evaluations
from footage.errors import ConfigError
from footage.evaluation import runner
from footage.evaluation.averages import summarise
from footage.evaluation.comparison_files import (
    without_repeats,
    write_comparison,
)
from footage.evaluation.config import EvaluateConfig
from footage.evaluation.dataset import Task, open_task
from footage.evaluation.folders import Evaluated, evaluate_folders
from footage.evaluation.held_out import evaluate_held_out
from footage.evaluation.models import (
    UNKNOWN,
    EvaluatedModel,
    FeatureFunction,
)
from footage.evaluation.outcome import Results
from footage.evaluation.probes import PROBES
from footage.evaluation.protocols import protocols as named
from footage.evaluation.results import NEAREST, ResultRow
from footage.evaluation.verdict_sentences import verdict
from footage.evaluation.verdicts import compare
from footage.io.copies import on_local_copies
from footage.io.walk import text
from footage.keywords import configured
from footage.models.config import Preprocessing
from footage.models.load import require_known
from footage.processes.shards import parse_shard
from footage.progress import progress_bar

Evaluable = Location | FeatureFunction
"""A model to evaluate."""


@arguments.renamed(labelled="labels")
@on_local_copies("model", "out", "data", "labels", "masks")
def evaluate(  # noqa: PLR0913
    model: Evaluable | Sequence[Evaluable],
    *,
    labels: Locations = (),
    suite: str = "",
    data: Location = "",
    masks: Location = "",
    out: Location = "",
    config: EvaluateConfig | None = None,
    preprocessing: Preprocessing = UNKNOWN,
    overwrite: bool = False,
    **options: Any,  # noqa: ANN401
) -> Results:
    """Evaluate models on labelled images, held-out videos, clips with masks, or a suite of tasks.

    The same call resumes after a kill. The results of a run are also written to its folder, in
    `RUN/evaluations/`.

    Args:
        model: A run folder, an exported file or folder, an ONNX file, a timm name, or a function
            from normalised images (B, 3, H, W) to features (B, D); on a suite also `pixels`. Or a
            list of them: the first one is compared with each of the others.
        labels: Folders with one subfolder per class, or list files.
        suite: vtab, pocket, pocket-video, or folder (custom tasks).
        data: The folder that contains the suite's tasks.
        masks: A folder of clips with masks, in the layout of DAVIS.
        out: A JSON file for all results on labelled images or masks; a folder for those on a suite,
            by default RUN/evaluations or evaluations.
        config: Protocols, seed and sizes; the defaults when omitted.
        preprocessing: Preprocessing of a function, or of an ONNX file that does not record its own.
        overwrite: Evaluate again and replace the results in `out`; not for suites.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        CheckpointError: A model cannot be read.
        ConfigError: A folder cannot be used, images in it cannot be read, or `out` contains
            different results.
    """
    config = configured(config, EvaluateConfig, options, evaluate)
    data, out = arguments.location(data, "data"), arguments.location(out, "out")
    paths, masks = arguments.locations(labels, "labels"), arguments.location(masks, "masks")
    models = [checked(each, paths, suite, config, preprocessing, masks) for each in several(model)]
    if masks:
        return on_masks(models, masks, out, overwrite=overwrite)
    if suite:
        return _on_suite(models, suite, data, out, config)
    found = []
    if config.held_out:
        found += [_on_held_out(each, out, overwrite) for each in models]
    if paths:
        found += _on_labelled(models, paths, out, config, overwrite)
    rows = without_repeats([row for each in found for row in each.rows])
    compared = compare(rows)
    files = [path for each in found for path in each.files]
    if len(models) > 1 and paths:
        name = "-".join(dict.fromkeys(row.task for row in rows if row.protocol != NEAREST))
        files += write_comparison(name, models, rows, compared, out, overwrite=overwrite)
    return Results(rows, {}, files, "", compared, verdict(compared))


def several(model: Evaluable | Sequence[Evaluable]) -> list[Evaluable]:
    """Return the models of an argument that is one model or a list.

    Raises:
        ConfigError: The list is empty or contains a model twice.
    """
    if isinstance(model, str) or not isinstance(model, Sequence):
        return [model]
    models = list(model)
    if not models:
        raise ConfigError("no model was given", "pass a run, an exported file or a timm name")
    twice = [str(each) for place, each in enumerate(models) if each in models[:place]]
    if twice:
        raise ConfigError(f"{twice[0]!r} was given twice", "pass each model once")
    return models


def checked(
    model: Evaluable,
    paths: Sequence[str | Path],
    suite: str,
    config: EvaluateConfig,
    preprocessing: Preprocessing,
    masks: str = "",
) -> EvaluatedModel:
    """Return a model under test, after checking the arguments.

    Raises:
        CheckpointError: The model does not exist.
        ConfigError: The arguments contradict each other.
    """
    evaluated = EvaluatedModel(
        model=model if callable(model) else arguments.location(model, "model"),
        size=config.size,
        untrained=bool(suite) and config.untrained,
        preprocessing=preprocessing,
        seed=0 if suite else config.seed,
    )
    if suite and (paths or config.held_out):
        raise ConfigError(
            "a suite cannot be combined with labelled images or held-out videos",
            "evaluate on each separately",
        )
    if masks and (suite or paths or config.held_out):
        raise ConfigError(
            "masks cannot be combined with a suite, labelled images or held-out videos",
            "evaluate on each separately",
        )
    if evaluated.has_backbone:
        require_known(str(evaluated.model))
    if not suite and (config.shard or config.merge or config.executor != "local"):
        raise ConfigError("--shard, --merge and --executor need a suite", "add --suite SUITE")
    if not (suite or paths or config.held_out or masks):
        raise ConfigError(
            "no evaluation data given",
            "add --labels DIR, --held-out, --masks DIR, or --suite SUITE --data DIR",
        )
    return evaluated


def _on_suite(
    models: Sequence[EvaluatedModel], name: str, data: str, out: str, config: EvaluateConfig
) -> Results:
    found: list[ResultRow] = []
    files: list[Path] = []
    evaluations = suite_evaluations(models, name, data, out, config)
    for model, (evaluation, folder) in zip(models, evaluations, strict=True):
        with progress_bar(f"evaluate {evaluation.suite}") as bar:
            log_start(model, evaluation.suite, bar)
            if config.shard:
                runner.run_shard(evaluation, parse_shard(config.shard), shown(bar))
                continue
            found += runner.run(evaluation, shown(bar))
        own = [each for each in evaluation.entries if each.model.name == model.name]
        files += [folder / each.protocol.name for each in own]
    if config.shard:
        return Results([], {}, [], str(parse_shard(config.shard)))
    rows = without_repeats(found)
    first = [row for row in rows if row.model == text(models[0].name)]
    summaries = {
        protocol: summarise([row for row in first if row.protocol == protocol], config.averaging)
        for protocol in dict.fromkeys(row.protocol for row in first)
    }
    compared = compare(rows, config.averaging)
    if len(models) > 1:
        files += write_comparison(rows[0].suite, models, rows, compared, out, is_suite=True)
    return Results(rows, summaries, files, "", compared, verdict(compared))


def _on_held_out(model: EvaluatedModel, out: str | Path, overwrite: bool) -> Evaluated:
    if model.run is None:
        raise ConfigError(
            f"held-out videos belong to a run, and {model.name!r} is not a run",
            "pass a run folder",
        )
    if str(out):
        raise ConfigError(
            "results on held-out videos are saved in the run's folder", "remove --out"
        )
    with progress_bar("evaluate held-out videos") as bar:
        log_start(model, "its held-out videos", bar)
        return evaluate_held_out(model.run, model, overwrite=overwrite)


def _on_labelled(
    models: Sequence[EvaluatedModel],
    labelled: Sequence[str | Path],
    out: str,
    config: EvaluateConfig,
    overwrite: bool,
) -> list[Evaluated]:
    tasks = labelled_tasks(labelled, config)
    names = ", ".join(task.name for task in tasks)
    found = []
    for model in models:
        with progress_bar(f"evaluate {names}") as bar:
            log_start(model, names, bar)
            each = evaluate_folders(
                model,
                tasks,
                named(config.protocols),
                batch_size=config.batch_size,
                out=Path(out) if out and len(models) == 1 else None,
                overwrite=overwrite,
                progress=shown(bar),
                with_answers=len(models) > 1,
            )
        found.append(each)
    return found


def labelled_tasks(labelled: Sequence[str | Path], config: EvaluateConfig) -> list[Task]:
    """Open the tasks of labelled images, and check that their names are unique.

    Raises:
        ConfigError: A folder cannot be used, or a protocol needs a suite.
    """
    trained = [each.name for each in named(config.protocols) if not each.frozen]
    if trained:
        raise ConfigError(
            f"on labelled images protocols must be some of {', '.join(PROBES)} and N-shot,"
            f" got {', '.join(trained)}",
            "other protocols need a suite: --suite folder --data DIR",
        )
    tasks = [open_task(path, config.seed) for path in labelled]
    _check_names([task.name for task in tasks])
    return tasks


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"several labelled folders are named {twice[0]}",
            "evaluate them one by one, or rename one: task names must be unique",
        )
