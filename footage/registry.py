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
commas), or by an entry point of the group `footage.plugins` in an installed package. An exception
of a plugin's code becomes one `PluginError`; see `plugin_errors`.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Generic, TypeVar

from footage.errors import ConfigError, FootageError, PluginError, UnknownNameError, UsageError

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
            raise UnknownNameError(self._kind, name, sorted(entries), plugins=True)
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
        UsageError: A name is empty, or a list of names.
        ConfigError: A plugin is not found.
        PluginError: A plugin raises an exception.
    """
    given = selected_plugins()
    for name in names:
        if not name or name.startswith("-"):
            raise UsageError("--plugin needs a file or module", "for example: --plugin my_loss.py")
        if "," in name:
            raise UsageError(
                f"--plugin takes one file or module, got {name!r}", "repeat --plugin for each"
            )
        if _absolute(name) not in given:
            given.append(_absolute(name))
    for name in given:
        _import(name)
    if given:
        os.environ[VARIABLE] = ",".join(given)
    if GROUP not in _loaded:
        _loaded.add(GROUP)
        for point in importlib.metadata.entry_points(group=GROUP):
            _import(point.module)


def selected_plugins() -> list[str]:
    """Return the plugins of `--plugin` and the environment: modules, or absolute paths."""
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]


def as_options(plugins: Iterable[str]) -> list[str]:
    """Return the options that load plugins, with paths relative to the working folder inside it."""
    here = Path.cwd()
    options = []
    for name in plugins:
        path = Path(name)
        short = path.relative_to(here) if path.is_relative_to(here) else path
        options += ["--plugin", str(short)]
    return options


@contextlib.contextmanager
def plugin_errors(part: str, code: object, hint: str = "") -> Iterator[None]:
    """Report an exception of a plugin's code as one error that names its file and line.

    Errors of footage pass unchanged, as do those of built-in code, which are bugs of footage.

    Args:
        part: What failed, such as "exporter 'pt2' failed in write".
        code: A class, function or object of the plugin.
        hint: What to do about it.

    Raises:
        PluginError: The code raised an exception.
    """
    try:
        yield
    except FootageError:
        raise
    except Exception as error:
        if not is_plugin(code):
            raise
        raise failed(part, error, _file_of(code), hint) from error


def is_plugin(code: object) -> bool:
    """Whether a class, function or object is defined outside footage."""
    return _module_of(code).partition(".")[0] != __package__


def failed(part: str, error: Exception, file: str, hint: str = "") -> PluginError:
    """Return the error for an exception of a plugin; names the last line of `file` that was run."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if file and frame.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines, text = [error.lineno], f"{type(error).__name__}: {error.msg}"
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = f"{Path(file).name}, line {lines[-1]}" if lines else Path(file).name
    return PluginError(
        f"{part}: {text}" + f" ({place})" * bool(file), hint or "--debug shows the traceback"
    )


def _module_of(code: object) -> str:
    return str(getattr(code, "__module__", None) or type(code).__module__)


def _file_of(code: object) -> str:
    return str(getattr(sys.modules.get(_module_of(code)), "__file__", None) or "")


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
    except FootageError:
        _loaded.discard(name)
        raise
    except Exception as error:
        _loaded.discard(name)
        raise _import_error(name, error) from error


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(
            f"plugin file not found: {as_options([str(path)])[1]!r}", "check the path of --plugin"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)


def _import_error(name: str, error: Exception) -> FootageError:
    """Return the error for a plugin that cannot be imported."""
    is_file = name.endswith(".py")
    shown = Path(name).name if is_file else name
    if isinstance(error, ModuleNotFoundError) and error.name:
        if not is_file and f"{name}.".startswith(f"{error.name}."):
            return ConfigError(
                f"plugin module not found: {name!r}",
                "pass a Python file that ends in .py, or install the module",
            )
        return ConfigError(
            f"plugin {shown!r} imports {error.name!r}, which is not installed",
            f"install {error.name}",
        )
    file = name
    if not is_file:
        spec = importlib.util.find_spec(name.partition(".")[0])
        file = str(getattr(sys.modules.get(name), "__file__", None) or (spec and spec.origin) or "")
        frames = traceback.extract_tb(error.__traceback__)
        folder = str(Path(file).parent)
        inside = [frame.filename for frame in frames if frame.filename.startswith(folder)]
        file = inside[-1] if inside else file
    hint = ""
    if isinstance(error, TypeError) and "frozen dataclass" in str(error):
        hint = "decorate settings with @dataclass(frozen=True, kw_only=True, slots=True)"
    return failed(f"plugin {shown!r} cannot be imported", error, file, hint)
