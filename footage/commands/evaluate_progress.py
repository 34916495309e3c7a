"""The progress of an evaluation: a bar on a terminal, and lines in the log."""

import logging

from footage.evaluation import execution
from footage.evaluation.models import EvaluatedModel
from footage.progress import ProgressBar

log = logging.getLogger("footage.commands.evaluate")


def shown(bar: ProgressBar) -> execution.Progress:
    """Return callbacks that update a bar."""
    return execution.Progress(
        start=lambda total, done: bar.update(done, total=total),
        advance=bar.advance,
        log=lambda line: _log(line, bar),
    )


def log_start(model: EvaluatedModel, data: str, bar: ProgressBar) -> None:
    """Log the model and the data."""
    _log(f"evaluating {model.name} on {data}", bar)


def _log(line: str, bar: ProgressBar) -> None:
    log.info("%s", line, extra={"only_file": bar.is_shown})  # the bar shows it on a terminal
