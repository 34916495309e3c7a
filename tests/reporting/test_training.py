"""Training curves of levels and losses that are unknown to this version."""

from pathlib import Path

import pytest

from footage.objectives.titles import level_title
from footage.reporting.inputs import Run
from footage.reporting.rendering import render
from footage.reporting.sections.training import section


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("frame/nce", "Frame level: InfoNCE"),
        ("frame/telepathy", "Frame level: telepathy"),
        ("scene/nce", "Scene level: InfoNCE"),
        ("shot/soft_rank", "Shot level: soft rank"),
        ("telepathy", "Telepathy level"),
        ("video/future_nce", "Video level: future shots (InfoNCE)"),
    ],
)
def test_unknown_levels_and_losses_get_a_readable_title(name: str, title: str) -> None:
    assert level_title(name) == title


def test_a_level_without_a_known_chance_is_drawn_without_its_line() -> None:
    steps = [{"step": 1, "loss": 2.0, "levels": {"scene/telepathy": 2.0, "frame/nce": 3.0}}]
    run = Run(
        path=Path("runs/a"), name="a", record={"chance": {"frame/nce": 4.5}}, steps=steps,
        probes=[], rows=[], suite_rows=[],
    )  # fmt: skip
    found = render("section.html.j2", section=section([run]))
    assert "Scene level: telepathy" in found
    assert found.count(">uninformative features<") == 1
