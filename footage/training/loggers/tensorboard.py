"""Metrics, pictures and the configuration as TensorBoard event files."""

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import simplejpeg
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

from footage.runs import layout
from footage.training.loggers.base import Picture, register_logger


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
        self._step = first_step

    def config(self, values: Mapping[str, Any]) -> None:
        """Write the configuration as text."""
        self._text("run", values)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        self._step = step
        numbers = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=numbers))

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Write pictures as JPEG."""
        for name, image in images.items():
            jpeg = simplejpeg.encode_jpeg(image, quality=90)
            height, width, channels = image.shape
            picture = Summary.Image(
                height=height, width=width, colorspace=channels, encoded_image_string=jpeg
            )
            self._write(step=step, summary=Summary(value=[Summary.Value(tag=name, image=picture)]))

    def summary(self, values: Mapping[str, float]) -> None:
        """Write the final results as text."""
        self._text("summary", values)

    def flush(self) -> None:
        """Flush the file."""
        self._records.flush()

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _text(self, name: str, values: Mapping[str, Any]) -> None:
        """Write values as indented JSON, which the text tab shows as code."""
        lines = json.dumps(values, indent=2, default=str).splitlines()
        text = "\n".join(f"    {line}" for line in lines).encode()
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        tensor = TensorProto(dtype=DT_STRING, string_val=[text])
        value = Summary.Value(tag=name, metadata=metadata, tensor=tensor)
        self._write(step=self._step, summary=Summary(value=[value]))

    def _write(self, **fields: Any) -> None:  # noqa: ANN401
        event = Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
