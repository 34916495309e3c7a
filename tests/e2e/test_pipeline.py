"""From raw videos to a page, by the command line alone, as a user would type it."""

import os
import subprocess
import sys

import duckdb
import numpy as np
import polars
import pytest
import torch

from footage.models.backbone import timm
from footage.models.load import load
from tests.support.labelled_shapes import draw_shapes
from tests.support.training import AS_OPTIONS


@pytest.fixture(scope="module")
def work(video_folder, tmp_path_factory):
    """The folder in which everything is typed; the verbs' own tests look closer."""
    folder = tmp_path_factory.mktemp("work")
    draw_shapes(folder / "photos")
    (folder / "videos").mkdir()
    for video in video_folder.rglob("*.mp4"):
        (folder / "videos" / video.name).symlink_to(video)
    (folder / "videos" / "broken.MP4").write_bytes(b"not a video")
    return folder


def footage(work, *words):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "footage", *words],
        cwd=work, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_whole_way_from_videos_to_a_page(work):
    said = footage(work, "ingest", "videos", "--out", "store", "--workers", "2")
    assert "broken.MP4" in said
    videos = polars.read_ipc(work / "store/manifests/000001/videos.arrow").to_arrow()
    assert videos.num_rows
    seen = duckdb.sql("select status, count(*) from videos group by 1")
    assert dict(seen.fetchall()) == {"ok": 6, "quarantined": 1}
    frames = polars.read_parquet(f"{work}/store/frames/*/*.parquet")
    assert frames["jpeg"].bin.starts_with(b"\xff\xd8").all()

    options = [*AS_OPTIONS, "--steps", "20", "--metrics-every", "10", "--checkpoint-every", "10"]
    said = footage(
        work, "train", "vivi-ex4-tiny", "--store", "store", "--out", "runs/first", *options
    )
    assert said.strip() == "runs/first"

    said = footage(work, "evaluate", "runs/first", "--labels", "photos")
    assert "linear" in said
    assert "untrained" in said

    footage(work, "embed", "runs/first", "photos", "videos", "--out", "embeddings.parquet")
    rows = polars.read_parquet(work / "embeddings.parquet")
    assert len(rows) > 120
    model = load(str(work / "runs/first"))
    assert len(rows["embedding"][0]) == model.backbone.feature_dim

    folder = footage(work, "export", "runs/first", "--to", "timm", "--out", "exported").strip()
    network = timm.create_model(f"local-dir:{work / folder}", pretrained=True, num_classes=0)
    images = torch.from_numpy(np.random.default_rng(0).random((2, 3, 32, 32), np.float32))
    with torch.inference_mode():
        difference = (network.eval()(images) - model.backbone(images)).abs().max()
    assert float(difference) < 1e-5
    file = footage(work, "export", "runs/first", "--to", "safetensors", "--out", "b.safetensors")
    footage(work, "evaluate", file.strip(), "--labels", "photos", "--protocols", "knn")

    footage(work, "report", "runs/first", "--out", "report.html")
    page = (work / "report.html").read_text("utf-8")
    assert "Shot level: exemplar" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
