"""Fine-tune a whole backbone with a new linear head on a task's few images, and classify with it.

The head is initialised to zero, so the first predictions are uninformative and the gradient of the
backbone is initially zero. Training images are decoded and resized once and stay in memory; test
images are read batch by batch. There is no augmentation.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from footage.data.image_sampler import ImageSampler
from footage.evaluation.dataset import Part
from footage.evaluation.features import (
    BATCHES_AHEAD,
    Unreadable,
    batches,
    read_squares,
    refuse_unreadable,
)
from footage.evaluation.protocols import Protocol, Setting
from footage.evaluation.test_set import Answers
from footage.models.backbone import Backbone
from footage.models.config import Preprocessing
from footage.models.load import Model
from footage.models.preprocessing import normalise
from footage.optim import optimizers
from footage.optim.schedules import learning_rate
from footage.seeding import generator
from footage.shapes import Images

Pixels = UInt8[np.ndarray, "N H W 3"]


class Classifier(nn.Module):
    """A backbone with a zero-initialised linear layer on its features."""

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.feature_dim, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Images) -> Float[Tensor, "B C"]:
        """Class scores."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


class LabelledPixels(NamedTuple):
    """The resized images of a part, in memory, and their class numbers."""

    pixels: Pixels
    labels: Int[np.ndarray, " N"]


class Tuned(NamedTuple):
    """A fine-tuned classifier."""

    classifier: Classifier
    diverged: bool
    """Whether its last loss was not finite."""


def read_part(part: Part, size: int, name: str) -> LabelledPixels:
    """Read and resize all images of a part of the task `name`.

    Raises:
        ConfigError: Some images cannot be read.
    """
    read = list(_squares(part.paths, size, ahead=64))
    refuse_unreadable([each for each in read if isinstance(each, Unreadable)], len(read), name)
    whole = np.stack([each for each in read if not isinstance(each, Unreadable)])
    return LabelledPixels(whole, part.labels)


def fine_tune(
    model: Model,
    train: LabelledPixels,
    num_classes: int,
    protocol: Protocol,
    setting: Setting,
    seed: int,
    device: torch.device,
    advance: Callable[[float], None] = lambda _: None,
) -> Tuned:
    """Train the backbone and the head on one part with one setting.

    Args:
        model: The model to fine-tune; its backbone is changed in place.
        train: Training examples.
        num_classes: Number of classes of the task, regardless of the labels present.
        protocol: The protocol, which determines the batch-norm statistics.
        setting: Optimiser, schedule, number of steps and batch size.
        seed: Seed of the order of images, and of dropout if the network has any.
        device: Where to train; on a GPU the backbone runs in bfloat16.
        advance: Called with the fraction of the steps done since its last call.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        classifier = Classifier(model.backbone, num_classes).to(device).train()
        if protocol.batch_norm == "stored":
            _keep_statistics(classifier)
        optimizer = optimizers.build(classifier.parameters(), setting.optimizer)
        sampler = ImageSampler(np.arange(len(train.labels)), setting.batch_size, seed)
        images = torch.from_numpy(train.pixels).to(device)
        labels = torch.from_numpy(train.labels).to(device)
        loss = torch.zeros(())
        for step in range(setting.steps):
            torch.manual_seed(int(generator("fine-tuning", seed, step).integers(2**63 - 1)))
            peak = setting.optimizer.learning_rate
            rate = learning_rate(step, setting.schedule, peak=peak, total_steps=setting.steps)
            optimizers.set_learning_rate(optimizer, rate)
            rows = torch.from_numpy(sampler.plan(step)).to(device)
            logits = _logits(classifier, images[rows], model.preprocessing, device)
            loss = nn.functional.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            advance(1 / setting.steps)
    return Tuned(classifier.eval(), not bool(loss.isfinite()))


def classify_pixels(
    classifier: Classifier, pixels: Pixels, preprocessing: Preprocessing, batch_size: int
) -> Answers:
    """Predict the most likely class of each image."""
    device = classifier.head.weight.device
    answers = []
    with torch.no_grad():
        for start in range(0, len(pixels), batch_size):
            batch = torch.from_numpy(pixels[start : start + batch_size])
            answers.append(_logits(classifier, batch, preprocessing, device).argmax(1).cpu())
    return torch.cat(answers).numpy()


def classify_files(
    classifier: Classifier,
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    name: str,
    batch_size: int,
) -> Answers:
    """Predict the most likely class of each image file; files are read batch by batch.

    Raises:
        ConfigError: Some images cannot be read.
    """
    size = preprocessing.size
    answers: list[Answers] = []
    unreadable: list[Unreadable] = []
    read = _squares(paths, size, ahead=BATCHES_AHEAD * batch_size)
    for batch in batches(read, batch_size):
        unreadable += [each for each in batch if isinstance(each, Unreadable)]
        whole = [each for each in batch if not isinstance(each, Unreadable)]
        if whole:
            pixels = np.stack(whole)
            answers.append(classify_pixels(classifier, pixels, preprocessing, batch_size))
    refuse_unreadable(unreadable, len(paths), name)
    return np.concatenate(answers)


def _logits(
    classifier: Classifier,
    pixels: UInt8[Tensor, "B H W 3"],
    preprocessing: Preprocessing,
    device: torch.device,
) -> Float[Tensor, "B C"]:
    images = normalise(pixels, preprocessing.mean, preprocessing.std, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits: Tensor = classifier(images)
    return logits.float()


def _keep_statistics(classifier: Classifier) -> None:
    for module in classifier.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _squares(
    paths: Sequence[Path], size: int, ahead: int
) -> Iterator[UInt8[np.ndarray, "H W 3"] | Unreadable]:
    """Stretch images to squares: bilinear, with half-pixel centres, without antialiasing."""
    for read in read_squares(paths, [size], how="linear", ahead=ahead):
        yield read if isinstance(read, Unreadable) else read[size]
