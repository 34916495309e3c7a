"""Export VTAB-1k from TFDS: its exact records as PNG files and lists.

This is the only source of the bit-exact images of the protocol. TFDS and TensorFlow are imported
only to open a builder; everything else accepts any object that yields records.
"""

import importlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from footage.errors import ConfigError
from footage.suites.vtab.labels import LABELS, PIXELS, RGB, Record
from footage.suites.vtab.tasks import VtabTask
from footage.suites.vtab.writing import Labelled, Parts, write_task


@runtime_checkable
class Records(Protocol):
    """A data set whose records have a fixed order."""

    @property
    def name(self) -> str:
        """Name and version, such as `cifar100/3.0.2`."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Records in each split."""

    def read(self, part: str) -> Iterator[Record]:
        """Yield the records of a slice such as `train[:800]`, in stored order."""


def export_task(
    task: VtabTask,
    records: Records,
    out: Path,
    *,
    advance: Callable[[float], None] = lambda _: None,
) -> Path:
    """Write the folder of one task from its data set.

    Args:
        task: The slices to use, and the conversions to images and labels.
        records: The data set.
        out: The folder of the suite.
        advance: Called with 1 after each image, for a progress bar.

    Raises:
        ConfigError: The data set has an unexpected number of records, or an invalid record.
    """
    for split, size in task.sizes.items():
        if records.sizes.get(split) != size:
            raise ConfigError(
                f"{records.name} has {records.sizes.get(split, 'no')} records in {split}, "
                f"{task.name} expects {size}",
                f"prepare {task.builder} again; other versions have other records",
            )
    parts = Parts(
        *(_images(task, records, part) for part in (task.train800, task.val200, task.test))
    )
    return write_task(out, task.row, parts, origin=f"TFDS {records.name}", advance=advance)


def _images(task: VtabTask, records: Records, part: str) -> Iterator[Labelled]:
    for number, record in enumerate(records.read(part)):
        try:
            label = LABELS[task.label](record)
            if not 0 <= label < task.num_classes:
                raise ValueError(f"label {label} of {task.num_classes} classes")
            pixels = PIXELS[task.image](record)
        except (ValueError, KeyError, IndexError) as error:
            raise ConfigError(
                f"record {number} of {part} of {records.name} is invalid for {task.name}: {error}",
                f"prepare {task.builder} again",
            ) from error
        yield Labelled(_png(pixels), ".png", label)


def _png(pixels: RGB) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


# --- TFDS ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class TfdsRecords:
    """A prepared TFDS builder."""

    tfds: Any
    builder: Any

    @property
    def name(self) -> str:
        """Name, configuration and version."""
        return str(self.builder.info.full_name)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Records in each split."""
        return {name: split.num_examples for name, split in self.builder.info.splits.items()}

    def read(self, part: str) -> Iterator[Record]:
        """Yield the records of a slice, one file after the other."""
        one_by_one = self.tfds.ReadConfig(interleave_cycle_length=1)
        found = self.builder.as_dataset(split=part, shuffle_files=False, read_config=one_by_one)
        return iter(self.tfds.as_numpy(found))


def open_tfds(task: VtabTask, data_dir: str) -> TfdsRecords:
    """Open the data set of a task; TFDS downloads and prepares it if necessary.

    Args:
        task: The task, which specifies the builder and its version.
        data_dir: Data folder of TFDS; empty for its default.

    Raises:
        ConfigError: TFDS is not installed, does not have the version, or cannot prepare it.
    """
    try:
        tfds: Any = importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise ConfigError(
            f"reading TFDS needs packages that are not installed: {error}",
            "pip install 'footage[vtab-export]'",
        ) from error
    try:
        builder = tfds.builder(task.builder, data_dir=data_dir or None)
        builder.download_and_prepare()
    except (AssertionError, OSError, ValueError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"TFDS cannot prepare {task.builder}: {first}",
            task.note or "see the TFDS page of that data set, or exclude the task with --tasks",
        ) from error
    return TfdsRecords(tfds=tfds, builder=builder)
