import math
import os
import subprocess
import sys
import textwrap

import pytest
import torch

from footage import distributed
from footage.errors import ConfigError
from tests.support.processes import in_processes


def test_one_process_is_a_group_of_itself():
    tensor = torch.randn(3, 2, requires_grad=True)
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.gather(tensor) is tensor
    assert distributed.largest(3) == 3
    distributed.shutdown()


def test_a_single_infinite_number_is_found():
    fine, bad = torch.ones(3), torch.tensor([1.0, math.inf])
    assert distributed.all_finite(fine, fine)
    assert not distributed.all_finite(fine, bad)
    assert not distributed.all_finite(torch.tensor(math.nan))
    assert distributed.all_finite()


def test_without_torchrun_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert distributed.init_from_env() == torch.device("cpu")
    assert not distributed.is_distributed()


def test_a_process_without_a_gpu_of_its_own_is_told_so(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"process 3 .* 2"):
        distributed.init_from_env()


def _everything() -> dict:
    """On each rank: rows of its videos, a loss over all of them, and the collectives."""
    rank = distributed.rank()
    every = torch.arange(12.0).view(6, 2)
    own = every[rank::2].clone().requires_grad_()
    whole = distributed.gather(own)
    weights = torch.arange(12.0).view(6, 2) ** 2
    (weights * whole**2).sum().backward()
    flags = distributed.gather(torch.tensor([rank == 0]))
    return {
        "whole": whole.detach(),
        "gradient": own.grad,
        "flags": flags,
        "transposed": distributed.gather(every.T[:, rank::2].T),
        "largest": [distributed.largest(rank), distributed.largest(-rank)],
        "finite": distributed.all_finite(torch.tensor(math.nan if rank == 1 else 0.0)),
    }


@pytest.fixture(scope="module")
def answers():
    return in_processes(_everything)


def test_gather_restores_the_global_order_on_every_rank(answers):
    every = torch.arange(12.0).view(6, 2)
    for answer in answers:
        assert torch.equal(answer["whole"], every)
        assert torch.equal(answer["transposed"], every)
        assert answer["flags"].tolist() == [True, False]


def test_the_mean_over_ranks_of_gathered_gradients_is_that_of_one_process(answers):
    every = torch.arange(12.0).view(6, 2)
    expected = 2 * every**2 * every
    for rank, answer in enumerate(answers):
        # each rank's loss is the whole loss, so ranks sum to twice it and their mean is right
        assert torch.equal(answer["gradient"], 2 * expected[rank::2])


def test_collectives_agree_on_every_rank(answers):
    for answer in answers:
        assert answer["largest"] == [1, 0]
        assert answer["finite"] is False


def test_torchrun_starts_a_group(tmp_path):
    script = tmp_path / "joined.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, torch
            from footage import distributed
            device = distributed.init_from_env(timeout_seconds=60)
            total = distributed.gather(torch.ones(1, device=device)).sum().item()
            open(f"{sys.argv[1]}/{distributed.rank()}", "w").write(str(total))
            distributed.shutdown()
            """
        )
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    subprocess.run(
        [*torchrun, "--nproc-per-node=2", str(script), str(tmp_path)],
        check=True,
        env=environment,
        timeout=240,
        capture_output=True,
    )
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["2.0", "2.0"]
