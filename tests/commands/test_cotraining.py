"""Training with labelled images, without videos, from other weights: the verb, run for real."""

import dataclasses
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from footage import cli
from footage.commands.export import export
from footage.commands.report import report
from footage.commands.train import train
from footage.data.config import SamplingConfig
from footage.errors import CheckpointError, ConfigError
from footage.models.config import BackboneConfig
from footage.models.load import load
from footage.objectives.config import FrameShotConfig, SupervisedConfig
from footage.recipes.methods import recipe
from footage.runs import checkpoint, layout
from footage.training.config import LabelledConfig
from footage.training.datasets import open_data
from tests.support.training import AS_OPTIONS, in_two_processes, smallest


def co_training(**changes):
    config = smallest()
    objective = dataclasses.replace(config.objective, supervised=SupervisedConfig(weight=1.0))
    small = {"objective": objective, "labelled": LabelledConfig(images_per_batch=4)}
    return smallest(**{**small, **changes})


def _values(run):
    return [line["levels"] for line in layout.read_metrics(run) if "levels" in line]


def _weights(run):
    return checkpoint.newest(run / layout.CHECKPOINTS).tensors["model"]


@pytest.fixture(scope="module")
def run(tiny_store, shapes_folder, tmp_path_factory):
    return train(
        co_training(label_fraction=0.5),
        store=tiny_store.path,
        labels=shapes_folder,
        out=tmp_path_factory.mktemp("co") / "run",
        recipe="vivi-ex4-co-tiny",
    )


def test_a_co_trained_run_records_its_labels(run, shapes_folder):
    record = layout.read_record(run)
    assert record["images"] == str(shapes_folder)
    assert record["classes"] == ["bars", "disc", "slab"]
    assert record["labels_used"] == 60
    assert list(record["chance"]) == list(_values(run)[0])
    assert list(_values(run)[0])[-1] == "supervised"
    listed = (run / layout.LABELS).read_text()
    assert listed.count("\n") == 60
    assert listed.count("\tdisc\n") == 20


def test_the_videos_do_not_notice_the_labels_before_the_first_step(run, tiny_store, tmp_path):
    alone = train(smallest(steps=1), store=tiny_store.path, out=tmp_path / "alone")
    with_labels = _values(run)[0]
    assert {name: with_labels[name] for name in _values(alone)[0]} == _values(alone)[0]


def test_a_co_trained_run_goes_on_to_the_last_bit(tiny_store, shapes_folder, tmp_path):
    command = [
        "train", "vivi-ex4-co-tiny", "--store",
        str(tiny_store.path), "--labels", str(shapes_folder), "--label-fraction", "0.5",
        *AS_OPTIONS,
        "--labelled.images-per-batch", "4", "--steps", "6", "--checkpoint-every", "2", "--out",
    ]  # fmt: skip
    straight, killed, again = (tmp_path / name for name in ("straight", "killed", "again"))
    assert cli.main([*command, str(straight)]) == 0
    shutil.copytree(straight, killed)
    shutil.rmtree(killed / layout.CHECKPOINTS / "step-00000006")
    assert cli.main([*command, str(killed)]) == 0
    assert cli.main(["train", "--from", str(straight / layout.RUN), "--out", str(again)]) == 0
    for out in (killed, again):
        assert _values(out) == _values(straight)
        for name, value in _weights(straight).items():
            assert torch.equal(_weights(out)[name], value), name


def test_two_processes_co_train_as_one(tiny_store, shapes_folder, tmp_path):
    # a network without batch norm, whose statistics are each process's own
    options = [
        "--backbone.architecture", "test_vit", "--sampling.videos-per-batch", "4", "--precision",
        "fp32", "--sampling.frames-per-shot", "2", "--augment.size", "32", "--compute.workers", "1",
        "--held-out-fraction", "0.3", "--compute.threads", "1", "--steps", "4",
        "--labelled.images-per-batch", "4",
    ]  # fmt: skip
    command = ["train", "vivi-ex4-co-tiny", "--store", str(tiny_store.path)]
    command += ["--labels", str(shapes_folder), *options, "--out"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert cli.main([*command, str(one)]) == 0
    in_two_processes([*command, str(two)])
    for ours, theirs in zip(_values(one), _values(two), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-4)
    for name, value in _weights(one).items():
        torch.testing.assert_close(_weights(two)[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["sup", "sup-rot", "sup-ex", "semi-ex"])
def test_the_baselines_learn_from_images_alone(name, shapes_folder, tmp_path):
    config = recipe(f"{name}-tiny")
    sampling = config.sampling
    if config.unlabelled_source == "images":
        sampling = dataclasses.replace(sampling, videos_per_batch=4)
    small = smallest(
        objective=config.objective,
        unlabelled_source=config.unlabelled_source,
        label_fraction=config.label_fraction,
        sampling=sampling,
        labelled=LabelledConfig(images_per_batch=4),
        steps=2,
    )
    run = train(small, labels=shapes_folder, out=tmp_path / "run")
    expected = {"sup": [], "sup-rot": ["frame/rotation"]}.get(name, ["frame/exemplar"])
    assert [list(values) for values in _values(run)] == [[*expected, "supervised"]] * 2
    record = layout.read_record(run)
    assert record["store"] == ""
    assert record["labels_used"] == (12 if name == "semi-ex" else 120)
    probed = [line["probe"] for line in layout.read_metrics(run) if line.get("probe")]
    assert len(probed) == (0 if name == "sup" else 2)


def test_a_page_about_runs_with_and_without_videos(run, shapes_folder, tmp_path):
    labels_only = dataclasses.replace(
        co_training(steps=1).objective, **{
            level: dataclasses.replace(getattr(smallest().objective, level), weight=0.0)
            for level in ("frame_shot", "future", "order")
        },
    )  # fmt: skip
    config = co_training(steps=1, objective=labels_only)
    sup = train(config, labels=shapes_folder, out=tmp_path / "sup")
    both = report([sup, run], out=tmp_path / "both.html").path.read_text()
    assert "shapes (" in both
    assert "60 labels" in both
    alone = report([sup], out=tmp_path / "alone.html").path.read_text()
    assert "None of these runs was trained on videos." in alone


def test_what_is_missing_or_too_much_is_said_with_its_cure(tiny_store, shapes_folder, tmp_path):
    given = {"store": tiny_store.path, "labels": shapes_folder}
    sup = recipe("sup-tiny")
    for config, options, message in (
        (smallest(), {}, r"this recipe needs a frame store.*--store STORE"),
        (smallest(), given, r"supervised.weight is 0.*vivi-ex4-co"),
        (co_training(), {"store": tiny_store.path}, r"no labelled images.*--labels DIR"),
        (sup, given, r"--store .* has no effect: this recipe trains on images only"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(config, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_batch_of_more_images_than_there_are_is_capped(shapes_folder, caplog):
    semi = recipe("semi-ex-tiny")
    many = dataclasses.replace(semi.sampling, videos_per_batch=121)
    data = open_data(dataclasses.replace(semi, sampling=many), "", shapes_folder)
    assert data.config.sampling.videos_per_batch == 120
    assert "121" in caplog.text
    assert "120" in caplog.text


def test_images_have_one_shot_of_one_frame():
    semi = recipe("semi-ex-tiny")
    for name in ("shots_per_video", "frames_per_shot"):
        sampling = dataclasses.replace(semi.sampling, **{name: 2})
        with pytest.raises(ConfigError, match=rf"one frame per image, but sampling\.{name} is 2"):
            dataclasses.replace(semi, sampling=sampling)


def test_another_share_of_labels_is_another_run(run, tiny_store, shapes_folder):
    with pytest.raises(ConfigError, match=r"label_fraction: 0.5 there, 1.0 here"):
        train(co_training(), store=tiny_store.path, labels=shapes_folder, out=run)


def test_a_run_continues_from_another_with_its_heads(run, tiny_store, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="footage")
    config = smallest(init=str(run), steps=1)
    further = train(config, store=tiny_store.path, out=tmp_path / "further")
    assert "loaded heads: frame_shot, future, order" in caplog.text
    assert layout.read_record(further)["model"]["weights_origin"].startswith("step 6 of")
    # batch 0 again, now with the weights of step 6
    before, after = _values(run)[0]["shot/exemplar"], _values(further)[0]["shot/exemplar"]
    assert after != before
    narrower = dataclasses.replace(
        config, objective=dataclasses.replace(
            config.objective, frame_shot=FrameShotConfig(embedding_dim=16)
        ),
    )  # fmt: skip
    train(narrower, store=tiny_store.path, out=tmp_path / "narrower")
    assert "loaded heads: future, order" in caplog.text
    assert "reinitialised heads: frame_shot" in caplog.text


def test_a_classifier_is_taken_over_for_the_same_classes_only(
    run, tiny_store, shapes_folder, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="footage")
    config = co_training(init=str(run), steps=1)
    others = shutil.copytree(shapes_folder, tmp_path / "others")
    (others / "disc").rename(others / "ring")
    for images, told in (
        (shapes_folder, "loaded heads: frame_shot, future, order, supervised"),
        (others, "reinitialised heads: supervised"),
    ):
        out = tmp_path / f"out-{images.name}"
        train(config, store=tiny_store.path, labels=images, out=out)
        assert told in caplog.text


def test_the_weights_before_the_first_step_are_those_given(run, tiny_store, tmp_path):
    exported = export(str(run), to="safetensors", out=str(tmp_path / "backbone.safetensors")).path
    bare = tmp_path / "bare.safetensors"
    save_file(load_file(exported), bare)  # without the words that say what it is
    starts = []
    for init in (str(run), str(exported), str(bare)):
        out = tmp_path / f"from-{len(starts)}"
        train(smallest(init=init, steps=1), store=tiny_store.path, out=out)
        starts.append(layout.read_metrics(out)[0]["probe"])
    assert starts[0] == starts[1] == starts[2]
    untrained = train(smallest(steps=1), store=tiny_store.path, out=tmp_path / "untrained")
    assert layout.read_metrics(untrained)[0]["probe"] != starts[0]


def test_the_architecture_is_that_of_the_given_weights(run, tiny_store, tmp_path):
    config = smallest(init=str(run), steps=1, backbone=BackboneConfig(architecture="test_vit"))
    further = train(config, store=tiny_store.path, out=tmp_path / "further")
    assert layout.read_record(further)["config"]["backbone"]["architecture"] == "test_resnet"
    train(config, store=tiny_store.path, out=further)  # and the same command resumes


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        ("resnet50", ConfigError, r"does not name any weights.*resnet50\.a1_in1k"),
        ("runs/nowhere", CheckpointError, "model not found"),
    ],
)
def test_weights_that_are_not_there_are_refused(init, error, message, tiny_store, tmp_path):
    with pytest.raises(error, match=message):
        train(smallest(init=init), store=tiny_store.path, out=tmp_path / "run")


def test_self_distillation_keeps_its_teacher(tiny_store, tmp_path):
    objective = recipe("vivi-dino-tiny").objective
    loss = dataclasses.replace(objective.frame_shot.loss, teacher_decay=0.5)
    level = dataclasses.replace(objective.frame_shot, embedding_dim=64, loss=loss)
    config = smallest(objective=dataclasses.replace(objective, frame_shot=level))
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    weights = _weights(run)
    kept = load(str(run)).backbone.network.state_dict()
    for name, value in kept.items():
        assert torch.equal(value, weights[f"teacher.network.{name}"]), name
    name = next(name for name in kept if name.endswith("weight"))
    assert not torch.equal(kept[name], weights[f"backbone.network.{name}"])
    shutil.copytree(run, tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / layout.CHECKPOINTS / "step-00000006")
    train(config, store=tiny_store.path, out=tmp_path / "killed")
    again = _weights(tmp_path / "killed")
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


def test_a_vision_transformer_is_one_override(tiny_store, tmp_path):
    config = smallest(backbone=BackboneConfig(architecture="vit_small_patch16_224"), steps=2)
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    model = load(str(run))
    assert model.backbone.feature_dim == 384
    assert model.backbone(torch.zeros(2, 3, 32, 32)).shape == (2, 384)


@pytest.mark.parametrize("name", ["vivi-rot", "vivi-nce", "vivi-vicreg", "frames-as-images"])
def test_the_other_methods_train(name, tiny_store, tmp_path):
    config = recipe(f"{name}-tiny")
    frames, views = config.sampling.frames_per_shot, config.sampling.views_per_frame
    sampling = SamplingConfig(
        videos_per_batch=3,
        shots_per_video=4,
        frames_per_shot=min(frames, 2),
        views_per_frame=min(views, 2),
        structure=config.sampling.structure,
    )
    small = smallest(objective=config.objective, sampling=sampling, steps=2)
    run = train(small, store=tiny_store.path, out=tmp_path / "run")
    assert len(_values(run)) == 2
