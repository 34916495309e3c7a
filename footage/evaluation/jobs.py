"""The jobs of an evaluation; each writes its result to a file in the records.

    select   fine-tune one setting on the training part, record its accuracy on the validation part
    final    fine-tune the selected setting on both with one seed, and read the test part once
    frozen   extract the features of a task's images with all models in one pass, fit every
             requested classifier, and read the test part once with each

A job is a pure function of the model, the task, the setting and the seed, so it can be killed and
repeated. Only `final` and `frozen` receive the test part, as a `TestSet`; `select` never does.

    RECORDS/select/TASK/0.json    one file per setting, see `records`
    RECORDS/test/TASK/...         see `test_set`
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from footage.errors import ConfigError
from footage.evaluation import models
from footage.evaluation.features import extract, refuse_unreadable
from footage.evaluation.few_shot import drawn, nearest_mean
from footage.evaluation.finetune import classify_files, classify_pixels, fine_tune, read_part
from footage.evaluation.models import EvaluatedModel
from footage.evaluation.probes import MAJORITY, PROBES, Examples, Fitted, majority
from footage.evaluation.protocols import Protocol, Setting
from footage.evaluation.records import TRIED, Selection, Tried, folder_name, publish, read
from footage.evaluation.test_set import Answers, TestSet, TrainVal, check_digest
from footage.shapes import Features

Advance = Callable[[float], None]


class JobContext(NamedTuple):
    """The device, data and folders of a job."""

    model: EvaluatedModel
    protocol: Protocol
    records: Path
    device: torch.device
    batch_size: int


def try_setting(context: JobContext, task: TrainVal, number: int, advance: Advance) -> None:
    """Record the accuracy of one setting on the validation part; a diverged one counts as 0."""
    model = models.load(context.model, seed=0)
    protocol, size = context.protocol, model.preprocessing.size
    train, val = read_part(task.train, size, task.name), read_part(task.val, size, task.name)
    setting = protocol.settings[number]
    tuned = fine_tune(model, train, task.num_classes, protocol, setting, 0, context.device, advance)
    answers = classify_pixels(tuned.classifier, val.pixels, model.preprocessing, context.batch_size)
    validation = 0.0 if tuned.diverged else float((answers == val.labels).mean())
    record = Tried(
        digest=task.digest, validation=validation, diverged=tuned.diverged, images=task.images
    )
    publish(TRIED, _setting_path(context.records, task, number), record)


def tried(records: Path, task: TrainVal, number: int) -> bool:
    """Whether a setting's accuracy on the validation part is recorded."""
    path = _setting_path(records, task, number)
    found = read(TRIED, path)
    if found is not None:
        check_digest(found.digest, task.digest, "lists of images", path)
        check_digest(found.images, task.images, "images", path)
    return found is not None


def select(records: Path, task: TrainVal, protocol: Protocol) -> tuple[int, Selection]:
    """Return the setting with the best accuracy on the validation part; ties go to the first.

    Raises:
        ConfigError: A setting has not been tried yet.
    """
    validations: list[float] = []
    for number in range(len(protocol.settings)):
        found = read(TRIED, _setting_path(records, task, number))
        if found is None:
            raise ConfigError(
                f"setting {number} of {protocol.name} has not been tried on {task.name}"
            )
        validations.append(found.validation)
    best = int(np.argmax(validations))
    return best, Selection(_in_words(best, protocol.settings[best]), validations[best])


def finish(context: JobContext, task: TrainVal, test: TestSet, seed: int, advance: Advance) -> None:
    """Fine-tune the selected setting on both parts and read the test part."""
    protocol = context.protocol
    number, selection = select(context.records, task, protocol)
    model = models.load(context.model, seed=seed)
    preprocessing = model.preprocessing
    both = read_part(task.both, preprocessing.size, task.name)
    setting = protocol.settings[number]
    tuned = fine_tune(
        model, both, task.num_classes, protocol, setting, seed, context.device, advance
    )

    def classify(paths: Sequence[Path]) -> Answers:
        return classify_files(tuned.classifier, paths, preprocessing, task.name, context.batch_size)

    test.score(seed, selection, classify)


def evaluate_frozen(
    contexts: Sequence[JobContext], task: TrainVal, tests: Sequence[TestSet], advance: Advance
) -> None:
    """Fit classifiers to features, and read the test part once with each.

    Every image file is decoded once for all models.

    Args:
        contexts: Models and frozen protocols; the first one determines device and batch size.
        task: Examples to fit and select on.
        tests: The test part for each context.
        advance: Called with the fraction of the images read since its last call.
    """
    device, batch_size = contexts[0].device, contexts[0].batch_size
    extractors = {
        model: models.frozen(model, device).extractor
        for model in dict.fromkeys(context.model for context in contexts)
    }
    parts = (task.train.paths, task.val.paths, tests[0].paths)
    paths = [path for part in parts for path in part]
    extracted = extract(
        paths, extractors, batch_size=batch_size, advance=lambda count: advance(count / len(paths))
    )
    refuse_unreadable(extracted.unreadable, len(paths), task.name)
    labels = [torch.from_numpy(part.labels) for part in (task.train, task.val)]
    for context, test in zip(contexts, tests, strict=True):
        features = torch.split(extracted.features[context.model], [len(part) for part in parts])
        train, val = (Examples(*each) for each in zip(features[:2], labels, strict=True))
        for seed in context.protocol.seeds:
            fitted = _fit(context.protocol, train, val, task, seed)

            def classify(
                _: Sequence[Path], fitted: Fitted = fitted, unseen: Features = features[2]
            ) -> Answers:
                return fitted.predict(unseen).numpy()

            selection = Selection(dict(fitted.selected), fitted.validation_accuracy)
            test.score(seed, selection, classify)


def _fit(protocol: Protocol, train: Examples, val: Examples, task: TrainVal, seed: int) -> Fitted:
    """Fit the classifier of a frozen protocol."""
    if protocol.shots:
        return nearest_mean(drawn(train, protocol.shots, seed, task.name), val)
    probe = majority if protocol.adapt == MAJORITY else PROBES[protocol.adapt]
    return probe(train, val, task.num_classes)


def _setting_path(records: Path, task: TrainVal, number: int) -> Path:
    return records / "select" / folder_name(task.name) / f"{number}.json"


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
