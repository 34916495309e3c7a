import json

import numpy as np
import pytest
from pocket_suite import build as building
from pocket_suite import propagation
from pocket_suite.build import build

from footage.evaluation.mask_clips import find_clips, load_clip
from footage.suites.pocket import WALLPAPERS
from footage.suites.vtab import manifest


@pytest.fixture(scope="module")
def clips(assets):
    """One clip of each number of objects, as they would be drawn."""
    return [propagation.draw_clip(0, assets, number) for number in range(3)]


def test_clips_have_one_to_three_objects_that_are_visible_at_first(assets, clips):
    assert [len(clip.names) for clip in clips] == [1, 2, 3]
    for clip in clips:
        pixels, mask = propagation.draw_frame(clip, assets, 0)
        assert pixels.shape == (120, 160, 3)
        counts = np.bincount(mask.ravel())
        assert len(counts) == len(clip.names) + 1
        assert counts.min() >= propagation.LEAST_VISIBLE


def test_a_clip_depends_on_the_seed_and_its_number_only(assets, clips):
    again, other = (propagation.draw_clip(seed, assets, 2) for seed in (0, 1))
    first, same, different = (
        propagation.draw_frame(clip, assets, 5) for clip in (clips[2], again, other)
    )
    assert all(map(np.array_equal, first, same))
    assert not np.array_equal(first[0], different[0])


def test_objects_move_and_turn_and_the_background_and_the_light_change(assets, clips):
    clip = clips[1]
    (early, at_first), (late, at_last) = (
        propagation.draw_frame(clip, assets, number) for number in (0, clip.length - 1)
    )
    assert not np.array_equal(at_first, at_last)
    behind = (at_first == 0) & (at_last == 0)
    assert np.abs(early[behind].astype(int) - late[behind]).mean() > 2
    assert np.all(np.abs(np.diff(clip.angles, axis=0)) > np.radians(39))


def test_the_mask_covers_the_pixels_of_its_object(assets, clips):
    clip = clips[0]
    pixels, mask = propagation.draw_frame(clip, assets, 0)
    moved = clip._replace(places=clip.places + 100)  # out of sight
    behind, nothing = propagation.draw_frame(moved, assets, 0)
    assert not nothing.any()
    changed = np.abs(pixels.astype(int) - behind).max(axis=2) > 0
    assert changed[mask == 1].mean() > 0.95


def test_the_suite_has_a_folder_that_evaluate_reads(assets, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_provide", lambda *_: {})
    monkeypatch.setattr(propagation, "LENGTHS", (3, 4))
    unpacked = tmp_path / ".work" / "assets"
    unpacked.mkdir(parents=True)
    for name in (*WALLPAPERS, "sweethome3d-furniture"):
        (unpacked / name).symlink_to(assets / name)
    built = build(tmp_path, suite="pocket-video", tasks=["propagation"], most=2)
    assert built.tasks == ("propagation",)
    folder = tmp_path / "propagation"
    found = manifest.read(folder)
    assert found is not None
    assert len(found.files) == 2 * 2 * 3
    assert manifest.differing(folder, found) == []
    assert "propagation" in json.loads((tmp_path / "manifest.json").read_text())["tasks"]
    loaded = [load_clip(clip) for clip in find_clips(folder)]
    assert [clip.objects for clip in loaded] == [[1], [1, 2]]
    assert loaded[0].frames.shape == (3, 120, 160, 3)
