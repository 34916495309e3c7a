"""Runs and results in a bucket equal local ones, and are resumable on any machine."""

import shutil

import fsspec
import pytest

from footage import cli
from footage.commands.embed import embed
from footage.commands.evaluate import evaluate
from footage.commands.export import export
from footage.commands.report import report
from footage.commands.train import train
from footage.errors import BusyError, CheckpointError, OutputError
from footage.evaluation.config import EvaluateConfig
from footage.io import remote_lock
from footage.io.copies import LocalCopy, pulled, with_urls
from footage.models.load import load
from footage.runs import layout
from tests.object_storage.test_stores import upload
from tests.support.object_store import DENIED, KEY, SECRET, locked_elsewhere
from tests.support.training import losses, smallest


@pytest.fixture
def store(bucket, tiny_store):
    """A store in the bucket."""
    upload(tiny_store.path, f"{bucket}/store")
    return f"{bucket}/store"


@pytest.fixture(scope="session")
def local_run(tiny_store, tmp_path_factory):
    """A run that neither reads nor writes a bucket."""
    return train(smallest(), out=tmp_path_factory.mktemp("runs") / "local", store=tiny_store.path)


def as_local(url, tmp_path):
    """Copy a remote folder without the code under test."""
    folder = tmp_path / "downloaded"
    shutil.rmtree(folder, ignore_errors=True)
    fsspec.filesystem("s3").get(url, str(folder), recursive=True)
    return folder


def test_training_from_and_to_a_bucket_equals_a_local_run(
    bucket, server, store, local_run, tmp_path
):
    server.requests.clear()
    train(smallest(), out=f"{bucket}/run", store=store)
    run = as_local(f"{bucket}/run", tmp_path)
    assert losses(run) == losses(local_run)
    assert layout.read_record(run)["store"] == store
    read = [(one.path, one.range) for one in server.requests if "/frames/" in one.path]
    assert 0 < len(read) == len(set(read)), "each range is read once, whatever the number of epochs"


def test_run_is_resumed_from_the_bucket_with_an_empty_cache(
    bucket, store, local_run, tmp_path, monkeypatch
):
    train(smallest(steps=2), out=f"{bucket}/run", store=store)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path / "another"))
    train(smallest(), out=f"{bucket}/run", store=store)
    run = as_local(f"{bucket}/run", tmp_path)
    assert sorted(losses(run)) == sorted(losses(local_run))
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == sorted(
        path.name for path in (local_run / "checkpoints").iterdir()
    )


def test_only_one_machine_trains_in_a_remote_run_at_a_time(bucket, store, monkeypatch):
    url = f"{bucket}/run"
    with (
        locked_elsewhere(url),
        pytest.raises(BusyError, match=f"'{url}' is being written by process 1 on another-machine"),
    ):
        train(smallest(steps=1), out=url, store=store)
    system = fsspec.filesystem("s3")
    assert system.find(url) == [f"{url}/.lock".removeprefix("s3://")], "nothing else was written"
    monkeypatch.setattr(remote_lock, "ABANDONED_SECONDS", 1.0)
    train(smallest(steps=1), out=url, store=store)  # the other machine does not answer
    system.invalidate_cache()
    assert system.exists(f"{url}/run.json")
    assert not system.exists(f"{url}/.lock")


def test_checkpoint_that_cannot_be_uploaded_is_tried_again(bucket, server, store, caplog):
    def disturb(request):
        is_second = request.method == "PUT" and "step-00000002" in request.path
        return DENIED * (is_second and "training continues" not in caplog.text)

    with server.disturbed(disturb) as hit:
        train(smallest(steps=4), out=f"{bucket}/run", store=store)
    assert hit
    assert "access is denied" in caplog.text
    assert "all steps since step 0 are unsaved" in caplog.text
    assert any("step-00000004" in name for name in server.files(f"{bucket}/run"))


def test_last_checkpoint_that_cannot_be_uploaded_is_an_error(bucket, server, store):
    def disturb(request):
        return DENIED * (request.method == "PUT" and "checkpoints" in request.path)

    with (
        server.disturbed(disturb),
        pytest.raises(OutputError, match=rf"'{bucket}/run/checkpoints/.*access is denied"),
    ):
        train(smallest(steps=2), out=f"{bucket}/run", store=store)


def test_results_are_written_next_to_a_remote_run(
    bucket, server, store, local_run, shapes_folder, tmp_path, capsys
):
    run = f"{bucket}/run"
    upload(local_run, run)
    images = sorted(str(path) for path in shapes_folder.rglob("*.png"))[:3]
    evaluate(run, labels=str(shapes_folder), config=EvaluateConfig(protocols=("knn",)))
    exported = export(run, to="timm")
    embed(run, images, out=f"{bucket}/out/features.parquet")
    report([run], out=f"{bucket}/out/report.html")
    names = set(server.files(bucket))
    written = {"run/exports/timm/model.safetensors", "out/features.parquet", "out/report.html"}
    assert written <= names
    assert any(name.startswith("run/evaluations/") for name in names)
    assert with_urls(str(exported.path)) == f"{run}/exports/timm"
    assert "<title>footage report" in server.files(f"{bucket}/out")["report.html"].decode()
    assert load(pulled(run)).name == run

    everything = b"".join(server.files(bucket).values()) + capsys.readouterr().err.encode()
    for secret in (KEY, SECRET, str(tmp_path / "cache")):
        assert secret.encode() not in everything


def test_profile_of_a_remote_store_is_written_to_the_bucket(bucket, server, store):
    code = cli.main(
        ["profile", "test_resnet", "--store", store, "--out", f"{bucket}/profile", "--size", "32"]
    )
    assert code == 0
    assert set(server.files(f"{bucket}/profile")) == {"profile.json", "profile.svg"}


def test_command_line_names_urls_only(bucket, store, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = f"{bucket}/run"
    train(smallest(steps=2), out=run, store=store)
    assert cli.main(["export", run, "--to", "safetensors"]) == 0
    assert capsys.readouterr().out == f"{run}/exports/backbone.safetensors\n"
    assert cli.main(["evaluate", f"{bucket}/none", "--held-out"]) == 1
    error, _ = capsys.readouterr().err.splitlines()[-2:]
    assert f"{bucket}/none" in error
    assert "cache" not in error


def test_missing_remote_model_is_named(bucket):
    with pytest.raises(CheckpointError, match=f"'{bucket}/none'"):
        export(f"{bucket}/none", to="timm")


def test_local_copy_follows_what_others_change(bucket, server, tmp_path):
    system = fsspec.filesystem("s3")
    system.pipe_file(f"{bucket}/a/kept", b"1")
    system.pipe_file(f"{bucket}/a/changed", b"1")
    system.pipe_file(f"{bucket}/a/removed", b"1")
    copy = LocalCopy(f"{bucket}/a")
    copy.pull()
    system.pipe_file(f"{bucket}/a/changed", b"2")
    system.rm(f"{bucket}/a/removed")
    (copy.folder / "own").write_bytes(b"3")
    (copy.folder / ".lock").write_bytes(b"")
    server.requests.clear()
    copy.pull()
    assert {path.name: path.read_bytes() for path in copy.folder.iterdir()} == {
        "kept": b"1", "changed": b"2", "own": b"3", ".lock": b"",
    }  # fmt: skip
    reads = [one.path for one in server.requests if one.method == "GET"]
    assert all("list-type" in path or path.endswith("changed") for path in reads)

    (copy.folder / "kept").unlink()
    copy.push()
    assert server.files(f"{bucket}/a") == {"changed": b"2", "own": b"3"}
    server.requests.clear()
    copy.push()
    assert not [one for one in server.requests if one.method in ("PUT", "DELETE")]
