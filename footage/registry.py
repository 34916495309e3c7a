"""Registries: the extension points of footage, each a mapping from names to classes or functions.

    losses        @register_loss("name", title="Title")     footage.objectives.losses.base
    levels        @register_level("name", title="Title")    footage.objectives.levels.base
    detectors     @register_detector("name")                footage.video.detectors.base
    exporters     @register_exporter("name")                footage.models.export.base
    loggers       @register_logger("name")                  footage.training.loggers.base
    executors     @register_executor("name")                footage.processes.executors
    backbones     @register_backbone("name")                footage.models.options

Built-in losses, detectors, exporters and loggers are the modules of their packages.

A plugin is a Python file or module that registers entries when it is imported. It is selected by
`--plugin NAME` on the command line, by the environment variable FOOTAGE_PLUGINS (separated by
commas), or by an entry point of the group `footage.plugins` in an installed package.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Generic, TypeVar

from footage.errors import ConfigError, UnknownNameError

Entry = TypeVar("Entry")

GROUP: Final = "footage.plugins"
"""Entry points of this group name modules that are imported as plugins."""

VARIABLE: Final = "FOOTAGE_PLUGINS"
"""Environment variable with the plugins of this process and of the processes that it starts."""


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name; built-in ones are registered by a package, others by plugins.

    Args:
        kind: What an entry is, for messages, such as "loss".
        package: The package whose modules register the built-in entries; empty for none.
    """

    def __init__(self, kind: str, package: str = "") -> None:
        self._kind = kind
        self._package = package
        self._entries: dict[str, Entry] = {}
        self._is_complete = not package

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises:
            ConfigError: Another entry has this name.
        """
        if self._entries.get(name, entry) is not entry:
            raise ConfigError(f"{self._kind} {name!r} is registered twice", "rename one of them")
        self._entries[name] = entry

    def find(self, name: str) -> Entry:
        """Return the entry of this name.

        Raises:
            UnknownNameError: It does not exist; the hint suggests others.
        """
        entries = self._complete()
        if name not in entries:
            raise UnknownNameError(self._kind, name, sorted(entries))
        return entries[name]

    def __getitem__(self, name: str) -> Entry:
        return self._complete()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._complete())

    def _complete(self) -> dict[str, Entry]:
        if not self._is_complete:
            self._is_complete = True
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
        load_plugins()
        return self._entries


_loaded: set[str] = set()


def load_plugins(names: Iterable[str] = ()) -> None:
    """Import plugins, once each: those named, those of the environment, and installed ones.

    Args:
        names: Modules or Python files. Processes that this one starts import them, too.

    Raises:
        ConfigError: A plugin cannot be imported.
    """
    given = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    given += [_absolute(name) for name in names if _absolute(name) not in given]
    for name in given:
        _import(name)
    if given:
        os.environ[VARIABLE] = ",".join(given)
    if GROUP not in _loaded:
        _loaded.add(GROUP)
        for point in importlib.metadata.entry_points(group=GROUP):
            _import(point.module)


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if name.endswith(".py") else name


def _import(name: str) -> None:
    if name in _loaded:
        return
    _loaded.add(name)
    try:
        if name.endswith(".py"):
            _import_file(Path(name))
        else:
            importlib.import_module(name)
    except (ImportError, OSError) as error:
        _loaded.discard(name)
        raise ConfigError(
            f"plugin {name!r} cannot be imported: {error}",
            "pass a Python file, or a module that is installed or on PYTHONPATH",
        ) from error


def _import_file(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
