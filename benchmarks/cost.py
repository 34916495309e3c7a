"""Calculate the cost of a data set: cores, GPUs, requests, bytes and dollars per stage.

    python -m benchmarks.cost --videos 6100000 --seconds 206 --megabytes 20
    python -m benchmarks.cost --videos 20000000 --seconds 240 --megabytes 50 --gpu-hour 2.5

Rates come from the measurements in `benchmarks/results`; everything else is an input. Loading needs
cores next to the GPU, which are part of the price of a GPU-hour.
"""

import argparse
import dataclasses
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from footage.commands.requirements import size

RESULTS = Path(__file__).parent / "results"
FRAMES_PER_SECOND = 30
"""Frame rate of the measured videos, and of those whose cost is calculated."""
VIEWS_PER_STEP = 512
"""Views per step of the measured recipe: 32 videos, 4 shots, 4 frames."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """A data set, its use, and prices."""

    videos: float = 6.1e6
    """Number of videos."""
    seconds: float = 206.0
    """Mean duration of a video in seconds."""
    megabytes: float = 20.0
    """Mean size of a video in MB."""
    stored_per_second: float = 2.0
    """Stored frames per second of video."""
    kilobytes_per_frame: float = 25.0
    """Mean size of a stored frame in kB, at 256 pixels."""
    passes: float = 10.0
    """Number of training epochs; each draws 16 views per video."""
    embedded_per_second: float = 1.0
    """Embedded frames per second of video."""
    features: float = 2048.0
    """Features per embedded frame, 4 bytes each."""
    forward_speedup: float = 3.0
    """Speed of a forward pass relative to a training step, per image; not measured."""
    evaluated_images: float = 250_000.0
    """Number of images in all tasks of a suite."""
    megabytes_per_get: float = 16.0
    """Maximum size of a GET request in MB."""
    months: float = 1.0
    """Number of months for which the store and the features are kept."""
    core_hour: float = 0.04
    """Price per core-hour in dollars."""
    gpu_hour: float = 4.0
    """Price per GPU-hour in dollars."""
    gigabyte_month: float = 0.023
    """Price per GB-month of storage in dollars."""
    thousand_gets: float = 0.0004
    """Price per 1,000 GET requests in dollars."""
    thousand_puts: float = 0.005
    """Price per 1,000 PUT requests in dollars."""


class Stage(NamedTuple):
    """What one stage needs."""

    name: str
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    gets: float = 0.0
    puts: float = 0.0
    read_bytes: float = 0.0
    written_bytes: float = 0.0

    def dollars(self, prices: Inputs) -> float:
        """The price of the stage, without storage."""
        return (
            self.core_hours * prices.core_hour
            + self.gpu_hours * prices.gpu_hour
            + self.gets / 1000 * prices.thousand_gets
            + self.puts / 1000 * prices.thousand_puts
        )


def read(name: str) -> Any:
    """Read a file of measurements."""
    return json.loads((RESULTS / name).read_text())


def core_seconds_per_frame(kind: str) -> float:
    """Measured CPU time per video frame of `ingest` or `decode`."""
    found = read("ingest-long-videos.json")
    seconds = sorted(found["cpu_seconds"][kind])
    return seconds[len(seconds) // 2] / found["frames"]


def views_per_second() -> float:
    """Measured speed of training `vivi-ex4-gpu` on the GPU of the results, without loading."""
    return VIEWS_PER_STEP / read("recipe-costs-gpu.json")["reference_seconds"]


def stages(inputs: Inputs) -> list[Stage]:
    """Return the stages in order."""
    every_second = inputs.videos * inputs.seconds
    frames = every_second * FRAMES_PER_SECOND
    source_bytes = inputs.videos * inputs.megabytes * 1e6
    gets = inputs.videos * math.ceil(inputs.megabytes / inputs.megabytes_per_get)
    stored_bytes = every_second * inputs.stored_per_second * inputs.kilobytes_per_frame * 1e3
    units = source_bytes / max(inputs.megabytes * 1e6, min(64 * inputs.megabytes * 1e6, 16 * 2**20))
    shots = inputs.videos * inputs.passes * 4
    views = 4 * shots
    embedded = every_second * inputs.embedded_per_second
    forward = inputs.forward_speedup * views_per_second()
    return [
        Stage(
            "ingest",
            core_hours=frames * core_seconds_per_frame("ingest") / 3600,
            gets=gets,
            puts=2 * units,
            read_bytes=source_bytes,
            written_bytes=stored_bytes,
        ),
        Stage(
            "train",
            gpu_hours=views / views_per_second() / 3600,
            gets=shots,
            read_bytes=views * inputs.kilobytes_per_frame * 1e3,
        ),
        Stage(
            "embed",
            core_hours=frames * core_seconds_per_frame("decode") / 3600,
            gpu_hours=embedded / forward / 3600,
            gets=gets,
            puts=units,
            read_bytes=source_bytes,
            written_bytes=4 * embedded * inputs.features,
        ),
        Stage("evaluate", gpu_hours=inputs.evaluated_images / forward / 3600),
    ]


def hours(value: float) -> str:
    """A number of hours with enough digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}" if value else "0"


def table(inputs: Inputs) -> str:
    """Return the stages as a table in Markdown, with the price of storage."""
    lines = [
        "| stage | core-hours | GPU-hours | GET | PUT | read | written | dollars |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    every = stages(inputs)
    for one in every:
        lines.append(
            f"| {one.name} | {hours(one.core_hours)} | {hours(one.gpu_hours)} | {one.gets:,.0f} |"
            f" {one.puts:,.0f} | {size(one.read_bytes)} | {size(one.written_bytes)} |"
            f" {one.dollars(inputs):,.0f} |"
        )
    kept = sum(one.written_bytes for one in every)
    price = kept / 1e9 * inputs.gigabyte_month * inputs.months
    what = f"storage, {inputs.months:g} month" + "s" * (inputs.months != 1)
    lines.append(f"| {what} | | | | | | {size(kept)} kept | {price:,.0f} |")
    whole = price + sum(one.dollars(inputs) for one in every)
    lines.append(f"| **all** | | | | | | | **{whole:,.0f}** |")
    return "\n".join(lines) + "\n"


def tables_of(videos: float) -> dict[str, tuple[float, float]]:
    """Extrapolate seconds and peak memory in MB of each task from the two largest measured stores.

    A straight line suits a quantity with a fixed part, a power law one that grows faster than the
    number of videos; the larger value is returned.
    """
    few, many = read("scale.json")["rows"][-2:]
    left, right = few["videos"], many["videos"]

    def extended(what: str, quantity: str) -> float:
        low, high = few[what][quantity], many[what][quantity]
        line = high + (high - low) / (right - left) * (videos - right)
        power = high * (videos / right) ** (math.log(high / low) / math.log(right / left))
        return max(line, power)

    tasks = ("plan_again", "manifest", "open")
    return {task: (extended(task, "seconds"), extended(task, "peak_mb")) for task in tasks}


def main() -> None:
    """Print the table of a data set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    for field in dataclasses.fields(Inputs):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=float, default=field.default, help="default: %(default)s")
    print(table(Inputs(**vars(parser.parse_args()))), end="")


if __name__ == "__main__":
    main()
