"""The sample of an ingest: its videos, and the estimates from their costs."""

import time

import numpy as np
import pytest

from footage.errors import MachineError
from footage.ingestion import sample
from footage.ingestion.config import IngestConfig
from footage.ingestion.sample import Cost, Drawn, costs, draw, total
from footage.ingestion.source_table import Source, SourceTable
from footage.ingestion.worker import IngestResult, UnitResult, UnitTask
from tests.support.ingesting import HERE


def sources(sizes):
    return SourceTable.of(
        Source(f"{place}.mp4", f"/{place}.mp4", "", size) for place, size in enumerate(sizes)
    )


def cost(num_bytes, frames):
    return Cost(num_bytes, 1.0, 1.0, 1, int(frames), 1, 1.0, "")


def test_a_small_set_is_the_sample_and_empty_files_are_not():
    drawn = draw(sources([5, 0, 3]), 16)
    assert [(one.source.num_bytes, one.num_bytes) for one in drawn] == [(3, 3), (5, 5)]


def test_each_share_of_the_bytes_has_one_video_and_a_large_video_several_shares():
    drawn = draw(sources([*[10] * 80, 800]), 8)
    assert sum(one.num_bytes for one in drawn) == 1600
    assert [one.num_bytes for one in drawn] == [200, 200, 200, 200, 800]
    assert drawn[-1].source.num_bytes == 800


def test_the_stated_error_covers_the_truth_in_most_sets():
    """Frames per byte vary by half and sizes are heavy-tailed; 95 % would be 190 of 200 sets."""
    right = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        sizes = (1e6 * random.lognormal(sigma=1.2, size=500)).astype(int)
        frames = (sizes / 1e4 * random.uniform(0.5, 1.5, 500)).astype(int)
        every = sources(sizes.tolist())
        frames_of = {one.name: count for one, count in zip(every, frames, strict=True)}
        drawn = draw(every, 16)
        found = total(
            [(one, cost(one.source.num_bytes, frames_of[one.source.name])) for one in drawn],
            "frames",
        )
        right += abs(found.total - frames.sum()) <= found.error
    assert 180 <= right <= 200


def test_the_whole_set_has_no_error_and_a_single_video_an_unknown_one():
    one, two = sources([100, 300])
    both = [(Drawn(one, 100), cost(100, 10)), (Drawn(two, 300), cost(300, 90))]
    assert total(both, "frames") == (pytest.approx(100.0), 0.0)
    alone = total([(Drawn(one, 1000), cost(100, 10))], "frames")
    assert alone.relative == "error unknown"
    assert alone.total == alone.highest == pytest.approx(100.0)


def unit(tmp_path):
    config = IngestConfig()
    return UnitTask((), tmp_path, config.extraction, config.detector, config.limits)


def test_a_video_that_takes_too_long_is_given_up_and_represented_by_another(tmp_path, monkeypatch):
    def ingest_unit(task):
        if task.sources[0].source.num_bytes == 300:
            time.sleep(60)
        raise InterruptedError

    monkeypatch.setattr(sample, "ingest_unit", ingest_unit)
    start = time.perf_counter()
    drawn = [Drawn(source, source.num_bytes) for source in sources([300])]
    assert costs(drawn, unit(tmp_path), HERE, seconds=0.2) == []
    assert time.perf_counter() - start < 10


def test_no_video_is_started_after_the_time_is_up(tmp_path):
    drawn = [Drawn(source, source.num_bytes) for source in sources([100, 300])]
    assert costs(drawn, unit(tmp_path), HERE, seconds=-1.0) == []


def test_an_unmeasured_video_is_represented_by_the_one_of_the_nearest_size():
    drawn = [Drawn(source, source.num_bytes) for source in sources([100, 200, 300, 400])]
    found = sample._represented(drawn, {0: cost(100, 1), 2: cost(300, 1)})
    assert [(one.source.num_bytes, one.num_bytes) for one, _ in found] == [(100, 300), (300, 700)]


def test_a_failing_machine_is_an_error_and_not_a_sample_without_videos(tmp_path, monkeypatch):
    failed = UnitResult((IngestResult("a", None, "out of memory"),), 0)
    monkeypatch.setattr(sample, "ingest_unit", lambda _: failed)
    drawn = [Drawn(source, source.num_bytes) for source in sources([100])]
    with pytest.raises(MachineError, match="out of memory"):
        costs(drawn, unit(tmp_path), HERE, seconds=5.0)
