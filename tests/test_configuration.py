import json
import re
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import pytest

from footage import configuration
from footage.errors import ConfigError
from footage.models.config import Preprocessing
from footage.recipes.methods import recipe
from footage.training.config import TrainConfig
from tests.support.mutations import mutations, states


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    weight: float = 1.0
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    steps: int = 10
    inner: Inner = field(default_factory=Inner)
    shares: tuple[float, ...] = (0.5,)
    options: dict[str, int | str] = field(default_factory=dict)
    pair: tuple[float, float] = (0.0, 1.0)


def test_a_configuration_survives_the_way_to_json_and_back():
    config = Outer(steps=3, inner=Inner(weight=2.0, kind="b"), shares=(0.1, 0.9), options={"x": 3})
    assert configuration.from_dict(Outer, configuration.to_dict(config)) == config


def test_absent_settings_take_their_defaults():
    assert configuration.from_dict(Outer, {"inner": {"kind": "b"}}).inner == Inner(kind="b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step": 3}, "unknown setting step .*did you mean steps"),
        ({"inner": {"wieght": 1.0}}, "unknown setting inner.wieght .*inner.weight"),
        ({"steps": "3"}, "steps must be"),
        ({"steps": True}, "steps must be"),
        ({"inner": {"kind": "c"}}, "inner.kind must be"),
        ({"inner": 3}, "inner must be a group"),
        ({"shares": 0.5}, "shares must be"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values, message):
    with pytest.raises(ConfigError) as caught:
        configuration.from_dict(Outer, values)
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"weight": float("nan")}}, "inner.weight must be a number, got nan"),
        ({"inner": {"weight": float("inf")}}, "inner.weight must be a number, got inf"),
        ({"inner": {"weight": "2"}}, "inner.weight must be a number, got '2'"),
        ({"inner": {"weight": True}}, "inner.weight must be a number, got True"),
        ({"inner": {"kind": 3}}, "inner.kind must be 'a' or 'b', got 3"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"steps": None}, "steps must be a whole number, got None"),
        ({"steps": 2**63}, r"steps must be a whole number below 2\^63, got 9223372036854775808"),
        (
            {"steps": 10**6000},
            r"steps must be a whole number below 2\^63, got a value of type int that",
        ),
        ({"steps": "x" * 10**6}, r"steps must be a whole number, got '" + "x" * 99 + r"\.\.\."),
        ({"shares": [0.5, "x"]}, r"shares must be of the type tuple\[float, \.\.\.\]"),
        ({"pair": [1.0]}, r"pair must be of the type tuple\[float, float\], got \[1.0\]"),
        ({"pair": [1.0, 2.0, 3.0]}, r"pair must be of the type tuple\[float, float\]"),
        ({"pair": [1.0, float("nan")]}, "pair must be"),
        ({"options": {"x": 10**30}}, "options must be"),
        ({"options": {"x": [1]}}, "options must be"),
        ({"options": [1]}, "options must be"),
    ],
)
def test_values_are_of_exactly_their_type_and_finite(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        configuration.from_dict(Outer, values)
    assert caught.value.hint
    assert len(caught.value.message) < 300


def test_deep_nesting_is_an_error():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for values in ({"shares": deep}, {"options": {"x": deep}}, {"inner": deep}):
        with pytest.raises(ConfigError):
            configuration.from_dict(Outer, values)


def test_whole_numbers_are_numbers():
    assert configuration.from_dict(Outer, {"inner": {"weight": 2}}).inner.weight == 2.0
    assert type(configuration.from_dict(Outer, {"inner": {"weight": 2}}).inner.weight) is float


def test_a_setting_without_a_default_must_be_there():
    with pytest.raises(ConfigError, match="setting mean is missing"):
        configuration.from_dict(Preprocessing, {"size": 32, "std": [1, 1, 1]})


def outcome(kind, data):
    """The result of reading bytes: a configuration as JSON values, an error, or no JSON object."""
    try:
        values = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return {}, {}
    if not isinstance(values, dict):
        return {}, {}
    try:
        return values, configuration.to_dict(configuration.from_dict(kind, values))
    except ConfigError as error:
        return values, error


@pytest.mark.parametrize(
    "name",
    [
        "vivi-ex4-tiny",
        pytest.param("vivi-dino-tiny", marks=pytest.mark.slow),
        pytest.param("sup-rot-tiny", marks=pytest.mark.slow),
    ],
)
def test_every_mutation_of_a_training_configuration_is_an_error_or_is_read_as_written(name):
    sound = configuration.to_dict(recipe(name))
    assert outcome(TrainConfig, json.dumps(sound).encode()) == (sound, sound)
    for what, data in mutations(sound):
        values, found = outcome(TrainConfig, data)
        if isinstance(found, ConfigError):
            assert found.hint, (what, found.message)
            assert "\n" not in found.message + found.hint, what
        else:
            assert states(found, values), what


def test_differences_name_the_setting_and_both_values():
    ours = configuration.to_dict(Outer())
    theirs = configuration.to_dict(Outer(inner=Inner(weight=0.5)))
    assert list(configuration.differences(ours, theirs)) == ["inner.weight: 0.5 there, 1.0 here"]
