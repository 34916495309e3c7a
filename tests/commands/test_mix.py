import dataclasses
import shutil

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from footage import cli
from footage.commands.mix import mix
from footage.commands.train import train
from footage.errors import ConfigError
from footage.evaluation.dataset import open_task
from footage.models.backbone import Backbone
from footage.models.load import load
from footage.models.mixing import COEFFICIENTS, mixed
from footage.runs import checkpoint, layout
from footage.training import stopping
from tests.support.labelled_shapes import draw_shapes
from tests.support.training import smallest, write_initial_weights


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    write_initial_weights(path)
    return path


@pytest.fixture(scope="module")
def run(start, tiny_store, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(smallest(init=str(start)), store=tiny_store.path, out=out)


def test_a_mixture_is_the_weighted_mean_of_weights_and_statistics(run, start):
    before, after = Backbone("test_resnet", size=32), load(run).backbone
    found = mixed(before, after, 0.25).network.state_dict()
    for name, value in before.network.state_dict().items():
        expected = 0.75 * value + 0.25 * after.network.state_dict()[name]
        if value.is_floating_point():
            torch.testing.assert_close(found[name], expected)
    ends = [mixed(before, after, end).network.state_dict() for end in (0.0, 1.0)]
    for end, network in zip(ends, (before.network, after.network), strict=True):
        assert all(torch.equal(end[name], value) for name, value in network.state_dict().items()
                   if value.is_floating_point())  # fmt: skip


def test_without_labels_the_held_out_videos_decide(run, monkeypatch):
    values = iter([0.1, 0.2, 0.4, 0.3, 0.2])
    monkeypatch.setattr(stopping, "score", lambda _: next(values))
    result = mix(run)
    assert result.path == run / "exports" / "mixed.safetensors"
    assert result.scores == dict(zip(COEFFICIENTS, [0.1, 0.2, 0.4, 0.3, 0.2], strict=True))
    assert result.coefficient == 0.5
    model = load(result.path)
    assert "0.5 x (step 6 of" in model.weights_origin
    assert model.preprocessing.size == 32


def test_a_run_is_mixed_if_an_earlier_version_described_its_initial_weights(
    run, tmp_path, monkeypatch
):
    kept, second = (shutil.copytree(run, tmp_path / name) for name in ("kept", "second"))
    found = checkpoint.newest(kept / layout.CHECKPOINTS)
    shutil.rmtree(found.path)
    tensors = found.tensors | {"best": found.tensors["model"]}
    state = msgspec.structs.replace(found.state, best_step=0)
    checkpoint.save(kept / layout.CHECKPOINTS, tensors, state, keep=1)
    record = layout.read_record(second)
    start = record["model"]["weights_origin"]
    monkeypatch.setattr(stopping, "score", lambda _: 0.5)

    def mixed_with(origin):
        model = record["model"] | {"weights_origin": origin}
        config = record["config"] | {"init": str(kept)}
        layout.write_record(second, record | {"model": model, "config": config})
        return mix(second).coefficient

    assert mixed_with(f"initial weights of {kept}, which early stopping kept: {start}") == 0.0
    assert mixed_with(f"step 6 of {kept}, initialised from {start}") == 0.0
    with pytest.raises(ConfigError, match="have changed"):
        mixed_with(f"step 5 of {kept}, initialised from {start}")


def test_among_equal_scores_the_mixture_is_nearest_the_initial_weights(run, start, monkeypatch):
    monkeypatch.setattr(stopping, "score", lambda _: 0.5)
    result = mix(run)
    assert result.coefficient == 0
    network = load(result.path).backbone.network.state_dict()
    for name, value in load_file(start).items():
        assert torch.equal(value, network[name]) or not value.is_floating_point(), name


def test_labels_decide_on_their_validation_part_and_the_test_part_is_never_read(
    run, tmp_path, capsys
):
    folder, out = draw_shapes(tmp_path / "shapes"), tmp_path / "mixed.safetensors"
    for path in open_task(folder).test.paths:
        path.write_bytes(b"not an image")
    assert cli.main(["mix", str(run), "--labels", str(folder), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(out)
    measure = "linear probe accuracy on the validation part of shapes"
    assert captured.err.count(measure) == len(COEFFICIENTS)
    assert captured.err.count("chosen") == 1
    assert "next: footage evaluate" in captured.err


def test_a_run_from_random_weights_has_nothing_to_mix(tiny_store, tmp_path):
    run = train(smallest(), store=tiny_store.path, out=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"started from random weights.*--init WEIGHTS"):
        mix(run)


def test_changed_initial_weights_are_refused(start, tiny_store, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(start.read_bytes())
    config = dataclasses.replace(smallest(init=str(copy)), steps=1)
    run = train(config, store=tiny_store.path, out=tmp_path / "run")
    torch.manual_seed(5)
    save_file(Backbone("test_resnet", size=32).network.state_dict(), copy)
    with pytest.raises(ConfigError, match=r"initial weights.*have changed"):
        mix(run)
