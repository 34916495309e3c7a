"""Settings as keyword arguments: every option, by its path or its last part, with its checks."""

import dataclasses
from pathlib import Path

import pytest

import footage
from footage import keywords
from footage.embedding.config import EmbedConfig
from footage.errors import ConfigError
from footage.ingestion.config import IngestConfig
from footage.objectives.losses.nce import NCEConfig
from footage.training.config import TrainConfig

TINY = footage.recipe("vivi-ex4-tiny")


def changed(config=TINY, **options):
    return keywords.configured(config, type(config), options, footage.train)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 500, "optimizer__learning_rate": 0.01},
        {"steps": 500, "optimizer": {"learning_rate": 0.01}},
        {"steps": 500, "learning_rate": 0.01},
        {"steps": 500, "optimizer.learning-rate": 0.01},
        {"--steps": 500, "--optimizer.learning-rate": 0.01},
    ],
)
def test_a_setting_has_a_path_a_group_and_a_short_name(options):
    optimizer = dataclasses.replace(TINY.optimizer, learning_rate=0.01)
    assert changed(**options) == dataclasses.replace(TINY, steps=500, optimizer=optimizer)


@pytest.mark.parametrize(
    "name",
    [
        "steps", "seed", "workers", "videos_per_batch", "learning_rate", "weight_decay",
        "precision", "architecture", "init", "warmup_fraction", "label_fraction",
        "held_out_fraction", "images_per_batch", "frames_per_shot", "shots_per_video",
    ],
)  # fmt: skip
def test_these_short_names_remain_unique(name):
    keywords._setting(name, TINY, footage.train)


def test_no_option_is_the_default_configuration():
    assert keywords.configured(None, EmbedConfig, {}, footage.embed) == EmbedConfig()
    assert changed() is not None


def test_a_loss_is_changed_or_replaced_by_name():
    assert changed(objective__frame_shot__weight=0.5).objective.frame_shot.weight == 0.5
    loss = changed(objective__frame_shot__loss="nce").objective.frame_shot.loss
    assert loss == NCEConfig()
    settings = {"name": "nce", "temperature": 0.3}
    config = changed(**{"objective.frame-shot.loss": settings})
    assert config.objective.frame_shot.loss == NCEConfig(temperature=0.3)
    again = changed(config, objective__frame_shot__loss__temperature=0.4)
    assert again.objective.frame_shot.loss == NCEConfig(temperature=0.4)
    given = changed(objective__frame_shot__loss=NCEConfig(temperature=0.2))
    assert given.objective.frame_shot.loss == NCEConfig(temperature=0.2)


def test_values_are_converted_like_json():
    config = changed(init=Path("runs/first"), gradient_clip=2, loggers=["tensorboard"])
    assert (config.init, config.compute.loggers) == ("runs/first", ("tensorboard",))
    assert changed(backbone__options={"width_factor": 0.5}).backbone.options == {
        "width_factor": 0.5
    }


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"step": 5}, "unknown option 'step'", "did you mean steps? `footage train --help`"),
        ({"stor": "a"}, "unknown option 'stor'", "did you mean store?"),
        ({"optimizer__lerning_rate": 1}, "unknown option", "mean optimizer__learning_rate?"),
        ({"lerning_rate": 1}, "unknown option", "did you mean optimizer__learning_rate?"),
        ({"xyz": 1}, "unknown option 'xyz'", "`footage train --help` lists all options"),
        ({"weight": 1}, "option 'weight' is ambiguous", "use one of objective__"),
        ({"optimizer": {"lr": 1}}, "unknown setting optimizer.lr", "valid settings: "),
        ({"optimizer": 5}, "optimizer must be a group of settings, got 5", "learning_rate"),
        ({"steps": "500"}, "steps must be a whole number, got '500'", "set steps to a whole"),
        ({"steps": None}, "steps must be a whole number, got None", "set steps to a whole"),
        ({"steps": 0}, "steps must be at least 1, got 0", "`footage train --help` lists"),
        ({"learning_rate": "a"}, "optimizer.learning_rate must be a number, got 'a'", "set "),
        ({"precision": "fp16"}, "precision must be 'auto' or 'bf16'", "set precision to"),
        ({"objective__frame_shot__loss": "nse"}, "loss.name 'nse'", "did you mean nce?"),
        ({"learning_rate": 1, "optimizer__learning_rate": 2}, "is set twice", "remove one"),
    ],
)
def test_a_wrong_option_is_one_clear_error(options, message, hint):
    with pytest.raises(ConfigError) as caught:
        changed(**options)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_functions_take_settings_and_refuse_wrong_ones(tmp_path):
    calls = [
        lambda: footage.ingest("videos", "OUT", wokers=2),
        lambda: footage.train("vivi-ex4-tiny", out="OUT", step=2),
        lambda: footage.evaluate("test_resnet", labels="photos", protcols=["knn"]),
        lambda: footage.embed("test_resnet", "a.jpg", out="OUT.parquet", batchsize=2),
        lambda: footage.profile("test_resnet", out="OUT", scene=2),
        lambda: footage.report("runs", out="OUT.html", querys=2),
        lambda: footage.demo(out=tmp_path / "demo", most_step=2),
    ]
    meant = ["workers", "steps", "protocols", "batch_size", "scenes", "queries", "most_steps"]
    for call, name in zip(calls, meant, strict=True):
        with pytest.raises(ConfigError, match=f"did you mean {name}"):
            call()
    assert not list(tmp_path.iterdir())


def test_every_setting_of_every_recipe_is_reachable():
    for kind in (TrainConfig, IngestConfig, EmbedConfig):
        config = kind()
        for path in keywords._settings(config):
            assert keywords._setting(path.replace(".", "__"), config, footage.train) == path
