"""The table of `embed` is the same bytes wherever its parts are computed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from footage.commands.embed import EmbedConfig, embed
from footage.embedding import parts
from footage.errors import ConfigError, MachineError
from footage.processes.executors import EXECUTORS, Outcome

TINY = "test_resnet"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, video_folder: Path) -> list[str]:
    """Seven images, of which one is broken, and six videos."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return [str(folder), str(video_folder)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "FILES_PER_PART", 3)  # five parts


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory):
    """The table that one process writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "FILES_PER_PART", 3)
        path = tmp_path_factory.mktemp("expected") / "e.parquet"
        done = embed(TINY, inputs, out=path, config=EmbedConfig(size=32))
    assert (done.num_images, done.num_videos, len(done.failures)) == (7, 6, 1)
    return done, path.read_bytes()


def test_parts_are_removed_and_rows_are_in_the_order_of_the_files(expected):
    done, _ = expected
    assert [path.name for path in done.path.parent.iterdir()] == ["e.parquet"]
    names = pq.read_table(done.path)["input"].to_pylist()
    assert [Path(name).name for name in dict.fromkeys(names)] == sorted(
        {Path(name).name for name in names[:7]}
    ) + list(dict.fromkeys(Path(name).name for name in names[7:]))


def test_two_workers_write_the_same_bytes(inputs, tmp_path, expected):
    config = EmbedConfig(size=32, workers=2)
    done = embed(TINY, inputs, out=tmp_path / "e.parquet", config=config)
    assert done.path.read_bytes() == expected[1]
    assert replace(done, path=expected[0].path) == expected[0]


@pytest.mark.slow
def test_ray_writes_the_same_bytes(inputs, tmp_path, expected, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = EmbedConfig(size=32, workers=2, executor="ray")
    done = embed(TINY, inputs, out=tmp_path / "e.parquet", config=config)
    assert done.path.read_bytes() == expected[1]


def test_merged_shards_are_the_same_bytes_and_missing_ones_are_named(inputs, tmp_path, expected):
    out = tmp_path / "e.parquet"
    merge = EmbedConfig(size=32, merge=True)
    with pytest.raises(ConfigError, match="5 of 5 parts are missing"):
        embed(TINY, inputs, out=out, config=merge)
    first = embed(TINY, inputs, out=out, config=EmbedConfig(size=32, shard="1/3"))
    assert (first.shard, out.exists()) == ("1/3", False)
    with pytest.raises(ConfigError, match="the shards 0/3, 2/3 are missing"):
        embed(TINY, inputs, out=out, config=merge)
    embed(TINY, inputs, out=out, config=EmbedConfig(size=32, shard="0/3"))
    with pytest.raises(ConfigError, match="shard 2/3 is missing"):
        embed(TINY, inputs, out=out, config=merge)
    embed(TINY, inputs, out=out, config=EmbedConfig(size=32, shard="2/3"))
    embed(TINY, inputs, out=out, config=merge)
    assert out.read_bytes() == expected[1]
    assert [path.name for path in tmp_path.iterdir()] == ["e.parquet"]


def test_one_shard_may_run_twice_at_once(inputs, tmp_path, expected):
    out = tmp_path / "e.parquet"
    command = [sys.executable, "-m", "footage", "embed", TINY, *inputs, "--out", str(out)]
    command += ["--size", "32", "--shard"]
    both = [
        subprocess.Popen([*command, "0/1"], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for one in both:
        assert "shard 0/1 is done: 7 images, 6 videos" in one.communicate(timeout=300)[0]
        assert one.returncode == 0
    subprocess.run([*command[:-1], "--merge"], check=True, stdout=subprocess.DEVNULL)
    columns = ["input", "seconds", "status"]
    assert pq.read_table(out, columns=columns).equals(
        pq.read_table(expected[0].path, columns=columns)
    )


def test_killed_embed_resumes_with_its_parts(inputs, tmp_path, expected, monkeypatch):
    out = tmp_path / "e.parquet"

    class DiesAfterTwo:
        def run(self, function, tasks):
            for number, task in enumerate(tasks):
                if number == 2:
                    raise KeyboardInterrupt
                yield Outcome(task, function(task), "")

    monkeypatch.setitem(EXECUTORS._complete(), "dies", lambda _: DiesAfterTwo())
    with pytest.raises(KeyboardInterrupt):
        embed(TINY, inputs, out=out, config=EmbedConfig(size=32, executor="dies"))
    (folder,) = tmp_path.iterdir()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert len(kept) == 2
    Path(sorted(kept)[1]).write_bytes(b"PAR1")  # as after a power cut
    embed(TINY, inputs, out=out, config=EmbedConfig(size=32))
    assert out.read_bytes() == expected[1]


def test_batch_whose_workers_die_is_an_error_that_names_its_files(inputs, tmp_path, monkeypatch):
    class AllDie:
        def run(self, _function, tasks):
            yield Outcome(next(iter(tasks)), None, "its worker process died 3 times (SIGKILL)")

    monkeypatch.setitem(EXECUTORS._complete(), "dies", lambda _: AllDie())
    config = EmbedConfig(size=32, executor="dies")
    with pytest.raises(MachineError, match=r"3 files from '0\.png' to '2\.png' could not be"):
        embed(TINY, inputs, out=tmp_path / "e.parquet", config=config)


def test_parts_of_changed_files_are_computed_again(inputs, tmp_path, expected):
    out = tmp_path / "e.parquet"
    folder = parts.folder_of(out)
    embed(TINY, inputs, out=out, config=EmbedConfig(size=32, shard="0/1"))
    before = sorted(path.name for path in folder.glob("*.parquet"))
    changed = Path(inputs[0]) / "0.png"
    os.utime(changed, ns=(1, 1))
    embed(TINY, inputs, out=out, config=EmbedConfig(size=32, shard="0/1"))
    after = sorted(path.name for path in folder.glob("*.parquet"))
    assert len(set(after) - set(before)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": "0/2", "merge": True}, "cannot be combined"),
        ({"shard": "2/2"}, "must be I/N"),
        ({"workers": 0}, "workers is out of range"),
    ],
)
def test_options_that_contradict_each_other_are_rejected(options, message):
    with pytest.raises(ConfigError, match=message):
        EmbedConfig(**options)
