import copy

import pytest
import torch
from torch import nn

from footage.errors import ConfigError
from footage.models.backbone import Backbone
from footage.optim import optimizers
from footage.optim.config import OptimizerConfig

NAMES = ("sgd", "lars", "adamw")


def network(seed=0):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    layers(torch.randn(2, 3, 5, 5))
    return layers


def loss_of(layers):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, 3, 5, 5, generator=generator)
    return (layers(images) - 1).square().mean()


def train(layers, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(layers).backward()
        optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_lowers_a_loss(name):
    layers = network()
    config = OptimizerConfig(name=name, learning_rate=0.01, trust_coefficient=1.0)
    before = loss_of(layers).item()
    train(layers, optimizers.build(layers.parameters(), config), 20)
    assert loss_of(layers).item() < 0.5 * before


@pytest.mark.parametrize("name", NAMES)
def test_biases_and_norms_do_not_decay(name):
    layers = network()
    optimizer = optimizers.build(layers.parameters(), OptimizerConfig(name=name, weight_decay=0.5))
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(decay) == len(list(layers.parameters()))
    for parameter in layers.parameters():
        assert decay[id(parameter)] == (0.5 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_without_gradient_decay_shrinks_the_weights_alone(name):
    layers = network()
    config = OptimizerConfig(name=name, weight_decay=0.5, learning_rate=0.1, trust_coefficient=1.0)
    optimizer = optimizers.build(layers.parameters(), config)
    before = copy.deepcopy(layers.state_dict())
    for parameter in layers.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    if name != "lars":  # a gradient of length 0 makes LARS fall back to plain SGD, which decays too
        assert torch.allclose(layers[0].weight, before["0.weight"] * 0.95)
    for key in ("0.bias", "1.weight", "1.bias", "3.bias"):
        assert torch.equal(layers.state_dict()[key], before[key])


def test_lars_equals_its_twin():
    layers, config = (
        network(),
        OptimizerConfig(name="lars", learning_rate=0.7, weight_decay=1e-2, trust_coefficient=0.02),
    )
    twin = copy.deepcopy(layers)
    velocity = [torch.zeros_like(parameter) for parameter in twin.parameters()]
    optimizer = optimizers.build(layers.parameters(), config)
    for _ in range(4):
        train(layers, optimizer, 1)
        twin.zero_grad()
        loss_of(twin).backward()
        for parameter, moving in zip(twin.parameters(), velocity, strict=True):
            step = parameter.grad
            if parameter.ndim > 1:  # You et al. 2017, equation 6
                ratio = 0.02 * parameter.norm() / (step.norm() + 1e-2 * parameter.norm())
                step = ratio * (step + 1e-2 * parameter.detach())
            moving.mul_(0.9).add_(step)
            parameter.data.sub_(0.7 * moving)
    for ours, theirs in zip(layers.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_lars_adapts_the_weights_also_without_decay():
    config = OptimizerConfig(name="lars", learning_rate=1.0, weight_decay=0.0, momentum=0.0)
    layers = network()
    before = layers[0].weight.detach().clone()
    train(layers, optimizers.build(layers.parameters(), config), 1)
    moved = (layers[0].weight - before).norm() / before.norm()
    assert moved.item() == pytest.approx(config.trust_coefficient, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_continues_exactly(name):
    config = OptimizerConfig(name=name)
    whole, first = network(), network()
    train(whole, optimizers.build(whole.parameters(), config), 6)
    optimizer = optimizers.build(first.parameters(), config)
    train(first, optimizer, 3)
    second = copy.deepcopy(first)
    continued = optimizers.build(second.parameters(), config)
    continued.load_state_dict(optimizer.state_dict())
    train(second, continued, 3)
    for ours, theirs in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_frozen_parameters_are_left_out():
    layers = network()
    layers[0].requires_grad_(False)
    optimizer = optimizers.build(layers.parameters(), OptimizerConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


def test_the_learning_rate_reaches_every_group():
    optimizer = optimizers.build(network().parameters(), OptimizerConfig())
    optimizers.set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("weight_decay", -1.0),
        ("momentum", 1.0),
        ("beta1", -0.1),
        ("beta2", 1.0),
        ("trust_coefficient", 0.0),
        ("learning_rate", float("nan")),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=f"optimizer.{field}"):
        OptimizerConfig(**{field: value})


@pytest.mark.parametrize("name", NAMES)
def test_layers_learn_more_slowly_the_closer_they_are_to_the_input(name):
    backbone, head = Backbone("resnet18", size=32), nn.Linear(512, 3)
    backbone.network.conv1.weight.requires_grad_(False)
    config = OptimizerConfig(name=name, weight_decay=0.5)
    parameters = [*backbone.parameters(), *head.parameters()]
    optimizer = optimizers.build(parameters, config, network=backbone.network, layer_decay=0.5)
    optimizers.set_learning_rate(optimizer, 0.8)
    rate = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    assert id(backbone.network.conv1.weight) not in rate
    assert len(rate) == len(parameters) - 1
    blocks = [
        getattr(backbone.network, f"layer{stage}")[at] for stage in range(1, 5) for at in (0, 1)
    ]
    assert [rate[id(block.conv1.weight)] for block in blocks] == [
        0.8 * 0.5 ** (len(blocks) - number) for number in range(1, len(blocks) + 1)
    ]
    assert [rate[id(parameter)] for parameter in head.parameters()] == [0.8, 0.8]
    decay = {
        id(one): group["weight_decay"]
        for group in optimizer.param_groups
        for one in group["params"]
    }
    assert {decay[id(one)] for one in parameters if one.requires_grad and one.ndim <= 1} == {0.0}
    assert {decay[id(one)] for one in parameters if one.requires_grad and one.ndim > 1} == {0.5}
