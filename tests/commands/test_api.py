"""Functions of `import footage` accept one path instead of several, and names of recipes."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import footage
from footage import arguments
from footage.commands.evaluate import EvaluateConfig
from footage.commands.requirements import Requirements
from footage.errors import ConfigError
from tests.support.hand_made_runs import hand_made_run

WRONG = """
import json, sys, traceback, footage
from footage.errors import ConfigError
calls = [
    lambda: footage.ingest(5, "OUT"),
    lambda: footage.ingest(None, "OUT"),
    lambda: footage.ingest({"a": 1}, "OUT"),
    lambda: footage.ingest(b"videos", "OUT"),
    lambda: footage.ingest(["a", 5], "OUT"),
    lambda: footage.ingest("videos", 5),
    lambda: footage.ingest("videos", "OUT", {"workers": 2}),
    lambda: footage.train(5, out="OUT"),
    lambda: footage.train({"steps": 3}, out="OUT"),
    lambda: footage.train("vivi-ex4-tiny", out=5),
    lambda: footage.train("vivi-ex4-tiny", out="OUT", store=5),
    lambda: footage.evaluate("test_resnet", labels=5),
    lambda: footage.evaluate(5, labels="photos"),
    lambda: footage.evaluate("test_resnet", labels="photos", config="knn"),
    lambda: footage.embed("test_resnet", 5, out="OUT.parquet"),
    lambda: footage.embed(None, "photo.jpg", out="OUT.parquet"),
    lambda: footage.profile(5, out="OUT"),
    lambda: footage.profile("test_resnet", out="OUT", store=3),
    lambda: footage.report(5, out="OUT"),
    lambda: footage.export(5, to="timm", out="OUT"),
    lambda: footage.load(5),
]
found = []
for call in calls:
    try:
        call()
        found.append("nothing was raised")
    except ConfigError as error:
        found.append([error.message, error.hint])
    except BaseException:
        found.append(traceback.format_exc())
print(json.dumps(found))
"""


def test_an_argument_of_a_wrong_type_is_one_clear_error(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WRONG], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    for found in json.loads(done.stdout):
        assert isinstance(found, list), found
        message, hint = found
        assert " must be " in message, message
        assert "got " in message
        assert hint, message
    assert list(tmp_path.iterdir()) == []


def test_one_path_and_several_are_the_same():
    for values in ("a", Path("a"), ["a"], (Path("a"),), iter(["a"])):
        assert arguments.locations(values, "paths") == ["a"]
    assert arguments.locations([], "paths") == []


def test_a_recipe_is_named(tmp_path):
    with pytest.raises(ConfigError, match="this recipe needs a frame store"):
        footage.train("vivi-ex4-tiny", out=tmp_path / "run")
    with pytest.raises(footage.errors.FootageError, match="vivi-ex5"):
        footage.train("vivi-ex5", out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_single_path_is_taken_wherever_several_are(tmp_path, shapes_folder):
    run = hand_made_run(tmp_path / "run")
    photo = next(path for path in shapes_folder.rglob("*") if path.is_file())
    assert footage.load(run).preprocessing.size == 32
    footage.embed(run, photo, out=tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 1
    config = EvaluateConfig(protocols=("knn",))
    rows = footage.evaluate(str(run), labels=str(shapes_folder), config=config).rows
    assert rows
    assert footage.report(run, out=tmp_path / "r.html").path == tmp_path / "r.html"
    assert footage.export(run, to="timm").path == run / "exports" / "timm"


def test_a_single_folder_of_videos_is_taken(video_folder, tmp_path):
    from footage.commands.ingest import IngestConfig

    report = footage.ingest(video_folder, tmp_path / "store", IngestConfig(workers=1))
    assert report.new_videos == 6


def test_a_dry_run_returns_the_requirements_and_writes_nothing(
    video_folder, shapes_folder, tiny_store, tmp_path
):
    small = {"videos_per_batch": 4, "workers": 1, "backbone": {"architecture": "test_resnet"}}
    found = [
        footage.ingest(video_folder, tmp_path / "store", dry_run=True, workers=1),
        footage.train(
            "vivi-ex4-tiny", store=tiny_store.path, out=tmp_path / "run", dry_run=True, **small
        ),
        footage.evaluate("test_resnet", labels=shapes_folder, dry_run=True, size=32),
    ]
    for one in found:
        assert isinstance(one, Requirements)
        assert one.fits
        assert "next: " in repr(one)
    assert list(tmp_path.iterdir()) == []


def test_shards_are_ingested_and_merged(video_folder, tmp_path):
    store = tmp_path / "store"
    shards = [footage.ingest(video_folder, store, shard=f"{n}/2", workers=1) for n in range(2)]
    assert [one.to_dict()["shard"] for one in shards] == ["0/2", "1/2"]
    assert footage.ingest(video_folder, store, merge=True, workers=1).new_videos == 6
    assert sum(one.num_videos for one in shards) == 6
