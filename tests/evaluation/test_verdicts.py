"""Verdicts on several models: better, worse, no difference; seeds, tasks and baselines."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from footage.evaluation.comparison_tables import comparison_tables
from footage.evaluation.hits import packed, unpacked
from footage.evaluation.leakage import Distinct, Leakage
from footage.evaluation.results import warnings
from footage.evaluation.verdict_sentences import notes, verdict
from footage.evaluation.verdicts import compare
from tests.evaluation.rows import labelled

COUNT = 200
CLEAN = Leakage(images=0, frames=0, copies=0, unchecked=())


def row(model, right, *, task="photos", protocol="linear", wrong_at=0, **changes):
    """A row with this many correct answers; the first `wrong_at` images are wrong."""
    hits = np.zeros(COUNT, bool)
    hits[wrong_at : wrong_at + right] = True
    changes = {"weights": f"{abs(hash(model)):x}"[:16], "leakage": CLEAN, **changes}
    return labelled(
        model=model, task=task, protocol=protocol, value=right / COUNT, num_test=COUNT,
        seed_values=(right / COUNT,), hits=(packed(hits),), chance=0.5, **changes,
    )  # fmt: skip


def baselines(right_of_untrained=110, **changes):
    return [
        row("pixels", 100, baseline="pixels", weights="", **changes),
        row("a untrained", right_of_untrained, baseline="untrained", **changes),
    ]


def said(rows, rule="tasks"):
    return verdict(compare(rows, rule))


def test_answers_come_back_from_their_text():
    hits = np.random.default_rng(0).random(37) < 0.5
    assert (unpacked(packed(hits), 37) == hits).all()
    with pytest.raises(ValueError, match="for 40 images instead of 41"):
        unpacked(packed(hits), 41)


def test_a_single_model_is_compared_with_its_untrained_network():
    found = said([*baselines(), row("a", 150)])
    assert found.startswith("a is better than the untrained network: +20.0 [")
    assert found.endswith("points in linear accuracy on photos (200 test images).")
    found = said([*baselines(150), row("a", 110)])
    assert found.startswith("The untrained network is better than a: +20.0 [")
    assert "No difference between a and the untrained network was found" in said(
        [*baselines(), row("a", 111)]
    )


def test_a_model_without_an_untrained_network_is_compared_with_raw_pixels():
    assert said([baselines()[0], row("a", 150)]).startswith("a is better than raw pixels: +25.0")
    assert said([row("a", 150)]) == ""


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (150, 110, "a is better than b: +20.0 ["),
        (110, 150, "b is better than a: +20.0 ["),
        (130, 131, "No difference between a and b was found: -0.5 ["),
    ],
)
def test_two_models_have_three_verdicts(ours, theirs, words):
    assert said([*baselines(), row("a", ours), row("b", theirs)]).startswith(words)


def test_models_with_the_same_weights_are_not_compared():
    rows = [*baselines(), row("a", 150, weights="ab"), row("b", 140, weights="ab", size=224)]
    assert said(rows) == "a and b have the same weights."
    assert not any("paired" in each or "seeds" in each for each in notes(compare(rows)))
    kept = "initial weights of a, which early stopping kept: weights of b"
    rows[2] = row("a", 150, weights="ab", weights_origin=kept)
    assert said(rows) == "a and b have the same weights: early stopping kept the initial weights."
    assert cells_of(rows, "b")[2] == "same weights"
    several = compare([*rows, row("c", 100), row("d", 150)])
    assert [each.level for each in several[0].differences[1:]] == [pytest.approx(0.975)] * 2
    found = verdict(several)
    assert found.startswith("a is better than c (+25.0 [")
    assert found.endswith(
        "(200 test images). a and b have the same weights: early stopping kept the initial weights."
    )


def test_different_input_sizes_are_a_warning_with_the_option():
    rows = [*baselines(), row("a", 150, size=64), row("b", 110, size=224)]
    assert warnings(rows) == [
        "The models have different input sizes in pixels (a: 64; b: 224), which changes accuracy;"
        " --size 64 evaluates all of them at the same size."
    ]
    assert warnings(rows)[0] in " ".join(text_of(rows).split())
    assert warnings([*baselines(), row("a", 150, size=64), row("b", 110, size=64)]) == []
    by_protocol = [row("a", 150), row("b", 110)]
    by_protocol += [row(name, 110, protocol="pocket-finetune", size=64) for name in "ab"]
    assert warnings(by_protocol) == []


def test_the_first_of_several_is_compared_with_each_in_one_sentence():
    rows = [*baselines(), row("a", 140), row("b", 100), row("c", 141), row("d", 190)]
    found = said(rows)
    assert found.startswith("a is better than b (+20.0 [")
    assert "; worse than d (-25.0 [" in found
    assert "; not clearly different from c (-0.5 [" in found
    (compared,) = compare(rows)
    assert [each.level for each in compared.differences] == [pytest.approx(1 - 0.05 / 3)] * 3
    assert "98.3 % confidence; together they hold at 95 %" in notes([compared])[0]


def test_a_note_names_the_baselines_that_the_first_model_does_not_beat():
    rows = [*baselines(148), row("a", 150), row("b", 110)]
    assert notes(compare(rows))[-1].startswith(
        "a is not clearly better than the untrained network (+1.0 ["
    )
    rows = [*baselines(100), row("a", 150), row("b", 110)]
    assert not any("not clearly better" in each for each in notes(compare(rows)))


def test_more_comparisons_need_more_evidence():
    pair = [row("a", 140), row("b", 134)]
    alone = compare(pair)[0].differences[0]
    together = compare([*pair, *(row(f"c{number}", 100) for number in range(30))])[0].differences
    assert alone.verdict == "better"
    assert together[0].verdict == "no difference"
    assert together[0].low < alone.low


def test_runs_that_differ_in_their_seeds_are_one_model():
    seeds = [row(f"runs/a{n}", right, recipe="ab") for n, right in enumerate((150, 146, 148))]
    (compared,) = compare([*baselines(), *seeds, row("b", 110)])
    assert [each.name for each in compared.models] == ["runs/a0 and 2 more (3 seeds)", "b"]
    assert compared.first.value(compared.weights) == pytest.approx(0.74)
    assert compared.differences[0].verdict == "better"
    single = compare([*baselines(), seeds[2], row("b", 110)])[0].differences[0]
    assert compared.differences[0].low < single.low
    assert notes([compared])[1].endswith("training seeds: b has a single set of weights.")
    assert notes(compare([seeds[0], row("b", 110)]))[1].endswith(
        "training seeds: runs/a0 and b each have a single set of weights."
    )
    alone = compare([baselines()[0], row("b", 150)])  # raw pixels have no weights
    assert notes(alone)[1].endswith("training seeds: b has a single set of weights.")
    wide = [row("runs/a0", 190, recipe="ab"), row("runs/a1", 100, recipe="ab"), row("b", 110)]
    assert compare(wide)[0].differences[0].verdict == "no difference"
    assert said([*baselines(), *seeds]).startswith(
        "runs/a0 and 2 more (3 seeds) is better than the untrained network"
    )


def test_the_verdict_uses_linear_and_the_mean_of_all_tasks():
    rows = [
        row(model, right, task=task, protocol=protocol)
        for protocol, gain in (("knn", 0), ("linear", 20))
        for model, plus in (("a", gain), ("b", 0))
        for task, right in (("first", 100 + plus), ("second", 120 + plus))
    ]
    compared = compare(rows)
    assert [each.protocol for each in compared] == ["linear", "knn"]
    assert verdict(compared).endswith("linear accuracy on the mean of 2 tasks (400 test images).")
    assert compared[0].differences[0].value == pytest.approx(0.1)
    assert compared[1].differences[0].verdict == "no difference"


def test_groups_of_tasks_can_have_equal_weights():
    rows = [
        row(model, 100 + (model == "a") * gain, task=task, group=group)
        for model in ("a", "b")
        for task, group, gain in (("x", "natural", 0), ("y", "natural", 0), ("z", "structured", 40))
    ]
    assert compare(rows)[0].differences[0].value == pytest.approx(0.2 / 3)
    assert compare(rows, "groups")[0].differences[0].value == pytest.approx(0.1)


def test_a_comparison_is_readable():
    (compared,) = compare([*baselines(), row("a", 150), row("b", 110)])
    lines = repr(compared).splitlines()
    assert lines[:2] == ["protocol           linear", "data               photos (200 test images)"]
    assert lines[3].startswith("b                  55.0 %; first model minus this one: +20.0 [")
    assert json.loads(json.dumps(compared.to_dict()))["models"][0]["value"] == 0.75
    assert "<td>b</td>" in compared._repr_html_()


def text_of(rows):
    """The tables of a comparison with their warnings and the verdict."""
    written = io.StringIO()
    for view in comparison_tables(compare(rows)):
        Console(file=written, width=160).print(view)
    return written.getvalue()


def cells_of(rows, name):
    """The cells of a model's row."""
    line = next(line for line in text_of(rows).splitlines() if line.startswith(f"│ {name} "))
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_the_table_has_models_as_rows_and_baselines_below():
    seen = Leakage(images=3, frames=3, copies=0, unchecked=(), distinct=Distinct(4, 2))
    rows = [*baselines(), row("a", 150), row("b", 110, leakage=seen)]
    text = text_of(rows)
    names = ["a ", "b ", "untrained network", "raw pixels", "chance"]
    places = [text.index(f"│ {name}") for name in names]
    assert places == sorted(places)
    cells = cells_of(rows, "b")
    assert cells[1].startswith("55.0 [")
    assert cells[2].startswith("+20.0 [")
    assert cells[3] == "4 + 2 similar"
    assert "b: photos: 3 of 200 test images are among the labelled images" in text
    assert text.rstrip().splitlines()[-1].startswith("verdict: a is better than b")
