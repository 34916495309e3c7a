"""Runs of earlier versions open: their settings are read by their present names."""

import dataclasses
import json
import logging
from pathlib import Path

import pytest

from footage import configuration
from footage.recipes.methods import RECIPES
from footage.runs import layout, records
from footage.runs.migration import RENAMED, migrated
from footage.training.config import ComputeConfig, TrainConfig
from tests.support.hand_made_runs import hand_made_run

VERSION_1 = json.loads((Path(__file__).parents[1] / "golden/recipes_version_1.json").read_text())
"""Every recipe as version 1 resolved it."""


def on_any_machine(config):
    """The configuration without settings of the hardware, which a resumed run may change."""
    return dataclasses.replace(config, compute=ComputeConfig())


@pytest.mark.parametrize("name", VERSION_1)
def test_every_recipe_of_version_1_is_the_present_one(name):
    config = configuration.from_dict(TrainConfig, migrated(VERSION_1[name]))
    assert on_any_machine(config) == on_any_machine(RECIPES[name].config)


def test_present_settings_stay_as_they_are():
    config = configuration.to_dict(RECIPES["vivi-nce-tiny"].config)
    assert migrated(config) == config


def test_every_new_name_is_a_setting():
    losses = {"margin", "mining", "hinge"}
    config = configuration.to_dict(RECIPES["vivi-ex4"].config)
    for new in RENAMED.values():
        group, _, name = new.rpartition(".")
        if group != "objective.frame_shot.loss" or name in losses:
            values = config
            for part in new.split("."):
                values = values[part]


def test_an_old_run_opens_with_one_notice(tmp_path, caplog):
    run = hand_made_run(tmp_path / "run")
    record = json.loads((run / layout.RUN).read_text())
    record |= {"version": 1, "config": VERSION_1["vivi-vicreg-tiny"]}
    del record["checksum"]
    (run / layout.RUN).write_text(json.dumps(record))
    with caplog.at_level(logging.INFO, logger="footage"):
        found = [layout.read_record(run) for _ in range(2)]
    config = configuration.from_dict(TrainConfig, found[1]["config"])
    assert on_any_machine(config) == on_any_machine(RECIPES["vivi-vicreg-tiny"].config)
    assert caplog.text.count("earlier version") == 1


def test_the_origin_of_weights_has_its_present_name_in_old_runs_and_exports(tmp_path):
    run = hand_made_run(tmp_path / "run")
    record = json.loads((run / layout.RUN).read_text())
    present = dict(record["model"])
    earlier = {**present, "start": present["weights_origin"]}
    del earlier["weights_origin"], record["checksum"]
    (run / layout.RUN).write_text(json.dumps({**record, "model": earlier}))
    assert layout.read_record(run)["model"] == present
    header = records.HEADER.parse(json.dumps(earlier), "weights.safetensors")
    assert header.weights_origin == present["weights_origin"]
