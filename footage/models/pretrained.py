"""Fetch the weights of a timm tag, as safetensors and never as a pickle.

    resnet50.a1_in1k  -->  https://huggingface.co/timm/resnet50.a1_in1k, file model.safetensors

    hf-hub:owner/name  -->  https://huggingface.co/owner/name, files config.json, model.safetensors

For a transformers repository, also preprocessor_config.json if there is one, and the files that
model.safetensors.index.json lists if the weights are sharded.

These are the only downloads of weights in footage. They happen when a name is first used. The
files then stay in the cache of huggingface_hub (`HF_HOME`) and are used offline;
`HF_HUB_OFFLINE=1` forbids the download. (huggingface_hub also fetches a small list of its own,
`/api/agent-harnesses`, at most once a day.)

timm itself would also read `pytorch_model.bin` and other pickles. Therefore it receives the file
instead of the name of a repository.
"""

import logging
import re
import socket
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import (
    _CACHED_NO_EXIST,
    constants,
    hf_hub_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

import footage._torchvision_compat  # noqa: F401  (must come before timm)
from footage.errors import ConfigError
from footage.models import networks
from footage.models.transformers_config import CONFIG, INDEX, PREPROCESSOR, WEIGHTS, files_of_index
from footage.runs import records

import timm  # isort: skip

SECONDS_TO_ANSWER: Final = 10.0

log = logging.getLogger(__name__)

_SUFFIX: Final = ".safetensors"
_REPOSITORY: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def fetch(architecture: str) -> Path:
    """Return the safetensors file of a tagged timm name, downloaded if necessary.

    Raises:
        ConfigError: There is no such tag, its weights are not published as safetensors, or they
            are not on this machine and cannot be fetched.
    """
    cfg = _published(architecture)
    if cfg.file:  # registered in this process by the user's own code
        if not str(cfg.file).endswith(_SUFFIX):
            raise _only_pickled(architecture, str(cfg.file))
        return Path(cfg.file)
    if not cfg.hf_hub_id:
        raise _only_pickled(architecture, cfg.url or "nowhere")
    repository, _, revision = cfg.hf_hub_id.partition("@")
    filename = cfg.hf_hub_filename or f"model{_SUFFIX}"
    if not filename.endswith(_SUFFIX):
        filename = f"{filename.rpartition('.')[0]}{_SUFFIX}"
    cached = try_to_load_from_cache(repository, filename, revision=revision or None)
    if isinstance(cached, str):
        return Path(cached)
    _check_reachable(architecture)
    try:
        return Path(hf_hub_download(repository, filename, revision=revision or None))
    except LocalEntryNotFoundError as error:
        raise _out_of_reach(architecture, error) from error
    except EntryNotFoundError as error:
        raise _only_pickled(architecture, f"https://huggingface.co/{repository}") from error
    except OSError as error:
        raise _out_of_reach(architecture, error) from error


def fetch_repository(name: str) -> Path:
    """Return the local folder of a timm or transformers repository, downloaded if necessary.

    Args:
        name: Owner and name on the Hugging Face Hub, such as "timm/resnet50.a1_in1k".

    Raises:
        ConfigError: The repository does not exist or lacks a file, or it is not on this machine and
            cannot be fetched.
    """
    config = _file(name, CONFIG)
    version = config.parent.name  # all files come from one commit
    if not records.KIND.read(config).is_transformers:
        _file(name, WEIGHTS, version)
        return config.parent
    try:
        _file(name, PREPROCESSOR, version)
    except ConfigError as error:  # usual values are used, with a warning
        log.info("%s", error.message)
    if isinstance(try_to_load_from_cache(name, INDEX, revision=version), str):
        _fetch_shards(name, version)
        return config.parent
    try:
        _file(name, WEIGHTS, version)
    except _NotPublishedError as error:
        try:
            _fetch_shards(name, version)
        except _NotPublishedError:
            raise error from None
    return config.parent


def _fetch_shards(name: str, version: str) -> None:
    for shard in files_of_index(_file(name, INDEX, version)):
        _file(name, shard, version)


class _NotPublishedError(ConfigError):
    """A repository lacks a file."""


def _file(name: str, filename: str, version: str | None = None) -> Path:
    """Return one file of a repository from the cache, or download it."""
    if not _REPOSITORY.fullmatch(name):
        raise ConfigError(
            f"{name[:200]!r} is not the name of a Hugging Face repository",
            "write hf-hub:OWNER/NAME, such as hf-hub:timm/resnet50.a1_in1k",
        )
    cached = try_to_load_from_cache(name, filename, revision=version)
    if isinstance(cached, str):
        return Path(cached)
    absent = _NotPublishedError(
        f"the Hugging Face repository {name!r} does not exist or has no {filename}",
        "check the name; footage reads timm and transformers repositories that contain"
        " a config.json and safetensors",
    )
    if cached is _CACHED_NO_EXIST:
        raise absent
    _check_reachable(name)
    try:
        return Path(hf_hub_download(name, filename, revision=version))
    except LocalEntryNotFoundError as error:
        raise _out_of_reach(name, error) from error
    except (EntryNotFoundError, RepositoryNotFoundError) as error:
        raise absent from error
    except OSError as error:
        raise _out_of_reach(name, error) from error


def _published(architecture: str) -> Any:  # noqa: ANN401 (timm's PretrainedCfg)
    name = networks.check(architecture, {})
    try:
        cfg = timm.get_pretrained_cfg(architecture)
    except RuntimeError:  # timm raises this for an unknown tag
        cfg = None
    if cfg is None:
        tags = timm.list_models(f"{name}.*", pretrained=True)
        raise ConfigError(
            f"timm has no weights {architecture!r}",
            f"choose one of: {', '.join(tags)}" if tags else f"{name!r} has random weights only",
        )
    return cfg


def _check_reachable(architecture: str) -> None:
    """Fail immediately if weights cannot be fetched: the client would retry for minutes.

    Behind a proxy, names may not resolve on this machine, so the check is left to the client.
    """
    if getproxies():
        return
    address = urlsplit(constants.ENDPOINT)
    port = address.port or {"http": 80}.get(address.scheme, 443)
    try:
        socket.create_connection((address.hostname or "", port), SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise _out_of_reach(architecture, f"{address.hostname}: {error}") from error


def _out_of_reach(architecture: str, reason: object) -> ConfigError:
    name = architecture.partition(".")[0]
    alone = "" if "/" in architecture else f"; {name!r} alone has random weights"
    why = " ".join(str(reason).split())[:300]
    return ConfigError(
        f"the weights of {architecture!r} are not on this machine and cannot be fetched ({why})",
        f"connect to the internet, or copy the Hugging Face cache from another machine{alone}",
    )


def _only_pickled(architecture: str, place: str) -> ConfigError:
    return ConfigError(
        f"the weights of {architecture!r} are not published as safetensors ({place}), and footage"
        " never unpickles",
        "convert them to safetensors where you trust them, then give that file:"
        " --init weights.safetensors",
    )
