"""Test images that were seen before are found by path, by bytes and by pixels."""

import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg

from footage.evaluation import leakage as module
from footage.evaluation.dataset import Task, open_task
from footage.evaluation.digests import task_images
from footage.evaluation.leakage import Compared, Distinct, Leakage, leakage, sentences, short
from footage.evaluation.near_duplicates import NearDuplicates, TaskDescriptors
from footage.evaluation.training_data import NOTHING, training_data
from footage.images.dataset import open_images
from footage.runs import layout
from footage.store.reader import Store

MODEL = {
    "architecture": "test_resnet", "options": {}, "feature_dim": 64,
    "weights_origin": "random weights",
    "preprocessing": {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}  # fmt: skip
CLEAN = Leakage(images=0, frames=0, copies=0, unchecked=(), distinct=Distinct(0, 0))


def write_run(
    folder: Path, *, images: Path | None = None, names: list[str] | None = None,
    store: Store | None = None, held_out: tuple[str, ...] = (), **config: str,
) -> str:  # fmt: skip
    """A run folder as training writes it, as far as its data are concerned."""
    folder.mkdir(parents=True)
    record = {
        "config": config,
        "model": MODEL,
        "images": str(images.resolve()) if images else "",
        "images_hash": open_images(images).content_hash if images else "",
        "store": str(store.path.resolve()) if store else "",
        "store_hash": store.content_hash if store else "",
        "held_out": list(held_out),
    }
    (folder / layout.RUN).write_text(json.dumps(record))
    if images:
        listed = open_images(images).names if names is None else names
        (folder / layout.LABELS).write_text("".join(f"{name}\tclass\n" for name in listed))
    return str(folder)


def found(spec: str, task: Task) -> Leakage:
    images = task_images(len(task.classes), task.train, task.val, task.test)
    return leakage({task.name: Compared(task.test, images)}, training_data(spec))[task.name]


@pytest.fixture
def shapes(shapes_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shapes_folder, tmp_path / "shapes"))


def converted(folder: Path, out: Path, suffix: str, change: int = 0) -> Path:
    """The images of a folder in another file format, each brightness changed by so much."""
    for path in folder.rglob("*.png"):
        copy = (out / path.relative_to(folder)).with_suffix(suffix)
        copy.parent.mkdir(parents=True, exist_ok=True)
        pixels = cv2.imread(str(path)).astype(int) + change
        assert cv2.imwrite(str(copy), np.clip(pixels, 0, 255).astype(np.uint8))
    return out


def test_the_very_images_are_found(shapes: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", images=shapes)
    assert found(run, open_task(shapes)) == Leakage(
        images=24, frames=0, copies=0, unchecked=(), distinct=Distinct(24, 0)
    )


def test_only_images_whose_labels_were_used_count(shapes: Path, tmp_path: Path) -> None:
    task = open_task(shapes)
    used = [path.relative_to(shapes).as_posix() for path in task.test.paths[:5]]
    used += [path.relative_to(shapes).as_posix() for path in task.train.paths]
    assert found(write_run(tmp_path / "run", images=shapes, names=used), task).images == 5


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_copies_under_other_names_and_in_other_lossless_formats_are_found(
    shapes: Path, tmp_path: Path, suffix: str
) -> None:
    run = write_run(tmp_path / "run", images=shapes)
    copies = converted(shapes, tmp_path / "elsewhere" / "copies", suffix)
    for number, path in enumerate(sorted(copies.rglob(f"*{suffix}"))):
        path.rename(path.with_name(f"renamed{number}{suffix}"))
    assert found(run, open_task(copies)).images == 24


def test_other_images_are_not_found(shapes: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", images=shapes)
    other = converted(shapes, tmp_path / "other", ".png", change=1)
    assert found(run, open_task(other)) == CLEAN


def test_images_that_are_gone_are_found_by_their_paths_and_reported(
    shapes: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", images=shapes)
    moved = shapes.rename(tmp_path / "moved")
    elsewhere = found(run, open_task(moved))
    assert elsewhere.images == 0
    assert "the labelled images of" in elsewhere.unchecked[0]
    assert short(elsewhere) == "not known"
    converted(moved, shapes, ".png", change=3)  # the same paths, but re-encoded pixels
    by_path = found(run, open_task(shapes))
    assert by_path.images == 24
    assert "have changed since it was trained" in by_path.unchecked[0]


def test_frames_of_training_videos_are_found_and_held_out_ones_are_not(
    tiny_store: Store, tmp_path: Path
) -> None:
    names = tiny_store.shots["video"].to_pylist()
    held_out = (names[0],)
    images = tmp_path / "frames"
    for row in range(9):  # three videos of three shots, as two classes
        for number, frame in enumerate(tiny_store.frames_of_shot(row)):
            path = images / str(row % 2) / f"{row}-{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            if number % 2:  # another file with the same pixels
                pixels = simplejpeg.decode_jpeg(frame.jpeg, "BGR")
                assert cv2.imwrite(str(path.with_suffix(".png")), pixels)
            else:
                path.write_bytes(frame.jpeg)
    task = open_task(images)
    trained = [
        path for path in task.test.paths if names[int(path.stem.partition("-")[0])] != held_out[0]
    ]
    run = write_run(tmp_path / "run", store=tiny_store, held_out=held_out)
    assert 0 < len(trained) < len(task.test.paths)
    assert {path.suffix for path in trained} == {".jpg", ".png"}
    assert found(run, task) == Leakage(
        images=0, frames=len(trained), copies=0, unchecked=(), distinct=Distinct(len(trained), 0)
    )


def test_the_data_of_a_run_that_it_started_from_count_too(
    shapes: Path, tmp_path: Path, tiny_store: Store
) -> None:
    first = write_run(tmp_path / "first", images=shapes)
    second = write_run(tmp_path / "second", store=tiny_store, init=first)
    assert found(second, open_task(shapes)).images == 24
    third = write_run(tmp_path / "third", store=tiny_store, init="resnet50.a1_in1k")
    (reason,) = found(third, open_task(shapes)).unchecked
    assert reason == "the training data of resnet50.a1_in1k is not recorded"


def test_runs_that_started_from_each_other_end(tiny_store: Store, tmp_path: Path) -> None:
    write_run(tmp_path / "a", store=tiny_store, init=str(tmp_path / "b"))
    write_run(tmp_path / "b", store=tiny_store, init=str(tmp_path / "a"))
    assert training_data(str(tmp_path / "a")).unchecked


def test_random_weights_were_trained_on_nothing() -> None:
    assert training_data("resnet18") == NOTHING
    assert training_data("pixels") == NOTHING
    assert training_data("resnet18.a1_in1k").unchecked


def test_copies_between_the_parts_of_a_task_are_counted(shapes: Path) -> None:
    task = open_task(shapes)
    for test, train in zip(task.test.paths[:3], task.train.paths[:3], strict=True):
        shutil.copy(train, test)
    assert found("resnet18", open_task(shapes)) == Leakage(
        images=0, frames=0, copies=3, unchecked=(), distinct=Distinct(3, 0)
    )


def test_what_is_too_much_to_compare_is_reported(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", images=shapes)
    copies = converted(shapes, tmp_path / "copies", ".bmp")
    monkeypatch.setattr(module, "MOST_PIXELS", 48 * 56 * 60)
    partly = found(run, open_task(copies))
    assert 0 < partly.images < 24
    assert "in another file format (too many images)" in partly.unchecked[0]
    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    partly = found(run, open_task(copies))
    assert "after the first" in partly.unchecked[0]


def test_results_in_words() -> None:
    assert sentences("photos", CLEAN, 24) == []
    assert sentences("photos", None, 24) == [
        "photos: test images were not compared with training data (results of an earlier version)."
    ]
    seen = Leakage(images=24, frames=0, copies=3, unchecked=("the store of x is gone",))
    assert sentences("photos", seen, 24) == [
        "photos: 24 of 24 test images are among the labelled images that the model was trained"
        " on; the accuracy is too high.",
        "photos: 3 of 24 test images are also among the training or validation images of the"
        " task; the accuracy is too high.",
        "photos: not checked: the store of x is gone.",
    ]
    assert [short(each) for each in (None, CLEAN, seen)] == ["not checked", "0", "up to 27"]


def test_an_image_in_several_places_is_counted_once(shapes: Path, tmp_path: Path) -> None:
    task = open_task(shapes)
    for test, train in zip(task.test.paths[:3], task.train.paths[:3], strict=True):
        shutil.copy(train, test)
    task = open_task(shapes)
    images = task_images(len(task.classes), task.train, task.val, task.test)
    task = dataclasses.replace(task, images=images.digest)
    used = [path.relative_to(shapes).as_posix() for path in task.test.paths[2:5]]
    run = write_run(tmp_path / "run", images=shapes, names=used)
    described = TaskDescriptors(
        *(
            np.zeros((len(part), 63), np.float32)
            for part in ([*task.train.paths, *task.val.paths], task.test.paths)
        )
    )
    described.test[:6, 0] = described.fitted[0, 0] = 1  # the first six look alike
    (found,) = leakage(
        {"a": Compared(task.test, images)}, training_data(run), {"a": described}
    ).values()
    assert (found.images, found.copies) == (3, 3)
    assert found.near is not None
    assert found.near.copies == 3
    assert found.distinct is not None
    assert found.distinct.exact == 5
    assert found.distinct.near == 1
    assert short(found) == "5 + 1 similar"
    assert short(found, found) == "10 + 2 similar"


def test_counts_of_earlier_versions_may_overlap_and_are_upper_bounds() -> None:
    near = NearDuplicates(images=0, frames=8, copies=12, threshold=0.93)
    assert short(Leakage(0, 0, 0, (), near)) == "up to 0 + 20 similar"
    assert short(Leakage(0, 3, 0, (), NearDuplicates(0, 8, 0, 0.93))) == "3 + 8 similar"
    assert short(Leakage(0, 0, 0, ("a",)), Leakage(2, 0, 0, ())) == "2"
    assert short(Leakage(0, 0, 0, ("a",))) == "not known"
