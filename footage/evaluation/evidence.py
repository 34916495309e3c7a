"""What stays attached to the weights of a run when they are exported.

Data, results and warnings are copied to the metadata of an export, so that a result is never seen
without the test images that the model had seen before.
"""

from pathlib import Path
from typing import Any

from footage.evaluation.results import LINES, ResultRow, read_file, read_rows, warnings
from footage.runs import layout
from footage.text import without_folders


def evidence_of(run: Path) -> dict[str, Any]:
    """Training data, results, verdicts and warnings of a run, as JSON values without local paths.

    Raises:
        CheckpointError: A file of results is damaged.
    """
    record = layout.read_record(run)
    folder = run / layout.EVALUATIONS
    found = [read_file(file) for file in sorted(folder.glob("*.json"))]
    found.sort(key=lambda content: content.written)
    on_suites = [row for file in sorted(folder.glob(f"*/*/{LINES}")) for row in read_rows(file)]
    rows = [row for content in found for row in content.rows if not row.baseline]
    rows += [row for row in on_suites if not row.baseline]
    cautions = [warning for content in found for warning in content.warnings]
    cautions += warnings(on_suites)
    return {
        "training_data": {
            "store": Path(record["store"]).name,
            "store_hash": record["store_hash"],
            "videos": record["videos_used"],
            "images": Path(record["images"]).name,
            "images_hash": record["images_hash"],
            "labels": record["labels_used"],
            "init": Path(str(record["config"].get("init", ""))).name,
        },
        "results": [_result(row) for row in rows],
        "verdicts": [without_folders(content.verdict) for content in found if content.verdict],
        "warnings": list(dict.fromkeys(map(without_folders, cautions))),
    }


def _result(row: ResultRow) -> dict[str, Any]:
    leakage = row.leakage
    return {
        "suite": row.suite,
        "task": row.task,
        "protocol": row.protocol,
        "metric": row.metric,
        "value": row.value,
        "interval": list(row.interval),
        "test_images": row.num_test,
        "seen_before": leakage.num_exact if leakage else None,
        "near_duplicates": leakage.num_near if leakage and leakage.near else None,
    }
