"""The verdict on a comparison of models, and what its intervals cover, in sentences."""

from collections.abc import Sequence

from footage.evaluation.differences import (
    BETTER,
    NO_DIFFERENCE,
    SAME,
    WORSE,
    Difference,
    points,
)
from footage.evaluation.models import PIXELS
from footage.evaluation.verdicts import Comparison, place
from footage.metrics.paired import LEVEL
from footage.runs.origin import are_initial


def verdict(comparisons: Sequence[Comparison]) -> str:
    """The verdict in one sentence; empty if the first model has nothing to be compared with.

    Each model with the same weights as the first one has a sentence of its own.
    """
    if not comparisons or not comparisons[0].differences:
        return ""
    headline = comparisons[0]
    accuracy = headline.metric if headline.unit == "clips" else f"{headline.protocol} accuracy"
    measure = f"in {accuracy} on {place(headline)}"
    measured = _measured(headline)
    same = [_same(headline, each) for each in headline.differences if each.verdict == SAME]
    found = (
        [_several(measured, measure) if len(measured) > 1 else _single(measured[0], measure)]
        if measured
        else []
    )
    return " ".join([*found, *same])


def notes(comparisons: Sequence[Comparison]) -> list[str]:
    """What the intervals of the verdict cover, in sentences."""
    if not comparisons or not comparisons[0].differences:
        return []
    headline = comparisons[0]
    measured = _measured(headline)
    if not measured:
        return _not_beaten(headline)
    number = len(measured)
    verb = "propagate masks in" if headline.unit == "clips" else "answer"
    lines = [f"Differences are paired: all models {verb} the same {headline.unit}."]
    if number > 1:
        lines[0] += (
            f" Because there are {number} comparisons, each interval has"
            f" {100 * measured[0].level:.1f} % confidence; together they hold at"
            f" {100 * LEVEL:.0f} % (Bonferroni)."
        )
    compared = {each.other for each in measured} | {headline.first.name}
    single = [
        _named(each.name)
        for each in (*headline.models, *headline.baselines)
        if each.name in compared
        and each.baseline != PIXELS
        and len(each.seed_values(headline.weights)) < 2
    ]
    if single:
        verb = "has" if len(single) == 1 else "each have"
        lines.append(
            "The intervals do not cover variation between training seeds:"
            f" {_listed(single)} {verb} a single set of weights."
        )
    lines += _not_beaten(headline)
    return lines


def _not_beaten(comparison: Comparison) -> list[str]:
    """A sentence if the first model is not better than some baseline outside the verdict."""
    others = {each.other for each in comparison.differences}
    left = [
        f"{_named(each.other)} ({points(each)} points)"
        if each.verdict != SAME
        else f"{_named(each.other)} (the same weights)"
        for each in comparison.to_baselines
        if each.verdict != BETTER and each.other not in others
    ]
    if not left:
        return []
    return [f"{comparison.first.name} is not clearly better than {_listed(left, 'or')}."]


def _measured(comparison: Comparison) -> list[Difference]:
    """The differences between models with different weights."""
    return [each for each in comparison.differences if each.verdict != SAME]


def _same(comparison: Comparison, found: Difference) -> str:
    """A sentence on two models with the same weights, with the reason if it is known."""
    names = (found.first, found.other)
    reason = (
        ": early stopping kept the initial weights"
        if any(
            are_initial(each.rows[0].weights_origin)
            for each in comparison.models
            if each.name in names
        )
        else ""
    )
    return f"{found.first} and {_named(found.other)} have the same weights{reason}."


def _single(found: Difference, measure: str) -> str:
    first, other = found.first, _named(found.other)
    if found.verdict == NO_DIFFERENCE:
        gain = f"{points(found)} points {measure}"
        return f"No difference between {first} and {other} was found: {gain}."
    better, worse, sign = (first, other, 1) if found.verdict == BETTER else (other, first, -1)
    return _capitalised(f"{better} is better than {worse}: {points(found, sign)} points {measure}.")


def _several(differences: Sequence[Difference], measure: str) -> str:
    words = {
        BETTER: "better than",
        WORSE: "worse than",
        NO_DIFFERENCE: "not clearly different from",
    }
    parts = []
    for kind, phrase in words.items():
        of_kind = [each for each in differences if each.verdict == kind]
        if of_kind:
            listed = [f"{each.other} ({points(each)} points)" for each in of_kind]
            parts.append(f"{phrase} {_listed(listed)}")
    return f"{differences[0].first} is {'; '.join(parts)}, {measure}."


def _named(name: str) -> str:
    return f"the {name}" if name.startswith("untrained") else name


def _listed(words: Sequence[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, or `a, b and c`."""
    return f" {conjunction} ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _capitalised(text: str) -> str:
    return text if text[:1] != "t" or not text.startswith("the ") else f"T{text[1:]}"
