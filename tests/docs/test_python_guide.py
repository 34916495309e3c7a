"""The code of the Python guide runs as shown, on small data."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = 'videos_per_batch=4, architecture="test_resnet", augment__size=32, workers=1'
GUIDE = ROOT / "docs" / "guides" / "python.md"


@pytest.mark.slow
def test_the_guide_runs_as_one_script(video_folder, shapes_folder, tmp_path):
    shutil.copytree(video_folder, tmp_path / "videos")
    shutil.copytree(shapes_folder, tmp_path / "photos")
    shutil.copy(next(video_folder.rglob("*.mp4")), tmp_path / "clip.mp4")
    photo = next(path for path in shapes_folder.rglob("*") if path.is_file())
    shutil.copy(photo, tmp_path / "photo.jpg")
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.M | re.S)
    assert len(blocks) > 6
    code = "\n".join(blocks).replace("steps=500", "steps=2")
    code = code.replace("videos_per_batch=4", SMALL)
    (tmp_path / "guide.py").write_text(code)
    command = [sys.executable, "-P", "guide.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "unknown option 'learning_rte'" in done.stdout
    assert "did you mean optimizer__learning_rate?" in done.stdout
    assert (tmp_path / "report.html").is_file()
