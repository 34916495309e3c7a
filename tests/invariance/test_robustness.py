import numpy as np
import pytest
import torch

from footage.errors import ConfigError
from footage.evaluation.probes import Fitted
from footage.invariance.robustness import open_videos, robustness


def make(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not opened here")
    return folder


def video(name, numbers):
    return [f"{name}/{number:06d}.jpg" for number in numbers]


@pytest.fixture
def folder(tmp_path):
    names = [*video("cat/a", range(0, 50, 5)), *video("cat/b", range(3)), *video("dog/c", range(9))]
    return make(tmp_path / "set", names)


def numbers(anchor):
    return [int(path.stem) for path in anchor.frames]


def test_the_middle_frame_is_the_anchor_and_its_neighbours_are_counted_by_their_numbers(folder):
    found = open_videos(folder, ("ant", "cat", "dog"), reach=10)
    assert [anchor.label for anchor in found.anchors] == [1, 1, 2]
    assert numbers(found.anchors[0]) == [25, 15, 20, 30, 35]
    assert numbers(found.anchors[2]) == [4, 0, 1, 2, 3, 5, 6, 7, 8]
    near = open_videos(folder, ("cat", "dog"), reach=1)
    assert numbers(near.anchors[0]) == [25]


def test_listed_anchors_are_taken_and_a_video_may_have_several(folder):
    (folder / "anchors.txt").write_text("dog/c/000000.jpg\ncat/a/000045.jpg\n\ncat/a/000000.jpg\n")
    found = open_videos(folder, ("cat", "dog"), reach=5)
    assert [(anchor.video, *numbers(anchor)) for anchor in found.anchors] == [
        (2, 0, 1, 2, 3, 4, 5),
        (0, 45, 40),
        (0, 0, 5),
    ]
    assert len(found.paths) == 6 + 2 + 2


@pytest.mark.parametrize(
    ("names", "anchors", "message"),
    [
        ([], None, "no videos in"),
        (["cat/1.jpg"], None, "no videos in"),
        (video("bird/a", range(3)), None, "classes that the labelled images lack: bird"),
        (["cat/a/first.jpg"], None, "has no frame number"),
        (video("cat/a", [1, 100]), None, "no anchor of .* has another frame within 10"),
        (video("cat/a", range(3)), "cat/a/000009.jpg\n", "lists .cat/a/000009.jpg., which is not"),
        (video("cat/a", range(3)), "\n", "anchors.txt is empty"),
    ],
)
def test_what_is_no_set_of_videos_is_refused_with_a_reason(tmp_path, names, anchors, message):
    folder = make(tmp_path / "set", names)
    folder.mkdir(exist_ok=True)
    if anchors is not None:
        (folder / "anchors.txt").write_text(anchors)
    with pytest.raises(ConfigError, match=message):
        open_videos(folder, ("cat", "dog"), reach=10)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="folder of labelled videos not found"):
        open_videos(tmp_path / "none", ("cat",), reach=10)


def test_the_worst_frame_decides(folder):
    videos = open_videos(folder, ("cat", "dog"), reach=10)
    # One feature: the class that a perfectly obedient classifier answers.
    answers = {path: 0.0 if path.parts[-3] == "cat" else 1.0 for path in videos.paths}
    answers[videos.anchors[0].frames[2]] = 1.0  # a neighbour of the first anchor fails
    answers[videos.anchors[2].frames[0]] = 0.0  # the third anchor itself fails
    obedient = Fitted(lambda features: features[:, 0].long(), {}, 0.75)
    features = torch.tensor([[answers[path]] for path in videos.paths])
    found = robustness(obedient, features, videos, seed=0)
    assert found.anchor.value == pytest.approx(2 / 3)
    assert found.worst.value == pytest.approx(1 / 3)
    assert found.drop.value == pytest.approx(1 / 3)
    assert found.average.value == pytest.approx((4 / 5 + 1 + 8 / 9) / 3)
    assert (found.anchors, found.videos, found.validation) == (3, 3, 0.75)
    assert found.drop.low >= 0  # the worst is never better than the anchor


def test_anchors_of_one_video_stand_and_fall_together(folder):
    lines = [f"cat/a/{number:06d}.jpg" for number in range(0, 50, 5)] + ["dog/c/000004.jpg"]
    (folder / "anchors.txt").write_text("\n".join(lines))
    videos = open_videos(folder, ("cat", "dog"), reach=5)
    always_cat = Fitted(lambda features: torch.zeros(len(features)).long(), {}, 0.5)
    found = robustness(always_cat, torch.zeros(len(videos.paths), 1), videos, seed=0)
    assert found.anchor.value == pytest.approx(10 / 11)
    assert (found.anchor.low, found.anchor.high) == (0.0, 1.0)  # two videos, so nothing is known
    assert np.isfinite(found.drop.value)
