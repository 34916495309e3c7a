"""The command `footage export`: a backbone as files for other programs, verified by reloading.

Each format is a class in `footage.models.export`; plugins add others. The output is reloaded and
must reproduce the original's features on random images. Only then does it get its final name.
"""

import dataclasses
import re
from pathlib import Path
from typing import Final

from footage import arguments
from footage._torchvision_compat import IMPORT_LINE
from footage.arguments import Location
from footage.errors import ConfigError
from footage.evaluation.evidence import evidence_of
from footage.io import files
from footage.io.copies import on_local_copies
from footage.models import load as models
from footage.models.export.base import EXPORTERS, Exporter, ExportSettings, weights
from footage.models.parity import errors_of, verified_difference
from footage.registry import plugin_errors
from footage.reporting.card import model_card
from footage.reporting.inputs import Run, gather, is_run
from footage.results import PathResult
from footage.runs import layout

SPACE_FOR_TEXT: Final = 2**18
"""Maximum size of headers, config.json and the model card, in bytes."""
LICENSE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")
"""Licence identifiers of the Hugging Face Hub."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Exported(PathResult):
    """The output, and its agreement with the original."""

    path: Path
    to: str
    largest_difference: float
    """Largest absolute difference of any feature between the original and the reloaded export."""
    usage: str
    """One line of Python that loads the export in a fresh interpreter."""


@on_local_copies("model", "out")
def export(
    model: Location,
    *,
    to: str,
    out: Location = "",
    with_preprocessing: bool = False,
    license: str = "",
) -> Exported:
    """Export a backbone for other programs.

    Args:
        model: A run folder, an exported file or folder, or a timm name.
        to: The export format: one of `docs/guides/export.md`, or the format of a plugin.
        out: The file or folder to write; for a run, the default is in `RUN/exports/`.
        with_preprocessing: Include resizing and normalisation, so that the input is uint8 pixels of
            any size. Only for formats that contain operations.
        license: Licence of the weights by its identifier on the Hugging Face Hub, such as
            apache-2.0; the default is unknown. Only for `timm` and `huggingface`.

    Raises:
        CheckpointError: The model cannot be read, or the export does not agree with it.
        ConfigError: The format is unknown, or `out` contains something else.
        OutputError: The files cannot be written.
    """
    kind = EXPORTERS.find(to)
    with plugin_errors(f"exporter {to!r} cannot be created", kind):
        exporter = kind()
    settings = _settings(exporter, with_preprocessing, license)
    name = arguments.location(model, "model")
    loaded = models.load(name)
    if (Path(name) / layout.RUN).is_file():
        loaded = loaded._replace(evidence=evidence_of(Path(name)))
    path = Path(arguments.location(out, "out")) if str(out) else _default_place(name, exporter)
    target = path.resolve()
    _check_target(target, exporter)
    if exporter.has_card:
        card = model_card(loaded, _run_of(name), settings.license)
        settings = dataclasses.replace(settings, card=card)
    exporter.settings = settings
    num_bytes = sum(t.numel() * t.element_size() for t in weights(loaded).values())
    written = files.atomic_write if exporter.suffix else files.atomic_folder
    with files.exclusive(target.with_name(f".{target.name}.lock"), target):
        files.require_space(target, num_bytes + SPACE_FOR_TEXT, "an export")
        with written(target) as temporary:
            with errors_of(exporter, "write"), files.output_errors(target):
                exporter.write(loaded, temporary)
            difference = verified_difference(loaded, exporter, temporary)
    with errors_of(exporter, "usage"):
        usage = IMPORT_LINE * exporter.imports_torchvision + exporter.usage(target)
    return Exported(path, to, difference, usage)


def _settings(exporter: Exporter, with_preprocessing: bool, license: str) -> ExportSettings:
    if with_preprocessing and not exporter.can_include_preprocessing:
        able = [name for name, kind in EXPORTERS.items() if kind.can_include_preprocessing]
        raise ConfigError(
            f"--to {exporter.name} cannot include preprocessing",
            f"leave out --with-preprocessing, or use --to {' or '.join(sorted(able))}",
        )
    if license and not exporter.states_license:
        able = [name for name, kind in EXPORTERS.items() if kind.states_license]
        raise ConfigError(
            f"--to {exporter.name} cannot store a licence",
            f"leave out --license, or use --to {' or '.join(sorted(able))}",
        )
    if license and not LICENSE.fullmatch(license):
        raise ConfigError(
            f"{license!r} is not a licence identifier",
            "use an identifier of the Hugging Face Hub, such as apache-2.0, cc-by-nc-4.0 or other",
        )
    return ExportSettings(with_preprocessing=with_preprocessing, license=license or "unknown")


def _run_of(model: str) -> Run | None:
    return gather([Path(model)])[0] if is_run(Path(model)) else None


def _default_place(model: str, exporter: Exporter) -> Path:
    run = Path(model)
    if not (run / layout.RUN).is_file():
        raise ConfigError(f"{model!r} is not a run, so --out is required", "add --out PATH")
    return run / "exports" / exporter.default_name


def _check_target(path: Path, exporter: Exporter) -> None:
    """Allow an earlier export to be replaced, and refuse anything else."""
    if exporter.suffix:
        if path.is_dir():
            raise ConfigError(
                f"{str(path)!r} is a folder; --to {exporter.name} writes a file",
                "add a file name to --out",
            )
        if path.suffix != exporter.suffix:
            raise ConfigError(
                f"{str(path)!r} must end in {exporter.suffix}",
                "change --out; loaders rely on the suffix",
            )
    elif path.is_file():
        raise ConfigError(
            f"{str(path)!r} is a file; --to {exporter.name} writes a folder", "choose another --out"
        )
    elif path.is_dir():
        foreign = sorted({entry.name for entry in path.iterdir()} - set(exporter.contents))
        if foreign:
            raise ConfigError(
                f"{str(path)!r} exists and contains other files, such as {foreign[0]!r}",
                "choose another --out",
            )
