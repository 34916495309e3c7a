"""The line at the end of a command that names the next command."""

import logging
import shlex
from pathlib import Path

from footage import registry
from footage.cli.logs import LOCAL_PATHS
from footage.io.copies import folder_of
from footage.io.remote import is_url
from footage.runs import layout

log = logging.getLogger(__name__)


def log_next(*words: str) -> None:
    """Log `next: footage WORDS`, with the plugins of this command.

    Args:
        words: Command, arguments and options, not quoted.
    """
    plugins = registry.as_options(registry.selected_plugins())
    log.info("next: %s", shlex.join(["footage", *words, *plugins]))


def log_python(code: str) -> None:
    """Log `next: python -c CODE`, in double quotes if that needs no escapes."""
    plain = "'" in code and not any(character in code for character in '"$`\\!\n')
    quoted = f'"{code}"' if plain else shlex.quote(code)
    log.info("next: python -c %s", quoted, extra=LOCAL_PATHS)


def log_page(path: Path) -> None:
    """Log `next: python -m webbrowser PATH`."""
    log.info("next: python -m webbrowser %s", shlex.quote(str(path)), extra=LOCAL_PATHS)


def is_run(model: str) -> bool:
    """Return whether a MODEL argument, which may be a URL, is the folder of a run."""
    folder = folder_of(model) if is_url(model) else Path(model)
    return (folder / layout.RUN).is_file()
