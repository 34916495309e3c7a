"""Every command reports the layers around its decoders once, and can require all of them."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footage import cli
from footage.commands.profile import ProfileConfig, profile
from footage.commands.train import train
from footage.errors import SandboxError
from footage.evaluation import features
from footage.images import confined
from footage.processes import interpreters
from footage.recipes.methods import recipe
from footage.sandbox import policy
from footage.sandbox.layers import LANDLOCK, LAYERS
from footage.sandbox.messages import Confinement
from footage.suites.vtab.doctor import examine
from footage.video.frame_reader import FrameReader
from tests.suites.vtab.folders import ROW, write_task
from tests.support import rendered_videos, synthetic
from tests.support.training import smallest

WITHOUT_LANDLOCK = tuple(name for name in LAYERS if name != LANDLOCK)
MISSING = "sandbox layers are missing on this machine: Landlock"


@pytest.fixture(autouse=True)
def as_before():
    """`main` sets up logging for a program; tests want theirs back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with policy.of_command(require_all=False):
        yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def no_landlock(monkeypatch):
    """Image decoders of this process lack a layer."""
    confinement = Confinement(
        memory_bytes=confined.MEMORY_BYTES,
        cpu_seconds=20,
        wall_seconds=100.0,
        silent_seconds=100.0,
        layers=WITHOUT_LANDLOCK,
    )
    with confined.ConfinedDecoders(confinement=confinement) as decoders:
        monkeypatch.setitem(confined._shared, os.getpid(), decoders)
        monkeypatch.setattr(confined, "ConfinedDecoders", lambda: decoders)
        yield
        features._threads().shutdown()  # a command that failed leaves some at work
        features._threads.cache_clear()


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    for name in ("one", "two"):
        (folder / name).mkdir()
        for number in range(12):
            noise = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{number}.png")
    return folder


def commands(labelled, tmp_path):
    """Command lines of which each decodes images."""
    out = str(tmp_path / "out.parquet")
    return {
        "embed": ["embed", "test_resnet", str(labelled), "--out", out, "--size", "32"],
        "evaluate": ["evaluate", "test_resnet", "--labels", str(labelled), "--size", "32"],
    }


@pytest.mark.parametrize("name", ["embed", "evaluate"])
def test_command_without_all_layers_stops_where_they_are_required(
    no_landlock, labelled, tmp_path, capsys, name
):
    assert cli.main([*commands(labelled, tmp_path)[name], "--require-sandbox"]) == 1
    assert f"error: {MISSING}" in capsys.readouterr().err
    assert not policy.requires_all()


def test_profiling_and_the_doctor_stop_where_layers_are_required(no_landlock, tmp_path):
    videos, labelled = rendered_videos.draw(tmp_path / "rendered")
    config = ProfileConfig(size=32, scenes=0, reach=2)
    with policy.of_command(require_all=True):
        with pytest.raises(SandboxError, match=MISSING):
            profile(
                "test_resnet", videos=videos, labels=labelled, out=tmp_path / "p", config=config
            )
        write_task(tmp_path / "cifar")
        with pytest.raises(SandboxError, match=MISSING):
            examine(tmp_path, (ROW,))


def test_training_on_images_reports_the_layers_and_stops_where_they_are_required(
    no_landlock, labelled, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "footage")
    base = recipe("sup-tiny")
    config = smallest(objective=base.objective, unlabelled_source=base.unlabelled_source, steps=1)
    train(config, labels=labelled, out=tmp_path / "run")
    assert caplog.text.count("missing layers: Landlock (not requested)") == 1
    with policy.of_command(require_all=True), pytest.raises(SandboxError, match=MISSING):
        train(config, labels=labelled, out=tmp_path / "other")


def test_layers_are_reported_once_for_each_command(no_landlock, labelled, tmp_path, capsys):
    for name in ("embed", "evaluate"):
        assert cli.main(commands(labelled, tmp_path)[name]) == 0
        log = capsys.readouterr().err
        assert log.count("decoder sandbox: no new privileges, ") == 1
        assert log.count("missing layers: Landlock (not requested)") == 1


def test_decoders_of_videos_report_their_layers(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "footage")
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 1.0))
    with FrameReader(32, 1.0) as reader:
        assert len([*reader.frames(path), *reader.frames(path)]) == 2
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "decoder sandbox", "missing layers",
    ]  # fmt: skip
    right = interpreters.command
    cut = "from footage.sandbox import landlock; landlock._CREATE_RULESET = 999\n"
    monkeypatch.setattr(interpreters, "command", lambda program, *more: right(cut + program, *more))
    monkeypatch.setenv(policy.VARIABLE, "1")
    with FrameReader(32, 1.0) as reader, pytest.raises(SandboxError, match=MISSING):
        next(reader.frames(path))
