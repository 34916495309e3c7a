"""What every loss must keep, run over LOSSES; a new loss needs nothing here.

Arguments are made from the names and axes of a loss's parameters, so that predictions fit their
targets, or embeddings their identities, up to a little noise ("aligned").
"""

import inspect

import pytest
import torch
from torch.nn.functional import normalize

from footage import distributed
from footage.losses import LOSSES
from tests.processes import in_processes

NAMES = sorted(LOSSES)
DIMENSION = 16
VIDEOS, SHOTS, FRAMES, VIEWS = 4, 2, 2, 2


def _parameters(name):
    """The tensors that a loss takes: the parameters without a default."""
    every = inspect.signature(LOSSES[name]).parameters.values()
    return [parameter for parameter in every if parameter.default is inspect.Parameter.empty]


def aligned(name, dtype=torch.float32, seed=0):
    """Arguments in which what belongs together is close."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    shots = draw(VIDEOS, SHOTS, 1, 1, DIMENSION)
    embeddings = shots + 0.5 * draw(VIDEOS, SHOTS, FRAMES, VIEWS, DIMENSION)
    per_shot = FRAMES * VIEWS
    targets = normalize(draw(VIDEOS * 2, DIMENSION), dim=1) * 2
    reversed = torch.arange(VIDEOS * 2) % 2 == 0
    makers = {
        "embeddings": lambda axes: embeddings.flatten(0, 3) if axes == "N D" else embeddings,
        "shots": lambda _: torch.arange(VIDEOS * SHOTS).view(VIDEOS, SHOTS),
        "identities": lambda _: torch.arange(VIDEOS * SHOTS).repeat_interleave(per_shot),
        "predictions": lambda _: targets + 0.2 * draw(*targets.shape),
        "targets": lambda _: targets,
        "reversed": lambda _: reversed,
        "logits": lambda _: (2.0 * reversed - 1) + 0.3 * draw(len(reversed)),
    }
    arguments = []
    for parameter in _parameters(name):
        assert parameter.name in makers, f"name the tensors of a loss one of {list(makers)}"
        made = makers[parameter.name](parameter.annotation.dim_str)
        arguments.append(made.to(dtype) if made.is_floating_point() else made)
    return arguments


def shuffled(name):
    """The same, but the first argument belongs to something else."""
    first, *rest = aligned(name)
    rows = first.reshape(-1, DIMENSION) if first.ndim > 1 else first
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    return [rows[order].view_as(first), *rest]


def value_and_gradients(name, arguments):
    arguments = [
        argument.clone().requires_grad_() if argument.is_floating_point() else argument
        for argument in arguments
    ]
    value = LOSSES[name](*arguments)
    value.backward()
    return value.detach(), [argument.grad for argument in arguments if argument.requires_grad]


@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_one_finite_number(name):
    value = LOSSES[name](*aligned(name))
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_finite_and_not_zero(name):
    for gradient in value_and_gradients(name, shuffled(name))[1]:
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_finite_where_all_embeddings_are_one_point(name):
    arguments = aligned(name)
    alike = [torch.ones_like(a) if a.is_floating_point() else a for a in arguments]
    value, gradients = value_and_gradients(name, alike)
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_batch_does_not_matter(name):
    arguments = aligned(name)
    order = torch.randperm(len(arguments[0]), generator=torch.Generator().manual_seed(2))
    permuted = [argument[order] for argument in arguments]
    assert LOSSES[name](*permuted).item() == pytest.approx(
        LOSSES[name](*arguments).item(), abs=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_common_rotation_of_all_embeddings_does_not_matter(name):
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(DIMENSION, DIMENSION, generator=generator))[0]
    arguments = aligned(name)
    if not any(argument.shape[-1] == DIMENSION for argument in arguments):
        return  # nothing lies in the embedding space
    rotated = [a @ rotation if a.shape[-1] == DIMENSION else a for a in arguments]
    expected = LOSSES[name](*arguments).item()
    assert LOSSES[name](*rotated).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_belongs_together_costs_less_than_what_does_not(name):
    assert LOSSES[name](*aligned(name)) < LOSSES[name](*shuffled(name)) - 0.1


@pytest.mark.parametrize("name", NAMES)
def test_descending_the_gradient_lowers_the_loss(name):
    arguments = shuffled(name)
    before, gradients = value_and_gradients(name, arguments)
    left = iter(gradients)
    stepped = [a - 1e-2 * next(left) if a.is_floating_point() else a for a in arguments]
    assert LOSSES[name](*stepped) < before


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_derivative(name):
    arguments = [
        a.requires_grad_() if a.is_floating_point() else a for a in aligned(name, torch.float64)
    ]
    assert torch.autograd.gradcheck(LOSSES[name], arguments, fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_within_2_percent(name):
    # bfloat16 keeps 8 bits, so each number given is off by up to 0.4 %, and the loss computes in
    # single precision from there
    exact = LOSSES[name](*aligned(name))
    rounded = LOSSES[name](*aligned(name, torch.bfloat16))
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02, abs=0.01)


def _on_this_rank() -> dict:
    """Every loss over gathered rows of which this rank holds its share, in double precision."""
    answers = {}
    rank, world = distributed.rank(), distributed.world_size()
    for name in NAMES:
        own = [argument[rank::world].clone() for argument in aligned(name, torch.float64)]
        own = [a.requires_grad_() if a.is_floating_point() else a for a in own]
        value = LOSSES[name](*[distributed.gather(argument) for argument in own])
        value.backward()
        answers[name] = [value.detach(), *[a.grad for a in own if a.requires_grad]]
    return answers


@pytest.fixture(scope="module")
def ranks():
    return in_processes(_on_this_rank)


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_find_the_value_and_gradient_of_one(name, ranks):
    value, gradients = value_and_gradients(name, aligned(name, torch.float64))
    for rank, answers in enumerate(ranks):
        value_there, *gradients_there = answers[name]
        assert value_there.item() == pytest.approx(value.item(), abs=1e-12)
        for gradient, there in zip(gradients, gradients_there, strict=True):
            # both ranks hold the whole loss, and a mean over ranks follows: so twice the gradient
            torch.testing.assert_close(there, 2 * gradient[rank::2])


def test_every_loss_names_its_formula_and_source():
    for name, loss in LOSSES.items():
        text = inspect.getdoc(loss)
        assert "\nFormula: " in text, name
        assert "\nSource: " in text, name


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_finds_the_value_and_gradient_of_the_cpu(name):
    arguments = aligned(name, torch.float64)
    value, gradients = value_and_gradients(name, arguments)
    there, gradients_there = value_and_gradients(name, [a.cuda() for a in arguments])
    torch.testing.assert_close(there.cpu(), value)
    for gradient, gradient_there in zip(gradients, gradients_there, strict=True):
        torch.testing.assert_close(gradient_there.cpu(), gradient)
