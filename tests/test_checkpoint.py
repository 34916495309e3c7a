import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from footage import checkpoint
from footage.errors import CheckpointError


def _save(folder, step, keep=2):
    tensors = {"model": {"weight": torch.full((4, 4), float(step))}}
    return checkpoint.save(folder, step, tensors, {"note": "x"}, keep=keep)


def test_what_was_saved_comes_back(tmp_path):
    path = _save(tmp_path, 7)
    found = checkpoint.newest(tmp_path)
    assert (found.path, found.step, found.state) == (path, 7, {"note": "x"})
    assert torch.equal(found.tensors["model"]["weight"], torch.full((4, 4), 7.0))


def test_a_checkpoint_holds_no_pickle(tmp_path):
    files = sorted(path.name for path in _save(tmp_path, 1).iterdir())
    assert files == ["MANIFEST.json", "model.safetensors", "state.json"]


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 10):
        _save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000010"]


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.newest(tmp_path / "absent") is None


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "MANIFEST.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damage_anywhere_falls_back_to_the_checkpoint_before_it(tmp_path, caplog, name, damage):
    _save(tmp_path, 1)
    victim = _save(tmp_path, 2) / name
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "delete":
        victim.unlink()
    else:
        victim.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    assert checkpoint.newest(tmp_path).step == 1
    assert "step-00000002 is damaged" in caplog.text


def test_when_every_checkpoint_is_damaged_nothing_is_silently_begun_again(tmp_path):
    (_save(tmp_path, 1) / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match="all 1 checkpoints"):
        checkpoint.newest(tmp_path)


_ON_A_FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from footage import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    weights = {"model": {"weight": torch.zeros(10**6)}}
    checkpoint.save(Path(sys.argv[1]), 2, weights, {}, keep=1)
except checkpoint.CheckpointError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_error_and_leaves_the_old_checkpoint(tmp_path):
    _save(tmp_path, 1)
    command = [sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "could not be written" in done.stdout
    assert "it needs 4 MB" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


_LOOP = """
import sys, torch
from pathlib import Path
from footage import checkpoint
found = checkpoint.newest(Path(sys.argv[1]))
step = found.step if found else 0
print("ready", flush=True)
while True:
    step += 1
    weights = {"model": {"weight": torch.full((250_000,), float(step))}}
    checkpoint.save(Path(sys.argv[1]), step, weights, {}, keep=2)
    print(step, flush=True)
"""


def test_sigkill_while_saving_never_costs_a_finished_checkpoint(tmp_path):
    draws = random.Random(0)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    last = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", _LOOP, str(tmp_path)], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.05 + draws.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        told = [int(word) for word in process.communicate()[0].split()]
        found = checkpoint.newest(tmp_path)
        last = max([last, *told])
        assert found.step in (last, last + 1)  # the newest may be in place but not yet told
        assert torch.equal(
            found.tensors["model"]["weight"], torch.full((250_000,), float(found.step))
        )
        last = found.step
    assert last > 5


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_an_optimiser_goes_on_exactly_after_the_round_trip(tmp_path, kind):
    def fresh():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        arguments = {"momentum": 0.9} if kind is torch.optim.SGD else {}
        return model, kind(model.parameters(), lr=0.1, **arguments)

    def advance(model, optimizer, steps):
        for step in steps:
            batch = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()

    straight, optimizer = fresh()
    advance(straight, optimizer, range(6))

    model, optimizer = fresh()
    advance(model, optimizer, range(3))
    tensors, state = checkpoint.pack_optimizer(optimizer)
    checkpoint.save(
        tmp_path, 3, {"model": model.state_dict(), "optimizer": tensors}, {"o": state}, keep=1
    )
    resumed, optimizer = fresh()
    found = checkpoint.newest(tmp_path)
    json.dumps(found.state)
    resumed.load_state_dict(found.tensors["model"])
    checkpoint.unpack_optimizer(optimizer, found.tensors["optimizer"], found.state["o"])
    advance(resumed, optimizer, range(3, 6))
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
