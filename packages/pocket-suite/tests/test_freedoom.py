"""The world of the in-domain tasks, its walls, its labels, and the footage of it."""

import itertools
import struct
import sys
from types import SimpleNamespace

import av
import numpy as np
import pytest
from pocket_suite import cli, freedoom, freedoom_tasks, gameplay
from pocket_suite.drawing import PARTS
from pocket_suite.wad import read_walls

from footage.errors import BusyError
from footage.io.files import exclusive
from footage.seeding import generator
from footage.synthetic.rendered import TRUTH


@pytest.fixture(scope="module")
def engine():
    pytest.importorskip("vizdoom")
    yield
    freedoom.close_freedoom()


def wad(path):
    """A room of 200 x 100 units; a closed door in the middle leaves a gap from y = 60."""
    points = [(0, 0), (200, 0), (200, 100), (0, 100), (100, 0), (100, 60), (100, 100)]
    one_sided = [(0, 1), (1, 2), (2, 3), (3, 0)]
    lines = [struct.pack("<7H", *ends, 1, 0, 0, 0, 0xFFFF) for ends in one_sided]
    lines += [struct.pack("<7H", 4, 5, 4, 0, 0, 0, 1), struct.pack("<7H", 5, 6, 4, 0, 0, 0, 0)]
    sectors = [(0, 128), (0, 0)]
    lumps = {
        "MAP01": b"",
        "THINGS": b"",
        "LINEDEFS": b"".join(lines),
        "SIDEDEFS": b"".join(struct.pack("<28sH", b"", sector) for sector in (0, 1)),
        "VERTEXES": b"".join(struct.pack("<2h", *point) for point in points),
        "SEGS": b"",
        "SSECTORS": b"",
        "NODES": b"",
        "SECTORS": b"".join(struct.pack("<2h22s", *heights, b"") for heights in sectors),
        "REJECT": b"",
        "BLOCKMAP": b"",
    }
    data, entries = b"", []
    for name, content in lumps.items():
        entries.append(struct.pack("<II8s", 12 + len(data), len(content), name.encode()))
        data += content
    header = struct.pack("<4sII", b"IWAD", len(lumps), 12 + len(data))
    path.write_bytes(header + data + b"".join(entries))
    return path


def test_a_way_is_allowed_if_it_crosses_no_wall_and_ends_clear_of_walls(tmp_path):
    walls = read_walls(wad(tmp_path / "made.wad"), "MAP01")
    assert len(walls.start) == 5

    def allows(*ends):
        return walls.allow(*(np.asarray(end, float) for end in ends), 20.0)

    assert allows((30, 30), (70, 30))
    assert not allows((30, 30), (170, 30)), "through the closed door"
    assert allows((30, 79), (170, 79)), "through the gap"
    assert not allows((30, 30), (70, 90)), "too near to a wall"
    assert not allows((30, 30), (30, 230)), "outside"


def test_positions_of_different_splits_are_a_player_apart():
    steps = np.arange(-600.0, 600.0, 8.0) + 0.5
    points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    of = {part: points[freedoom.is_in_part(points, part)] for part in PARTS}
    shares = [len(of[part]) for part in ("train800", "test", "val200")]
    assert shares[0] == pytest.approx(2 * shares[2], rel=0.2)
    assert shares[1] == pytest.approx(2 * shares[2], rel=0.2)
    some = of["test"][::7]
    for part in ("train800", "val200"):
        gaps = np.abs(some[:, None] - of[part][None, ::5]).max(-1)
        assert gaps.min() >= 2 * freedoom.MARGIN


def test_places_do_not_overlap():
    for number, place in enumerate(freedoom_tasks.PLACES):
        assert place.level in freedoom.LEVELS
        for other in freedoom_tasks.PLACES[:number]:
            apart = np.hypot(place.x - other.x, place.y - other.y)
            assert place.level != other.level or apart > 2 * freedoom_tasks.RADIUS


def view(entries, depths=100):
    labels = np.zeros((240, 320), np.uint8)
    shown = []
    for value, (name, distance, left, wide) in enumerate(entries, start=1):
        labels[100:130, left : left + wide] = value
        shown.append(
            SimpleNamespace(
                value=value, x=left, width=wide, object_name=name, object_category="Monster",
                object_position_x=distance, object_position_y=0.0,
            )
        )  # fmt: skip
    return SimpleNamespace(
        labels_buffer=labels, labels=shown, game_variables=(0.0, 0.0, 0.0),
        depth_buffer=np.full((240, 320), depths, np.uint8),
    )  # fmt: skip


def test_the_label_of_an_item_is_the_nearest_one_that_is_large_and_whole():
    kind = freedoom_tasks.KINDS.index
    shell, imp = ("Shell", 90.0, 30, 20), ("DoomImp", 50.0, 200, 20)
    assert freedoom_tasks.item(view([shell, imp])) == kind("DoomImp")
    assert freedoom_tasks.item(view([shell, ("DoomImp", 50.0, 200, 5)])) == kind("Shell")
    assert freedoom_tasks.item(view([shell, ("DoomImp", 50.0, 0, 20)])) is None
    assert freedoom_tasks.item(view([shell, ("Cacodemon", 50.0, 200, 20)])) is None
    assert freedoom_tasks.item(view([])) is None


def test_the_label_of_a_depth_is_its_bin_unless_the_middle_shows_several():
    assert freedoom_tasks.depth(view([], depths=5)) == 0
    assert freedoom_tasks.depth(view([], depths=127)) == len(freedoom_tasks.DEPTH_BOUNDS)
    edge = view([], depths=5)
    edge.depth_buffer[:, 160:] = 127
    assert freedoom_tasks.depth(edge) is None


def test_every_block_of_a_task_has_each_class_once(engine, tmp_path):
    render = freedoom_tasks.open_depth(0, tmp_path)
    assert sorted(render("test", number).label for number in range(6)) == list(range(6))


def test_the_engine_writes_nothing_into_the_working_directory(engine, tmp_path, monkeypatch):
    freedoom.close_freedoom()
    monkeypatch.chdir(tmp_path)
    freedoom.start_level(freedoom.LEVELS[1], np.random.default_rng(0), ())
    assert list(tmp_path.iterdir()) == []


def test_the_player_explores_and_the_same_seed_shows_the_same(engine):
    cuts: list[int] = []
    first, again = (
        list(gameplay.play("MAP08", generator("explore", 0), 241, cuts)) for _ in range(2)
    )
    assert len(first) == 241
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    changes = [np.abs(one.astype(int) - two).mean() for one, two in itertools.pairwise(first)]
    assert np.mean(np.array(changes) > 1) > 0.5


def test_footage_is_rendered_once_and_lists_its_cuts(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gameplay, "SECONDS", (2.0, 2.5))
    monkeypatch.setattr(gameplay, "SECONDS_BETWEEN_CUTS", (0.5, 1.0))
    assert cli.main(["gameplay", "--out", str(tmp_path), "--episodes", "2"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}\n"
    truth = TRUTH.read(tmp_path / "truth.json")
    assert [video["level"] for video in truth.videos] == ["MAP01", "MAP08"]
    times = {}
    for video in truth.videos:
        path = tmp_path / video["file"]
        times[path] = path.stat().st_mtime_ns
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == gameplay.FPS
            assert len(list(container.decode(video=0))) == video["num_frames"]
        assert 0 < len(video["cut_frames"]) < 6
        assert all(0 < cut < video["num_frames"] for cut in video["cut_frames"])
    gameplay.render_gameplay(tmp_path, num_episodes=2)
    with exclusive(tmp_path / ".lock", tmp_path), pytest.raises(BusyError):
        gameplay.render_gameplay(tmp_path, num_episodes=3)
    assert all(path.stat().st_mtime_ns == written for path, written in times.items())


def test_footage_needs_vizdoom_and_an_episode(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    assert cli.main(["gameplay", "--out", str(tmp_path / "videos")]) == 1
    assert "pip install 'pocket-suite[doom]'" in capsys.readouterr().err
    assert cli.main(["gameplay", "--out", str(tmp_path / "videos"), "--episodes", "0"]) == 1
    assert not (tmp_path / "videos").exists()
