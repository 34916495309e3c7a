"""The section on invariance shows what a profile's file holds, and nothing else."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from footage.errors import CheckpointError
from footage.invariance.factors import Factor
from footage.invariance.results import Profiled, read_profiles, write_profiles
from footage.invariance.robustness import Robustness
from footage.invariance.video_levels import Level, Profile
from footage.metrics.bootstrap import Estimate
from footage.reporting.inputs import GatheredProfile, Run, gather_profiles
from footage.reporting.rendering import render
from footage.reporting.sections.invariance import section

MEASURED = {
    "settings": {"seed": 3},
    "store": {
        "path": "data/other", "content_hash": "0123456789abcdef", "eligible_videos": 9,
        "videos": 8, "shots": 16, "frames": 1200, "views": {"size": 64},
        "unchecked": ["the training data of resnet50.a1_in1k is not recorded"],
    },
    "scenes": {"scenes": 24, "frame_size": 96},
    "videos": {
        "videos": "held", "anchors": 5, "frames": 40, "reach": 10, "labelled": "photos",
        "split": "own train/, val/", "num_train": 30, "num_val": 10, "classes": ["cat", "dog"],
    },
}  # fmt: skip
NOT_DEFINED = Estimate(math.nan, math.nan, math.nan)


def near(value: float) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05)


def level(value: float) -> Level:
    return Level(ratio=near(value), distance=near(0.3), hit=near(0.625), chance=0.125, videos=8)


def profiled(name: str, *, value: float = 0.5, baseline: bool = False) -> Profiled:
    found = Robustness(
        anchor=near(0.8), average=near(0.7), worst=near(0.55), drop=near(0.25),
        anchors=5, videos=5, reach=10, validation=0.9,
    )  # fmt: skip
    profile = Profile(
        levels={name: level(value) for name in ("view", "shot")},  # no video has a second shot
        others=near(0.444),
        alignment=0.1,
        uniformity=-2.5,
        rankme=math.nan,
        embedding_std=0.9,
    )
    factors = {
        "colour": Factor(ratio=near(3.0), distance=near(0.3), nearer=near(0.2), steps=[0.1, 0.2]),
        "contrast": Factor(ratio=NOT_DEFINED, distance=near(0.0), nearer=near(0.5), steps=[]),
    }
    return Profiled(
        name=name,
        is_baseline=baseline,
        described={} if name == "raw pixels" else {"architecture": "resnet18"},
        profile=profile,
        factors=factors,
        robustness={"linear": found},
    )


MODELS = [
    profiled("raw pixels", baseline=True),
    profiled("resnet18 untrained", baseline=True),
    profiled("resnet50 untrained", baseline=True),
    profiled("runs/a", value=0.25),
    profiled("resnet50.a1_in1k"),
]


def run(path: Path, name: str) -> Run:
    return Run(path=path, name=name, record={}, steps=[], probes=[], rows=[], suite_rows=[])


def shown(folder: Path, models: Sequence[Profiled] = MODELS, runs: Sequence[Run] = ()) -> str:
    write_profiles(folder / "profile.json", MEASURED, models)
    return text(gather_profiles([folder]), runs)


def text(profiles: Sequence[GatheredProfile], runs: Sequence[Run] = ()) -> str:
    return render("section.html.j2", section=section(profiles, runs))


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_a_profile_comes_back_from_its_file(tmp_path: Path) -> None:
    path = write_profiles(tmp_path / "profile.json", MEASURED, MODELS)
    found = read_profiles(path)
    assert msgspec.to_builtins(found.measured) == MEASURED
    assert found.environment.commit
    assert repr(list(found.models)) == repr(MODELS)  # nan is not equal to itself


def test_there_is_no_section_without_a_profile() -> None:
    assert section([], []) is None


def test_levels_factors_and_accuracies_stand_side_by_side_with_their_intervals(
    tmp_path: Path,
) -> None:
    found = shown(tmp_path)
    told = words(found)
    names = [model.name for model in MODELS]
    assert f"Full results {' '.join(names)} Distance relative to another video" in told
    assert "view 0.50 [0.45, 0.55] 0.50 [0.45, 0.55] 0.50 [0.45, 0.55] 0.25 [0.20, 0.30]" in told
    assert "view, chance 12.5 62.5 [57.5, 67.5]" in told
    assert "distance between videos 0.44 [0.39, 0.49]" in told
    assert "uniformity -2.5 -2.5" in told
    assert "colour 3.00 [2.95, 3.05]" in told
    assert "worst 55.0 [50.0, 60.0]" in told
    assert "1,200 frames of 16 shots of 8 videos in the store other (0123456789)" in told
    assert (
        "24 rendered scenes; 40 frames around 5 anchors of labelled videos (held), by classifiers"
        in told
    )
    assert found.count("<figure>") == 3
    spoken = re.findall(r'aria-label="([^"]*)"', found)
    assert "two views of a frame: raw pixels 0.50 [0.45, 0.55]" in spoken[0]
    assert "another video" in told
    assert "another object" in told


def test_what_is_not_defined_is_neither_drawn_nor_written_as_nan(tmp_path: Path) -> None:
    found = shown(tmp_path)
    assert not re.search(r"\bnan\b", found)
    assert "video - - - - -" in words(found)
    assert "effective rank (RankMe) - - - - -" in words(found)


def test_a_run_of_the_page_keeps_its_name_and_colour(tmp_path: Path) -> None:
    runs = [run(Path("runs/b"), "b"), run(Path("runs/a").resolve(), "a")]
    legend = shown(tmp_path, runs=runs).partition("</ul>")[0]
    shapes = re.findall(r'<(?:circle|rect|path) class="(\w+ \w+)"', legend)
    assert shapes == ["ring pixels", "ring untrained", "ring untrained", "dot run1", "dot run2"]
    assert words(legend).endswith(
        "raw pixels resnet18 untrained resnet50 untrained a resnet50.a1_in1k"
    )


def test_only_what_was_measured_is_shown(tmp_path: Path) -> None:
    alone = Profiled(
        name="a", is_baseline=False, described={"a": 1}, profile=None,
        factors=MODELS[0].factors, robustness={},
    )  # fmt: skip
    write_profiles(
        tmp_path / "profile.json",
        {"settings": {"seed": 0}, "scenes": {"scenes": 2, "frame_size": 96}},
        [alone],
    )
    found = text(gather_profiles([tmp_path]))
    assert found.count("<figure>") == 1
    assert "Alignment" not in found
    assert "Measured on 2 rendered scenes; seed 0" in words(found)


def test_each_profile_is_shown_once_and_by_its_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_profiles(tmp_path / name / "profile.json", MEASURED, MODELS[:1])
    found = gather_profiles([tmp_path, tmp_path / "one", tmp_path / "two" / "profile.json"])
    assert [each.name for each in found] == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert f"{tmp_path / 'two'} Measured on" in words(text(found))


def test_names_in_a_file_cannot_break_the_page(tmp_path: Path) -> None:
    found = shown(tmp_path, [profiled("<script>alert(1)</script>")])
    assert "<script>" not in found
    assert "&lt;script&gt;" in found


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2, "models": [{}]}', "null"])
def test_a_damaged_profile_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(
        CheckpointError, match=r"profile\.json' cannot be read as an invariance profile"
    ):
        gather_profiles([tmp_path])


def test_a_profile_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"schema_version": 1}')
    with pytest.raises(
        CheckpointError, match="has version 1; this version of footage reads 2"
    ) as caught:
        read_profiles(tmp_path / "profile.json")
    assert "footage profile" in caught.value.hint


def test_many_models_are_told_apart(tmp_path: Path) -> None:
    found = shown(tmp_path, [profiled(f"model{number}") for number in range(8)])
    legend = found.partition("</ul>")[0]
    shapes = re.findall(r'<(circle|rect|path) class="(\w+ \w+)"', legend)
    assert len(set(shapes)) == 8
