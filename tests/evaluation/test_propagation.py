"""Propagated masks: right for known features, like a twin, compared, kept, refused with reasons."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import footage
from footage.commands.evaluate import evaluate
from footage.errors import ConfigError
from footage.evaluation import cached_clips, propagation
from footage.evaluation.comparisons import ROLES
from footage.evaluation.mask_clips import LoadedClip, find_clips, load_clip
from footage.evaluation.propagate import DINO, Propagation, neighbourhood, propagate
from footage.evaluation.propagation import measured
from footage.evaluation.results import PROPAGATION, ClipValue, read_rows
from footage.reporting.inputs import gather
from footage.reporting.page import page
from footage.reporting.sections.videos import without_pictures
from footage.runs import layout
from tests.support.hand_made_runs import hand_made_run
from tests.support.mask_clips import save_mask, write_clip

SIZE = {"size": 64}


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, of one object and of two."""
    folder = tmp_path_factory.mktemp("masks") / "squares"
    write_clip(folder, "one")
    write_clip(folder, "two", objects=2)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path_factory.mktemp("cache")))


# --- the propagation -----------------------------------------------------------------------------


def twin(maps, first, objects, settings):
    """The soft labels of every frame, cell by cell, as DINO describes them."""
    count, height, width, _ = maps.shape
    radius = settings.radius_of(height, width)
    cells = [(y, x) for y in range(height) for x in range(width)]
    maps = maps / maps.norm(dim=3, keepdim=True)
    label = {0: {cell: [float(first[cell] == each) for each in (0, *objects)] for cell in cells}}
    for number in range(1, count):
        before = range(max(1, number - settings.previous_frames), number)
        label[number] = {}
        for y, x in cells:
            candidates = [
                (float(maps[number, y, x] @ maps[frame, v, u]), label[frame][v, u])
                for frame in (0, *before)
                for v, u in cells
                if abs(v - y) <= radius and abs(u - x) <= radius
            ]
            nearest = sorted(candidates, key=lambda each: -each[0])[: settings.neighbours]
            weights = [math.exp(score / settings.temperature) for score, _ in nearest]
            label[number][y, x] = [
                sum(weight * soft[each] for weight, (_, soft) in zip(weights, nearest, strict=True))
                / sum(weights)
                for each in range(len(objects) + 1)
            ]
    return label


@pytest.mark.parametrize("settings", [DINO, Propagation(neighbours=3, previous_frames=2, radius=8)])
def test_labels_are_those_of_the_most_similar_cells_nearby(settings):
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(6, 4, 5, 3, generator=draw)
    first = np.asarray(torch.randint(0, 3, (4, 5), generator=draw), np.uint8)
    found = propagate(maps, first, [1, 2], settings)  # cells are pixels: nothing is enlarged
    assert np.array_equal(found[0], first)
    for number, labels in twin(maps, first, [1, 2], settings).items():
        soft = np.asarray([labels[place] for place in np.ndindex(4, 5)]).reshape(4, 5, 3)
        low, high = soft.min(axis=(0, 1)), soft.max(axis=(0, 1))
        scaled = (soft - low) / np.where(high > low, high - low, 1)
        ordered = np.sort(scaled, axis=2)
        is_clear = ordered[..., 2] - ordered[..., 1] > 1e-5
        assert np.array_equal(found[number][is_clear], scaled.argmax(axis=2)[is_clear])


def test_the_neighbourhood_is_a_square_that_scales_with_the_map():
    near = neighbourhood(3, 4, 1).reshape(3, 4, 3, 4)
    assert near[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert near[1, 2].int().tolist() == [[0, 1, 1, 1]] * 3
    assert [DINO.radius_of(*size) for size in ((30, 53), (60, 107), (2, 9))] == [12, 24, 1]


def test_features_that_follow_an_object_keep_its_mask():
    # The object takes its features along; background that appears is like the rest of it.
    grid, cell = (8, 12), 8
    draw = torch.Generator().manual_seed(1)
    behind = torch.randn(64, generator=draw) + 0.3 * torch.randn(*grid, 64, generator=draw)
    inside = torch.randn(3, 3, 64, generator=draw)
    maps, masks = behind.repeat(6, 1, 1, 1), {}
    for number in range(6):
        rows, columns = slice(2, 5), slice(1 + number, 4 + number)
        maps[number, rows, columns] = inside
        small = np.zeros(grid, np.uint8)
        small[rows, columns] = 7
        masks[number] = small.repeat(cell, axis=0).repeat(cell, axis=1)
    clip = LoadedClip(np.zeros((6, 64, 96, 3), np.uint8), masks)
    moved = measured("clip", clip, propagate(maps, masks[0], clip.objects))
    assert min(moved.parts.values()) > 0.9  # corners are rounded
    assert measured("clip", clip, [masks[0]] * 6).value < 0.5
    assert measured("clip", clip, list(masks.values())).value == 1


def test_the_first_and_the_last_frame_and_void_pixels_do_not_count():
    masks = {number: np.zeros((40, 40), np.uint8) for number in range(3)}
    for mask in masks.values():
        mask[10:20, 10:20] = 1
    clip = LoadedClip(np.zeros((3, 40, 40, 3), np.uint8), masks)
    found = [np.zeros((40, 40), np.uint8), masks[1], np.zeros((40, 40), np.uint8)]
    assert measured("clip", clip, found).value == 1
    wrong = masks[1].copy()
    wrong[20:30, 10:20] = 1
    assert measured("clip", clip, [masks[0], wrong, masks[2]]).parts["J"] == 0.5
    masks[1][20:30, 10:20] = 255
    assert measured("clip", clip, [masks[0], wrong, masks[2]]).parts["J"] == 1


# --- the command ---------------------------------------------------------------------------------


def test_a_model_is_compared_with_its_baselines(squares, tmp_path, monkeypatch):
    out = tmp_path / "found.json"
    found = footage.evaluate("test_resnet", masks=squares, out=out, size=128)
    by_role = {row.role: row for row in found.rows}
    assert tuple(by_role) == ROLES
    assert {(row.protocol, row.metric, row.task) for row in found.rows} == {
        (PROPAGATION, "J&F", "squares")
    }
    model = by_role["model"]
    assert (model.num_test, model.num_classes, model.size) == (2, 3, 128)
    assert [clip.name for clip in model.clips] == ["one", "two"]
    values = [clip.value for clip in model.clips]
    assert model.value == pytest.approx((values[0] + 2 * values[1]) / 3)
    assert model.value == pytest.approx(sum(model.parts.values()) / 2)
    assert model.interval[0] <= model.value <= model.interval[1]
    assert model.chance == by_role["chance"].value
    assert by_role["pixels"].value > model.chance  # the squares have colours of their own
    assert "Very small" not in str(found)
    assert "J&F in parts" in str(found)
    assert read_rows(out) == found.rows
    monkeypatch.setattr(propagation, "propagation_rows", None)  # would fail if it was called
    again = footage.evaluate("test_resnet", masks=squares, size=128)
    assert again.rows == found.rows


def test_models_are_compared_clip_by_clip(squares, tmp_path):
    out = tmp_path / "compared.json"
    found = footage.evaluate(["test_vit", "test_resnet"], masks=squares, out=out, **SIZE)
    (comparison,) = found.comparisons
    assert [each.other for each in comparison.differences] == ["test_resnet"]
    names = [each.name for each in (*comparison.models, *comparison.baselines)]
    assert names == [
        "test_vit", "test_resnet", "untrained test_vit", "untrained test_resnet", "raw pixels",
        "chance",
    ]  # fmt: skip
    difference = comparison.differences[0]
    first, second = ([clip.value for clip in each.rows[0].clips] for each in comparison.models)
    gaps = np.subtract(first, second)
    assert gaps.min() - 1e-9 <= difference.low <= difference.high <= gaps.max() + 1e-9
    assert "J&F on squares (2 clips)" in found.verdict
    assert "test images" not in str(found)
    assert out in found.files


def test_runs_with_the_same_architecture_share_baselines(squares, tmp_path, monkeypatch):
    runs = [hand_made_run(tmp_path / name) for name in ("first", "second")]
    carried = []

    def counted(*arguments):
        carried.append(arguments)
        return propagate(*arguments)

    monkeypatch.setattr(propagation, "propagate", counted)
    first, second = (evaluate(run, masks=squares, **SIZE).rows for run in runs)
    assert len(carried) == 2 * (3 + 1)  # two clips: pixels, untrained, first run; second run
    assert [row.clips for row in first[:-1]] == [row.clips for row in second[:-1]]
    evaluate(runs[1], masks=squares, overwrite=True, **SIZE)
    assert len(carried) == 2 * (3 + 1 + 3)


def test_a_damaged_cache_file_is_replaced(tmp_path, caplog):
    path = cached_clips.path_of("pixels", {"model": "pixels", "size": 64, "mean": [], "std": []})
    clips = [ClipValue("one", 2, 0.5, {"J": 0.25, "F": 0.75})]
    assert cached_clips.read(path) is None
    cached_clips.keep(path, clips)
    assert cached_clips.read(path) == clips
    path.write_text("{}")
    assert cached_clips.read(path) is None
    assert "cached clip results" in caplog.text
    cached_clips.keep(path, clips)
    assert cached_clips.read(path) == clips


def test_a_run_keeps_the_rows_and_its_report_shows_them(squares, tmp_path):
    run = hand_made_run(tmp_path / "run")
    found = evaluate(run, masks=squares, **SIZE)
    (path,) = found.files
    assert path.parent == run / layout.EVALUATIONS
    shown = page(gather([run]), without_pictures("none"))
    assert "Propagation of masks" in shown
    assert "J&amp;F of propagated masks" in shown
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(ConfigError, match=r"other\.json' exists"):
        evaluate(run, masks=squares, out=other, **SIZE)


def test_a_list_selects_clips_and_frames_may_lack_masks(tmp_path):
    write_clip(tmp_path, "one", frames=6)
    write_clip(tmp_path, "two")
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("one\n")
    for number in (2, 3, 5):
        (tmp_path / "Annotations" / "480p" / "one" / f"{number:05d}.png").unlink()
    (clip,) = find_clips(tmp_path)
    loaded = load_clip(clip)
    assert (clip.name, loaded.measured, loaded.objects) == ("one", [1, 4], [1])
    assert loaded.frames.shape == (6, 64, 96, 3)


def _without_masks(folder):
    (folder / "Annotations").rename(folder / "masks")


def _without_first(folder):
    (folder / "Annotations" / "480p" / "one" / "00000.png").unlink()


def _with_first_only(folder):
    for number in range(1, 5):
        (folder / "Annotations" / "480p" / "one" / f"{number:05d}.png").unlink()


def _short(folder):
    for number in range(2, 5):
        (folder / "JPEGImages" / "480p" / "one" / f"{number:05d}.png").unlink()


def _without_object(folder):
    path = folder / "Annotations" / "480p" / "one" / "00000.png"
    save_mask(np.zeros((64, 96), np.uint8), path)


def _other_size(folder):
    path = folder / "Annotations" / "480p" / "one" / "00002.png"
    save_mask(np.ones((64, 64), np.uint8), path)


def _colours(folder):
    path = folder / "Annotations" / "480p" / "one" / "00002.png"
    Image.new("RGB", (96, 64)).save(path)


def _damaged(folder):
    path = folder / "JPEGImages" / "480p" / "one" / "00003.png"
    path.write_bytes(path.read_bytes()[:100])


def _resolutions(folder):
    for name in ("JPEGImages", "Annotations"):
        (folder / name / "480p").rename(folder / name / "240p")
        (folder / name / "1080p").mkdir()


def _listed(folder):
    (folder / "ImageSets" / "2017").mkdir(parents=True)
    (folder / "ImageSets" / "2017" / "val.txt").write_text("one\n../../three\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_masks, "does not contain the folder Annotations"),
        (_without_first, "clip one has no mask of the first frame: '.*00000.png'"),
        (_with_first_only, "has no mask between the first and last frame"),
        (_short, "contains 2 frames"),
        (_without_object, "the first mask of one has no object"),
        (_other_size, "00002.png has 64 x 64 pixels, but the first frame has 96 x 64"),
        (_colours, "1 of 5 masks of one cannot be read: .*not a mask: it is a PNG with mode RGB"),
        (_damaged, "1 of 5 frames of one cannot be read: .*00003.png"),
        (_resolutions, "several resolutions: 1080p, 240p"),
        (_listed, r"lists \.\./\.\./three, which .* does not contain"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_error(tmp_path, spoil, message):
    write_clip(tmp_path, "one")
    spoil(tmp_path)
    with pytest.raises(ConfigError, match=message) as error:
        _ = [load_clip(clip) for clip in find_clips(tmp_path)]
    assert error.value.hint


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("gmixer_12_224", {}, "has no feature map"),
        ("pixels", {}, "is a baseline"),
        (lambda images: images.mean((2, 3)), {}, "masks need a feature map"),
        ("test_resnet", {"suite": "vtab", "data": "x"}, "cannot be combined"),
        ("test_resnet", {"labels": ["x"]}, "cannot be combined"),
        ("test_resnet", {"dry_run": True}, "--masks has no dry run"),
    ],
)
def test_what_cannot_be_evaluated_is_one_error(squares, model, options, message):
    with pytest.raises(ConfigError, match=message) as error:
        footage.evaluate(model, masks=squares, **SIZE, **options)
    assert error.value.hint
