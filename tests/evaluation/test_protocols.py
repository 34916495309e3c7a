"""The grids are what their sources say, and names mean one thing."""

import pytest

from footage.errors import ConfigError
from footage.evaluation.protocols import BUNDLES, PROTOCOLS, heavy, protocols
from footage.optim.schedules import learning_rate


def test_every_protocol_is_known_by_its_own_name() -> None:
    assert [each.name for each in PROTOCOLS.values()] == list(PROTOCOLS)
    assert {name for names in BUNDLES.values() for name in names} <= set(PROTOCOLS)


def test_lightweight_is_two_rates_times_two_schedules() -> None:
    lightweight = PROTOCOLS["lightweight"]
    assert (lightweight.sweep_size, lightweight.seed_rule) == (4, "median of 3 seeds")
    assert lightweight.resize == "bilinear"
    grid = {(each.optimizer.learning_rate, each.steps) for each in lightweight.settings}
    assert grid == {(rate, steps) for rate in (0.1, 0.01) for steps in (2500, 10_000)}
    for each in lightweight.settings:
        assert (each.batch_size, each.optimizer.name) == (512, "sgd")
        assert (each.optimizer.momentum, each.optimizer.weight_decay) == (0.9, 0.0)


@pytest.mark.parametrize(
    ("steps", "falls"), [(2500, (750, 1500, 2250)), (10_000, (3000, 6000, 9000))]
)
def test_lightweight_rates_fall_by_ten_exactly_at_the_steps_of_the_code(
    steps: int, falls: tuple[int, ...]
) -> None:
    setting = next(each for each in PROTOCOLS["lightweight"].settings if each.steps == steps)
    peak = setting.optimizer.learning_rate
    for step in range(steps):
        expected = peak * 0.1 ** sum(step >= fall for fall in falls)
        found = learning_rate(step, setting.schedule, peak=peak, total_steps=steps)
        assert found == pytest.approx(expected)


def test_petl_passes_a_hundred_times_over_a_thousand_images() -> None:
    for setting in PROTOCOLS["petl"].settings:
        assert setting.steps == 100 * -(-1000 // 64)
    assert PROTOCOLS["petl"].seed_rule == "mean of 5 seeds"


def test_a_longer_random_search_contains_every_shorter_one() -> None:
    assert heavy(7).settings == PROTOCOLS["heavy"].settings[:7]
    assert len(set(map(str, PROTOCOLS["heavy"].settings))) == 100
    assert protocols(("heavy-7",))[0].sweep_size == 7


def test_a_bundle_stands_for_its_protocols_and_none_comes_twice() -> None:
    named = protocols(("pocket-fast", "linear", "lightweight"))
    assert [each.name for each in named] == ["knn", "linear", "lightweight"]


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ((), "knn, linear, lightweight"),
        (("magic",), "knn, linear, lightweight"),
        (("heavy-0",), "did you mean heavy-N?"),
        (("linear", "heavy-x"), "did you mean heavy-N?"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(names: tuple[str, ...], hint: str) -> None:
    with pytest.raises(ConfigError, match=r"no protocol was given|unknown protocol") as caught:
        protocols(names)
    assert hint in caught.value.hint
