"""What one item of work of an evaluation does; each leaves its result as a file in the ledger.

    select   fine-tune one setting on the training part, record its accuracy on the validation part
    final    fine-tune the selected setting on both with one seed, and read the test part once
    frozen   extract a task's features, fit every classifier asked for, read the test part once each

An item is a pure function of the model, the task, the setting and the seed, so it may be killed and
done again. Only `final` and `frozen` are given the test part, sealed; what selects never is.

    LEDGER/select/TASK/0.json    one file per setting, see `records`
    LEDGER/test/TASK/...         see `sealed`
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from footage.errors import ConfigError
from footage.evaluation import models, probes
from footage.evaluation.features import extract, refuse_unreadable
from footage.evaluation.finetune import classify_files, classify_pixels, fine_tune, read_part
from footage.evaluation.models import Contender
from footage.evaluation.probes import Examples
from footage.evaluation.protocols import Protocol, Setting
from footage.evaluation.records import TRIED, Choice, Tried, publish, read
from footage.evaluation.test_set import Answers, SealedTest, Visible, check_digest
from footage.shapes import Features

Advance = Callable[[float], None]


class Place(NamedTuple):
    """Where and with what an item works."""

    contender: Contender
    ledger: Path
    device: torch.device
    batch_size: int


def try_setting(
    place: Place, task: Visible, protocol: Protocol, number: int, advance: Advance
) -> None:
    """Record how one setting of the grid does on the validation part; one that diverges gets 0."""
    model = models.load(place.contender, seed=0)
    size = model.preprocessing.size
    train, val = read_part(task.train, size, task.name), read_part(task.val, size, task.name)
    setting = protocol.settings[number]
    tuned = fine_tune(model, train, task.num_classes, protocol, setting, 0, place.device, advance)
    answers = classify_pixels(tuned.classifier, val.pixels, model.preprocessing, place.batch_size)
    validation = 0.0 if tuned.diverged else float((answers == val.labels).mean())
    record = Tried(
        digest=task.digest, validation=validation, diverged=tuned.diverged, images=task.images
    )
    publish(TRIED, _setting_path(place.ledger, task, number), record)


def tried(ledger: Path, task: Visible, number: int) -> bool:
    """Whether a setting's accuracy on the validation part is recorded."""
    path = _setting_path(ledger, task, number)
    found = read(TRIED, path)
    if found is not None:
        check_digest(found.digest, task.digest, "lists of images", path)
        check_digest(found.images, task.images, "images", path)
    return found is not None


def choose(ledger: Path, task: Visible, protocol: Protocol) -> tuple[int, Choice]:
    """The setting with the best accuracy on the validation part; the first among equals.

    Raises:
        ConfigError: A setting was not tried yet.
    """
    validations: list[float] = []
    for number in range(len(protocol.settings)):
        found = read(TRIED, _setting_path(ledger, task, number))
        if found is None:
            raise ConfigError(f"setting {number} of {protocol.name} was not tried on {task.name}")
        validations.append(found.validation)
    best = int(np.argmax(validations))
    return best, Choice(_in_words(best, protocol.settings[best]), validations[best])


def finish(
    place: Place,
    task: Visible,
    test: SealedTest,
    protocol: Protocol,
    seed: int,
    advance: Advance,
) -> None:
    """Fine-tune the selected setting on both parts and read the test part."""
    number, choice = choose(place.ledger, task, protocol)
    model = models.load(place.contender, seed=seed)
    preprocessing = model.preprocessing
    both = read_part(task.both, preprocessing.size, task.name)
    setting = protocol.settings[number]
    tuned = fine_tune(model, both, task.num_classes, protocol, setting, seed, place.device, advance)

    def classify(paths: Sequence[Path]) -> Answers:
        return classify_files(tuned.classifier, paths, preprocessing, task.name, place.batch_size)

    test.score(seed, choice, classify)


def judge_frozen(
    place: Place, task: Visible, tests: Sequence[tuple[Protocol, SealedTest]], advance: Advance
) -> None:
    """Fit classifiers to features that are extracted once for all of them, and read each test part.

    Args:
        place: The contender and the device; its ledger is not used.
        task: What is fitted and selected on.
        tests: Protocols that are still to do, each with its own seal.
        advance: Called with shares of the work.
    """
    column = models.frozen(place.contender, place.device).column
    known: dict[Sequence[Path], Features] = {}

    def features(paths: Sequence[Path]) -> Features:
        if paths not in known:
            extracted = extract(paths, {"": column}, batch_size=place.batch_size)
            refuse_unreadable(extracted.unreadable, len(paths), task.name)
            known[paths] = extracted.features[""]
        return known[paths]

    train = Examples(features(task.train.paths), torch.from_numpy(task.train.labels))
    val = Examples(features(task.val.paths), torch.from_numpy(task.val.labels))
    for protocol, test in tests:
        fitted = probes.PROTOCOLS[protocol.adapt](train, val, task.num_classes)

        def classify(paths: Sequence[Path], fitted: probes.Fitted = fitted) -> Answers:
            return fitted.predict(features(paths)).numpy()

        selected: dict[str, float | str] = dict(fitted.selected)
        test.score(protocol.seeds[0], Choice(selected, fitted.validation_accuracy), classify)
        advance(1 / len(tests))


def _setting_path(ledger: Path, task: Visible, number: int) -> Path:
    return ledger / "select" / task.name / f"{number}.json"


def _in_words(number: int, setting: Setting) -> dict[str, float | str]:
    return {
        "setting": float(number),
        "optimizer": setting.optimizer.name,
        "learning_rate": setting.optimizer.learning_rate,
        "weight_decay": setting.optimizer.weight_decay,
        "schedule": setting.schedule.name,
        "steps": float(setting.steps),
        "batch_size": float(setting.batch_size),
    }
