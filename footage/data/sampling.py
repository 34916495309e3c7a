"""Select the videos, shots and frames of batch n, as a pure function of the seed and n.

A batch is V videos x S shots x F frames; the A views of each frame are made later, from pixels:

    video   |--shot 0--|----shot 1----|-shot 2-|------shot 3------|--shot 4--|
    S = 3               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^     a random run of S shots
    shot 1  . . f f f f . .                                   F = 4 consecutive sampled frames
    stride  . f . f . f . f                                   frame_stride = 2

Videos differ in their numbers of shots and frames. Named policies handle those with too few:

`short_video_policy`: the video has fewer than S shots (most raw clips are a single shot).
    "split"   the longest shots are cut into equal parts until there are S; parts share no frame:

                  |------------one shot------------|  ->  |--0--|--1--|--2--|--3--|

    "drop"    the video is not used.
    Shots are never repeated: the loss would push two copies apart as if they differed.

`short_shot_policy`: a shot, or a part of one, is shorter than F frames at the given stride.
    "wrap"    the stride is reduced until the frames fit; if even F consecutive frames do not fit,
              the shot wraps around:   . . . (3 frames), F = 4  ->  0 1 2 0
    "drop"    the shot is not used, and no part is cut that short.

With "wrap" a part keeps at least two frames, so the shortest video that "split" can use is a single
shot of 2 S frames. A video that cannot provide S disjoint shots is *ineligible*: it is counted
(`BatchSampler.num_ineligible`), never padded.

Videos are sampled in epochs. An epoch is a seeded permutation of the E eligible videos, cut into
batches of V. The remaining E mod V videos are left out, different ones in each epoch:

    epoch 0  |V V V|V V V|V V V|r       epoch 1  |V V V|V V V|V V V|r

So no batch and no epoch contains a video twice, and batch n is computed without batch n - 1.

As a control, `structure = "shuffled"` uses the same frames without their videos: each of the V x S
positions is one frame of any shot of any video:

    |video 7, frame 3|video 2, frame 9|video 7, frame 0|video 5, frame 4|

Recalled: the paper draws 4 to 8 shots and frames per video. Policies, stride and epochs are ours.
"""

import heapq
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from footage.data.config import SamplingConfig
from footage.errors import ConfigError, StoreError
from footage.seeding import generator, hash_order

SMALLEST_PART = 2
"""Frames in the shortest part that "split" cuts. With parts of one frame, the loss would only push
neighbouring frames apart."""


class TooFewVideosError(ConfigError):
    """There are fewer eligible videos than a batch needs."""

    def __init__(self, message: str, hint: str, *, num_eligible: int) -> None:
        super().__init__(message, hint)
        self.num_eligible = num_eligible


class BatchPlan(NamedTuple):
    """The frames of a batch, before any pixels are read.

    A split video has a row of the store several times in `shots`, with disjoint frames.
    """

    videos: Int[np.ndarray, " V"]
    """Number of each video, as in `ShotTable.videos`; with "shuffled" only a position, 0 to V."""
    shots: Int[np.ndarray, "V S"]
    """Row of each shot in `Store.shots`, in temporal order."""
    frames: Int[np.ndarray, "V S F"]
    """Index of each frame inside its shot."""

    def part(self, rank: int, world: int) -> "BatchPlan":
        """Return the videos of one process: every `world`-th, starting at `rank`."""
        return BatchPlan(*(column[rank::world] for column in self))


class ShotTable(NamedTuple):
    """The shots that may be sampled, sorted by video and then by time."""

    rows: Int[np.ndarray, " N"]
    """Row in `Store.shots`."""
    videos: Int[np.ndarray, " N"]
    """Number of the shot's video, counted over the whole store."""
    num_frames: Int[np.ndarray, " N"]
    """Number of stored frames of the shot."""


def shot_table(
    videos: Sequence[str] | Int[np.ndarray, " N"],
    num_frames: Sequence[int] | Int[np.ndarray, " N"],
    held_out: Collection[str] | Int[np.ndarray, " H"] = (),
) -> ShotTable:
    """Make the table to sample from, using two columns of `Store.shots`.

    Videos are numbered over the whole store, so holding some out does not renumber the others.

    Args:
        videos: Id of each shot's video, as text or as a number; the shots of a video are
            consecutive, in temporal order.
        num_frames: Number of stored frames per shot.
        held_out: Ids of videos that must not be sampled.

    Raises:
        StoreError: The store contains no shots, or a video's shots are not consecutive.
    """
    if not len(videos):
        raise StoreError(
            "the store contains no shots with frames",
            "ingest more or longer videos; see the store's table of videos for rejected files",
        )
    names = np.asarray(videos)
    starts = np.concatenate([[True], names[1:] != names[:-1]])
    numbers = np.cumsum(starts) - 1
    if len(np.unique(names[starts])) != int(starts.sum()):
        raise StoreError("the shots of a video are not in consecutive rows", "ingest again")
    is_held_out = np.zeros(int(starts.sum()), dtype=bool)
    if len(held_out):
        is_held_out = np.isin(names[starts], np.asarray(list(held_out)))
    rows = np.flatnonzero(~is_held_out[numbers])
    return ShotTable(rows, numbers[rows], np.asarray(num_frames, dtype=np.int64)[rows])


def hold_out(videos: Sequence[str], share: float, seed: int) -> Bool[np.ndarray, " N"]:
    """Select the videos that are held out of training for the online metrics.

    Those with the smallest hashes of (seed, id) are held out, so the selection does not depend on
    the order of the videos, and a new video changes it for at most a few others. A share above 0
    holds out at least one video and leaves at least one.

    Args:
        videos: Unique ids.
        share: Fraction of the videos to hold out, from 0 to below 1.
        seed: Seed of the selection.

    Raises:
        ConfigError: The fraction is out of range, or there are too few videos to split.
    """
    if not 0.0 <= share < 1.0:
        raise ConfigError(f"the fraction to hold out must be from 0 to below 1, got {share}")
    mask = np.zeros(len(videos), dtype=bool)
    if share == 0.0:
        return mask
    if len(videos) < 2:
        raise ConfigError(
            f"{len(videos)} video cannot be divided into training and held-out videos",
            "ingest at least two videos, or hold out a fraction of 0",
        )
    count = min(max(round(share * len(videos)), 1), len(videos) - 1)
    mask[hash_order(videos, seed)[:count]] = True
    return mask


class Epochs:
    """Epochs over numbered items, each a seeded permutation cut into batches.

    Items that do not fill a last batch are left out, different ones in each epoch. Batch n is
    computed without batch n - 1.
    """

    def __init__(self, purpose: str, seed: int, count: int, per_batch: int) -> None:
        """Sample from at least `per_batch` items; `purpose` is the key of the draws."""
        self.batches_per_epoch = count // per_batch
        """Number of batches per epoch."""
        self._key = (purpose, seed)
        self._count = count
        self._per_batch = per_batch
        self._latest = (-1, np.zeros(0, dtype=np.int64))

    def batch(self, step: int) -> Int[np.ndarray, " B"]:
        """Return the distinct items of a step's batch."""
        number, batch = divmod(step, self.batches_per_epoch)
        first = batch * self._per_batch
        return self.permutation(number)[first : first + self._per_batch]

    def permutation(self, number: int) -> Int[np.ndarray, " N"]:
        """Return all items in the order of an epoch."""
        # Cached because shuffling millions of videos takes a tenth of a second.
        if self._latest[0] != number:
            purpose, seed = self._key
            self._latest = (number, generator(purpose, seed, number).permutation(self._count))
        return self._latest[1]


class BatchSampler:
    """Sample batches as a pure function of (seed, step).

    A sampler consists of arrays with a few integers per shot, so it is cheap to send to a worker
    process. The result of `plan` does not depend on earlier calls.
    """

    def __init__(self, table: ShotTable, config: SamplingConfig, seed: int) -> None:
        """Find the eligible videos and the slots from which their shots can be drawn.

        Raises:
            TooFewVideosError: Fewer eligible videos than `videos_per_batch`.
        """
        self.config = config
        self.seed = seed
        slots = _slots(table, config)
        self._slots = slots
        self.num_eligible = len(slots.videos)
        """Number of videos that can be sampled."""
        self.num_ineligible = len(np.unique(table.videos)) - self.num_eligible
        """Number of videos with too few shots or frames for the policies."""
        self.num_split = slots.num_split
        """Number of eligible videos whose shots are split into parts."""
        self.num_wrapped = int((slots.num_frames < config.frames_per_shot).sum())
        """Number of shots, or parts of shots, whose frames have to repeat."""
        if self.num_eligible < config.videos_per_batch:
            raise TooFewVideosError(
                f"videos_per_batch is {config.videos_per_batch}, but only {self.num_eligible} "
                f"of {self.num_eligible + self.num_ineligible} training videos can give "
                f"{config.shots_per_video} shots of {config.frames_per_shot} frames",
                f"set --sampling.videos-per-batch to at most {self.num_eligible}, ingest more "
                "videos, or ask for fewer shots and frames"
                if self.num_eligible > 1
                else "ingest more or longer videos, or ask for fewer shots and frames",
                num_eligible=self.num_eligible,
            )
        self._epochs = Epochs("pass", seed, self.num_eligible, config.videos_per_batch)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches per epoch."""
        return self._epochs.batches_per_epoch

    def plan(self, step: int) -> BatchPlan:
        """Return the global batch of a step; ranks take `BatchPlan.part` of it.

        Raises:
            ConfigError: The step is negative.
        """
        if step < 0:
            raise ConfigError(f"step must be at least 0, got {step}")
        if self.config.structure == "shuffled":
            return self._shuffled_plan(step)
        config, slots = self.config, self._slots
        chosen = self._epochs.batch(step)
        draws = generator("sampling", self.seed, step).random(
            (config.videos_per_batch, 1 + config.shots_per_video)
        )
        runs = slots.counts[chosen] - config.shots_per_video + 1
        places = slots.starts[chosen] + np.floor(draws[:, 0] * runs).astype(np.int64)
        positions = places[:, None] + np.arange(config.shots_per_video)
        frames = _frames(
            slots.first_frames[positions], slots.num_frames[positions], draws[:, 1:], config
        )
        return BatchPlan(slots.videos[chosen], slots.rows[positions], frames)

    def _shuffled_plan(self, step: int) -> BatchPlan:
        """Draw a video, one of its slots and one of its frames for each position, all uniformly."""
        slots, videos = self._slots, self.config.videos_per_batch
        draws = generator("shuffled", self.seed, step).random(
            (videos, self.config.shots_per_video, 3)
        )
        chosen = np.floor(draws[..., 0] * self.num_eligible).astype(np.int64)
        slot = np.floor(draws[..., 1] * slots.counts[chosen]).astype(np.int64)
        places = slots.starts[chosen] + slot
        frames = slots.first_frames[places] + np.floor(
            draws[..., 2] * slots.num_frames[places]
        ).astype(np.int64)
        return BatchPlan(np.arange(videos), slots.rows[places], frames[..., None])


class _Slots(NamedTuple):
    """Candidates for the shots of a batch: runs of frames of one row, sorted by video and time."""

    rows: Int[np.ndarray, " L"]
    first_frames: Int[np.ndarray, " L"]
    num_frames: Int[np.ndarray, " L"]
    videos: Int[np.ndarray, " E"]
    starts: Int[np.ndarray, " E"]
    counts: Int[np.ndarray, " E"]
    num_split: int


def _slots(table: ShotTable, config: SamplingConfig) -> _Slots:
    """Find the slots of eligible videos: whole shots, or parts if there are too few shots."""
    shortest = config.span if config.short_shot_policy == "drop" else 1
    usable = table.num_frames >= shortest
    rows, numbers, lengths = (column[usable] for column in table)
    videos, starts, counts = np.unique(numbers, return_index=True, return_counts=True)
    enough = counts >= config.shots_per_video

    parts = np.repeat(enough.astype(np.int64), counts)
    if config.short_video_policy == "split":
        for start, count in zip(starts[~enough], counts[~enough], strict=True):
            own = slice(start, start + count)
            parts[own] = _parts(lengths[own], config.shots_per_video, max(shortest, SMALLEST_PART))
    slots_of_video = np.add.reduceat(parts, starts) if len(starts) else parts
    eligible = slots_of_video > 0

    # Part k of n covers the frames from k * length // n up to (k + 1) * length // n.
    ends = np.cumsum(parts)
    order = np.arange(parts.sum()) - np.repeat(ends - parts, parts)
    cuts, length = np.repeat(parts, parts), np.repeat(lengths, parts)
    first_frames = order * length // cuts
    sizes = slots_of_video[eligible]
    return _Slots(
        rows=np.repeat(rows, parts),
        first_frames=first_frames,
        num_frames=(order + 1) * length // cuts - first_frames,
        videos=videos[eligible],
        starts=np.cumsum(sizes) - sizes,
        counts=sizes,
        num_split=int((eligible & ~enough).sum()),
    )


def _parts(lengths: Int[np.ndarray, " n"], wanted: int, smallest: int) -> Int[np.ndarray, " n"]:
    """Return the number of parts of each shot that maximises the length of the shortest part.

    Each cut is applied to the shot whose parts would remain longest. All zero if the parts of a
    cut shot would have fewer than `smallest` frames.
    """
    parts = np.ones(len(lengths), dtype=np.int64)
    queue = [(-int(length) / 2, shot) for shot, length in enumerate(lengths)]
    heapq.heapify(queue)
    for _ in range(wanted - len(lengths)):
        _, shot = queue[0]
        parts[shot] += 1
        if lengths[shot] // parts[shot] < smallest:
            return np.zeros_like(parts)
        heapq.heapreplace(queue, (-int(lengths[shot]) / int(parts[shot] + 1), shot))
    return parts


def _frames(
    first_frames: Int[np.ndarray, "V S"],
    num_frames: Int[np.ndarray, "V S"],
    draws: Float[np.ndarray, "V S"],
    config: SamplingConfig,
) -> Int[np.ndarray, "V S F"]:
    """Choose frames from a random start in each slot; short slots use a smaller stride or wrap."""
    steps = config.frames_per_shot - 1
    stride = np.clip((num_frames - 1) // max(steps, 1), 1, config.frame_stride)
    runs = np.maximum(num_frames - steps * stride, 1)
    begin = np.floor(draws * runs).astype(np.int64)
    offsets = begin[..., None] + stride[..., None] * np.arange(config.frames_per_shot)
    frames: Int[np.ndarray, "V S F"] = first_frames[..., None] + offsets % num_frames[..., None]
    return frames
