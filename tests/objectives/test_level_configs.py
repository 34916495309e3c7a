import pytest

from footage.errors import ConfigError
from footage.objectives.config import FrameShotConfig, FutureConfig, OrderConfig, SupervisedConfig
from footage.objectives.losses.distillation import DistillationConfig


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"objective.order.weight must be >= 0, got -1"):
        OrderConfig(weight=-1.0)


@pytest.mark.parametrize(
    ("config", "field"),
    [(FutureConfig, "steps"), (FrameShotConfig, "embedding_dim"), (OrderConfig, "hidden_dim")],
)
def test_a_size_of_zero_is_refused_by_name(config, field):
    with pytest.raises(ConfigError, match=rf"{field} must be > 0, got 0"):
        config(**{field: 0})


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (
            DistillationConfig,
            {"teacher_decay": 1.0},
            r"teacher_decay must lie in .*got 1.0",
        ),
        (FrameShotConfig, {"positives": "other_frames"}, "not defined for the loss exemplar"),
        (FutureConfig, {"predictor": "transformer", "hidden_dim": 6}, "hidden_dim = 6"),
        (SupervisedConfig, {"label_smoothing": 1.0}, "label_smoothing must lie in"),
    ],
)
def test_values_that_fit_nothing_are_refused_by_name(config, values, message):
    with pytest.raises(ConfigError, match=message):
        config(**values)
