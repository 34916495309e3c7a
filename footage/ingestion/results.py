"""What an ingest did, without a Python object per video."""

import pyarrow as pa

from footage.ingestion.worker import IngestResult
from footage.sandbox.layers import Sandbox

_MOST_IDS = 2**14
_NONE = pa.array([], pa.large_string())


class Results:
    """The outcomes of the videos of an ingest.

    Args:
        unchanged: Ids of the videos that did not have to be ingested.
        sandbox: Sandbox layers of the decoders of an earlier attempt.
    """

    def __init__(self, unchanged: pa.Array = _NONE, sandbox: Sandbox | None = None) -> None:
        self._ids: list[pa.Array] = [unchanged]
        self._newest: list[str] = []
        self._num_done = len(unchanged)
        self.failures: list[tuple[str, str]] = []
        """Name and reason of every file that could not be processed."""
        self.sandbox: Sandbox | None = sandbox
        """Sandbox layers of the decoders; None if nothing was decoded."""

    def add(self, result: IngestResult) -> None:
        """Add the outcome of one file."""
        self.sandbox = self.sandbox or result.sandbox
        if result.failure:
            self.failures.append((result.video.rpartition("#")[0], result.failure))
            return
        self._num_done += 1
        self._newest.append(result.video)
        if len(self._newest) == _MOST_IDS:
            self._flush()

    def _flush(self) -> None:
        self._ids.append(pa.array(self._newest, pa.large_string()))
        self._newest.clear()

    @property
    def num_done(self) -> int:
        """Number of files that were processed, or did not have to be."""
        return self._num_done

    @property
    def num_videos(self) -> int:
        """Number of all files."""
        return self._num_done + len(self.failures)

    def done(self) -> pa.ChunkedArray:
        """Return the ids of the videos that the store must list."""
        self._flush()
        return pa.chunked_array(self._ids, pa.large_string())
