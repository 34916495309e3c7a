"""The named ways to evaluate a model on a task, as values in one dict.

A protocol is a grid of settings, the seeds of the final runs, and the rule that reduces these to
one number. Every protocol trains on the training part and selects on the validation part. It then
trains the selected setting on both parts, and reads the test part once per seed.

No protocol uses augmentation: flips and crops would destroy the labels of the structured tasks.
Images are resized to a square regardless of their aspect ratio, as in the VTAB code. `bilinear`
does not antialias, like `tf.image.resize`; `area` averages, as everywhere else in footage.
Deviation: resized pixels are rounded to 8 bits, which the VTAB code does not do.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from footage import configuration
from footage.errors import ConfigError, UnknownNameError
from footage.evaluation.few_shot import DRAWS
from footage.evaluation.probes import INVERSE_PENALTIES, MAJORITY, NEIGHBOURS, TEMPERATURES
from footage.evaluation.results import DRAWN
from footage.optim.config import OptimizerConfig
from footage.optim.schedules import ScheduleConfig
from footage.seeding import generator

VTAB_DECAYS: Final = ScheduleConfig(
    name="steps", warmup_fraction=0.0, decay_fractions=(0.3, 0.6, 0.9)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One point of a protocol's grid."""

    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    steps: int
    batch_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """A way to evaluate a model on a task; every row of results records its name."""

    name: str
    adapt: Literal["fine-tune", "linear", "knn", "nearest-mean", "majority"]
    """Train the whole network with a zero-initialised linear head, or the name of a probe."""
    shots: int = 0
    """Labelled images per class, drawn anew for each seed; 0 uses the whole training part."""
    settings: tuple[Setting, ...] = ()
    """The grid for fine-tuning; probes have their own."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the final runs; selection uses seed 0."""
    aggregate: Literal["median", "mean"] = "median"
    """Rule that reduces the test accuracies of all seeds to one."""
    resize: Literal["bilinear", "area"] = "bilinear"
    size: int = 0
    """Default input height and width in pixels; 0 uses the model's own."""
    batch_norm: Literal["batch", "stored"] = "batch"
    """Statistics that batch norm uses during fine-tuning."""

    @property
    def frozen(self) -> bool:
        """Whether the backbone is not trained."""
        return self.adapt != "fine-tune"

    @property
    def sweep_size(self) -> int:
        """Number of settings that are tried on the validation part."""
        own = {"linear": len(INVERSE_PENALTIES), "knn": len(NEIGHBOURS) * len(TEMPERATURES)}
        return own.get(self.adapt, len(self.settings))

    @property
    def seed_rule(self) -> str:
        """Description of how seeds are reduced to one number."""
        if len(self.seeds) == 1:
            return "one run"
        return f"{self.aggregate} of {len(self.seeds)} {DRAWN if self.shots else 'seeds'}"


def described(protocol: Protocol) -> dict[str, Any]:
    """A protocol as JSON values, those of earlier versions unchanged."""
    plain = configuration.to_dict(protocol)
    return plain if protocol.shots else {key: plain[key] for key in plain.keys() - {"shots"}}


def _sgd(learning_rate: float, steps: int, batch_size: int, schedule: ScheduleConfig) -> Setting:
    """SGD with momentum 0.9, no Nesterov momentum and no weight decay, as in the VTAB code."""
    return Setting(
        optimizer=OptimizerConfig(name="sgd", learning_rate=learning_rate, weight_decay=0.0),
        schedule=schedule,
        steps=steps,
        batch_size=batch_size,
    )


LIGHTWEIGHT: Final = Protocol(
    name="lightweight",
    adapt="fine-tune",
    settings=tuple(
        _sgd(learning_rate, steps, 512, VTAB_DECAYS)
        for learning_rate in (0.1, 0.01)
        for steps in (2500, 10_000)
    ),
    seeds=(0, 1, 2),
)
"""Zhai et al. 2019 (https://arxiv.org/abs/1910.04867), second version: 800 and 200 images.

Recalled: the second learning rate and schedule, and the median of three; the rest is in the code.
Deviation: batches are drawn in epochs over the images, rather than from a shuffled buffer of
repeats.
"""

BIT_HYPERRULE: Final = Protocol(
    name="bit-hyperrule",
    adapt="fine-tune",
    settings=(_sgd(0.003, 500, 512, VTAB_DECAYS),),
    seeds=(0, 1, 2),
)
"""Kolesnikov et al. 2020 (https://arxiv.org/abs/1912.11370) for fewer than 20k examples.

Deviation: no flips and crops, which the paper omits for some tasks without naming them, and the
model's own input size instead of 128 or 384 pixels. The seeds are our choice.
"""

PETL: Final = Protocol(
    name="petl",
    adapt="fine-tune",
    settings=tuple(
        Setting(
            optimizer=OptimizerConfig(name="adamw", learning_rate=learning_rate, weight_decay=1e-4),
            schedule=ScheduleConfig(name="cosine", warmup_fraction=0.1),
            steps=1600,
            batch_size=64,
        )
        for learning_rate in (1e-3, 3e-4, 1e-4, 3e-5)
    ),
    seeds=(42, 44, 82, 100, 800),
    aggregate="mean",
)
"""Settings of papers on parameter-efficient tuning: AdamW, cosine, batch size 64, 100 epochs of
1000 images.

Five seeds and their mean, as in VPT (Jia et al. 2022). Recalled: decay and warm-up; the learning
rates are our choice. Deviation: those papers resize bicubically, and many selected settings on the
test part; here the validation part is used, after the same number of steps. The whole network is
trained.
"""

POCKET_FINETUNE: Final = Protocol(
    name="pocket-finetune",
    adapt="fine-tune",
    settings=tuple(_sgd(learning_rate, 200, 32, VTAB_DECAYS) for learning_rate in (0.1, 0.01)),
    size=64,
)
"""Our own protocol: `lightweight`, shortened for a CPU.

One seed and six epochs; networks trained from scratch need the higher learning rate.
"""

LINEAR: Final = Protocol(name="linear", adapt="linear", resize="area")
KNN: Final = Protocol(name="knn", adapt="knn", resize="area")

CHANCE: Final = Protocol(name=MAJORITY, adapt=MAJORITY, resize="area")
"""The only protocol of the baseline `chance`; it cannot be selected by name."""

HEAVY_TRIALS: Final = 100


def heavy(trials: int = HEAVY_TRIALS) -> Protocol:
    """Random search over our own ranges; a longer search contains every shorter one.

    Trial i has: SGD or AdamW, learning rate log-uniform in [1e-3, 0.3] or [1e-5, 1e-3]; weight
    decay 0 or log-uniform in [1e-6, 1e-2]; 500, 2500 or 10000 steps; batches of 64, 128 or 512;
    steps as in `lightweight` or a cosine with a tenth of warm-up. VTAB's heavyweight search also
    varied the preprocessing, over ranges that we could not verify.
    """
    return Protocol(
        name="heavy" if trials == HEAVY_TRIALS else f"heavy-{trials}",
        adapt="fine-tune",
        settings=tuple(_trial(number) for number in range(trials)),
        seeds=(0, 1, 2),
    )


def _trial(number: int) -> Setting:
    draw = generator("heavy trial", number)
    name: Literal["sgd", "adamw"] = "sgd" if draw.random() < 0.5 else "adamw"
    low, high = {"sgd": (-3.0, -0.523), "adamw": (-5.0, -3.0)}[name]
    learning_rate = float(10 ** draw.uniform(low, high))
    weight_decay = 0.0 if draw.random() < 0.5 else float(10 ** draw.uniform(-6, -2))
    steps, batch_size = int(draw.choice((500, 2500, 10_000))), int(draw.choice((64, 128, 512)))
    cosine = ScheduleConfig(name="cosine", warmup_fraction=0.1)
    return Setting(
        optimizer=OptimizerConfig(
            name=name, learning_rate=learning_rate, weight_decay=weight_decay
        ),
        schedule=VTAB_DECAYS if draw.random() < 0.5 else cosine,
        steps=steps,
        batch_size=batch_size,
    )


def few_shot(shots: int) -> Protocol:
    """A few labelled images per class and the nearest class mean, see `few_shot`."""
    return Protocol(
        name=f"{shots}-shot",
        adapt="nearest-mean",
        shots=shots,
        seeds=tuple(range(DRAWS)),
        aggregate="mean",
        resize="area",
    )


PROTOCOLS: Final[dict[str, Protocol]] = {
    each.name: each
    for each in (KNN, LINEAR, LIGHTWEIGHT, BIT_HYPERRULE, PETL, heavy(), POCKET_FINETUNE)
}
"""All protocols by name, except `heavy-N` with N trials and `N-shot` with N labels per class."""

BUNDLES: Final[dict[str, tuple[str, ...]]] = {"pocket-fast": ("knn", "linear")}
"""One name for several protocols; rows carry the names of these."""


def protocols(names: tuple[str, ...]) -> tuple[Protocol, ...]:
    """Return the protocols of these names in the given order, without duplicates.

    Raises:
        ConfigError: No name is given, or one is unknown.
    """
    single = [part for name in names for part in BUNDLES.get(name, (name,))]
    found = {name: _protocol(name) for name in single}
    known = [*PROTOCOLS, *BUNDLES, "heavy-N", "N-shot"]
    unknown = [name for name, protocol in found.items() if protocol is None]
    if unknown:
        raise UnknownNameError("protocol", unknown[0], known)
    if not single:
        raise ConfigError("no protocol was given", f"choose from {', '.join(known)}")
    return tuple(protocol for protocol in found.values() if protocol)


def _protocol(name: str) -> Protocol | None:
    if searched := re.fullmatch(r"heavy-([1-9][0-9]{0,3})", name):
        return PROTOCOLS.get(name) or heavy(int(searched[1]))
    if drawn := re.fullmatch(r"([1-9][0-9]{0,2})-shot", name):
        return few_shot(int(drawn[1]))
    return PROTOCOLS.get(name)
