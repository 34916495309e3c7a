"""Convert result files of earlier versions of footage when they are read; the files do not change.

Up to version 2 of the JSON file, rows on labelled images had a `column`, rows on suites had
`marks`, and neither had the fields of the other. Fields that were not recorded are derived from the
protocol or from other rows of the file.
"""

from collections.abc import Mapping
from typing import Any, Final

from footage.runs.migration import described_model, migrated

Content = dict[str, Any]

FROM_THE_PROTOCOL: Final = {
    "suite": "", "group": "other", "deviations": [], "missing": {}, "seed_rule": "one run",
    "generation": "v2", "resize": "area", "precision": "float32",
}  # fmt: skip
"""Fields that rows on labelled images did not have, with the value that all of them get."""
SWEEP_SIZES: Final = {"knn": 32, "linear": 9}
NO_NETWORK: Final = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


def result_file(content: Content) -> Content:
    """Convert the content of a JSON file, whose rows had a `column` up to version 2."""
    model = content.get("model")
    if isinstance(model, dict) and "start" in model:
        content = {**content, "model": described_model(model)}
    version = content.get("schema_version")
    if type(version) is not int or version > 2:
        return content
    chance = {row["task"]: row["value"] for row in content["rows"] if row["column"] == "chance"}
    preprocessing = content["model"]["preprocessing"]
    network = {name: preprocessing[name] for name in NO_NETWORK}
    rows = [_labelled_row(row, chance, network) for row in content["rows"]]
    return {**content, "schema_version": 3, "rows": rows}


def _labelled_row(row: Content, chance: Mapping[str, float], network: Content) -> Content:
    kept = {key: value for key, value in row.items() if key not in ("column", "start")}
    is_model = row["column"] == "model"
    return {
        **FROM_THE_PROTOCOL,
        **(network if is_model or row["column"] == "untrained" else NO_NETWORK),
        **kept,
        "baseline": "" if is_model else row["column"],
        "weights_origin": row["start"],
        "seed_values": [row["value"]],
        "chance": chance.get(row["task"], 0.0),
        "sweep_size": SWEEP_SIZES.get(row["protocol"], 0),
    }


def suite_row(row: Content) -> Content:
    """Convert a row on a suite, which had `marks` instead of `deviations`."""
    if "marks" not in row:
        return row
    kept = {key: value for key, value in row.items() if key not in ("marks", "start")}
    model = str(row["model"])
    is_untrained = model.endswith(" untrained")
    return {
        **kept,
        "baseline": "untrained" if is_untrained else model * (model == "pixels"),
        "metric": "top-1",
        "split": "train800, val200 and test lists",
        "deviations": row["marks"],
        "seed": 0,
        "weights_origin": row["start"],
    }


def evaluation(content: Content) -> Content:
    """Convert the description of an evaluation to the present names of settings.

    Earlier versions wrote `contender` instead of `model`. The settings of a fine-tuning protocol
    had the names that `runs.migration` lists.
    """
    identity = dict(content["identity"])
    if "contender" in identity:
        identity["model"] = identity.pop("contender")
    if isinstance(identity.get("model"), dict):
        identity["model"] = described_model(identity["model"])
    match identity.get("protocol"):
        case {"settings": [*settings], **others}:
            renamed = [migrated(dict(setting)) for setting in settings]
            identity["protocol"] = {**others, "settings": renamed}
    return content if identity == content["identity"] else {**content, "identity": identity}
