"""The command line of `footage train`."""

import contextlib
import io
import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from footage import configuration
from footage.cli import parsing, recipe_help
from footage.cli.options import optional, required
from footage.errors import UsageError
from footage.recipes.choice import with_loss
from footage.recipes.methods import recipe
from footage.runs import layout
from footage.runs.migration import RENAMED
from footage.training.config import TrainConfig


def as_option(name: str) -> str:
    """The option of a setting, such as --objective.frame-shot.weight."""
    return "--" + name.replace("_", "-")


DEPRECATED = {
    "--images": "--labels",
    **{as_option(old): as_option(new) for old, new in RENAMED.items()},
}

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    name, base, rest = _starting_point(list(words))
    base, rest = with_loss(base, rest)

    def command(
        *,
        out: Annotated[str, required("RUN", "Run folder to write, or to resume.")],
        store: Annotated[str, optional("STORE", "Frame store that `footage ingest` wrote.")] = "",
        labels: Annotated[
            str,
            optional(
                "DIR",
                "Labelled images, for recipes that use them: class folders, a list file, Parquet,"
                " WebDataset or a Hugging Face folder.",
            ),
        ] = "",
        config: Annotated[TrainConfig, arg(name="")] = base,
    ) -> None:
        """Train a backbone on a frame store. Rerun the same command to resume.

        Repeat a run with `footage train --from RUN/run.json --out OTHER`.
        """
        from footage.commands.train import train

        path = train(config, store=store, labels=labels, out=out, recipe=name)
        print(path)
        if os.environ.get("RANK", "0") == "0":  # one of the processes that torchrun started
            _log_next(path)

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
    parsing.run(command, rest, program, deprecated=DEPRECATED)


def _starting_point(words: list[str]) -> tuple[str, TrainConfig, list[str]]:
    """Return a recipe's name, the initial configuration, and the options that follow."""
    first = words[0].partition("=")[0] if words else ""
    if first == "--from":
        words = [part for word in words[:1] for part in word.split("=", 1)] + words[1:]
        if len(words) < 2:
            raise UsageError("--from needs a file", "footage train --from RUN/run.json --out RUN")
        record = layout.read_record(Path(words[1]))
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
        raise UsageError("missing: RECIPE", "`footage recipes` lists all recipes")
    return words[0], recipe(words[0]), words[1:]


def _log_next(run: Path) -> None:
    record, name = layout.read_record(run), shlex.quote(str(run))
    if record.get("held_out"):
        log.info("next: footage evaluate %s --held-out", name)
    elif record.get("images"):
        log.info("next: footage evaluate %s --labels %s", name, shlex.quote(record["images"]))
    else:
        log.info("next: footage export %s --to timm", name)
