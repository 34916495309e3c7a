import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path

import made
import numpy as np
import pytest
from PIL import Image
from pocket_suite import build as building
from pocket_suite import cli
from pocket_suite.build import build

from footage.errors import BusyError, ConfigError
from footage.io.files import exclusive
from footage.suites.pocket import TASKS, WALLPAPERS, row
from footage.suites.vtab import manifest
from footage.suites.vtab.folder import open_suite

DRAWN = tuple(task.name for task in TASKS if not task.needs)
SPRITES = ("sprite-location", "sprite-orientation")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """All tasks that need no package, ten images per split; read only."""
    out = tmp_path_factory.mktemp("pocket") / "suite"
    build(out, tasks=DRAWN, most=10)
    return out


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(miniature, tmp_path):
    build(tmp_path / "again", tasks=DRAWN, most=10, workers=2)
    assert contents(tmp_path / "again") == contents(miniature)


def test_a_second_process_does_not_build_in_the_same_folder(tmp_path):
    out = tmp_path / "suite"
    build(out, tasks=SPRITES[:1], most=10)
    before = contents(out)
    with (
        exclusive(out / ".lock", out),
        pytest.raises(BusyError, match=f"'{out}' is being written by process"),
    ):
        build(out, tasks=SPRITES, most=10)
    assert contents(out) == before


def test_another_seed_gives_other_images(miniature, tmp_path):
    build(tmp_path / "other", tasks=["sprite-location"], most=10, seed=1)
    name = "sprite-location/images/test/000000.png"
    assert (tmp_path / "other" / name).read_bytes() != (miniature / name).read_bytes()


def test_the_reader_of_vtab_opens_the_suite(miniature):
    rows = [dataclasses.replace(task, num_train=10, num_val=10, num_test=10) for task in TASKS]
    suite = open_suite(miniature, rows, name="pocket")
    assert tuple(task.name for task in suite.tasks) == DRAWN
    assert set(suite.missing) == {task.name for task in TASKS} - set(DRAWN)
    for task in suite.tasks:
        assert task.num_classes == row(task.name).num_classes
        assert task.group == row(task.name).group
        with Image.open(task.test.paths[0]) as image:
            assert image.mode == "RGB"


def test_lists_hashes_and_sources_describe_the_existing_files(miniature):
    for name in DRAWN:
        folder = miniature / name
        noted = manifest.read(folder)
        assert noted is not None
        assert manifest.differing(folder, noted) == []
        assert set(noted.files) == {*contents(folder)} - {manifest.FILE}
        both = (folder / "train800.txt").read_text() + (folder / "val200.txt").read_text()
        assert (folder / "train800val200.txt").read_text() == both
        images = [line.split(" ")[0] for line in (folder / "sources.txt").read_text().splitlines()]
        assert len(images) == 30


def test_the_manifest_of_the_suite_describes_its_origin(miniature):
    noted = json.loads((miniature / "manifest.json").read_text())
    assert noted["suite"] == "pocket"
    assert noted["settings"]["seed"] == 0
    assert "numpy" in noted["versions"]
    for name in DRAWN:
        content = (miniature / name / manifest.FILE).read_bytes()
        assert noted["tasks"][name]["manifest_sha256"] == hashlib.sha256(content).hexdigest()


def test_a_stopped_build_resumes(miniature, tmp_path, monkeypatch):
    out = tmp_path / "suite"
    build(out, tasks=["sprite-location"], most=10)
    before = (out / "sprite-location" / "train800.txt").stat().st_mtime_ns
    drawn = building.draw_chunk
    calls = []

    def stopped_at_the_second(chunk):
        calls.append(chunk)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return drawn(chunk)

    monkeypatch.setattr(building, "draw_chunk", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        build(out, tasks=SPRITES, most=10)
    assert not (out / "sprite-orientation").exists()
    monkeypatch.setattr(building, "draw_chunk", drawn)
    build(out, tasks=SPRITES, most=10)
    assert (out / "sprite-location" / "train800.txt").stat().st_mtime_ns == before
    for name in SPRITES:
        assert contents(out / name) == contents(miniature / name)
    assert not (out / ".work").exists()


def test_a_task_without_its_source_is_listed_as_missing_until_it_is_available(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", "")
    debs, out = tmp_path / "debs", tmp_path / "suite"
    debs.mkdir()
    built = build(out, tasks=["fashion", "sprite-location"], most=5, packages=debs)
    assert built.tasks == ("sprite-location",)
    assert "apt-get download dataset-fashion-mnist" in built.missing["fashion"]
    noted = json.loads((out / "manifest.json").read_text())
    assert list(noted["missing"]) == ["fashion"]
    made.fashion_files(tmp_path / "assets", np.random.default_rng(0))
    files = contents(tmp_path / "assets" / "dataset-fashion-mnist")
    made.deb(debs / "dataset-fashion-mnist_1_all.deb", {f"./{k}": v for k, v in files.items()})
    built = build(out, tasks=["fashion"], most=5, packages=debs)
    assert built.tasks == ("fashion", "sprite-location")
    noted = json.loads((out / "manifest.json").read_text())
    assert noted["missing"] == {}
    source = noted["sources"]["dataset-fashion-mnist"]
    assert source["licence"] == "MIT"
    assert len(source["sha256"]) == 64


def test_a_dropped_task_is_drawn_only_on_request(tmp_path, monkeypatch):
    kept, gone = (row(name) for name in SPRITES)
    monkeypatch.setitem(
        building.SUITES, "pocket", [kept, dataclasses.replace(gone, dropped="no use")]
    )
    out = tmp_path / "suite"
    built = build(out, most=5)
    assert (built.tasks, built.missing) == ((kept.name,), {})
    built = build(out, tasks=[gone.name], most=5)
    assert (built.tasks, built.missing) == (SPRITES, {})


def test_a_folder_of_something_else_is_refused(miniature, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a pocket suite"):
        build(tmp_path, tasks=SPRITES, most=5)
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    with pytest.raises(ConfigError, match="not the manifest of a pocket suite"):
        build(tmp_path, tasks=SPRITES, most=5)
    with pytest.raises(ConfigError, match="built with seed 0"):
        build(miniature, tasks=SPRITES, most=10, seed=3)


def test_the_command_line_builds_and_reports_the_tasks(tmp_path, capsys, monkeypatch):
    small = dataclasses.replace(row("sprite-location"), num_train=5, num_val=5, num_test=5)
    monkeypatch.setitem(building.SUITES, "pocket", [small])
    out = tmp_path / "suite"
    assert cli.main(["build", "--out", str(out), "--workers", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "sprite-location")]
    words = ["build", "--out", str(out), "--tasks", "spritelocation"]
    assert cli.main(words) == 2
    assert "did you mean sprite-location?" in capsys.readouterr().err
    assert cli.main(["burn"]) == 2


def test_each_suite_has_a_folder_of_its_own(miniature, tmp_path, assets, monkeypatch):
    monkeypatch.setattr(building, "_provide", lambda *_: {})
    out = tmp_path / "video"
    tasks = ["instance", "clipart-corrupted"]
    for name in (*WALLPAPERS, "sweethome3d-furniture", "openclipart-png"):
        (out / ".work" / "assets").mkdir(parents=True, exist_ok=True)
        (out / ".work" / "assets" / name).symlink_to(assets / name)
    built = build(out, suite="pocket-video", tasks=tasks, most=8)
    assert built.tasks == tuple(tasks)
    assert json.loads((out / "manifest.json").read_text())["suite"] == "pocket-video"
    with pytest.raises(ConfigError, match="not the manifest of a pocket suite"):
        build(out, tasks=SPRITES, most=8)
    with pytest.raises(ConfigError, match="unknown task 'instance'"):
        build(miniature, tasks=["instance"], most=10)
    with pytest.raises(ConfigError, match="unknown suite 'pocket-films'"):
        build(out, suite="pocket-films", most=8)


def engines():
    """Processes of ViZDoom's engine on this machine."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has just ended
            if entry.read_text().strip() == "vizdoom":
                found.add(entry.parent.name)
    return found


@pytest.mark.parametrize(("suite", "task"), [("pocket", "doom"), ("pocket-video", "doom-depth")])
def test_no_engine_of_the_game_keeps_running(suite, task, tmp_path):
    pytest.importorskip("vizdoom")
    before = engines()
    built = build(tmp_path / "suite", suite=suite, tasks=[task], most=3, workers=2)
    assert built.tasks == (task,)
    assert engines() <= before
