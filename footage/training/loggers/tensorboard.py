"""Metrics as TensorBoard event files."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from footage.runs import layout
from footage.training.loggers.base import register_logger


@register_logger("tensorboard")
class TensorBoard:
    """Event files in the subfolder `tensorboard` of a run.

    Args:
        run: The run folder.
        first_step: Number of steps already taken.
    """

    def __init__(self, run: Path, first_step: int) -> None:
        folder = run / layout.TENSORBOARD
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter((folder / name).open("wb"))
        self._write(file_version="brain.Event:2")
        # This record makes TensorBoard drop the entries of earlier files from this step on.
        self._write(step=first_step + 1, session_log=SessionLog(status=SessionLog.START))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        numbers = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=numbers))

    def flush(self) -> None:
        """Flush the file."""
        self._records.flush()

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _write(self, **fields: Any) -> None:  # noqa: ANN401
        event = Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
