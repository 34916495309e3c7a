import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footage.data.batches import BatchMaker
from footage.errors import FootageError
from footage.training.loader import LoadingConfig, batches
from tests.training.test_loader import videos_of


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_that_dies_is_one_clear_error(tiny_store):
    before = set(children(os.getpid()))
    iterator = batches(
        videos_of(tiny_store), None, seed=0, steps=range(1000), loading=LoadingConfig(workers=1)
    )
    next(iterator)
    (worker,) = set(children(os.getpid())) - before
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(worker, number)  # whether to stop is for the trainer to decide
    next(iterator)
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(FootageError, match="a loading worker died before step") as error:
        list(iterator)
    assert error.value.message.endswith("killed by SIGKILL")
    assert "fewer --compute.workers" in error.value.hint


def test_workers_end_with_their_iterator(tiny_store):
    before = set(children(os.getpid()))
    iterator = batches(
        videos_of(tiny_store), None, seed=0, steps=range(1000), loading=LoadingConfig(workers=2)
    )
    next(iterator)
    assert len(set(children(os.getpid())) - before) == 2
    iterator.close()
    assert set(children(os.getpid())) == before


_TRAINER = """
import sys
from footage.data.batches import VideoStream
from footage.data.config import AugmentConfig, SamplingConfig
from footage.training.loader import LoadingConfig, batches
from footage.data.sampling import BatchSampler, shot_table
from footage.store.reader import Store
store, size, videos = Store.open(sys.argv[1]), int(sys.argv[2]), 4
config = SamplingConfig(videos_per_batch=videos, shots_per_video=2, frames_per_shot=3)
columns = (store.shots[name].to_pylist() for name in ("video", "num_frames"))
stream = VideoStream(store, BatchSampler(shot_table(*columns), config, 0), AugmentConfig(size=size))
loading = LoadingConfig(workers=2)
for batch in batches(stream, None, seed=0, steps=range(int(sys.argv[3])), loading=loading):
    print(batch.step, int(batch.views.sum()), flush=True)
"""
"""A script without `if __name__ == "__main__"`."""


def trainer(store, size, steps, prefix=(), **options):
    command = [*prefix, sys.executable, "-c", _TRAINER, str(store.path), str(size), str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_workers_end_with_the_trainer_and_leave_nothing(tiny_store, tmp_path, number):
    def leftovers():
        names = Path("/dev/shm").iterdir()
        return {name for name in names if name.name.startswith(("pymp", "sem.", "torch", "psm"))}

    before = leftovers()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with trainer(tiny_store, 24, 10**6, env=environment) as process:
        process.stdout.readline()
        workers = children(process.pid)
        assert len(workers) == 2
        process.send_signal(number)
        process.wait()
        end = time.monotonic() + 10
        while any(map(is_alive, workers)) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(map(is_alive, workers))
        process.stdout.read()
    assert list(tmp_path.iterdir()) == []
    end = time.monotonic() + 60
    while leftovers() - before and time.monotonic() < end:  # other tests have their own for a while
        time.sleep(0.1)
    assert leftovers() <= before


def test_modules_in_the_working_directory_do_not_reach_the_workers(tiny_store, tmp_path):
    for name in (
        "signal", "struct", "select", "types", "socket", "random", "pickle", "copy", "queue",
        "mmap", "numpy", "cv2", "footage",
    ):  # fmt: skip
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    # the trainer itself is asked not to look there, as the installed command does not
    command = [sys.executable, "-P", "-c", _TRAINER, str(tiny_store.path), "24", "2"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.slow
def test_batches_larger_than_dev_shm_arrive_whole(tiny_store):
    small = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && df --output=size /dev/shm >&2 && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", small, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    outputs = []
    for wrapped in (prefix, ()):
        with trainer(tiny_store, 224, 3, wrapped, stderr=subprocess.PIPE) as process:
            output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        outputs.append(output)
    assert outputs[0] == outputs[1]
    assert 4 * 2 * 3 * 224 * 224 * 3 > 3 * 2**20  # bytes in a batch
    assert len(outputs[0].splitlines()) == 3


def test_what_is_sent_to_a_worker_is_small(tiny_store):
    maker = BatchMaker(videos_of(tiny_store), None, 0, 0, 1)
    assert len(pickle.dumps(maker)) < 40_000
