"""`footage evaluate --masks`: masks that are propagated through clips; see `propagation`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from footage.commands.evaluate_progress import log_start, shown
from footage.evaluation.comparison_files import without_repeats, write_comparison
from footage.evaluation.folders import Evaluated, header_of, same
from footage.evaluation.folders import compared as in_words
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.outcome import Results
from footage.evaluation.propagation import (
    SHORT_SIDE,
    evaluate_propagation,
    open_masks,
    open_model,
)
from footage.evaluation.results import write_file
from footage.evaluation.verdict_sentences import verdict
from footage.evaluation.verdicts import compare
from footage.progress import progress_bar


def on_masks(models: Sequence[EvaluatedModel], masks: str, out: str, *, overwrite: bool) -> Results:
    """Propagate the masks of a folder with models and their baselines, and compare them.

    Args:
        models: The models under test.
        masks: A folder in the layout of DAVIS.
        out: A JSON file for all results; empty for none.
        overwrite: Compute everything again, and replace other results in `out`.

    Raises:
        ConfigError: The folder or a model cannot be used, or `out` contains other results.
        OutputError: A file cannot be written.
    """
    task = open_masks(Path(masks))
    found: list[Evaluated] = []
    for model in models:
        opened = open_model(dataclasses.replace(model, size=model.size or SHORT_SIDE), task)
        if len(models) == 1 and Path(out).is_file() and not overwrite:
            same([opened.digest], Path(out))
        with progress_bar(f"evaluate {task.name}") as bar:
            log_start(model, task.name, bar)
            found.append(evaluate_propagation(opened, task, shown(bar), overwrite=overwrite))
    rows = without_repeats([row for each in found for row in each.rows])
    files = [path for each in found for path in each.files]
    compared = compare(rows)
    if len(models) > 1:
        files += write_comparison(task.name, models, rows, compared, out, overwrite=overwrite)
    elif out:
        header = header_of(opened.frozen.described)
        files.append(write_file(Path(out), header, rows, [opened.digest], **in_words(rows)))
    return Results(rows, {}, files, "", compared, verdict(compared))
