"""Compute online metrics at intervals, log them, and stop training early if it no longer helps."""

import logging
from collections.abc import Iterable

from footage import distributed
from footage.runs import layout
from footage.training.loader import Batch
from footage.training.log import TrainingLog
from footage.training.online_metrics import OnlineMetrics
from footage.training.pictures import views_picture
from footage.training.run_folder import RunFolder
from footage.training.stopping import EarlyStopping

log = logging.getLogger(__name__)


class Probing:
    """Online metrics of a run and what follows from them; every rank calls every method.

    Args:
        folder: The run, opened.
        metrics: The online metrics; only the first process computes them.
        training_log: The run's log, opened.
    """

    def __init__(
        self, folder: RunFolder, metrics: OnlineMetrics, training_log: TrainingLog
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._log = training_log
        self._is_main = distributed.rank() == 0
        self._patience = folder.config.patience
        self._stopping = EarlyStopping(self._patience)
        if self._is_main:
            self._stopping = EarlyStopping(
                self._patience,
                layout.read_metrics(folder.path),
                extended_at=max(layout.read_record(folder.path)["extended_at"], default=0),
            )
        planned = (folder.config.steps - 1) // folder.config.metrics_every
        if self._is_main and planned < self._patience:
            log.warning(
                "early stopping cannot end this run: it needs %d measurements before the last"
                " step, but there are %d; lower --metrics-every or --patience",
                self._patience, planned,
            )  # fmt: skip
        if self._is_main and folder.step == 0:
            values, _ = metrics.compute(folder.state.learner.backbone, {})
            training_log.probe(0, values, [])  # no advice before the first step
            self._stopping.add(0, values)

    @property
    def is_over(self) -> bool:
        """Whether early stopping ends the run now, on all ranks or on none."""
        if not self._patience:
            return False
        return bool(distributed.largest(self._stopping.is_exhausted))

    def after(self, step: int, levels: Iterable[str], batch: Batch) -> None:
        """Compute and log the metrics after a step, and pictures.

        Args:
            step: Number of steps taken.
            levels: Names of the levels, whose recent means the advice uses.
            batch: The batch of the step.
        """
        if not self._is_main:
            return
        state = self._folder.state
        recent = {name: self._log.mean(name) for name in levels}
        values, advice = self._metrics.compute(state.learner.backbone, recent)
        self._log.probe(step, values, advice)
        self._log.images(step, {**views_picture(batch), **self._metrics.neighbours()})
        is_best = self._stopping.add(step, values) or self._stopping.best is None
        if is_best and self._patience:
            state.remember_best(step)

    def finish(self, step: int) -> None:
        """Record and log the final results, and that of early stopping, after the last step."""
        self._log.summary(step)
        if not self._patience:
            return
        total = self._folder.config.steps
        self._folder.record_stopping(self._stopping.record(step, total_steps=total))
        if self._is_main:
            log.info("%s", self._stopping.sentence(step, total_steps=total))
