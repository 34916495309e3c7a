import re
from dataclasses import dataclass, field
from typing import Literal

import pytest

from footage import configuration
from footage.errors import ConfigError


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


def test_differences_name_the_setting_and_both_values():
    ours = configuration.to_dict(Outer())
    theirs = configuration.to_dict(Outer(inner=Inner(weight=0.5)))
    assert list(configuration.differences(ours, theirs)) == ["inner.weight: 0.5 there, 1.0 here"]
