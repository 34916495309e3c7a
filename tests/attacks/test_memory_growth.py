"""Memory does not grow with the number of videos: neither where they are decoded, nor around it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import synthetic

ROOT = Path(__file__).parents[2]
MOST_PER_THOUSAND = 1e6
"""Maximum growth of a process per thousand videos, in bytes."""

OPENS = """
import json, os, sys
from pathlib import Path
from footage.video.sandbox import Limits, opened, run_confined
from footage.video.decode import Video

CONFINEMENT = Limits().confinement(0)

def once(path):
    def decode(send):
        with Video(descriptor, 10**6) as video:
            send(b"S", str(next(video.frames()).seconds).encode())

    answers = []
    with opened(path) as descriptor:
        run_confined(decode, lambda *answer: answers.append(answer), CONFINEMENT, [descriptor])
    assert answers == [(b"S", b"0.0")]
"""
INGESTS = """
import json, os, sys
from pathlib import Path
from footage.commands.ingest import IngestConfig
from footage.ingestion.worker import SourceTask, UnitTask, ingest_unit
from footage.ingestion.source_table import Source

CONFIG = IngestConfig(short_side=64)

def once(path):
    source = Source("a.mp4", str(path), "", path.stat().st_size)
    out = path.parent / "out"
    task = UnitTask((SourceTask(source),), out, CONFIG.extraction, "adaptive", CONFIG.limits)
    assert ingest_unit(task).results[0].sandbox
"""
LOOP = """
count = int(sys.argv[2])
sizes = []
for number in range(count + count // 10):
    once(Path(sys.argv[1]))
    if number >= count // 10 and number % (count // 100) == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        sizes.append(pages * os.sysconf("SC_PAGESIZE"))
print(json.dumps(sizes))
"""


def growth_per_thousand(sizes, count):
    """Slope of a line through the sizes, and its 95 % confidence bound, in bytes per thousand."""
    steps = np.linspace(0, count / 1000, len(sizes))
    design = np.stack([steps, np.ones_like(steps)], axis=1)
    (slope, _), residuals, _, _ = np.linalg.lstsq(design, np.asarray(sizes, float), rcond=None)
    variance = float(residuals[0]) / (len(sizes) - 2) if len(residuals) else 0.0
    return slope, slope + 1.96 * np.sqrt(variance / np.sum((steps - steps.mean()) ** 2))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("program", "count"), [(OPENS, 20_000), (INGESTS, 2_000)])
def test_memory_does_not_grow_with_the_number_of_videos(tmp_path, trials, program, count):
    """20,000 videos opened and decoded in confined processes of one parent; 2,000 ingested whole by
    one worker, with their files."""
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 0.25))
    done = subprocess.run(
        [sys.executable, "-P", "-c", program + LOOP, str(path), str(count)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    sizes = json.loads(done.stdout)
    slope, bound = growth_per_thousand(sizes, count)
    trials(count)
    assert bound < MOST_PER_THOUSAND, (slope, bound, sizes[:: len(sizes) // 10])
