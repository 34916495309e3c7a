"""The page: its sections in reading order, from the results to the training setup."""

from collections.abc import Sequence
from typing import Final

from footage.reporting.inputs import GatheredProfile, Run, SuiteResults
from footage.reporting.rendering import render, style_sheet
from footage.reporting.sections import (
    headline,
    invariance,
    results,
    setup,
    suites,
    training,
    videos,
)
from footage.reporting.sections.videos import StorePictures

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser neither loads nor runs anything, whatever a file name contains."""


def page(
    runs: Sequence[Run],
    pictures: StorePictures,
    others: Sequence[SuiteResults] = (),
    profiles: Sequence[GatheredProfile] = (),
) -> str:
    """Render the whole document.

    Args:
        runs: The runs to report on.
        pictures: Pictures of their training videos.
        others: Other models that were evaluated on suites.
        profiles: Invariance profiles of the runs and of other models.
    """
    evaluated = [SuiteResults(run.name, run.suite_rows) for run in runs]
    num_trained = next((run.num_videos for run in runs if run.record["store"]), 0)
    sections = (
        results.retrieval_section(runs),
        results.section(runs),
        suites.section([*evaluated, *others]),
        invariance.section(profiles, runs),
        videos.retrieval_section(pictures),
        training.section(runs),
        videos.shots_section(pictures, num_trained),
        setup.section(runs),
    )
    return render(
        "page.html.j2",
        policy=POLICY,
        style=style_sheet(),
        names=[run.name for run in runs],
        headline=headline.view(runs),
        sections=[section for section in sections if section],
        provenance=[setup.provenance(run) for run in runs],
    )
