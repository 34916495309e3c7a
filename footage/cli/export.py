"""The command line of `footage export`."""

import logging
from collections.abc import Sequence
from typing import Annotated

from footage.cli import output, parsing
from footage.cli.following import log_python
from footage.cli.options import Flag, Model, optional, required

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_export, words, "footage export")


def _export(
    model: Model,
    *,
    to: Annotated[
        str,
        required(
            "FORMAT",
            "Format: timm, huggingface, safetensors, torchvision, onnx or torch-export;"
            " plugins add others.",
        ),
    ],
    out: Annotated[
        str, optional("PATH", "Folder or file to write. Default for a run: inside RUN/exports.")
    ] = "",
    with_preprocessing: Annotated[
        Flag,
        optional("", "Include resizing and normalisation: the input is pixels of any size."),
    ] = False,
    license: Annotated[
        str, optional("ID", "Licence of the weights, such as apache-2.0 (timm, huggingface).")
    ] = "",
) -> None:
    """Export a backbone for other programs and verify it by reloading."""
    from footage._torchvision_compat import IMPORT_LINE
    from footage.commands.export import export

    written = export(model, to=to, out=out, with_preprocessing=with_preprocessing, license=license)
    output.show(written)
    log.info("largest difference from the original: %.1e", written.largest_difference)
    if IMPORT_LINE and written.usage.startswith(IMPORT_LINE):
        log.info(
            "torchvision does not match torch in this environment; in others, the line works"
            " without `%s`", IMPORT_LINE.strip("; "),
        )  # fmt: skip
    log_python(written.usage)
