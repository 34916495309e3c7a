"""The result of `footage evaluate`: rows, tables, comparisons and the verdict."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footage.evaluation.averages import Summary
from footage.evaluation.results import ResultRow, warnings
from footage.evaluation.tables import tables
from footage.evaluation.verdicts import Comparison
from footage.results import Result, View


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Results(Result):
    """The result of an evaluation."""

    rows: list[ResultRow]
    """One per task, model and protocol; of baselines, too."""
    summaries: dict[str, Summary]
    """Averages of the first model over the tasks of a suite, by protocol; empty without a suite."""
    files: list[Path]
    """The files of the rows; for a suite a folder per protocol."""
    shard: str = ""
    """The shard of a suite that was evaluated, without rows; empty otherwise."""
    comparisons: Sequence[Comparison] = ()
    """The models compared under each protocol; the protocol of the verdict comes first."""
    verdict: str = ""
    """The first model compared with the others, or with its untrained network, in a sentence."""

    def views(self) -> Sequence[View]:
        """Return the tables with the verdict, and the files below them."""
        if self.shard:
            return [f"shard {self.shard} is done"]
        return [*tables(self.rows, self.summaries, self.comparisons), *map(str, self.files)]

    def to_dict(self) -> dict[str, Any]:
        """Return the results as JSON values, with the warnings."""
        return {**Result.to_dict(self), "warnings": warnings(self.rows)}
