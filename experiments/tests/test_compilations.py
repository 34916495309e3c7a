"""Compilations: their ground truth matches their pixels."""

import csv
import json

import numpy as np
import pytest

from experiments import compilations, cuts_found, splicing
from footage.commands.ingest import IngestConfig
from footage.errors import ConfigError
from footage.video.decode import Video
from footage.video.scaling import TinyFrames
from tests.support import synthetic

SECONDS, FPS = 2.0, 12
COLUMNS = ("file", "source_repo", "seconds", "width", "height", "fps", "shots", "subject")


def clip(folder, name, source, seed, *, size=(96, 72), shots=1, subject="mixed"):
    """A clip of one scene or of several; its row of the manifest."""
    seeds = range(seed, seed + shots)
    synthetic.encode(
        folder / name, synthetic.cuts(seeds, SECONDS / shots, size=size, fps=FPS), fps=FPS
    )
    return dict(zip(COLUMNS, (name, source, SECONDS, *size, FPS, shots, subject), strict=True))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    rows = [
        clip(folder, f"{source}/{number}.mp4", source, 100 * place + number, size=size)
        for place, (source, size) in enumerate(
            [("first", (96, 72)), ("second", (72, 96)), ("third", (96, 72))]
        )
        for number in range(4)
    ]
    rows += [
        clip(folder, f"small{number}/a.mp4", f"small{number}", 900 + number, subject="ants")
        for number in range(3)
    ]
    rows.append(clip(folder, "cut/a.mp4", "cut", 950, shots=2))
    rows.append(clip(folder, "cut/copy.mp4", "cut", 950, shots=2))
    with (folder / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def settings():
    return compilations.Settings(held_out_fraction=0.34, dissolve_share=0.5)


@pytest.fixture(scope="module")
def out(clips, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    compilations.make_all(clips, folder, settings)
    return folder


def truth_of(out):
    return json.loads((out / "truth.json").read_text("utf-8"))


def tiny_frames(path):
    tiny = TinyFrames()
    with Video(path, 10**6) as video:
        return [(frame.seconds, tiny(frame.picture).astype(float)) for frame in video.frames()]


def test_frames_change_abruptly_at_a_hard_cut_and_slowly_in_a_dissolve(out):
    kinds = set()
    for name, one in truth_of(out)["videos"].items():
        times, pictures = zip(*tiny_frames(out / name), strict=True)
        changes = np.abs(np.diff(np.stack(pictures), axis=0)).mean(axis=(1, 2, 3))
        assert len(times) == round(one["seconds"] * one["fps"])
        for transition in one["transitions"]:
            first = round(transition["start_seconds"] * one["fps"])
            last = round(transition["end_seconds"] * one["fps"])
            kinds.add(transition["kind"])
            if transition["kind"] == "hard":
                assert first == last
                assert changes[first - 1] == changes[first - 3 : first + 2].max()
            else:
                whole = np.abs(pictures[last] - pictures[first - 1]).mean()
                assert changes[first - 1 : last].max() < 0.6 * whole
    assert kinds == {"hard", "dissolve"}


def test_no_source_is_on_both_sides(out):
    truth = truth_of(out)
    sides = {"train": set(), "held-out": set()}
    for name, one in truth["videos"].items():
        sides[name.split("/")[0]].update(one["sources"])
    assert sides["train"].isdisjoint(sides["held-out"])
    assert sides["held-out"] == set(truth["held_out_sources"])
    assert sides["train"] == set(truth["train_sources"])


def test_a_clip_with_cuts_stays_whole_and_a_copy_is_omitted(out):
    videos = truth_of(out)["videos"]
    whole = [one for one in videos.values() if "cut" in one["sources"]]
    assert [one["is_known"] for one in whole] == [False]
    used = [piece["clip"] for one in videos.values() for piece in one["clips"]]
    assert len(used) == len(set(used)) == 16


def test_clips_of_small_sources_are_joined_by_subject(clips):
    plain = compilations.read_manifest(clips)
    themes = compilations.themes(plain, compilations.Settings())
    assert {clip.source for clip in themes["subject/ants"]} == {"small0", "small1", "small2"}


def test_the_plan_follows_the_seed(clips):
    plain = compilations.read_manifest(clips)
    first, again, other = (
        compilations.plan(plain, compilations.Settings(seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_killed_run_resumes_and_another_seed_is_refused(clips, settings, out):
    truth = truth_of(out)
    lost = next(iter(truth["videos"]))
    content = (out / lost).read_bytes()
    (out / lost).unlink()
    assert compilations.make_all(clips, out, settings)["videos"] == truth["videos"]
    assert (out / lost).read_bytes() == content
    with pytest.raises(ConfigError, match="another --out"):
        compilations.make_all(clips, out, compilations.Settings(seed=5))


def test_neighbouring_pieces_are_of_different_clips():
    def long(name, seconds):
        return compilations.Clip(name, "source", seconds, 96, 72, 25.0, 1, "mixed")

    pieces = compilations.ordered([long("a", 50.0), long("b", 5.0), long("c", 20.0)])
    assert [piece.clip for piece in pieces] == ["a", "b", "c", "a", "c", "a"]
    assert all(piece.end_seconds - piece.start_seconds <= 12 for piece in pieces)


def test_a_capped_subject_contributes_at_most_the_allowed_clips():
    clips = [
        compilations.Clip(f"{number}.mp4", "arm", 3.0, 96, 72, 25.0, 1, "robot")
        for number in range(20)
    ]
    kept = compilations.capped(clips, compilations.Settings(most_capped_clips=5))
    assert len(kept) == 5


def test_the_detected_cuts_of_an_ingest_are_compared_with_the_truth(out, tmp_path):
    result = cuts_found.measure(out, tmp_path / "store", "train", IngestConfig(workers=1))
    cuts, kept = result["cuts"], result["kept"]
    videos = [one for name, one in truth_of(out)["videos"].items() if name.startswith("train/")]
    hard = sum(t["kind"] == "hard" for one in videos for t in one["transitions"])
    assert cuts["recall"]["hard"] == {"found": hard, "of": hard, "share": 1.0}
    assert cuts["precision"]["right"] == sum(kind["found"] for kind in cuts["recall"].values())
    assert kept["status"] == {"ok": len(videos)}
    assert kept["total"]["seconds"] == pytest.approx(sum(one["seconds"] for one in videos), abs=0.1)


def test_a_boundary_matches_only_one_transition():
    transitions = [
        {"kind": "hard", "start_seconds": 2.0, "end_seconds": 2.0},
        {"kind": "dissolve", "start_seconds": 4.0, "end_seconds": 5.0},
    ]
    assert cuts_found.matched([2.2, 4.1, 4.4, 9.0], transitions) == [0, 2]
    assert cuts_found.matched([2.3], transitions) == [-1, -1]


def test_a_piece_is_sampled_at_even_times(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(3, 2.0, fps=10), fps=10)
    look = splicing.Look(48, 32, splicing.Fraction(20))
    frames = list(splicing.even_frames(path, splicing.Piece("a.mp4", 0.5, 1.5), look))
    assert len(frames) == 20
    assert frames[0].shape == (32, 48, 3)
    assert all((frames[n] == frames[n + 1]).all() for n in range(0, 20, 2))
    assert not (frames[1] == frames[2]).all()
