"""The help of `footage train RECIPE`: only the groups of options that matter for the recipe."""

import re
import textwrap
from collections.abc import Sequence

from footage.training.config import TrainConfig

ALL = "--help-all"
"""Lists every option."""

_GROUP = re.compile(r"^╭─ (?P<name>[\w.-]+) options ─.*?^╰─.*?\n", re.MULTILINE | re.DOTALL)


def groups_without_effect(config: TrainConfig) -> list[str]:
    """Groups of options without effect, because the level that uses them is off."""
    objective = config.objective
    levels = objective.unlabelled_levels()
    off = [f"objective.{name}" for name, level in levels.items() if not level.weight]
    if not objective.supervised.weight:
        off += ["objective.supervised", "labelled"]
    if not objective.has_unlabelled_level:
        off += ["sampling"]
    return [name.replace("_", "-") for name in off]


def shortened(text: str, hidden: Sequence[str]) -> str:
    """Remove some groups of options from a help text, and add a line that lists them.

    Args:
        text: Output of the parser.
        hidden: Names of groups; nested groups are hidden, too.
    """

    def kept(group: re.Match[str]) -> str:
        name = group["name"]
        outer = any(name == each or name.startswith(f"{each}.") for each in hidden)
        return "" if outer else group[0]

    weights = [f"--{name}.weight" for name in hidden if name.startswith("objective.")]
    notes = [f"Off in this recipe and not listed: {', '.join(hidden)}."]
    notes += [f"To enable: {', '.join(weights)}."] if weights else []
    notes += [f"{ALL} lists all options."]
    lines = [line for note in notes for line in textwrap.wrap(note, 80, break_on_hyphens=False)]
    return _GROUP.sub(kept, text) + "\n".join(lines) + "\n"
