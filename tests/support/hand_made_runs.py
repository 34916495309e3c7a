"""A run folder made by hand in milliseconds, and a pickle that leaves a mark where it is read."""

import json
import os
import pickle

from footage import configuration
from footage.io.documents import CHECKSUM
from footage.models.backbone import Backbone
from footage.models.load import Model, describe
from footage.runs import checkpoint, layout
from footage.runs.environment import environment
from tests.support.training import smallest


def hand_made_run(folder, *, options=None, size=32):
    """A finished run of timm's test network: run.json and one checkpoint, nothing else."""
    backbone = Backbone("test_resnet", size=size, options=options)
    config = smallest()
    layout.write_record(
        folder,
        {
            "recipe": "vivi-ex4-tiny",
            "config": configuration.to_dict(config),
            "store": "",
            "store_hash": "",
            "images": "",
            "images_hash": "",
            "classes": [],
            "labels_used": 0,
            "held_out": [],
            "seed": 0,
            "model": describe(Model("", backbone, "random weights, seed 0")),
            "chance": {"frame_shot": 2.5},
            **environment(),
        },
    )
    weights = {f"backbone.network.{k}": v for k, v in backbone.network.state_dict().items()}
    state = checkpoint.State(
        config.steps,
        checkpoint.OptimizerState({}, []),
        checkpoint.Randomness(0, config.steps),
        configuration.to_dict(config),
    )
    checkpoint.save(folder / layout.CHECKPOINTS, {"model": weights}, state, keep=1)
    return folder


def record_of(run):
    """The content of a run's run.json, without its checksum."""
    record = json.loads((run / layout.RUN).read_text())
    del record[CHECKSUM]
    return record


class _Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def write_pickle_that_marks(path, marker):
    """Write a pickle that creates the folder `marker` when it is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(_Payload(str(marker))))
    return path
