import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from footage.errors import CheckpointError, OutputError
from footage.runs import checkpoint
from tests.support.mutations import bit_flips, mutations

MODEL = "model.safetensors"


def state_at(step):
    optimizer = checkpoint.OptimizerState({"0.step": step}, [{"lr": 0.1, "params": [0, 1]}])
    return checkpoint.State(step, optimizer, checkpoint.Randomness(7, step), {"steps": 9})


def _save(folder, step, keep=2):
    tensors = {
        "model": {"weight": torch.full((4, 4), float(step))},
        "optimizer": {"0.momentum": torch.full((4, 4), -float(step))},
    }
    return checkpoint.save(folder, tensors, state_at(step), keep=keep)


def test_what_was_saved_comes_back(tmp_path):
    path = _save(tmp_path, 7)
    found = checkpoint.newest(tmp_path)
    assert (found.path, found.step, found.state) == (path, 7, state_at(7))
    assert torch.equal(found.tensors["model"]["weight"], torch.full((4, 4), 7.0))
    assert torch.equal(found.tensors["optimizer"]["0.momentum"], torch.full((4, 4), -7.0))


def test_a_checkpoint_contains_no_pickle(tmp_path):
    files = sorted(path.name for path in _save(tmp_path, 1).iterdir())
    assert files == ["MANIFEST.json", MODEL, "optimizer.safetensors", "state.json"]


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 10):
        _save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000010"]


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.newest(tmp_path / "absent") is None


def test_a_complete_checkpoint_of_the_same_step_is_left_alone_and_a_damaged_one_replaced(tmp_path):
    path = _save(tmp_path, 2)
    before = (path / MODEL).stat().st_ino
    _save(tmp_path, 2)
    assert (path / MODEL).stat().st_ino == before
    (path / MODEL).write_bytes(b"")
    _save(tmp_path, 2)
    assert checkpoint.newest(tmp_path).step == 2


def test_a_checkpoint_of_an_earlier_version_without_checksums_is_read(tmp_path):
    path = _save(tmp_path, 4)
    manifest = json.loads((path / "MANIFEST.json").read_text())
    state = json.loads((path / "state.json").read_text())
    del manifest["checksum"], state["checksum"]
    (path / "state.json").write_text(json.dumps(state, indent=1))
    listed = checkpoint._listed(path / "state.json")
    manifest["state.json"] = {"bytes": listed.bytes, "sha256": listed.sha256}
    (path / "MANIFEST.json").write_text(json.dumps(manifest, indent=1))
    assert checkpoint.newest(tmp_path).state == state_at(4)


# --- damage ------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path):
    """The older and the newer of two checkpoints."""
    return _save(tmp_path, 1), _save(tmp_path, 2)


def assert_falls_back(folder, caplog, what):
    caplog.clear()
    assert checkpoint.newest(folder).step == 1, what
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1, what
    assert "step-00000002" in warnings[0], what
    assert "falling back to the checkpoint before it" in warnings[0], what


FILES = [MODEL, "optimizer.safetensors", "state.json", "MANIFEST.json"]


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_falls_back_to_the_checkpoint_before(tmp_path, two, caplog, name):
    victim = two[1] / name
    sound, newer = victim.read_bytes(), checkpoint.load(two[1])
    for place, data in bit_flips(sound, 100):
        victim.write_bytes(data)
        try:
            found = checkpoint.load(two[1])
        except CheckpointError:
            assert_falls_back(tmp_path, caplog, place)
            continue
        # a flip in the name of the checksum's key, or from white space to white space
        assert name == "MANIFEST.json", place
        assert found.state == newer.state, place


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_short_absent_or_another_falls_back(tmp_path, two, caplog, name):
    older, newer = two
    sound = (newer / name).read_bytes()
    for length in {0, 1, len(sound) // 2, len(sound) - 2}:
        (newer / name).write_bytes(sound[:length])
        assert_falls_back(tmp_path, caplog, length)
    (newer / name).write_bytes(sound + b"\0")
    assert_falls_back(tmp_path, caplog, "longer")
    shutil.copy(older / name, newer / name)  # valid by itself, but of the other checkpoint
    assert_falls_back(tmp_path, caplog, "swapped")
    (newer / name).unlink()
    assert_falls_back(tmp_path, caplog, "absent")
    (newer / name).mkdir()
    assert_falls_back(tmp_path, caplog, "a folder")


def test_two_tensor_files_that_were_swapped_fall_back(tmp_path, two, caplog):
    one, other = two[1] / MODEL, two[1] / "optimizer.safetensors"
    one.rename(two[1] / "aside")
    other.rename(one)
    (two[1] / "aside").rename(other)
    assert_falls_back(tmp_path, caplog, "swapped")


def test_a_folder_that_was_renamed_falls_back(tmp_path, two, caplog):
    shutil.rmtree(two[1])
    shutil.copytree(two[0], two[1])
    assert_falls_back(tmp_path, caplog, "renamed")


def test_every_malformed_manifest_falls_back(tmp_path, two, caplog):
    path = two[1] / "MANIFEST.json"
    sound = json.loads(path.read_text())
    del sound["checksum"]
    for name, data in mutations(sound):
        if name == "optimizer.safetensors missing":
            continue  # a smaller checkpoint; the run that resumes from it misses the group
        path.write_bytes(data)
        assert_falls_back(tmp_path, caplog, name)
    for outside in ("../step-00000001/model.safetensors", "/etc/passwd", "a/b.json"):
        path.write_text(json.dumps({**sound, outside: sound[MODEL]}))
        assert_falls_back(tmp_path, caplog, outside)


def test_every_malformed_state_falls_back(tmp_path, two, caplog):
    path = two[1] / "state.json"
    manifest = json.loads((two[1] / "MANIFEST.json").read_text())
    del manifest["checksum"]
    sound = json.loads(path.read_text())
    del sound["checksum"]
    sound["best_step"] = 1
    free = [("config",), ("optimizer", "scalars"), ("optimizer", "param_groups")]
    for name, data in mutations(sound, skip=free):
        if name in ("random.seed: negative", "best_step missing", "best_step: null"):
            continue
        path.write_bytes(data)
        listed = checkpoint._listed(path)  # as if someone had written it on purpose
        manifest["state.json"] = {"bytes": listed.bytes, "sha256": listed.sha256}
        (two[1] / "MANIFEST.json").write_text(json.dumps(manifest))
        assert_falls_back(tmp_path, caplog, name)


def test_when_every_checkpoint_is_damaged_it_is_one_error_with_a_hint(tmp_path, two):
    for path in two:
        (path / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"all 2 checkpoints in .* are damaged") as error:
        checkpoint.newest(tmp_path)
    assert error.value.hint.startswith("restore one from a copy")


_FAILING_DEVICE = """
import errno, logging, os, sys
from pathlib import Path
from footage.runs import checkpoint
from footage.io import retry as retrying
folder, names = Path(sys.argv[1]), sys.argv[2:]
retrying.FIRST_PAUSE_SECONDS = 0.001
victim, failures = "", 0
def fail(event, arguments):
    global failures
    if event == "open" and str(arguments[0]) == victim and failures > 0:
        failures -= 1
        raise OSError(errno.EIO, os.strerror(errno.EIO), victim)
sys.addaudithook(fail)
logging.basicConfig(stream=sys.stdout, format="%(message)s")
for victim in names:
    for failures in (2, 1000):
        given = failures
        print("step", checkpoint.newest(folder).step, "after", given - failures, "errors", end="|")
"""


def test_read_errors_of_the_device_are_retried_and_then_fall_back(tmp_path, two):
    victims = [str(two[1] / name) for name in FILES]
    command = [sys.executable, "-c", _FAILING_DEVICE, str(tmp_path), *victims]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    reports = done.stdout.split("|")[:-1]
    for retried, given_up in zip(reports[::2], reports[1::2], strict=True):
        assert retried.count("Input/output error; attempt") == 2
        assert retried.endswith("step 2 after 2 errors")
        assert given_up.count("Input/output error; attempt") == 4
        assert given_up.count("falling back") == 1
        assert given_up.endswith("step 1 after 5 errors")
    assert len(reports) == 2 * len(FILES)


# --- full disks and kills ----------------------------------------------------------------------

_ON_A_FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from footage.runs import checkpoint
from footage.errors import OutputError
from tests.runs.test_checkpoint import state_at
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    weights = {"model": {"weight": torch.zeros(10**6)}}
    checkpoint.save(Path(sys.argv[1]), weights, state_at(2), keep=1)
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_error_and_leaves_the_old_checkpoint(tmp_path):
    _save(tmp_path, 1)
    command = [sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "a checkpoint at" in done.stdout
    assert "needs 4.1 MB" in done.stdout
    assert "files are limited to 0.1 MB" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_place_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "checkpoints", Path("/proc/checkpoints")):
        with pytest.raises(OutputError, match="cannot be written"):
            _save(folder, 1)


def test_the_size_that_is_reserved_covers_what_is_written(tmp_path):
    tensors = {"model": {f"weight{n}": torch.zeros(100) for n in range(50)}}
    path = checkpoint.save(tmp_path, tensors, state_at(1), keep=1)
    written = sum(file.stat().st_size for file in path.iterdir())
    assert written <= checkpoint.num_bytes(tensors) <= 4 * written


_AT_EVERY_POINT = """
import os, sys, torch
from pathlib import Path
from footage.runs import checkpoint
from tests.runs.test_checkpoint import _save
base = Path(sys.argv[1])
_save(base / "warm", 1)  # imports that happen at the first save
for point in range(1, 1000):
    folder = base / str(point)
    _save(folder, 1, keep=1)
    child = os.fork()
    if not child:
        events = 0
        def die(event, arguments):
            global events
            if event == "open" or event.startswith(("os.", "shutil.")):
                events += 1
                if events == point:
                    os._exit(137)
        sys.addaudithook(die)
        _save(folder, 2, keep=1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = checkpoint.newest(folder)
    weight = float(found.tensors["model"]["weight"][0, 0])
    assert found.step == weight and found.step in (1, 2), (point, found.step, weight)
    _save(folder, 3, keep=1)
    assert [path.name for path in folder.iterdir()] == ["step-00000003"], point
    if code == 0:
        assert found.step == 2
        print("points", point - 1)
        break
"""


def test_a_kill_at_every_file_operation_of_a_save_leaves_the_old_or_the_new_checkpoint(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", _AT_EVERY_POINT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 30


_LOOP = """
import sys, torch
from pathlib import Path
from footage.runs import checkpoint
from tests.runs.test_checkpoint import state_at
found = checkpoint.newest(Path(sys.argv[1]))
step = found.step if found else 0
print("ready", flush=True)
while True:
    step += 1
    weights = {"model": {"weight": torch.full((250_000,), float(step))}}
    checkpoint.save(Path(sys.argv[1]), weights, state_at(step), keep=2)
    print(step, flush=True)
"""


def kill_while_saving(folder, times):
    draws = random.Random(0)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    last = 0
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", _LOOP, str(folder)], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.05 + draws.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        reported = [int(word) for word in process.communicate()[0].split()]
        found = checkpoint.newest(folder)
        last = max([last, *reported])
        assert found.step in (last, last + 1)  # the newest may be in place but not yet reported
        assert torch.equal(
            found.tensors["model"]["weight"], torch.full((250_000,), float(found.step))
        )
        last = found.step
    assert last > times


def test_sigkill_while_saving_never_costs_a_finished_checkpoint(tmp_path):
    kill_while_saving(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_kills_while_saving_never_cost_a_finished_checkpoint(tmp_path, trials):
    kill_while_saving(tmp_path, 200)
    trials(200)


# --- optimisers --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_an_optimiser_continues_exactly_after_the_round_trip(tmp_path, kind):
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
    everything = checkpoint.State(3, state, checkpoint.Randomness(0, 3), {})
    groups = {"model": model.state_dict(), "optimizer": tensors}
    checkpoint.save(tmp_path, groups, everything, keep=1)
    resumed, optimizer = fresh()
    found = checkpoint.newest(tmp_path)
    resumed.load_state_dict(found.tensors["model"])
    checkpoint.unpack_optimizer(optimizer, found.tensors["optimizer"], found.state.optimizer)
    advance(resumed, optimizer, range(3, 6))
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
