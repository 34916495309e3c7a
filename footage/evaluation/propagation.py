"""Propagation of masks through clips, compared with baselines: J and F as in DAVIS 2017.

    chance      the first mask, unchanged
    pixels      the colours of small patches as features
    untrained   the feature map of the same network with random weights

No labels are learned: the first mask is given, and `propagate` carries it through the clip. J and F
are means over the frames of an object without the first and the last one, and then over all objects
(Pont-Tuset et al. 2017, https://arxiv.org/abs/1704.00675). Intervals are over clips.

Deviation: void pixels do not count; the public evaluation treats them as background.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from footage import configuration
from footage.evaluation import cached_clips, mask_clips, models
from footage.evaluation.dataset import OTHER
from footage.evaluation.execution import SILENT, Progress
from footage.evaluation.feature_maps import FrozenMaps, frozen_maps
from footage.evaluation.folders import (
    FILE_BYTES,
    LONGEST_NAME,
    Evaluated,
    compared,
    digest_of,
    header_of,
)
from footage.evaluation.mask_clips import VOID, Clip, Indexes, LoadedClip
from footage.evaluation.models import (
    CHANCE,
    RANDOM,
    UNTRAINED,
    EvaluatedModel,
    with_baselines,
)
from footage.evaluation.propagate import DINO, propagate
from footage.evaluation.results import (
    GENERATION,
    PROPAGATION,
    ClipValue,
    ResultRow,
    read_rows,
    write_file,
)
from footage.evaluation.run_seeds import recipe_digest
from footage.evaluation.runner import fields_of_model
from footage.io import cache, files
from footage.io.walk import text
from footage.metrics.segmentation import boundary_accuracy, region_similarity
from footage.models.load import best_device
from footage.runs import layout

log = logging.getLogger(__name__)

SHORT_SIDE: Final = 480
"""Height or width of the input in pixels, the shorter of both, as in DAVIS and DINO."""

METRIC: Final = "J&F"
VERSION: Final = 1
"""Part of every digest; a new value invalidates the results of earlier versions."""


class MaskTask(NamedTuple):
    """A folder of clips with masks."""

    name: str
    clips: tuple[Clip, ...]
    digest: str
    """Digest of all files."""


def open_masks(folder: Path) -> MaskTask:
    """Open a folder in the layout of DAVIS; see `mask_clips`.

    Raises:
        ConfigError: A folder or file is missing.
    """
    clips = mask_clips.find_clips(folder)
    return MaskTask(text(folder.resolve().name), tuple(clips), mask_clips.digest(clips))


class OpenedModel(NamedTuple):
    """A model under test, loaded for a task."""

    model: EvaluatedModel
    frozen: FrozenMaps
    digest: str
    """Digest of everything that its results depend on."""


def open_model(model: EvaluatedModel, task: MaskTask) -> OpenedModel:
    """Load a model, whose size is that of the short side of its input.

    Raises:
        ConfigError: The model has no feature map, or does not exist.
        CheckpointError: It cannot be read.
    """
    frozen = frozen_maps(model, best_device())
    return OpenedModel(model, frozen, digest_of(frozen.described, *_settings(task, model)))


def _settings(task: MaskTask, model: EvaluatedModel) -> tuple[object, ...]:
    """Return everything that results depend on except the model itself, as JSON values."""
    return VERSION, PROPAGATION, configuration.to_dict(DINO), task.digest, model.seed


def evaluate_propagation(
    opened: OpenedModel, task: MaskTask, progress: Progress = SILENT, *, overwrite: bool
) -> Evaluated:
    """Propagate the masks with a model and its baselines, or read an earlier result.

    The result is stored in the run's folder or, for other models, in the cache. Results of
    baselines are always cached, because models with the same architecture share them.

    Args:
        opened: The model under test.
        task: The clips.
        progress: Progress callbacks; a unit is a clip.
        overwrite: Recompute everything, even if results exist.

    Returns:
        A row per model, baselines first.

    Raises:
        ConfigError: A clip cannot be used.
        OutputError: The result cannot be written.
    """
    model, frozen, digest = opened
    path = _path(model, task, digest)
    if path.exists() and not overwrite:
        log.info("already evaluated: %s", path)
        rows = [_renamed(row, frozen.described["model"], task.name) for row in read_rows(path)]
    else:
        files.require_space(path, FILE_BYTES, "a results file")
        others = {
            each: frozen_maps(dataclasses.replace(each, size=model.size), best_device())
            for each in with_baselines(model)
            if each.baseline != CHANCE and each != model
        }
        kept = {
            each: cached_clips.path_of(each.baseline, found.described, *_settings(task, each))
            for each, found in others.items()
        }
        known = {} if overwrite else _known(kept)
        rows = propagation_rows(model, task, {**others, model: frozen}, known, progress)
        for each, row in zip(others, rows[1:], strict=False):  # chance first, the model last
            if each not in known:
                cached_clips.keep(kept[each], row.clips)
        header = header_of(frozen.described)
        write_file(path, header, rows, [digest], **compared(rows))
    return Evaluated(rows, [path] if model.run else [])


def _known(kept: Mapping[EvaluatedModel, Path]) -> dict[EvaluatedModel, list[ClipValue]]:
    """Read the cached results of baselines."""
    found = {each: cached_clips.read(path) for each, path in kept.items()}
    return {each: clips for each, clips in found.items() if clips is not None}


def propagation_rows(
    model: EvaluatedModel,
    task: MaskTask,
    frozen: Mapping[EvaluatedModel, FrozenMaps],
    known: Mapping[EvaluatedModel, Sequence[ClipValue]],
    progress: Progress = SILENT,
) -> list[ResultRow]:
    """Return a row per model: chance, then `frozen` in order.

    Args:
        model: The model under test.
        task: The clips.
        frozen: The models with feature maps.
        known: Earlier results on all clips, which are reused.
        progress: As in `evaluate_propagation`.
    """
    chance: list[ClipValue] = []
    values = {each: list(known.get(each, ())) for each in frozen}
    left = {each: found for each, found in frozen.items() if each not in known}
    progress.start(len(task.clips), 0)
    for clip in task.clips:
        loaded = mask_clips.load_clip(clip)
        first = loaded.masks[0]
        chance.append(measured(clip.name, loaded, [first] * len(loaded.frames)))
        for each, (extractor, _) in left.items():
            maps = extractor.maps(loaded.frames, model.size)
            values[each].append(
                measured(clip.name, loaded, propagate(maps, first, loaded.objects, DINO))
            )
        progress.advance(1)
    at_rest = models.describe(EvaluatedModel(model=CHANCE)) | {"size": model.size}
    rows = [(CHANCE, at_rest, chance)]
    rows += [(each.baseline, frozen[each].described, found) for each, found in values.items()]
    return [_row(task, model, *each, chance=_mean(chance)) for each in rows]


def measured(name: str, clip: LoadedClip, found: Sequence[Indexes]) -> ClipValue:
    """Measure J and F of the masks found for a clip, averaged over frames and objects.

    Args:
        name: The clip's name.
        clip: The clip with its annotated masks.
        found: A mask per frame.
    """
    of_frames = []
    for number in clip.measured:
        truth, void = clip.masks[number], clip.masks[number] == VOID
        for index in clip.objects:
            masks = found[number] == index, truth == index, void
            of_frames.append((region_similarity(*masks), boundary_accuracy(*masks)))
    region, boundary = np.asarray(of_frames).mean(axis=0).tolist()  # all objects: equal weights
    parts = {"J": region, "F": boundary}
    return ClipValue(name, len(clip.objects), (region + boundary) / 2, parts)


def _row(
    task: MaskTask,
    model: EvaluatedModel,
    baseline: str,
    described: Mapping[str, Any],
    clips: Sequence[ClipValue],
    *,
    chance: float,
) -> ResultRow:
    value = _mean(clips)
    spread = float(np.std([clip.value for clip in clips], ddof=min(1, len(clips) - 1)))
    return ResultRow(
        suite="",
        task=task.name,
        group=OTHER,
        model=described["model"],
        baseline=baseline,
        protocol=PROPAGATION,
        metric=METRIC,
        value=value,
        standard_error=min(1.0, spread / len(clips) ** 0.5),
        seed_values=(value,),
        chance=chance,
        validation=value,
        selected={},
        num_classes=sum(clip.objects for clip in clips),
        num_train=0,
        num_val=0,
        num_test=len(clips),
        split="all clips, first mask given",
        deviations=(),
        missing={},
        sweep_size=0,
        seed_rule="one run",
        generation=GENERATION,
        seed=model.seed,
        resize="area or cubic, in proportion",
        precision="float32",
        images=task.digest,
        clips=tuple(clips),
        recipe=recipe_digest(model.run) if model.run and not baseline else "",
        **fields_of_model(described),
    )


def _mean(clips: Sequence[ClipValue]) -> float:
    """The mean over the objects of all clips."""
    value = np.average([clip.value for clip in clips], weights=[clip.objects for clip in clips])
    return float(min(1.0, value))


def _path(model: EvaluatedModel, task: MaskTask, digest: str) -> Path:
    if model.run:
        return model.run / layout.EVALUATIONS / f"{task.name[:LONGEST_NAME]}-{digest}.json"
    return cache.folder() / "evaluations" / "propagation" / f"{digest}.json"


def _renamed(row: ResultRow, model: str, task: str) -> ResultRow:
    """A row of an earlier call, with the present names of the model and the folder."""
    if row.baseline == RANDOM:
        model += UNTRAINED
    is_named = row.baseline in ("", RANDOM)
    return msgspec.structs.replace(row, task=task, model=model if is_named else row.model)
