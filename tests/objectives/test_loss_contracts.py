"""What every loss must keep, run over FUNCTIONS; a new loss needs nothing here.

Unless it names a tensor as none before it: then `aligned` has to know how to make one. Arguments
are made from the names and axes of a loss's parameters, so that predictions fit their targets, or
embeddings their identities, up to a little noise ("aligned").
"""

import inspect
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize, one_hot

from benchmarks.losses import peak_megabytes
from footage import distributed
from footage.objectives.losses.catalogue import functions
from tests.support.processes import in_processes

FUNCTIONS = functions()

CASES = {
    **FUNCTIONS,
    "exemplar, batch-hard": partial(FUNCTIONS["exemplar"], mining="batch-hard"),
    "exemplar, hardness-sampled": partial(FUNCTIONS["exemplar"], mining="hardness-sampled"),
    "multi_positive_nce, other_frames": partial(
        FUNCTIONS["multi_positive_nce"], positives="other_frames"
    ),
    "vicreg, frame": partial(FUNCTIONS["vicreg"], positives="frame"),
    "vicreg, other_frames": partial(FUNCTIONS["vicreg"], positives="other_frames"),
    "self_distillation, other_frames": partial(
        FUNCTIONS["self_distillation"], positives="other_frames"
    ),
}
"""Every loss, and those again that an option makes another one of."""

NAMES = sorted(CASES)

ONLY_PRODUCTS_COUNT = {"triplet", "exemplar", "multi_positive_nce", "future_shot_nce"}
"""Losses of cosines or inner products: a common rotation of the space is nothing to them."""

ORDER_COUNTS = {"exemplar, hardness-sampled"}
"""Where a draw falls depends on the order of the candidates."""

WITHOUT_GRADIENT = {"teachers", "centre", "draws"}
"""Tensors of numbers that a loss only looks at."""

THE_SAME_FOR_ALL = {"centre"}
"""Tensors without a row for each video, embedding or image."""

DIMENSION = 16
VIDEOS, SHOTS, FRAMES, VIEWS = 4, 2, 2, 2


def _wanted(name):
    """The tensors that a loss takes: the parameters without a default, and draws if it samples."""
    parameters = inspect.signature(FUNCTIONS[name.split(",")[0]]).parameters.values()
    return [
        (parameter.name, getattr(parameter.annotation, "dim_str", "N 2"))
        for parameter in parameters
        if parameter.default is inspect.Parameter.empty
        or (parameter.name == "draws" and "hardness-sampled" in name)
    ]


def aligned(name, dtype=torch.float32, seed=0):
    """Arguments by name in which what belongs together is close."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    shots = draw(VIDEOS, SHOTS, 1, 1, DIMENSION)
    embeddings = shots + 0.5 * draw(VIDEOS, SHOTS, FRAMES, VIEWS, DIMENSION)
    per_shot = FRAMES * VIEWS
    targets = normalize(draw(VIDEOS * 2, DIMENSION), dim=1) * 2
    reversed = torch.arange(VIDEOS * 2) % 2 == 0
    labels = torch.arange(VIDEOS * 2) % 4
    makers = {
        "embeddings": lambda axes: embeddings.flatten(0, 3) if axes == "N D" else embeddings,
        "shots": lambda _: torch.arange(VIDEOS * SHOTS).view(VIDEOS, SHOTS),
        "identities": lambda _: torch.arange(VIDEOS * SHOTS).repeat_interleave(per_shot),
        "draws": lambda _: torch.rand(
            VIDEOS * SHOTS * per_shot, 2, generator=generator, dtype=torch.float64
        ),
        "students": lambda _: 0.2 * embeddings,
        "teachers": lambda _: 0.2 * embeddings + 0.02 * draw(*embeddings.shape),
        "centre": lambda _: 0.02 * draw(DIMENSION),
        "predictions": lambda _: targets + 0.2 * draw(*targets.shape),
        "targets": lambda _: targets,
        "reversed": lambda _: reversed,
        "labels": lambda _: labels,
        "logits": lambda axes: (
            2.0 * one_hot(labels) + 0.3 * draw(len(labels), 4)
            if axes == "B C"
            else (2.0 * reversed - 1) + 0.3 * draw(len(reversed))
        ),
    }
    arguments = {}
    for parameter, axes in _wanted(name):
        assert parameter in makers, f"name the tensors of a loss one of {list(makers)}"
        made = makers[parameter](axes)
        arguments[parameter] = made.to(dtype) if made.is_floating_point() else made
    return arguments


def shuffled(name):
    """The same, but the first argument belongs to something else."""
    arguments = aligned(name)
    first = next(iter(arguments))
    given = arguments[first]
    rows = given.flatten(0, -2) if given.ndim > 1 else given
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    return arguments | {first: rows[order].view_as(given)}


def differentiable(arguments):
    return {
        name: argument.clone().requires_grad_()
        for name, argument in arguments.items()
        if argument.is_floating_point() and name not in WITHOUT_GRADIENT
    }


def value_and_gradients(name, arguments):
    leaves = differentiable(arguments)
    value = CASES[name](**arguments | leaves)
    value.backward()
    return value.detach(), {key: leaf.grad for key, leaf in leaves.items()}


def of(name, arguments):
    return CASES[name](**arguments).item()


@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_one_finite_number(name):
    value = CASES[name](**aligned(name))
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_finite_and_not_zero(name):
    for gradient in value_and_gradients(name, shuffled(name))[1].values():
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_what_a_loss_only_looks_at_gets_no_gradient(name):
    arguments = aligned(name)
    looked_at = {
        key: argument.requires_grad_()
        for key, argument in arguments.items()
        if key in WITHOUT_GRADIENT
    }
    CASES[name](**arguments | differentiable(arguments)).backward()
    assert all(argument.grad is None for argument in looked_at.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_finite_where_all_embeddings_are_one_point(name):
    alike = {
        key: torch.ones_like(argument) if argument.is_floating_point() else argument
        for key, argument in aligned(name).items()
    }
    value, gradients = value_and_gradients(name, alike)
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ORDER_COUNTS])
def test_the_order_of_the_batch_does_not_matter(name):
    arguments = aligned(name)
    rows = len(next(iter(arguments.values())))
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(2))
    permuted = {
        key: argument if key in THE_SAME_FOR_ALL else argument[order]
        for key, argument in arguments.items()
    }
    assert of(name, permuted) == pytest.approx(of(name, arguments), rel=1e-6, abs=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name.split(",")[0] in ONLY_PRODUCTS_COUNT]
)
def test_a_common_rotation_of_all_embeddings_does_not_matter(name):
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(DIMENSION, DIMENSION, generator=generator))[0]
    arguments = aligned(name)
    turned = {key: leaf.detach() @ rotation for key, leaf in differentiable(arguments).items()}
    assert of(name, arguments | turned) == pytest.approx(of(name, arguments), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_belongs_together_costs_less_than_what_does_not(name):
    assert of(name, aligned(name)) < of(name, shuffled(name)) - 0.1


@pytest.mark.parametrize("name", NAMES)
def test_descending_the_gradient_lowers_the_loss(name):
    arguments = shuffled(name)
    before, gradients = value_and_gradients(name, arguments)
    stepped = {key: arguments[key] - 1e-2 * gradient for key, gradient in gradients.items()}
    assert of(name, arguments | stepped) < before


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_derivative(name):
    arguments = aligned(name, torch.float64)
    leaves = differentiable(arguments)

    def value(*given):
        return CASES[name](**arguments | dict(zip(leaves, given, strict=True)))

    assert torch.autograd.gradcheck(value, tuple(leaves.values()), fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_within_2_percent(name):
    # bfloat16 keeps 8 bits, so each number given is off by up to 0.4 %, and the loss computes in
    # single precision from there
    rounded = CASES[name](**aligned(name, torch.bfloat16))
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(of(name, aligned(name)), rel=0.02, abs=0.01)


def _on_this_rank() -> dict:
    """Every loss over gathered rows of which this rank holds its share, in double precision."""
    answers = {}
    rank, world = distributed.rank(), distributed.world_size()
    for name in NAMES:
        own = {
            key: argument if key in THE_SAME_FOR_ALL else argument[rank::world]
            for key, argument in aligned(name, torch.float64).items()
        }
        leaves = differentiable(own)
        gathered = {
            key: argument if key in THE_SAME_FOR_ALL else distributed.gather(argument)
            for key, argument in (own | leaves).items()
        }
        value = CASES[name](**gathered)
        value.backward()
        answers[name] = [value.detach(), *[leaf.grad for leaf in leaves.values()]]
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
        for gradient, there in zip(gradients.values(), gradients_there, strict=True):
            # both ranks hold the whole loss, and a mean over ranks follows: so twice the gradient
            torch.testing.assert_close(there, 2 * gradient[rank::2])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_4096_embeddings_of_8_per_identity_need_less_than_2_gigabytes(name):
    megabytes = peak_megabytes(name, 4096, 1000)
    # Shot order has one number per video; the others have a thousand, and gradients.
    assert (0 if name == "shot_order" else 10) <= megabytes < 2000


def test_every_loss_names_its_formula_and_source():
    for name, loss in FUNCTIONS.items():
        text = inspect.getdoc(loss)
        assert "\nFormula: " in text, name
        assert "\nSource: " in text, name


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_finds_the_value_and_gradient_of_the_cpu(name):
    arguments = aligned(name, torch.float64)
    value, gradients = value_and_gradients(name, arguments)
    on_gpu = {key: argument.cuda() for key, argument in arguments.items()}
    there, gradients_there = value_and_gradients(name, on_gpu)
    torch.testing.assert_close(there.cpu(), value)
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradients_there[key].cpu(), gradient)
