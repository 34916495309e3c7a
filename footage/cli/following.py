"""The line at the end of a command that names the next command."""

import logging
import shlex

from footage import registry

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
    log.info("next: python -c %s", f'"{code}"' if plain else shlex.quote(code))
