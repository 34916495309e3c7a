"""`footage train --dry-run`: what a run needs, measured without writing anything."""

import pytest

from footage import cli
from footage.commands.train_dry_run import _less_memory, dry_run
from footage.errors import ConfigError
from footage.models.backbone import build
from footage.training.rehearsal import Rehearsal
from tests.support.training import AS_OPTIONS, smallest


def test_a_dry_run_measures_and_writes_nothing(tiny_store, tmp_path):
    config = smallest(steps=30)
    found = dry_run(config, store=tiny_store.path, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    rows = {name: value for name, value, _ in found.rows}
    backbone, _ = build(config.backbone, size=32, seed=0)
    assert rows["parameters"] == f"{sum(p.numel() for p in backbone.parameters()):,}"
    assert (rows["steps"], rows["views"], rows["epochs"]) == ("30", "720", "30.0")
    assert rows["fits"] == "yes"
    assert found.fits
    assert 5 < float(rows["memory"].removesuffix(" MB")) < 500
    assert float(rows["time per step"].removesuffix(" s")) > 0
    assert not any(change.startswith("less") for change in found.changes)


def test_a_disk_that_is_too_small_does_not_fit(tiny_store, tmp_path, monkeypatch):
    monkeypatch.setattr("footage.io.files.free_bytes", lambda _: 10**6)
    found = dry_run(smallest(), store=tiny_store.path, out=tmp_path / "run")
    assert not found.fits
    assert any(change.startswith("less disk: --keep-checkpoints 1") for change in found.changes)


def test_too_little_memory_leads_to_the_number_of_micro_batches_that_fits():
    found = Rehearsal(9_000, 1_000, False, 1.0, True, 0.1, 1)  # 8,000 for activations
    assert "--compute.accumulate 4," in _less_memory(smallest(), found, 3_000)
    assert "--compute.accumulate 8," in _less_memory(smallest(), found, 2_500)
    assert "smaller --backbone" in _less_memory(smallest(), found, 900)


def test_torchrun_is_refused(tiny_store, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="torchrun started several"):
        dry_run(smallest(), store=tiny_store.path, out=tmp_path / "run")


def test_the_command_prints_a_table_and_what_is_next(tiny_store, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", "vivi-ex4-tiny", "--store", str(tiny_store.path), "--out", str(out)]
    cli.main([*words, *AS_OPTIONS, "--steps", "5", "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert {"parameters", "memory", "loading", "disk", "fits"} <= {
        line.split(" ")[0] for line in lines if line
    }
    assert lines[-1] == "next: rerun without --dry-run"
    assert not out.exists()
