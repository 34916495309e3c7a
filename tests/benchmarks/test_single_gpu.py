"""The measurement of a whole training on one GPU, rehearsed on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import single_gpu

ROOT = Path(__file__).parents[2]


def test_a_stage_that_takes_too_long_is_ended_and_reported(tmp_path):
    found = single_gpu.run_stage("evaluate", tmp_path, 0.1, rehearse=True)
    assert found == {"error": "it took longer than 0 s"}


def test_the_stages_fit_into_ten_minutes():
    assert sum(single_gpu.STAGES.values()) <= single_gpu.BUDGET_SECONDS < 600


def test_targets_are_compared_and_those_of_failed_stages_are_unknown():
    stages = {
        "train": {"views_per_second": 96.0, "data_wait": 0.03, "peak_bytes": 110},
        "bare_bf16": {"views_per_second": 100.0},
        "bare_fp32": {"error": "it took longer than 40 s"},
        "dry_run": {"memory_bytes": 100},
    }
    assert single_gpu.targets_of(stages) == {
        "data_wait": 0.03,
        "data_wait_is_met": False,
        "relative_to_bare": 0.96,
        "relative_to_bare_is_met": True,
        "bf16_speedup": None,
        "compile_speedup": None,
        "peak_relative_to_dry_run": 1.1,
    }


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_rehearsal_runs_every_stage(tmp_path):
    out = tmp_path / "found.json"
    words = ["-m", "benchmarks.single_gpu", "--rehearse", "--out", str(out)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stages = json.loads(out.read_text())["stages"]
    assert list(stages) == list(single_gpu.STAGES)
    assert stages["train"]["steps"] == 8
    assert stages["bare_compiled"]["views_per_second"] > 0
    assert 0 <= stages["evaluate"]["model, linear"] <= 1
