"""Settings and help do without torch."""

import subprocess
import sys

CONFIGURATIONS = """
import sys
from footage.commands.settings import DemoConfig
from footage.embedding.config import EmbedConfig
from footage.evaluation.config import EvaluateConfig
from footage.ingestion.config import IngestConfig
from footage.invariance.config import ProfileConfig
from footage.models.config import BackboneConfig, Preprocessing
from footage.objectives.config import FrameShotConfig, FutureConfig, ObjectiveConfig, OrderConfig
from footage.objectives.losses.base import LOSSES
from footage.optim.config import OptimizerConfig
from footage.optim.schedules import ScheduleConfig
from footage.recipes.methods import RECIPES
from footage.training.config import TrainConfig
configurations = [TrainConfig(), *(recipe.config for recipe in RECIPES.values())]
configurations += [loss() for loss in LOSSES.values()]
assert not {"torch", "timm"} & sys.modules.keys(), sorted(sys.modules)
"""


def test_every_configuration_is_made_without_torch():
    subprocess.run([sys.executable, "-c", CONFIGURATIONS], check=True)


def test_lazy_torch_is_torch():
    import torch

    from footage import lazy

    assert lazy.torch.float16 is torch.float16
    assert lazy.functional.relu is torch.nn.functional.relu
