"""The command `footage profile`: measure and compare what features are invariant to.

A frame store is needed to measure the levels of the video hierarchy, and labelled videos to measure
accuracy over time. Single factors are measured on rendered scenes. Raw pixels and each network
without training are included for comparison.
"""

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from footage import arguments
from footage.arguments import Location, Locations
from footage.errors import ConfigError
from footage.evaluation.dataset import open_task
from footage.evaluation.digests import weights_digest
from footage.evaluation.features import (
    FeatureExtractor,
    extract,
    model_extractor,
    pixel_extractor,
    refuse_unreadable,
)
from footage.evaluation.probes import PROBES, Examples
from footage.evaluation.training_data import training_data
from footage.invariance.config import ProfileConfig
from footage.invariance.factors import FRAME_SIZE, factors, scene_distances
from footage.invariance.results import FILE, Profiled, refuse_another, write_profiles
from footage.invariance.robustness import VideoSet, open_videos, robustness
from footage.invariance.tables import tables
from footage.invariance.video_levels import VIEWS, choose_frames, frame_features, profile_of
from footage.io import files
from footage.io.copies import on_local_copies
from footage.io.walk import text
from footage.keywords import configured
from footage.models import load as models
from footage.progress import progress_bar
from footage.reporting.profile_picture import draw_profiles
from footage.results import Result, View
from footage.runs import layout
from footage.store.reader import Store

log = logging.getLogger(__name__)

PIXELS: Final = "raw pixels"
"""The image itself at 16 x 16, instead of features."""

PICTURE: Final = "profile.svg"

FILE_BYTES: Final = 2_000_000
"""Free space required before the work starts; files are smaller."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Profiles(Result):
    """The results, and the files that contain them."""

    models: list[Profiled]
    files: list[Path]

    def views(self) -> Sequence[View]:
        """Return the tables, and the files below them."""
        return [*tables(self.models), *map(str, self.files)]


class _Compared(NamedTuple):
    """The models and baselines that are compared."""

    extractors: dict[str, FeatureExtractor]
    described: dict[str, dict[str, Any]]
    baselines: list[str]
    weights: list[str]
    """Digests of the models' weights."""


@arguments.renamed(labelled="labels")
@on_local_copies("specs", "out", "videos", "labels")
def profile(
    specs: Locations,
    *,
    out: Location,
    store: Location = "",
    videos: Location = "",
    labels: Location = "",
    config: ProfileConfig | None = None,
    overwrite: bool = False,
    **options: Any,  # noqa: ANN401
) -> Profiles:
    """Measure what the features of models are invariant to.

    Args:
        specs: Run folders, exported files or folders, or timm names.
        out: The folder for `profile.json` and `profile.svg`.
        store: A frame store; without one the levels of the hierarchy are not measured. Videos that
            one of the models was trained on are excluded.
        videos: Labelled videos, CLASS/VIDEO/000123.jpg; see `footage.invariance.robustness`.
        labels: Labelled images of the same classes, on which the classifier is fitted.
        config: Sizes and seed; the defaults when omitted.
        overwrite: Replace another profile in `out`.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        CheckpointError: A model cannot be read.
        StoreError: The store is missing or damaged.
        ConfigError: There is nothing to measure, the videos or images cannot be used, or `out`
            contains another profile.
        OutputError: `out` cannot be written.
        BusyError: Another process is writing there.
    """
    config = configured(config, ProfileConfig, options, profile)
    specs, store = arguments.locations(specs, "models"), arguments.location(store, "store")
    videos, labels = arguments.location(videos, "videos"), arguments.location(labels, "labels")
    folder = arguments.path(out, "out")
    _check_asked(specs, str(store), str(videos), str(labels), config)
    compared = _compared(specs, config)
    opened = Store.open(store) if str(store) else None
    digest = _digest(compared, opened, str(videos), str(labels), config)
    with files.exclusive(folder / ".lock", folder):
        files.require_space(folder / FILE, FILE_BYTES, "a profile")
        if not overwrite:
            refuse_another(folder / FILE, digest)
        measured, results = _measured(specs, opened, videos, labels, compared, config)
        return Profiles(
            results,
            [
                write_profiles(folder / FILE, measured, results, digest),
                draw_profiles(folder / PICTURE, results),
            ],
        )


def _digest(
    compared: _Compared, store: Store | None, videos: str, labels: str, config: ProfileConfig
) -> str:
    """Digest of everything that the numbers depend on and that is known before measuring."""
    places = [os.path.realpath(place) if place else "" for place in (videos, labels)]
    identity = [
        dataclasses.asdict(config),
        compared.described,
        compared.weights,
        store.content_hash if store else "",
        *places,
    ]
    encoded = json.dumps(identity, sort_keys=True, default=str).encode()
    return hashlib.sha256(encoded).hexdigest()[:16]


def _measured(
    specs: Sequence[str],
    store: Store | None,
    videos: str | Path,
    labels: str | Path,
    compared: _Compared,
    config: ProfileConfig,
) -> tuple[dict[str, Any], list[Profiled]]:
    """The measured data, and the results by extractor."""
    measured: dict[str, Any] = {"settings": dataclasses.asdict(config)}
    profiles: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    held: dict[str, dict[str, Any]] = {}
    if store is not None:
        with progress_bar("profile: levels of the store"):
            profiles, measured["store"] = _on_store(store, specs, compared, config)
    if config.scenes:
        with progress_bar("profile: one factor at a time"):
            moved, measured["scenes"] = _on_scenes(compared, config)
    if str(videos):
        with progress_bar("profile: labelled videos"):
            held, measured["videos"] = _on_videos(Path(videos), Path(labels), compared, config)
    results = [
        Profiled(
            name=text(name),
            is_baseline=name in compared.baselines,
            described=compared.described[name],
            profile=profiles.get(name),
            factors=moved.get(name, {}),
            robustness=held.get(name, {}),
        )
        for name in compared.extractors
    ]
    return measured, results


def _check_asked(
    specs: Sequence[str], store: str, videos: str, labels: str, config: ProfileConfig
) -> None:
    if not specs:
        raise ConfigError("no model was given", "pass a run, an exported file or a timm model name")
    twice = sorted({spec for spec in specs if list(specs).count(spec) > 1})
    if twice:
        raise ConfigError(f"{twice[0]} is given twice", "name each model once")
    if bool(videos) != bool(labels):
        raise ConfigError(
            "labelled videos and labelled images must be given together",
            "pass both --videos and --labels, or neither",
        )
    if not (store or config.scenes or videos):
        raise ConfigError("there is nothing to measure", "pass --store STORE, or --scenes above 0")


def _compared(specs: Sequence[str], config: ProfileConfig) -> _Compared:
    """Raw pixels, each architecture untrained, then the models."""
    device = models.best_device()
    extractors = {PIXELS: pixel_extractor()}
    described: dict[str, dict[str, Any]] = {PIXELS: {}}
    loaded = [models.load(spec, size=config.size, seed=config.seed) for spec in specs]
    untrained = {}
    for model in loaded:
        key = (model.backbone.architecture, str(model.backbone.options), model.preprocessing)
        if key not in untrained:
            twin = models.untrained(model, seed=config.seed)
            untrained[key] = twin._replace(name=f"{model.backbone.architecture} untrained")
    taken: dict[str, int] = {}
    for model in untrained.values():
        taken[model.name] = taken.get(model.name, 0) + 1
        again = f" ({taken[model.name]})" if taken[model.name] > 1 else ""
        extractors[model.name + again] = model_extractor(model, device)
        described[model.name + again] = models.describe(model)
    baselines = list(extractors)
    for model in loaded:
        extractors[model.name] = model_extractor(model, device)
        described[model.name] = models.describe(model)
    weights = [weights_digest(model.backbone) for model in loaded]
    return _Compared(extractors, described, baselines, weights)


def _on_store(
    store: Store, specs: Sequence[str], compared: _Compared, config: ProfileConfig
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Profiles by extractor, and what they were measured on."""
    eligible, unchecked = _unseen(store, specs)
    if not eligible:
        raise ConfigError(
            f"every video of {str(store.path)!r} was used to train one of the models",
            "choose another --store, or drop the runs that were trained on it",
        )
    chosen = choose_frames(
        store,
        eligible,
        videos=config.store_videos,
        shots=config.shots_per_video,
        frames=config.frames_per_shot,
        seed=config.seed,
    )
    features = frame_features(
        store, chosen, compared.extractors, seed=config.seed, batch_size=config.batch_size
    )
    data = {
        "path": str(store.path),
        "content_hash": store.content_hash,
        "eligible_videos": len(eligible),
        "videos": len({frame.video for frame in chosen}),
        "shots": len({frame.row for frame in chosen}),
        "frames": len(chosen),
        "views": dataclasses.asdict(VIEWS),
        "unchecked": unchecked,
    }
    found = {name: profile_of(each, chosen, seed=config.seed) for name, each in features.items()}
    return found, data


def _unseen(store: Store, specs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the videos of the store that no model was trained on, and what could not be checked.

    The same video in another store is recognised, because ids end in a hash of the file.
    """
    eligible = set(store.shots["video"].to_pylist())
    unchecked: list[str] = []
    for spec in specs:
        known = training_data(spec)
        trained = {_content(video) for video in known.videos}
        left = {video for video in eligible if _content(video) not in trained}
        if (Path(spec) / layout.RUN).is_file():
            record = layout.read_record(Path(spec))
            if record.get("store_hash") == store.content_hash:
                left &= set(record.get("held_out", []))
        if left != eligible:
            log.info(
                "%s was trained on %d of the %d videos; they are excluded",
                spec, len(eligible - left), len(eligible),
            )  # fmt: skip
        eligible = left
        unchecked += known.unchecked
    return sorted(eligible), list(dict.fromkeys(unchecked))


def _content(video: str) -> str:
    """The hash at the end of a video's id, or the id itself if it does not have one."""
    return video.rpartition("#")[2]


def _on_scenes(compared: _Compared, config: ProfileConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Factors by extractor, and what they were measured on."""
    found = scene_distances(
        compared.extractors, scenes=config.scenes, seed=config.seed, batch_size=config.batch_size
    )
    moved = {name: factors(each, seed=config.seed) for name, each in found.items()}
    return moved, {"scenes": config.scenes, "frame_size": FRAME_SIZE}


def _on_videos(
    videos: Path, labels: Path, compared: _Compared, config: ProfileConfig
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Robustness by extractor and protocol, and the labelled videos."""
    task = open_task(labels, config.seed)
    asked = open_videos(videos, task.classes, reach=config.reach)
    sizes = [len(task.train.paths), len(task.val.paths), len(asked.paths)]
    features = _read([*task.train.paths, *task.val.paths, *asked.paths], compared, config, asked)
    answers = [torch.from_numpy(part.labels) for part in (task.train, task.val)]
    found: dict[str, dict[str, Any]] = {}
    for name, rows in features.items():
        train, val, frames = torch.split(rows, sizes)
        parts = (Examples(train, answers[0]), Examples(val, answers[1]))
        found[name] = {
            protocol: robustness(
                PROBES[protocol](*parts, len(task.classes)), frames, asked, seed=config.seed
            )
            for protocol in config.protocols
        }
    data = {
        "videos": asked.name, "anchors": len(asked.anchors), "frames": len(asked.paths),
        "reach": asked.reach, "labelled": task.name, "split": task.split,
        "num_train": sizes[0], "num_val": sizes[1], "classes": list(task.classes),
    }  # fmt: skip
    return found, data


def _read(
    paths: Sequence[Path], compared: _Compared, config: ProfileConfig, asked: VideoSet
) -> Mapping[str, torch.Tensor]:
    extracted = extract(paths, compared.extractors, batch_size=config.batch_size)
    refuse_unreadable(extracted.unreadable, len(paths), asked.name)
    return extracted.features
