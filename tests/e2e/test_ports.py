"""No command opens a port, so nobody else on the machine or network can talk to it."""

import os
import sys

import pytest

from tests.support.labelled_shapes import draw_shapes
from tests.support.sockets import watched
from tests.support.training import AS_OPTIONS

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
CHILD = """
import socket, time
tcp = socket.create_server(("127.0.0.1", 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
time.sleep(0.5)
"""


def test_the_watch_sees_ports_of_children():
    opened = watched([sys.executable, "-c", PARENT, CHILD])
    assert {(each.protocol, each.address[:8]) for each in opened} == {
        ("tcp", "0100007F"), ("udp", "0100007F"),
    }  # fmt: skip
    opened = watched([sys.executable, "-c", "import time; time.sleep(0.2)"])
    assert opened == set()


@pytest.mark.slow
def test_no_command_opens_a_port(video_folder, tmp_path):
    draw_shapes(tmp_path / "photos")
    train = [
        "train", "vivi-ex4-tiny", "--store", "store", "--out", "runs/first", *AS_OPTIONS,
        "--steps", "4", "--metrics-every", "2", "--checkpoint-every", "2",
    ]  # fmt: skip
    commands = [
        ["ingest", str(video_folder), "--out", "store", "--workers", "2"],
        train,
        ["evaluate", "runs/first", "--labels", "photos"],
        ["embed", "runs/first", "photos", "--out", "embeddings.parquet"],
        ["profile", "runs/first", "--store", "store", "--out", "profile", "--scenes", "1"],
        ["export", "runs/first", "--to", "safetensors"],
        ["report", "runs/first", "--out", "report.html"],
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for words in commands:
        command = [sys.executable, "-m", "footage", *words]
        opened = watched(command, cwd=tmp_path, env=environment)
        assert opened == set(), words[0]
