"""Hundreds of damaged videos: each is accounted for, and none affects another."""

import random

import pytest

from footage.commands.ingest import IngestConfig, ingest
from footage.store.reader import Store
from tests.support import synthetic
from tests.support.ingesting import HERE

CONFIG = IngestConfig(short_side=32, max_quarantined_fraction=1.0)
KINDS = {
    "a.mp4": {},
    "b.mkv": {},
    "c.webm": {"codec": "libvpx"},
    "d.avi": {"codec": "mpeg4"},
    "e.ts": {},
    "f.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
}


def flip_bits(data, draw):
    for _ in range(draw.choice([1, 10, 200])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def zero_a_stretch(data, draw):
    start, length = draw.randrange(len(data)), draw.choice([16, 512, 4096])
    data[start : start + length] = bytes(len(data[start : start + length]))


def cut_short(data, draw):
    del data[draw.randrange(len(data)) :]


def splice(data, draw):
    start, source = draw.randrange(len(data)), draw.randrange(len(data))
    data[start:start] = data[source : source + draw.choice([64, 2048])]


def remove_a_stretch(data, draw):
    start = draw.randrange(len(data))
    del data[start : start + draw.choice([1, 188, 3000])]


def fill_the_header(data, draw):
    for place in range(draw.randrange(8), min(len(data), 400), draw.choice([3, 7, 31])):
        data[place] = draw.choice([0x00, 0x7F, 0x80, 0xFF])


DAMAGES = [flip_bits, zero_a_stretch, cut_short, splice, remove_a_stretch, fill_the_header]


def mutants(folder, originals, count, seed):
    draw = random.Random(seed)
    folder.mkdir()
    for number in range(count):
        original = draw.choice(originals)
        data = bytearray(original.read_bytes())
        for _ in range(draw.choice([1, 1, 2])):
            if data:
                draw.choice(DAMAGES)(data, draw)
        (folder / f"{number:05d}{original.suffix}").write_bytes(data)


@pytest.mark.parametrize("count", [24, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.timeout(3600)
def test_every_mutant_is_accounted_for(tmp_path, count, trials):
    originals = [
        synthetic.encode(tmp_path / name, synthetic.cuts([1, 2], 0.6), **how)
        for name, how in KINDS.items()
    ]
    mutants(tmp_path / "mutants", originals, count, seed=count)
    report = ingest([str(tmp_path / "mutants")], tmp_path / "store", CONFIG, HERE)
    totals = report.totals
    assert totals["seen"] == count
    assert totals["ok"] + totals["partial"] + totals["quarantined"] == count
    store = Store.open(tmp_path / "store")
    store.verify()
    for row in store.videos.to_pylist():
        assert (row["status"] == "ok") == (row["reason"] == ""), row
        assert (row["status"] == "quarantined") == (row["num_frames"] == 0), row
        assert "Error:" not in row["reason"], row  # no exception of ours became a reason
    before = report.totals
    assert ingest([str(tmp_path / "mutants")], tmp_path / "store", CONFIG, HERE).totals == before
    trials(count)
