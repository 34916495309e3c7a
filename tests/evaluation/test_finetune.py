"""Fine-tuning starts from zero answers, moves everything, and is a function of its seed."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import torch

from footage.evaluation import finetune
from footage.evaluation.features import read_squares
from footage.evaluation.finetune import Classifier, LabelledPixels, fine_tune
from footage.models import load as models
from tests.evaluation.miniature import settings, tiny

CPU = torch.device("cpu")
SETTING = settings(0.05, steps=30)[0]


def _colours(count: int, seed: int) -> LabelledPixels:
    """Three classes that a colour gives away."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, count)
    pixels = draw.integers(0, 120, (count, 32, 32, 3))
    pixels[np.arange(count), :, :, labels] += 120
    return LabelledPixels(pixels.astype(np.uint8), labels)


def _tuned(seed: int = 0, batch_norm: str = "batch", steps: int = 30) -> finetune.Tuned:
    model = models.load("test_resnet", size=32, seed=0)
    setting = dataclasses.replace(SETTING, steps=steps)
    protocol = tiny(batch_norm=batch_norm)
    return fine_tune(model, _colours(48, 1), 3, protocol, setting, seed, CPU)


def test_the_first_answers_say_nothing() -> None:
    model = models.load("test_resnet", size=32)
    logits = Classifier(model.backbone, 5)(torch.randn(2, 3, 32, 32))
    assert torch.equal(logits, torch.zeros(2, 5))


def test_a_few_steps_learn_what_a_colour_gives_away() -> None:
    tuned, test = _tuned(), _colours(60, 2)
    preprocessing = models.load("test_resnet", size=32).preprocessing
    answers = finetune.classify_pixels(tuned.classifier, test.pixels, preprocessing, 7)
    assert not tuned.diverged
    assert (answers == test.labels).mean() > 0.9


def test_the_whole_network_moves_and_batch_norm_with_it() -> None:
    before = models.load("test_resnet", size=32, seed=0).backbone.state_dict()
    after = _tuned(steps=8).classifier.backbone.state_dict()
    still = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert still == []


def test_stored_statistics_stay_as_they_were() -> None:
    before = models.load("test_resnet", size=32, seed=0).backbone.state_dict()
    after = _tuned(batch_norm="stored", steps=8).classifier.backbone.state_dict()
    still = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert still >= {name for name in before if "running" in name or "num_batches" in name}
    assert any("conv" in name for name in before.keys() - still)


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    weights = [_tuned(seed, steps=3).classifier.head.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_generators_of_torch_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    _tuned(steps=1)
    assert torch.equal(torch.rand(2), expected)


def test_a_rate_that_blows_up_is_called_diverged() -> None:
    model = models.load("test_resnet", size=32, seed=0)
    setting = settings(1e30, steps=6)[0]
    assert fine_tune(model, _colours(16, 1), 3, tiny(), setting, 0, CPU).diverged


def test_squares_are_bilinear_without_smoothing(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[:, :, ::-1])
    (squares,) = read_squares([tmp_path / "a.png"], [24], how="linear", ahead=1)
    ours = squares[24]
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(
        planes, (24, 24), mode="bilinear", align_corners=False, antialias=False
    )
    difference = torch.from_numpy(ours).permute(2, 0, 1)[None].float() - wanted
    assert difference.abs().max() <= 1.0
