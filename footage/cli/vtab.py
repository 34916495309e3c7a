"""The command line of `footage vtab`."""

from collections.abc import Callable, Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import log_next
from footage.cli.options import Repeated, flat, optional, required


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    commands: dict[str, Callable[..., None]] = {
        "doctor": _doctor,
        "export": _export,
        "import-parquet": _import_parquet,
    }
    parsing.run_one_of("footage vtab", words, commands)


def _doctor(
    folder: Annotated[
        str,
        Positional,
        required("FOLDER", "Folder of tasks (caltech101/, cifar/, ...), or a single task folder."),
    ],
) -> None:
    """Check a VTAB-1k folder: counts, classes, splits, hashes, and missing tasks."""
    from footage.commands import vtab

    findings = vtab.doctor(folder)
    output.show(findings)
    findings.require_sound()
    if not findings.advice:
        log_next("evaluate", "MODEL", "--suite", "vtab", "--data", folder)


def _export(
    *,
    out: Annotated[str, required("DIR", "Folder to write the tasks to.")],
    tasks: Annotated[
        Repeated, arg(metavar="TASK [TASK ...]", help="Export only these tasks.")
    ] = (),
    data_dir: Annotated[str, optional("DIR", "TFDS data folder. Default: that of TFDS.")] = "",
) -> None:
    """Export the exact VTAB-1k images from TFDS; existing tasks are skipped."""
    from footage.commands import vtab

    output.show(vtab.export(out=out, tasks=flat(tasks), data_dir=data_dir))
    log_next("vtab", "doctor", out)


def _import_parquet(
    folder: Annotated[
        str,
        Positional,
        required("FOLDER", "Folder with train-*, test-* and optionally validation-*.parquet."),
    ],
    *,
    task: Annotated[str, required("TASK", "Name of the task.")],
    out: Annotated[str, required("DIR", "Folder to write the task to.")],
) -> None:
    """Import one task from Hugging Face Parquet files (a different 1,000 images)."""
    from footage.commands import vtab

    output.show(vtab.imported(folder, task=task, out=out))
    log_next("vtab", "doctor", out)
