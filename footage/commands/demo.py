"""The command `footage demo`: from videos to an evaluated backbone and a report.

    clips --ingest--> store --train--> run --evaluate--> tables --export--> weights --report--> page

Without your own videos it uses six real clips from two packages of the Python Package Index. It
also renders short videos (`footage.synthetic.rendered`), because contrastive losses need many
videos. The model is evaluated by retrieval in held-out videos and on rendered labelled images
(`footage.synthetic.labelled`). Rerun the command to resume.
"""

import contextlib
import dataclasses
import logging
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from footage import arguments, configuration
from footage.arguments import Location, Locations
from footage.commands.evaluate import evaluate
from footage.commands.export import Exported, export
from footage.commands.ingest import ingest
from footage.commands.report import report
from footage.commands.settings import DemoConfig
from footage.commands.train import train
from footage.errors import FootageError
from footage.evaluation.comparisons import (
    BETTER,
    ROLES,
    UNCLEAR,
    WORSE,
    Comparison,
    comparisons,
    pixels_ahead,
)
from footage.evaluation.config import EvaluateConfig
from footage.evaluation.results import ResultRow
from footage.ingestion.report import IngestReport
from footage.keywords import configured
from footage.models.config import BackboneConfig
from footage.objectives.config import ObjectiveConfig, OrderConfig
from footage.recipes.methods import recipe
from footage.results import Result, View
from footage.runs import checkpoint, layout
from footage.store.reader import Store
from footage.synthetic.default import default_clips
from footage.synthetic.labelled import TASKS, render_labelled
from footage.training.config import TrainConfig

log = logging.getLogger(__name__)


RECIPE: Final = "vivi-nce-tiny"
"""The recipe with the best features after minutes of training, of those tried (decisions/0150)."""

BACKBONE: Final = BackboneConfig(architecture="resnetv2_18", options={"width_factor": 0.25})
"""A quarter of the recipe's width: more than ten times as many views in the same time."""

LINE: Final = 92
"""Line width of the summary, in characters."""

FRAME_STRIDE: Final = 3
"""Distance between two frames of a shot, in stored frames, so that pose and place differ more."""

HELD_OUT_SHARE: Final = 0.25
"""Fraction of held-out videos, large enough for retrieval."""

REHEARSAL_STEPS: Final = 40
"""Number of steps of the short run that measures the training speed of this machine."""

QUESTIONS: Final = {
    "same shot": "nearest frame is from the same shot",
    "same video": "nearest frame of other shots: same video",
    "kinds": "kind of object",
    "objects": "individual object",
}
"""Description of each task in the summary."""

PROTOCOL_WORDS: Final = {"knn": "kNN", "linear": "linear probe"}

SHORT: Final = {BETTER: "better", WORSE: "worse", UNCLEAR: "unclear"}
"""One-word verdicts."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class DemoReport(Result):
    """Output and results of the demo."""

    folder: Path
    ingested: IngestReport
    run: Path
    rows: list[ResultRow]
    exported: Exported
    page: Path

    def views(self) -> Sequence[View]:
        """Return what is shown."""
        return [self.summary()]

    def summary(self) -> str:
        """Return the results, compared with baselines, and the paths of all outputs."""
        config = layout.read_record(self.run)["config"]
        measured = list(comparisons(self.rows))
        better = sum(each.against("untrained") == BETTER for each in measured)
        lines = [
            f"Results: {_architecture(config)} after {config['steps']} steps without labels",
            "",
            f"{'trained, compared with':>103}",
            f"{'accuracy in percent':44}{'chance':>8}{'pixels':>8}{'untrained':>11}{'trained':>9}"
            f"  {'untrained':>11}{'pixels':>9}",
            *(_line(each) for each in measured),
            "",
            f"Better than the untrained network in {better} of {len(measured)} rows. "
            "Unclear: the 95 % interval of the difference contains 0.",
            "Nearest frames: retrieval in held-out videos. Other rows: labelled images.",
            *textwrap.wrap(pixels_ahead(measured), LINE),
            "",
            "Output",
            f"  report             {self.page}",
            f"  weights            {self.exported.path}",
            f"                     {self.exported.usage}",
            f"  run                {self.run}",
            f"  frame store        {self.folder / 'store'}",
            f"  labelled images    {self.folder / 'labelled'}",
        ]
        return "\n".join(lines)


def demo(
    videos: Locations = (),
    out: Location = "demo",
    config: DemoConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> DemoReport:
    """Ingest, train, evaluate, export and report; completed steps are skipped.

    Args:
        videos: Files, folders or URLs of videos; defaults to real and rendered clips.
        out: The folder for everything.
        config: Duration and sizes of the demo; the defaults when omitted.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        FootageError: A step failed; its message states the reason.
    """
    config = configured(config, DemoConfig, options, demo)
    folder = arguments.path(out, "out")
    folder.mkdir(parents=True, exist_ok=True)
    _say(1, "clips")
    sources = arguments.locations(videos, "videos") or default_clips(
        folder / "clips",
        num_rendered=config.num_rendered,
        download=config.download,
        seed=config.seed,
    )
    _say(2, "ingest: detect shots, store their frames")
    ingested = ingest(sources, folder / "store")
    _say(3, "train without labels")
    run = _trained(folder, config, _objective(is_rendered=not videos))
    _say(4, "evaluate, compared with raw pixels and the untrained network")
    rows = _evaluated(folder / "labelled", run, config)
    _say(5, "export")
    exported = export(str(run), to="timm")
    _say(6, "report")
    page = report([run], out=folder / "report.html").path
    return DemoReport(folder, ingested, run, rows, exported, page)


def _say(number: int, what: str) -> None:
    log.info("[%d/6] %s", number, what)


# --- train --------------------------------------------------------------------------------------


def _trained(folder: Path, config: DemoConfig, objective: ObjectiveConfig) -> Path:
    """Train, or resume an existing run; return the run folder."""
    run, store = folder / "run", folder / "store"
    if (run / layout.RUN).exists():
        chosen = configuration.from_dict(TrainConfig, layout.read_record(run)["config"])
    else:
        tiny = dataclasses.replace(_tiny_for(store, config), objective=objective)
        chosen = _with_steps(tiny, store, folder / "rehearsal", config)
    found = checkpoint.newest(run / layout.CHECKPOINTS)
    if found is not None and found.step >= chosen.steps:
        log.info("already trained: %s", run)
        return run
    train(chosen, store=store, out=run, recipe=RECIPE)
    found = checkpoint.newest(run / layout.CHECKPOINTS)
    if found is None or found.step < chosen.steps:
        raise FootageError("training was stopped", "rerun the same command to resume")
    return run


def _tiny_for(store: Path, config: DemoConfig) -> TrainConfig:
    """Return the recipe with a smaller network, frames further apart, and a batch for few videos.

    A batch takes a quarter of the videos, so that batches differ. With fewer than eight videos, a
    quarter has too few negatives, so a batch takes as many as possible.
    """
    base = recipe(RECIPE)
    num_videos = len(set(Store.open(store).shots["video"].to_pylist()))
    share = HELD_OUT_SHARE
    training = max(round(num_videos * (1 - share)), 1)
    videos_per_batch = min(base.sampling.videos_per_batch, max(training // 4, min(training, 8)))
    return dataclasses.replace(
        base,
        seed=config.seed,
        backbone=BACKBONE,
        held_out_fraction=share,
        sampling=dataclasses.replace(
            base.sampling, videos_per_batch=videos_per_batch, frame_stride=FRAME_STRIDE
        ),
    )


def _objective(*, is_rendered: bool) -> ObjectiveConfig:
    """Return the levels of the recipe, plus shot order if it is visible in most videos."""
    base = recipe(RECIPE).objective
    return dataclasses.replace(base, order=OrderConfig()) if is_rendered else base


def _with_steps(base: TrainConfig, store: Path, rehearsal: Path, config: DemoConfig) -> TrainConfig:
    """Set the number of steps that fit into `train_seconds`, by a short rehearsal."""
    speed = _images_per_second(base, store, rehearsal)
    steps = int(config.train_seconds * speed / base.sampling.images_per_batch)
    steps = max(min(steps, config.most_steps), 1)
    log.info("%.0f images/s on this machine: %d steps", speed, steps)
    return dataclasses.replace(
        base,
        steps=steps,
        metrics_every=max(steps // 4, 1),
        checkpoint_every=max(steps // 6, 1),
    )


def _images_per_second(base: TrainConfig, store: Path, run: Path) -> float:
    """Measure the speed of a short run after its start-up and choice of threads."""
    log.info("measuring how fast this machine trains")
    steps = min(REHEARSAL_STEPS, base.steps)
    short = dataclasses.replace(base, steps=steps, metrics_frames=8, checkpoint_every=steps)
    with _without_log():
        train(short, store=store, out=run, recipe=RECIPE)
    rates = [
        line["images_per_second"]
        for line in layout.read_metrics(run)
        if "images_per_second" in line
    ]
    return float(statistics.harmonic_mean(rates[len(rates) // 2 :]))


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Silence the log of the short run: the real run logs the same lines again."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: with small matrices on a busy CPU, threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _architecture(config: dict[str, Any]) -> str:
    size = config["augment"]["size"]
    return f"{config['backbone']['architecture']} at {size} px"


# --- evaluate -----------------------------------------------------------------------------------


def _evaluated(folder: Path, run: Path, config: DemoConfig) -> list[ResultRow]:
    """Return result rows on held-out videos and labelled images; `evaluate` reuses earlier ones."""
    tasks = [
        render_labelled(folder / task, task=task, seed=config.seed, scale=config.labelled_scale)
        for task in TASKS
    ]
    how = EvaluateConfig(held_out=bool(layout.read_record(run)["held_out"]))
    with _one_thread():
        return evaluate(str(run), labels=tasks, config=how).rows


def _line(measured: Comparison) -> str:
    """Format one row: chance, pixels, untrained, trained, and the verdict of the intervals."""
    words = QUESTIONS[measured.task]
    if measured.task in TASKS:
        words += f", {PROTOCOL_WORDS[measured.protocol]}"
    chance, pixels, untrained, trained = (
        f"{100 * measured.cells[role].value:.1f}" for role in ROLES
    )
    verdicts = [SHORT[measured.against(baseline)] for baseline in ("untrained", "pixels")]
    cells = f"{chance:>8}{pixels:>8}{untrained:>11}{trained:>9}"
    return f"  {words:42}{cells}  {verdicts[0]:>11}{verdicts[1]:>9}"
