"""Runs of one recipe with different seeds, which count as one model in a comparison."""

import hashlib
import json
from pathlib import Path
from typing import Final

from footage.evaluation.digests import DIGITS
from footage.runs import checkpoint, layout

IRRELEVANT: Final = frozenset(
    {"seed", "compute", "metrics_frames", "metrics_every", "checkpoint_every", "keep_checkpoints"}
)
"""Settings that may differ between runs of one recipe."""


def recipe_digest(run: Path) -> str:
    """Digest of the training that led to a run's newest checkpoint, except its seed.

    It covers settings, data and the number of steps.

    Raises:
        CheckpointError: The run cannot be read.
    """
    record = layout.read_record(run)
    config = {name: value for name, value in record["config"].items() if name not in IRRELEVANT}
    data = [record["store_hash"], record["images_hash"]]
    steps = checkpoint.steps(run / layout.CHECKPOINTS)[-1:]
    parts = json.dumps([config, data, steps], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:DIGITS]
