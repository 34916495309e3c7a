"""Averages over the tasks of a suite; results that are not comparable are never mixed.

Two rules are in use, and their results differ by several points: the mean of all tasks (VTAB), and
the mean of the three group means (many papers on parameter-efficient tuning). Each average names
its rule. A suite or group with a missing task has no average; the missing tasks are listed instead.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Annotated, Final, Literal

from msgspec import Meta

from footage import configuration
from footage.errors import ConfigError
from footage.evaluation.dataset import OTHER
from footage.evaluation.fields import Count, Record, Text
from footage.evaluation.results import GENERATION, ResultRow
from footage.io.documents import Document

Rule = Literal["tasks", "groups"]

GROUPS: Final = (
    "natural", "specialized", "structured", "instances", "robustness", "in-domain", OTHER
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Properties that numbers must share to be compared in one table."""

    suite: str
    protocol: str
    generation: str
    sweep_size: int
    seed_rule: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Average:
    """The mean over several tasks."""

    identity: Identity
    model: str
    averaging: str
    """The rule, such as "mean of 19 tasks", "mean of 3 groups" or "mean of 7 natural tasks"."""
    value: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All averages of one model."""

    groups: Mapping[str, Average]
    """Means of the complete groups."""
    headline: tuple[Average, ...]
    """The mean under the chosen rule; empty if a task is missing."""
    missing: tuple[str, ...]


Percent = Annotated[float, Meta(ge=0, le=100)]


class Published(Record, frozen=True):
    """A published result of other authors, in percent."""

    suite: Text
    model: Text
    protocol: Text
    generation: Text
    sweep_size: Count
    seed_rule: Text
    averaging: Text
    mean: Percent
    groups: Mapping[Text, Percent]
    """The known group means."""
    source: Text
    certain: bool
    """Whether the number was read in a published file, not recalled or seen in a listing."""

    @property
    def identity(self) -> Identity:
        """Properties that a row must share to be compared with it."""
        return Identity(
            suite=self.suite,
            protocol=self.protocol,
            generation=self.generation,
            sweep_size=self.sweep_size,
            seed_rule=self.seed_rule,
        )


class PublishedFile(Record, frozen=True):
    """Content of published.json."""

    about: Text
    rows: list[Published]


PUBLISHED: Final = Document[PublishedFile](
    schema=PublishedFile, name="published results", error=ConfigError, hint="reinstall footage"
)


def identity(row: ResultRow) -> Identity:
    """Properties that other rows must share to be compared with this one."""
    return Identity(
        suite=row.suite,
        protocol=row.protocol,
        generation=row.generation,
        sweep_size=row.sweep_size,
        seed_rule=row.seed_rule,
    )


def one_identity(identities: Sequence[Identity]) -> Identity:
    """The identity that all results share.

    Raises:
        ConfigError: Two identities differ, or there are none.
    """
    if not identities:
        raise ConfigError("there are no results to show in a table", "run `footage evaluate` first")
    first = identities[0]
    for other in identities[1:]:
        different = list(
            configuration.differences(configuration.to_dict(first), configuration.to_dict(other))
        )
        if different:
            raise ConfigError(
                f"results of different kinds cannot share a table: {_words(first)} and "
                f"{_words(other)} ({'; '.join(different)})",
                "make one table for each",
            )
    return first


def one_averaging(averages: Sequence[Average]) -> str:
    """The averaging rule that all averages share; also checks their identities.

    Raises:
        ConfigError: Two rules or identities differ, or there are none.
    """
    one_identity([average.identity for average in averages])
    rules = list(dict.fromkeys(average.averaging for average in averages))
    if len(rules) > 1:
        raise ConfigError(
            f"averages under different rules cannot share a table: {rules[0]} and {rules[1]}",
            "use the same rule for all averages",
        )
    return rules[0]


def summarise(rows: Sequence[ResultRow], rule: Rule = "tasks") -> Summary:
    """Compute the averages of one model's rows.

    Args:
        rows: One row per task; rows of group `other` are ignored if there are other groups.
        rule: `tasks` weights all tasks equally, `groups` all groups.

    Raises:
        ConfigError: The rows are of several kinds or models, or a task appears twice.
    """
    kind = one_identity([identity(row) for row in rows])
    for name, values in (
        ("models", {row.model for row in rows}),
        ("lists of missing tasks", {json.dumps(dict(row.missing)) for row in rows}),
    ):
        if len(values) > 1:
            raise ConfigError(f"rows of several {name} cannot be averaged: {sorted(values)}")
    names = [row.task for row in rows]
    if len(set(names)) < len(names):
        raise ConfigError(f"a task appears twice in {', '.join(sorted(names))}")
    missing = rows[0].missing
    rows = [row for row in rows if row.group != OTHER] or rows
    by_group = {
        group: [row.value for row in rows if row.group == group]
        for group in sorted({row.group for row in rows}, key=_place)
    }
    whole = {group: v for group, v in by_group.items() if group not in missing.values()}

    def average(averaging: str, values: Sequence[float]) -> Average:
        mean = sum(values) / len(values)
        return Average(identity=kind, model=rows[0].model, averaging=averaging, value=mean)

    groups = {
        group: average(f"mean of {len(values)} {group} tasks", values)
        for group, values in whole.items()
    }
    headline: tuple[Average, ...] = ()
    if not missing and rule == "tasks":
        headline = (average(f"mean of {len(rows)} tasks", [row.value for row in rows]),)
    elif not missing:
        means = [group.value for group in groups.values()]
        headline = (average(f"mean of {len(means)} groups", means),)
    return Summary(groups=groups, headline=headline, missing=tuple(missing))


def published(kind: Identity | None = None) -> list[Published]:
    """Return all published rows, or only those that are comparable with rows of one identity."""
    data = (resources.files("footage.evaluation") / "published.json").read_bytes()
    rows = PUBLISHED.parse(data, "footage/evaluation/published.json").rows
    return [row for row in rows if kind is None or row.identity == kind]


def _place(group: str) -> tuple[int, str]:
    return (GROUPS.index(group) if group in GROUPS else len(GROUPS), group)


def _words(kind: Identity) -> str:
    generation = "" if kind.generation == GENERATION else f" {kind.generation}"
    return f"{kind.suite} {kind.protocol}{generation}, {kind.sweep_size} settings, {kind.seed_rule}"
