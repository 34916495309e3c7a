"""The page: its sections in reading order, from the results to the training setup."""

from collections.abc import Sequence

from footage.evaluation.results import ResultRow
from footage.reporting.inputs import GatheredProfile, Run, SuiteResults
from footage.reporting.rendering import render_page
from footage.reporting.sections import (
    comparison,
    headline,
    invariance,
    results,
    setup,
    suites,
    training,
    videos,
)
from footage.reporting.sections.videos import StorePictures


def page(
    runs: Sequence[Run],
    pictures: StorePictures,
    others: Sequence[SuiteResults] = (),
    profiles: Sequence[GatheredProfile] = (),
    compared: Sequence[Sequence[ResultRow]] = (),
) -> str:
    """Render the whole document.

    Args:
        runs: The runs to report on; none for a report on comparisons alone.
        pictures: Pictures of their training videos.
        others: Other models that were evaluated on suites.
        profiles: Invariance profiles of the runs and of other models.
        compared: Rows of comparisons of models.
    """
    comparisons = comparison.comparisons_of(compared, runs, others)
    evaluated = [SuiteResults(run.name, run.suite_rows) for run in runs]
    num_trained = next((run.num_videos for run in runs if run.record["store"]), 0)
    sections = [
        comparison.section(comparisons, runs),
        results.retrieval_section(runs),
        results.propagation_section(runs),
        results.section(runs),
        suites.section([*evaluated, *others]),
        invariance.section(profiles, runs),
    ]
    if runs:
        sections += [
            videos.retrieval_section(pictures),
            training.section(runs),
            videos.shots_section(pictures, num_trained),
            setup.section(runs),
        ]
    return render_page(
        "report.html.j2",
        names=[run.name for run in runs] or ["comparison"],
        headline=headline.view(runs, comparisons),
        sections=[section for section in sections if section],
        provenance=[setup.provenance(run) for run in runs],
    )
