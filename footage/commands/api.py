"""Functions of `import footage` that differ from those of the commands."""

from collections.abc import Sequence
from typing import Any, Literal, overload

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands import evaluate as evaluate_command
from footage.commands import evaluate_dry_run, train_dry_run
from footage.commands import train as train_command
from footage.commands.evaluate import Evaluable
from footage.commands.requirements import Requirements
from footage.errors import ConfigError
from footage.evaluation.config import EvaluateConfig
from footage.evaluation.models import UNKNOWN
from footage.evaluation.outcome import Results
from footage.io.copies import is_first_process
from footage.keywords import configured
from footage.models.config import Preprocessing
from footage.recipes.methods import recipe as recipe_named
from footage.runs import layout
from footage.runs.results import TrainingResult, read_result
from footage.training.config import TrainConfig


@overload
def train(
    config: TrainConfig | str,
    *,
    out: Location,
    dry_run: Literal[True],
    **options: Any,  # noqa: ANN401
) -> Requirements: ...
@overload
def train(
    config: TrainConfig | str,
    *,
    out: Location,
    store: Location = "",
    labels: Location = "",
    store_version: Literal["run", "latest"] = "run",
    recipe: str = "",
    **options: Any,  # noqa: ANN401
) -> TrainingResult: ...
@arguments.renamed(images="labels")
def train(
    config: TrainConfig | str,
    *,
    out: Location,
    store: Location = "",
    labels: Location = "",
    store_version: Literal["run", "latest"] = "run",
    recipe: str = "",
    dry_run: bool = False,
    **options: Any,
) -> TrainingResult | Requirements:
    """Train with a configuration or a named recipe; see `footage.commands.train.train`.

    Args:
        config: A recipe's name such as "vivi-ex4-tiny", or a configuration.
        out: The run folder.
        store: A frame store; not needed to train on images alone.
        labels: Labelled images, for recipes that learn from them.
        store_version: Version of a store that has grown, for a run that is resumed.
        recipe: Name of the recipe that `config` came from, for the record.
        dry_run: Measure a few steps and return memory, time and disk space; write nothing.
        **options: Settings that differ from those of `config`, such as `steps=500`; see
            `footage.keywords`.

    Returns:
        The run folder, in a result that can be used as a path.

    Raises:
        ConfigError: `config` is neither, or an option does not exist or has a wrong value; other
            errors as in `footage.commands.train.train`.
    """
    if isinstance(config, str):
        recipe = recipe or config
        config = recipe_named(config)
    if not isinstance(config, TrainConfig):
        raise ConfigError(
            f"config must be a TrainConfig or the name of a recipe, got {type(config).__name__}",
            'pass footage.recipe("vivi-ex4-tiny"), changed with dataclasses.replace, or a name that'
            " `footage recipes` lists",
        )
    config = configured(config, TrainConfig, options, train)
    if dry_run:
        return train_dry_run.dry_run(config, out=out, store=store, labels=labels)
    path = train_command.train(
        config,
        out=out,
        store=store,
        labels=labels,
        store_version=store_version,
        recipe=recipe,
    )
    if is_first_process() or (path / layout.RUN).exists():
        return read_result(path)
    return TrainingResult(path=path, recipe=recipe, steps=config.steps)


@overload
def evaluate(
    model: Evaluable | Sequence[Evaluable],
    *,
    dry_run: Literal[True],
    **options: Any,  # noqa: ANN401
) -> Requirements: ...
@overload
def evaluate(
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
) -> Results: ...
@arguments.renamed(labelled="labels")
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
    dry_run: bool = False,
    **options: Any,
) -> Results | Requirements:
    """Evaluate models; see `footage.commands.evaluate.evaluate`.

    Args:
        model: A model, or a list of them.
        labels: Labelled folders, or list files.
        suite: vtab, pocket, pocket-video, or folder (custom tasks).
        data: The folder that contains the suite's tasks.
        masks: A folder of clips with masks, in the layout of DAVIS.
        out: Where to write results: a JSON file, or a folder for a suite.
        config: Protocols, seed and sizes; the defaults when omitted.
        preprocessing: Preprocessing of a function, or of an ONNX file that does not record its own.
        overwrite: Evaluate again and replace the results in `out`; not for suites.
        dry_run: Measure a batch of images and return jobs, time, memory and disk space; write
            nothing.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        CheckpointError: A model cannot be read.
        ConfigError: As in `footage.commands.evaluate.evaluate`.
    """
    function = evaluate_dry_run.dry_run if dry_run else evaluate_command.evaluate
    found: Results | Requirements = function(
        model,
        labels=labels,
        suite=suite,
        data=data,
        masks=masks,
        out=out,
        config=configured(config, EvaluateConfig, options, evaluate),
        preprocessing=preprocessing,
        overwrite=overwrite,
    )
    return found
