"""Cache of baseline results on clips with masks, keyed by a digest of everything they depend on.

Runs with the same architecture share their baselines, so only the masks of the run itself remain to
be propagated. As in `result_cache`, a key contains no names.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from footage.errors import ConfigError, FootageError, OutputError
from footage.evaluation.fields import Hash, Record
from footage.evaluation.folders import digest_of
from footage.evaluation.results import ClipValue
from footage.io import cache
from footage.io.documents import Document

log = logging.getLogger(__name__)


class CachedClips(Record, frozen=True):
    """Results of one model on all clips of a task."""

    clips: list[ClipValue]
    key: Hash


CACHED: Final = Document[CachedClips](
    schema=CachedClips,
    name="cached clip results",
    error=ConfigError,
    hint="remove it; it will be computed again",
)


def path_of(baseline: str, described: Mapping[str, Any], *more: object) -> Path:
    """Return the file of a baseline in the cache; it may not exist.

    Args:
        baseline: Kind of the baseline.
        described: Description of the model.
        more: Everything else that the results depend on, as JSON values.
    """
    key = digest_of(described, baseline, *more)
    return cache.folder() / "evaluations" / "propagation" / "baselines" / f"{key}.json"


def read(path: Path) -> list[ClipValue] | None:
    """Read the results in a cache file; return None if it is missing or invalid."""
    if not path.exists():
        return None
    try:
        found = CACHED.read(path)
    except FootageError as error:
        log.warning("%s", error.message)
        return None
    return found.clips if found.key == path.stem else None


def keep(path: Path, clips: Sequence[ClipValue]) -> None:
    """Write results to the cache; a full disk only causes a warning."""
    try:
        CACHED.write(path, {"clips": list(clips), "key": path.stem})
    except OutputError as error:
        log.warning("results are not cached: %s", error.message)
