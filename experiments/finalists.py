r"""Does the lead persist under fine-tuning? Evaluate arms of another experiment again.

    python -m experiments.finalists TUNED.jsonl --of RESULTS.jsonl --suite POCKET \
        --labels vivi-ex4 frames-as-images --seeds 0

RESULTS.jsonl is the output of an experiment such as `levels.py`, with its runs next to it. Each
task fine-tunes every weight with the suite's `pocket-finetune`; the same network with random
weights is the baseline. Existing lines are skipped. A network takes eight minutes on one core.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.compare import check_same, measures, read_arm, read_lines, run_folder
from experiments.compare_suites import SuiteFolder, on_suite
from experiments.compare_table import Line
from footage.errors import ConfigError, FootageError
from footage.runs.environment import environment

PROTOCOLS = ("pocket-finetune",)


def finalists(of: Path, labels: Sequence[str], seeds: Sequence[int]) -> list[Line]:
    """Return the requested lines of an experiment, in its order.

    Raises:
        ConfigError: It has no such arm with such a seed.
    """
    found = {(line["label"], line["seed"]): line for line in read_lines(of)}
    wanted = {(label, seed) for label in labels for seed in seeds}
    missing = sorted(wanted - {*found})
    if missing:
        raise ConfigError(
            f"{of} has no {missing[0][0]!r} with seed {missing[0][1]}",
            f"it has {', '.join(f'{label!r} {seed}' for label, seed in found) or 'nothing'}",
        )
    return [line for key, line in found.items() if key in wanted]


def tune(line: Line, options: argparse.Namespace) -> dict[str, Any]:
    """Return the same arm and seed with the results of fine-tuning instead of the earlier ones."""
    began = time.perf_counter()
    config = read_arm(f"{line['recipe']}:{line['label']}").config(line["settings"], line["seed"])
    folder = run_folder(options.of, line["label"], line["seed"])
    evaluated = on_suite(
        config, folder, options.results, SuiteFolder("pocket", options.suite, PROTOCOLS)
    )
    return {
        **line,
        "evaluate_seconds": round(time.perf_counter() - began, 1),
        "groups": evaluated.groups,
        "test": measures([], evaluated.test),
        "validation": measures([], evaluated.validation),
        "environment": {**environment(), "trained": line["environment"]},
    }


def main() -> None:
    """Fine-tune what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", help="one line of JSON for each arm and seed")
    parser.add_argument(
        "--of", required=True, help="results of an experiment, with its runs next to them"
    )
    parser.add_argument("--suite", required=True, help="folder of the pocket suite")
    parser.add_argument("--labels", nargs="+", required=True, help="names of arms")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    path = Path(options.results)
    try:
        chosen = finalists(Path(options.of), options.labels, options.seeds)
        there = read_lines(path)
        path.write_text("".join(json.dumps(line) + "\n" for line in there))
        done = {(line["label"], line["seed"]): line for line in there}
        for line in chosen:
            if (line["label"], line["seed"]) in done:
                check_same(done[line["label"], line["seed"]], line, path)
            else:
                text = json.dumps(tune(line, options))
                with path.open("a") as file:
                    file.write(text + "\n")
    except FootageError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
