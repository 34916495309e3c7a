"""The command line of `footage train`."""

import contextlib
import dataclasses
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from footage import configuration
from footage.cli import following, output, parsing, recipe_help
from footage.cli.options import Flag, Repeated, flat, optional, required
from footage.errors import UsageError
from footage.io.copies import is_first_process, pulled, with_urls
from footage.recipes import choice
from footage.recipes.methods import recipe
from footage.runs import layout
from footage.runs.migration import RENAMED
from footage.runs.results import read_result
from footage.training.config import TrainConfig

logger = logging.getLogger(__name__)


def as_option(name: str) -> str:
    """The option of a setting, such as --objective.frame-shot.weight."""
    return "--" + name.replace("_", "-")


DEPRECATED = {
    "--images": "--labels",
    "--compute.loggers": "--log",
    **{as_option(old): as_option(new) for old, new in RENAMED.items()},
}

_RECIPES = "`footage recipes` lists all recipes"


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    name, base, rest = _starting_point(list(words))
    base, rest = choice.with_loss(base, rest)

    def command(
        *,
        out: Annotated[str, required("RUN", "Run folder to write, or to resume.")],
        store: Annotated[str, optional("STORE", "Frame store written by `footage ingest`.")] = "",
        labels: Annotated[
            str,
            optional(
                "DIR",
                "Labelled images, for recipes that use them: class folders, a list file, Parquet,"
                " WebDataset or a Hugging Face folder.",
            ),
        ] = "",
        store_version: Annotated[
            Literal["run", "latest"],
            arg(
                help="Version of a store that has grown, for a run that is resumed: the one that it"
                " was started with, or the latest.",
            ),
        ] = "run",
        log: Annotated[
            Repeated,
            optional(
                "NAME",
                "Metric logger: tensorboard, wandb, mlflow, trackio, jsonl, or a plugin's name."
                " Repeat it for several loggers; it replaces the default. (default: tensorboard)",
            ),
        ] = (),
        dry_run: Annotated[
            Flag,
            arg(
                help="Measure a few steps and show memory, time and disk; write nothing.",
                help_behavior_hint="",
            ),
        ] = False,
        config: Annotated[TrainConfig, arg(name="")] = base,
    ) -> None:
        """Train a backbone on a frame store. Rerun the same command to resume.

        Repeat a run with `footage train --from RUN/run.json --out OTHER`.
        """
        if log:
            compute = dataclasses.replace(config.compute, loggers=tuple(flat(log)))
            config = dataclasses.replace(config, compute=compute)
        if config.learns_from_videos and not store:
            raise UsageError("this recipe needs a frame store", "add --store STORE")
        if dry_run:
            from footage.commands.train_dry_run import dry_run as measured

            output.show(measured(config, store=store, labels=labels, out=out))
            return
        from footage.commands.train import train

        path = train(
            config, store=store, labels=labels, out=out, store_version=store_version, recipe=name
        )
        if is_first_process():
            output.show(read_result(path))
            _log_following(path)

    program = f"footage train {name}"
    hidden = recipe_help.groups_without_effect(base)
    if hidden and {"-h", "--help"} & set(rest):
        text = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # can encode the boxes of the help
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            parsing.parse(command, rest, program)
        text.seek(0)
        print(recipe_help.shortened(text.read(), hidden), end="")
        raise SystemExit(0)
    rest = ["--help" if word == recipe_help.ALL else word for word in rest]
    choice.require_settings_of_loss(base, rest)
    choice.require_levels(base, rest)
    parsing.run(command, rest, program, deprecated=DEPRECATED, choices=[choice.LOSS])


def _starting_point(words: list[str]) -> tuple[str, TrainConfig, list[str]]:
    """Return a recipe's name, the initial configuration, and the options that follow."""
    first = words[0].partition("=")[0] if words else ""
    if first == "--from":
        words = [part for word in words[:1] for part in word.split("=", 1)] + words[1:]
        if len(words) < 2:
            raise UsageError("--from needs a file", "footage train --from RUN/run.json --out RUN")
        record = layout.read_record(Path(pulled(words[1])))
        with layout.naming_plugins(record["plugins"]):
            base = configuration.from_dict(TrainConfig, record["config"])
        given = {word.partition("=")[0] for word in words}
        same = [
            word
            for name, option in (("store", "--store"), ("images", "--labels"))
            if record.get(name) and not {f"--{name}", option} & given
            for word in (option, record[name])
        ]
        return record["recipe"], base, words[2:] + same
    if first in ("-h", "--help"):
        return "RECIPE", TrainConfig(), words
    if not first or first.startswith("-"):
        has_out = any(word.partition("=")[0] == "--out" for word in words)
        raise UsageError("missing: RECIPE" + ", --out" * (not has_out), _RECIPES)
    return words[0], recipe(words[0]), words[1:]


def _log_following(run: Path) -> None:
    record, name = layout.read_record(run), with_urls(str(run))
    if record["stopping"].get("best_step") == 0:
        logger.info(
            "next: train again with a lower --optimizer.learning-rate or with more videos;"
            " with --patience 0, a run keeps the weights of its last step"
        )
    elif record.get("held_out"):
        following.log_next("evaluate", name, "--held-out")
    elif record.get("images"):
        following.log_next("evaluate", name, "--labels", record["images"])
    else:
        following.log_next("export", name, "--to", "timm")
