import io
import json
from pathlib import Path

import cv2
import msgspec
import pytest
import torch
from rich.console import Console

from footage.commands.evaluate import EvaluateConfig, Results, evaluate
from footage.errors import CheckpointError, ConfigError
from footage.evaluation.comparisons import ROLES
from footage.evaluation.leakage import Leakage
from footage.evaluation.results import read_rows
from footage.evaluation.tables import tables
from footage.models.backbone import Preprocessing
from tests.support.labelled_shapes import drawn

TINY = "test_resnet"
CONFIG = EvaluateConfig(size=32)
CLEAN = Leakage(images=0, frames=0, copies=0, unchecked=())
KINDS = ("bars", "disc", "slab")


@pytest.fixture(scope="module")
def evaluation(shapes_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    out = tmp_path_factory.mktemp("out") / "deep" / "results.json"
    return evaluate(TINY, labels=[shapes_folder], out=out, config=CONFIG)


def test_the_model_stands_next_to_chance_pixels_and_the_untrained_network(
    evaluation: Results,
) -> None:
    assert [(row.role, row.protocol) for row in evaluation.rows] == [
        ("chance", "majority"),
        *((role, protocol) for role in ROLES[1:] for protocol in ("knn", "linear")),
    ]
    for row in evaluation.rows:
        assert 0 <= row.value <= 1
        assert (row.num_train, row.num_val, row.num_test) == (72, 24, 24)
        assert row.split == "60/20/20 per class, seed 0"
    chance = evaluation.rows[0]
    assert chance.value == pytest.approx(1 / 3)
    assert chance.standard_error == pytest.approx((1 / 3 * 2 / 3 / 24) ** 0.5)


def test_rows_come_back_from_the_file_as_they_were(evaluation: Results) -> None:
    assert read_rows(evaluation.files[0]) == evaluation.rows
    content = json.loads(evaluation.files[0].read_text())
    assert content["model"]["architecture"] == TINY


def test_the_same_seed_gives_the_same_rows(evaluation: Results, shapes_folder: Path) -> None:
    again = evaluate(TINY, labels=[shapes_folder], config=CONFIG)
    assert again.rows == evaluation.rows
    assert again.files == []
    found = [row.leakage for row in again.rows if row.leakage]
    assert len(found) == len(again.rows)
    assert {msgspec.structs.replace(each, near=None, distinct=None) for each in found} == {CLEAN}
    assert all(each.near and each.near.images == each.near.frames == 0 for each in found)
    assert all(each.distinct and each.distinct.exact == 0 for each in found)
    assert len({row.images for row in again.rows}) == 1


def test_a_random_model_of_the_same_seed_is_its_own_untrained_column(
    evaluation: Results,
) -> None:
    values = {(row.role, row.protocol): row.value for row in evaluation.rows}
    for protocol in CONFIG.protocols:
        assert values["model", protocol] == values["untrained", protocol]


def write_parts(folder: Path, shift: int) -> Path:
    """Shapes with parts of their own; in the test part every class has the folder of another."""
    for part, count in (("train", 12), ("val", 8), ("test", 8)):
        for number, kind in enumerate(KINDS):
            name = KINDS[(number + shift) % 3] if part == "test" else kind
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                path = folder / part / name / f"{number}-{index:02}.png"
                assert cv2.imwrite(str(path), drawn(kind, 1000 * number + 100 * count + index))
    return folder


def test_other_test_labels_change_nothing_but_the_accuracy(tmp_path: Path) -> None:
    ours, others = (
        evaluate(
            TINY, labels=[write_parts(tmp_path / str(shift) / "shapes", shift)], config=CONFIG
        ).rows
        for shift in (0, 1)
    )
    for mine, theirs in zip(ours, others, strict=True):
        assert (mine.selected, mine.validation) == (theirs.selected, theirs.validation)
    assert [row.value for row in ours] != [row.value for row in others]


def test_the_table_has_a_line_for_each_protocol(evaluation: Results) -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(*tables(evaluation.rows, evaluation.summaries))
    text = console.export_text()
    knn = next(line for line in text.splitlines() if "knn" in line)
    chance, _, _, _, gain, images = (cell.strip() for cell in knn.split("│")[3:-1])
    assert chance == "33.3 [18.0, 53.3]"  # Wilson, 8 of 24
    assert (gain, images) == ("same network", "24")
    assert "test_resnet has random weights: the columns model and untrained are the same" in text
    assert "Very small test sets, fewer than 50 images: shapes (24)" in text


def test_a_function_is_compared_with_chance_and_pixels(shapes_folder: Path) -> None:
    def mean_colour(images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    wanted = Preprocessing(size=16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    config = EvaluateConfig(protocols=("linear",))
    found = evaluate(mean_colour, labels=shapes_folder, preprocessing=wanted, config=config)
    assert [(row.role, row.model) for row in found.rows] == [
        ("chance", "chance"), ("pixels", "pixels"), ("model", "mean_colour"),
    ]  # fmt: skip
    assert found.rows[-1].size == 16
    with pytest.raises(ConfigError, match="'pixels' is a baseline"):
        evaluate("pixels", labels=shapes_folder, config=config)


def test_unreadable_images_stop_the_evaluation_by_name(shapes_folder: Path, tmp_path: Path) -> None:
    for path in shapes_folder.rglob("*.png"):
        copy = tmp_path / "set" / path.relative_to(shapes_folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "set" / "disc" / "00.png").write_bytes(b"")
    (tmp_path / "set" / "bars" / "07.png").write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"2 of 120 images of set cannot be read: .*\.png"):
        evaluate(TINY, labels=[tmp_path / "set"], config=CONFIG)


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        ([], "no evaluation data given"),
        (["a/pets", "b/pets"], "several labelled folders are named"),
    ],
)
def test_tasks_need_names_of_their_own(
    shapes_folder: Path, tmp_path: Path, labelled: list[str], message: str
) -> None:
    for name in labelled:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).mkdir()
        for kind in ("disc", "bars"):
            (tmp_path / name / kind).symlink_to(shapes_folder / kind)
    with pytest.raises(ConfigError, match=message):
        evaluate(TINY, labels=[tmp_path / name for name in labelled], config=CONFIG)


def test_unknown_protocols_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="unknown protocol 'magic'"):
        EvaluateConfig(protocols=("magic",))


def test_a_damaged_result_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"schema_version": 1, "rows": [{"value"')
    with pytest.raises(CheckpointError, match="cannot be read as evaluation results") as caught:
        read_rows(tmp_path / "a.json")
    assert caught.value.hint == "remove it and run `footage evaluate` again"
