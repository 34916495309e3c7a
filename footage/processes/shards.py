"""Shards: one command, split over the elements of a job array, without an engine.

Each element runs the same command with another `--shard I/N` and does every Nth piece of the work.
Afterwards the same command with `--merge` joins the results.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from footage.errors import ConfigError
from footage.io import files

AUTO: Final = "auto"
"""Value of `--shard` that takes the shard from the variables of the job array."""

SLURM_INDEX: Final = "SLURM_ARRAY_TASK_ID"
SLURM_COUNT: Final = "SLURM_ARRAY_TASK_COUNT"
SLURM_FIRST: Final = "SLURM_ARRAY_TASK_MIN"
SLURM_LAST: Final = "SLURM_ARRAY_TASK_MAX"
KUBERNETES_INDEX: Final = "JOB_COMPLETION_INDEX"
KUBERNETES_COUNT: Final = "JOB_COMPLETIONS"
"""Kubernetes sets the index but not the number of completions; the job file sets this variable."""


_NOTE: Final = ".shards-"


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` equal shares of the work; the first has index 0."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def takes(self, position: int) -> bool:
        """Whether the piece of work at this position, from 0, belongs to the shard."""
        return position % self.count == self.index


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Return the shard that the value of `--shard` names: I/N, or `auto` inside a job array.

    Args:
        text: The value, such as 0/8 for the first of eight shards.
        environment: Variables of the process, for `auto`.

    Raises:
        ConfigError: It is not a shard, or this process is not an element of a job array.
    """
    if text == AUTO:
        return shard_of_this_job(environment)
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if not found or not int(found[1]) < int(found[2]):
        raise ConfigError(
            f"--shard must be I/N with I from 0 to N - 1, or {AUTO}; got {text!r}",
            "for the first of eight shards: --shard 0/8",
        )
    return Shard(int(found[1]), int(found[2]))


def shard_of_this_job(environment: Mapping[str, str] = os.environ) -> Shard:
    """Return the shard of this element of a Slurm job array or a Kubernetes indexed job.

    A Slurm array must have all indices from 0 or 1, so that each index names the same shard in
    every submission. Elements that are submitted again therefore name their shard explicitly.

    Raises:
        ConfigError: This process is not such an element, or the array has other indices.
    """
    if environment.get(SLURM_INDEX):
        return _of_slurm(environment)
    if environment.get(KUBERNETES_INDEX):
        index = _number(environment, KUBERNETES_INDEX)
        count = _number(environment, KUBERNETES_COUNT)
        if index >= count:
            raise ConfigError(
                f"{KUBERNETES_INDEX} is '{index}', but {KUBERNETES_COUNT} is '{count}'",
                f"set {KUBERNETES_COUNT} in the job file to the job's number of completions",
            )
        return Shard(index, count)
    raise ConfigError(
        f"--shard {AUTO} needs a job array, but neither {SLURM_INDEX} nor {KUBERNETES_INDEX}"
        " is set",
        "submit with sbatch --array=0-7 or as an indexed Job, or use --shard I/N",
    )


def check_options(shard: str, *, is_merge: bool) -> None:
    """Check `--shard` without the variables of a job, and that `--merge` is not combined with it.

    Raises:
        ConfigError: The value is not a shard, or both options are given.
    """
    if shard and is_merge:
        raise ConfigError(
            "--shard and --merge cannot be combined", "run --merge once, after all shards"
        )
    if shard not in ("", AUTO):
        parse_shard(shard)


def note_count(folder: Path, count: int) -> None:
    """Remember in a folder that its work is divided into `count` shards, for messages."""
    files.write_text(folder / f"{_NOTE}{count}", "")


def forget_counts(folder: Path) -> None:
    """Remove the notes of `note_count`."""
    for path in folder.glob(f"{_NOTE}*"):
        files.remove(path)


def check_none_missing(folder: Path, missing: Sequence[int], total: int) -> None:
    """Check before a merge that all pieces of work are done.

    Args:
        folder: The folder of the pieces and of the notes of `note_count`.
        missing: Positions of the pieces that are not done.
        total: Number of pieces.

    Raises:
        ConfigError: Some are not; the message names their shards.
    """
    if not missing:
        return
    used = [path.name.removeprefix(_NOTE) for path in folder.glob(f"{_NOTE}*")]
    if len(used) == 1 and used[0].isdecimal():
        which = missing_shards(int(used[0]), missing)
        what = f"shard {which[0]} is missing"
        if len(which) > 1:
            what = f"the shards {', '.join(map(str, which))} are missing"
    else:
        what = f"{len(missing)} of {total} parts are missing"
    raise ConfigError(
        f"{what} in {str(folder)!r}",
        "run the same command with --shard I/N instead of --merge for each, on the same files",
    )


def missing_shards(count: int, positions: Iterable[int]) -> list[Shard]:
    """Return the shards, of `count`, that the pieces of work at these positions belong to."""
    return [Shard(index, count) for index in sorted({each % count for each in positions})]


def _of_slurm(environment: Mapping[str, str]) -> Shard:
    index, count = _number(environment, SLURM_INDEX), _number(environment, SLURM_COUNT)
    first = _number(environment, SLURM_FIRST) if SLURM_FIRST in environment else 0
    last = _number(environment, SLURM_LAST) if SLURM_LAST in environment else first + count - 1
    if first > 1 or last - first + 1 != count or not first <= index <= last:
        raise ConfigError(
            f"--shard {AUTO} needs a job array with all indices from 0 or 1; this is element"
            f" '{index}' of '{count}' from '{first}' to '{last}'",
            f'for elements that run again, use --shard "${SLURM_INDEX}/N" with the first'
            " array's N (and indices from 0)",
        )
    return Shard(index - first, count)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        hint = "set it in the job file to the job's number of completions"
        raise ConfigError(
            f"{name} must be a number; got {text!r}",
            hint if name == KUBERNETES_COUNT else "use --shard I/N",
        )
    return int(text)
