"""MLflow: a local database or a tracking server."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from footage.training.loggers.base import (
    Picture,
    flat,
    register_logger,
    require_package,
    save_id,
    saved_id,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric

SEND_SECONDS: Final = 2.0
"""Interval at which values are sent, because each request takes time [ours]."""

BATCH: Final = 1000
"""Metrics per request; the limit of MLflow."""

PARAMETERS: Final = 100
"""Parameters per request; the limit of MLflow."""

LONGEST: Final = 500
"""Characters of a parameter that are kept; older servers refuse longer ones."""


@register_logger("mlflow")
class MLflow:
    """A run of MLflow.

    Set MLFLOW_TRACKING_URI to choose the server or database; the default is the library's own,
    `mlflow.db` in the working folder. MLFLOW_EXPERIMENT_NAME chooses the experiment, by default
    "footage". A resumed run continues the same run.

    Args:
        run: The run folder.
        first_step: Number of steps already taken.
    """

    @staticmethod
    def require() -> None:
        """Check that the library is installed."""
        require_package("mlflow")

    def __init__(self, run: Path, first_step: int) -> None:  # noqa: ARG002
        from mlflow.tracking import MlflowClient

        # A failure is reported once, not at each of the library's attempts.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self._client = MlflowClient()
        self._waiting: list[Metric] = []
        self._sent = time.monotonic()
        self._status = "KILLED"
        self._last_step = -1
        self._id = _existing(self._client, saved_id(run, "mlflow"))
        if self._id:
            self._client.update_run(self._id, status="RUNNING")
            steps = [one.step for one in self._client.get_metric_history(self._id, "loss")]
            self._last_step = max(steps, default=-1)
        else:
            experiment = _experiment(self._client)
            self._id = self._client.create_run(experiment, run_name=run.name).info.run_id
            save_id(run, "mlflow", self._id)

    def config(self, values: Mapping[str, Any]) -> None:
        """Record the configuration as parameters, which never change, and as run.json."""
        from mlflow.entities import Param

        known = self._client.get_run(self._id).data.params
        new = [
            Param(name, str(value)[:LONGEST])
            for name, value in flat(values).items()
            if name not in known
        ]
        for start in range(0, len(new), PARAMETERS):
            self._client.log_batch(self._id, params=new[start : start + PARAMETERS])
        self._client.log_dict(self._id, dict(values), "run.json")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values; those of steps that were recorded before a kill are not repeated."""
        from mlflow.entities import Metric

        if step <= self._last_step:
            return
        milliseconds = int(time.time() * 1000)
        self._waiting += [Metric(name, value, milliseconds, step) for name, value in values.items()]
        if time.monotonic() - self._sent > SEND_SECONDS or len(self._waiting) > BATCH:
            self.flush()

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Record pictures."""
        if step <= self._last_step:
            return
        for name, image in images.items():
            self._client.log_image(self._id, image, key=name, step=step)

    def summary(self, values: Mapping[str, float]) -> None:
        """Record the final results, and that the run is complete."""
        from mlflow.entities import Metric

        milliseconds = int(time.time() * 1000)
        self._waiting += [Metric(name, value, milliseconds, 0) for name, value in values.items()]
        self._status = "FINISHED"

    def flush(self) -> None:
        """Send all values."""
        self._sent = time.monotonic()
        while self._waiting:
            self._client.log_batch(self._id, metrics=self._waiting[:BATCH])
            del self._waiting[:BATCH]

    def close(self) -> None:
        """Send all values, and end the run."""
        self.flush()
        self._client.set_terminated(self._id, self._status)


def _existing(client: Any, known: str) -> str:  # noqa: ANN401
    """Return the id of a run if the database has it: it may be another one than before."""
    from mlflow.exceptions import MlflowException

    if known:
        try:
            client.get_run(known)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ""
    return known


def _experiment(client: Any) -> str:  # noqa: ANN401
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "footage"
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))
