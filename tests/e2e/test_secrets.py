"""Passwords, signatures and tokens never appear in anything that footage writes or prints."""

import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from footage.store.reader import Store
from tests.support.labelled_shapes import draw_shapes
from tests.support.training import AS_OPTIONS
from tests.support.web_server import web_server

CANARY = "c4n4ryS3CRETc4n4ry"


def contents(path):
    """The content of a file, as bytes that can be searched for text."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    table = pq.read_table(path)
    return repr(table.to_pylist()).encode() + repr(table.schema.metadata).encode()


def files_with(text, folder):
    return [str(p) for p in folder.rglob("*") if p.is_file() and text.encode() in contents(p)]


def test_the_search_finds_text_in_every_kind_of_file(tmp_path):
    import pyarrow as pa

    pq.write_table(pa.table({"x": [CANARY] * 100}), tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "a.json").write_text(f'"{CANARY}"')
    assert len(files_with(CANARY, tmp_path)) == 2


@pytest.mark.slow
def test_no_secret_of_a_url_or_of_the_environment_is_written_or_printed(video_folder, tmp_path):
    pytest.importorskip("aiohttp")
    draw_shapes(tmp_path / "photos")
    videos = sorted(video_folder.rglob("*.mp4"))
    served = {f"/v{number}.mp4": video.read_bytes() for number, video in enumerate(videos)}
    served["/broken.mp4"] = b"not a video"
    secrets = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    environment = {**os.environ, **dict.fromkeys(secrets, CANARY), "OMP_NUM_THREADS": "1"}
    printed = []

    def footage(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "footage", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        printed.append(done.stdout + done.stderr)

    with web_server(served, CANARY) as url_of:
        urls = [url_of(path) for path in served]
        missing = url_of("/missing.mp4")
        footage("ingest", missing, "--out", "none", code=1)
        footage("ingest", *urls, "--out", "store", "--max-quarantined-fraction", "1")
        footage("ingest", *urls, "--out", "store", "--max-quarantined-fraction", "1")
        options = [*AS_OPTIONS, "--steps", "4", "--metrics-every", "2", "--checkpoint-every", "2"]
        footage("train", "vivi-ex4-tiny", "--store", "store", "--out", "run", *options)
        footage("evaluate", "run", "--labels", "photos", "--protocols", "knn")
        footage("embed", "run", *urls, "--out", "rows.parquet")
        footage("export", "run", "--to", "timm")
        footage("export", "run", "--to", "safetensors")
        footage("report", "run", "--out", "report.html")
    rows = set(Store.open(tmp_path / "store").videos["path"].to_pylist())
    assert len(rows) == len(urls)
    assert all("X-Amz-Signature=***" in path for path in rows), rows
    assert files_with("X-Amz-Signature=***", tmp_path)
    assert files_with(CANARY, tmp_path) == []
    assert not [text for text in printed if CANARY in text]
