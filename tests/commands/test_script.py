"""A plain script needs no `if __name__ == "__main__"`: no process that it starts runs it again."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import sys
print("started", flush=True)

import footage

videos, folder = sys.argv[1:]
store = footage.ingest(videos, f"{folder}/store", workers=2)
run = footage.train(
    "vivi-ex4-tiny",
    store=store,
    out=f"{folder}/run",
    steps=2,
    videos_per_batch=4,
    workers=2,
)
features = footage.embed(run, videos, out=f"{folder}/features.parquet", workers=2)
page = footage.report(run, out=f"{folder}/report.html", videos=2)
import json
print(json.dumps([one.to_dict() for one in (store, run, features, page)]))
"""


@pytest.mark.parametrize("is_piped", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_script_without_a_guard_runs_once_with_worker_processes(video_folder, tmp_path, is_piped):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "signal.py").write_text("raise SystemExit('imported from the script folder')")
    command = [sys.executable, "-P", "-" if is_piped else str(script)]
    command = [*command, str(video_folder), str(tmp_path / "out")]
    (tmp_path / "out").mkdir()
    text = SCRIPT if is_piped else None
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first == "started"
    store, run, features, page = json.loads(last)
    assert store["new_videos"] == 6
    assert (run["step"], run["steps"]) == (2, 2)
    assert features["num_videos"] == 6
    assert page["path"].endswith("report.html")
