"""The command line of `footage evaluate`."""

import logging
from collections.abc import Sequence
from typing import Annotated, Any

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import is_run, log_next
from footage.cli.options import SOME, Flag, Repeated, flat, optional, required
from footage.errors import UsageError
from footage.evaluation.config import EvaluateConfig

log = logging.getLogger(__name__)

DEPRECATED = {"--labelled": "--labels", "--protocol": "--protocols"}


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_evaluate, words, "footage evaluate", deprecated=DEPRECATED)


def _evaluate(  # noqa: PLR0913
    models: Annotated[
        tuple[str, ...],
        Positional,
        SOME,
        required(
            "MODEL [MODEL ...]",
            "Runs, exported files or folders, FILE.onnx, or timm model names. The first is compared"
            " with each of the others. With --suite, also the baselines pixels and chance.",
        ),
    ],
    *,
    labels: Annotated[
        Repeated,
        arg(
            metavar="DIR [DIR ...]",
            help="Folders with one subfolder per class, or text files that list images and labels.",
        ),
    ] = (),
    suite: Annotated[
        str, optional("SUITE", "Task suite: vtab, pocket, pocket-video, or folder (custom tasks).")
    ] = "",
    data: Annotated[str, optional("DIR", "Folder of the suite's tasks.")] = "",
    masks: Annotated[
        str,
        optional("DIR", "Clips with masks, in the layout of DAVIS, to propagate the masks."),
    ] = "",
    out: Annotated[
        str,
        optional("PATH", "Where to write results: a JSON file, or with --suite a folder."),
    ] = "",
    overwrite: Annotated[
        Flag,
        arg(
            help="Evaluate again and replace the results in --out; not available with --suite.",
            help_behavior_hint="",
        ),
    ] = False,
    dry_run: Annotated[
        Flag,
        arg(
            help="Measure a batch of images and show jobs, time, memory and disk; write nothing.",
            help_behavior_hint="",
        ),
    ] = False,
    config: Annotated[EvaluateConfig, arg(name="")] = EvaluateConfig(),  # noqa: B008 (frozen)
) -> None:
    """Evaluate models on your labelled images or on a task suite, and compare them.

    A single model is compared with its untrained network.

    With --held-out, evaluate retrieval in a run's held-out videos.

    With --masks, propagate the masks of the first frames of clips.

    Rerun to resume.
    """
    if suite and labels:
        raise UsageError("--labels and --suite cannot be combined", "evaluate on each separately")
    given: dict[str, Any] = {
        "labels": flat(labels),
        "suite": suite,
        "data": data,
        "masks": masks,
        "out": out,
        "config": config,
        "overwrite": overwrite,
    }
    if dry_run:
        from footage.commands.evaluate_dry_run import dry_run as measured

        output.show(measured(list(models), **given))
        return
    from footage.commands.evaluate import evaluate

    results = evaluate(list(models), **given)
    output.show(results)
    if results.shard:
        log.info("next: rerun with --merge in place of --shard when all shards are done")
        return
    runs = [model for model in models if is_run(model)]
    if runs:
        log_next("report", *runs, "--out", "report.html")
    else:
        log_next("profile", models[0], "--out", "profile")
