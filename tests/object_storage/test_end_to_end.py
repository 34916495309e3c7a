"""From a bucket of videos, one of a hundred broken, to an evaluated and exported backbone."""

import re

import fsspec
import numpy as np
import pytest

from footage import cli
from footage.store.reader import Store
from tests.object_storage.test_stores import upload
from tests.support import synthetic
from tests.support.object_store import KEY, SECRET

TRAINING = [
    "--steps", "4", "--checkpoint-every", "2", "--held-out-fraction", "0.1",
    "--sampling.videos-per-batch", "4", "--augment.size", "32",
    "--backbone.architecture", "test_resnet", "--compute.workers", "2",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_bucket_to_backbone_with_one_bad_file_in_a_hundred(bucket, server, tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(99):
        scenes = synthetic.cuts([number, number + 200, number + 400], 1.0)
        synthetic.encode(videos / f"{number:02d}.mp4", scenes)
    (videos / "bad.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    upload(videos, f"{bucket}/videos")

    run = f"{bucket}/runs/first"
    for words in (
        ["ingest", f"{bucket}/videos", "--out", f"{bucket}/store", "--short-side", "64"],
        ["train", "vivi-ex4-tiny", "--store", f"{bucket}/store", "--out", run, *TRAINING],
        ["evaluate", run, "--held-out"],
        ["export", run, "--to", "timm"],
        ["report", run, "--out", f"{bucket}/report.html"],
    ):
        assert cli.main(words) == 0, words

    totals = Store.open(f"{bucket}/store").totals
    assert (totals["ok"], totals["quarantined"], totals["seen"]) == (99, 1, 100)
    names = server.files(bucket)
    assert {"runs/first/exports/timm/model.safetensors", "report.html"} <= set(names)
    assert any(name.startswith("runs/first/evaluations/held-out") for name in names)
    text = "".join(capsys.readouterr())
    assert re.search(r"quarantined +bad\.mp4#\w+: ", text)
    content = b"".join(names.values()) + text.encode()
    assert KEY.encode() not in content
    assert SECRET.encode() not in content
    assert fsspec.filesystem("s3").exists(f"{run}/run.json")
