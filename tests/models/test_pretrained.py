import dataclasses
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from footage.errors import ConfigError
from footage.models import pretrained
from footage.models.backbone import build, timm
from footage.models.config import BackboneConfig
from footage.models.initial_weights import initial_weights
from footage.models.load import load
from tests.support.hand_made_runs import write_pickle_that_marks

TAG = "test_resnet.r160_in1k"


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No proxy, no cache, and no server that answers."""

    def refuse(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def cached(cache, repository):
    """The folder of one version of a repository in a Hugging Face cache."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.mark.usefixtures("no_network")
def test_a_repository_in_the_cache_is_read_without_network(tmp_path):
    network = timm.create_model("test_resnet", num_classes=5)
    folder = cached(tmp_path, "someone/trained")
    timm.models.save_for_hf(network, folder, safe_serialization="both")
    for given in (pretrained.fetch_repository("someone/trained"), folder):
        assert given == folder
    model = load("hf-hub:someone/trained")
    assert model.weights_origin == "weights of hf-hub:someone/trained"
    weights = network.state_dict()
    for name, value in model.backbone.network.state_dict().items():
        assert torch.equal(value, weights[name]), name
    config = BackboneConfig(architecture="test_resnet")
    initial = initial_weights(config, "hf-hub:someone/trained", size=32, seed=0)
    assert initial.description == model.weights_origin


class _Transformers(http.server.BaseHTTPRequestHandler):
    """A hub with one transformers repository, whose weights are in two files."""

    files: dict[str, bytes]
    requested: list[str]

    def do_HEAD(self):
        name = self.path.rpartition("/")[2]
        self.requested.append(name)
        found = self.files.get(name)
        self.send_response(404 if found is None else 200)
        self.send_header("X-Repo-Commit", "b" * 40)
        if found is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_header("ETag", f'"{name}"')
            self.send_header("Content-Length", str(len(found)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.files.get(self.path.rpartition("/")[2], b""))

    def log_message(self, *_):
        pass


def environment(server: http.server.HTTPServer, folder: Path) -> dict[str, str]:
    """Variables of a process whose Hub is a local server, with an empty cache."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    endpoint = f"http://127.0.0.1:{server.server_port}"
    return kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home")}


def test_a_transformers_repository_is_fetched_with_its_preprocessing_and_shards(tmp_path):
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    published = {
        "config.json": json.dumps({"model_type": "vit"}).encode(),
        "preprocessor_config.json": b"{}",
        "model.safetensors.index.json": json.dumps({"weight_map": shards}).encode(),
        **dict.fromkeys(shards.values(), b"weights"),
    }
    requested: list[str] = []
    handler = type("Hub", (_Transformers,), {"files": published, "requested": requested})
    fetch = (
        "from footage.models.pretrained import fetch_repository;"
        "print(fetch_repository('someone/vit'))"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [sys.executable, "-c", fetch],
            capture_output=True, text=True, check=False, env=environment(server, tmp_path),
        )  # fmt: skip
        server.shutdown()
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.name == "b" * 40
    assert {path.name for path in folder.iterdir()} == set(published)


@pytest.mark.usefixtures("no_network")
def test_shards_in_the_cache_are_used_without_network(tmp_path):
    folder = cached(tmp_path, "someone/vit")
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-1.safetensors"}})
    )
    with pytest.raises(ConfigError, match="cannot be fetched"):
        pretrained.fetch_repository("someone/vit")
    (folder / "model-1.safetensors").write_bytes(b"weights")
    assert pretrained.fetch_repository("someone/vit") == folder


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("someone/absent", "'someone/absent' are not on this machine and cannot be fetched"),
        ("someone", "'someone' is not the name of a Hugging Face repository"),
        ("../../etc/passwd", "is not the name of a Hugging Face repository"),
    ],
)
def test_a_repository_that_cannot_be_fetched_is_one_error(name, message):
    with pytest.raises(ConfigError, match=message):
        load(f"hf-hub:{name}")


@pytest.mark.usefixtures("no_network")
def test_weights_that_cannot_be_fetched_are_one_error_at_once(capfd):
    config = BackboneConfig(architecture=TAG)
    with pytest.raises(ConfigError) as caught:
        build(config, size=64, seed=0, use_tag=True)
    assert caught.value.message.startswith(
        f"the weights of {TAG!r} are not on this machine and cannot be fetched ("
    )
    assert "\n" not in caught.value.message
    assert "'test_resnet' alone has random weights" in caught.value.hint
    assert capfd.readouterr().err == ""
    build(BackboneConfig(architecture="test_resnet"), size=64, seed=0)


@pytest.mark.usefixtures("no_network")
def test_weights_in_the_cache_are_used_without_a_network(tmp_path):
    given = timm.create_model("test_resnet", num_classes=1000)
    save_file(given.state_dict(), cached(tmp_path, f"timm/{TAG}") / "model.safetensors")
    backbone, origin = build(BackboneConfig(architecture=TAG), size=64, seed=0, use_tag=True)
    assert origin == f"timm weights of {TAG}"
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(value, given.state_dict()[name]), name


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.pth", "model.pth"])
def test_a_pickle_in_the_cache_is_not_read(tmp_path, name):
    marker = tmp_path / "marker"
    write_pickle_that_marks(cached(tmp_path, f"timm/{TAG}") / name, marker)
    with pytest.raises(ConfigError, match="not on this machine"):
        build(BackboneConfig(architecture=TAG), size=64, seed=0, use_tag=True)
    assert not marker.exists()


class _OnlyPickles(http.server.BaseHTTPRequestHandler):
    """A hub whose repositories contain only pytorch_model.bin."""

    pickled = b""
    requested: list[str]

    def do_HEAD(self):
        self.requested.append(self.path)
        found = self.path.endswith("pytorch_model.bin")
        self.send_response(200 if found else 404)
        self.send_header("X-Repo-Commit", "a" * 40)
        if found:
            self.send_header("ETag", '"x"')
            self.send_header("Content-Length", str(len(self.pickled)))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        if self.path.endswith("pytorch_model.bin"):
            self.wfile.write(self.pickled)

    def log_message(self, *_):
        pass


def test_a_pickle_on_the_hub_is_never_requested(tmp_path):
    marker = tmp_path / "marker"
    pickled = write_pickle_that_marks(tmp_path / "evil.bin", marker).read_bytes()
    requested: list[str] = []
    handler = type("Hub", (_OnlyPickles,), {"pickled": pickled, "requested": requested})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [sys.executable, "-m", "footage", "export", TAG, "--to", "timm",
             "--out", str(tmp_path / "out")],
            capture_output=True, text=True, check=False, env=environment(server, tmp_path),
        )  # fmt: skip
        server.shutdown()
    assert done.returncode == 1, done.stderr
    assert "are not published as safetensors (https://huggingface.co/timm/" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hint: convert them to safetensors")
    files = [path for path in requested if path.startswith("/timm/")]
    assert {Path(path).name for path in files} == {"model.safetensors"}
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{"hf_hub_id": None, "url": "https://example.org/x.pth"}])
def test_weights_that_are_pickles_elsewhere_are_refused(monkeypatch, changes):
    tags = timm.models._registry._model_pretrained_cfgs
    monkeypatch.setitem(tags, TAG, dataclasses.replace(tags[TAG], **changes))
    with pytest.raises(ConfigError, match="not published as safetensors"):
        pretrained.fetch(TAG)


def test_a_registered_file_that_is_a_pickle_is_refused(monkeypatch, tmp_path):
    marker = tmp_path / "marker"
    evil = write_pickle_that_marks(tmp_path / "evil.pth", marker)
    tags = timm.models._registry._model_pretrained_cfgs
    monkeypatch.setitem(tags, TAG, dataclasses.replace(tags[TAG], file=str(evil)))
    with pytest.raises(ConfigError, match="not published as safetensors"):
        build(BackboneConfig(architecture=TAG), size=64, seed=0, use_tag=True)
    assert not marker.exists()


def test_an_unknown_tag_is_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"timm has no weights 'resnet18\.nobody'") as caught:
        pretrained.fetch("resnet18.nobody")
    assert "resnet18.a1_in1k" in caught.value.hint


def test_damaged_weights_are_one_error(monkeypatch, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not weights")
    tags = timm.models._registry._model_pretrained_cfgs
    damaged = dataclasses.replace(tags[TAG], file=str(Path(tmp_path / "x.safetensors")))
    monkeypatch.setitem(tags, TAG, damaged)
    with pytest.raises(ConfigError, match="timm cannot create"):
        build(BackboneConfig(architecture=TAG), size=64, seed=0, use_tag=True)
