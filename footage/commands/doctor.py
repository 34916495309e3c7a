"""The command `footage doctor`: check what this machine offers, before a long command fails on it.

Each check is a function that yields findings. A problem is something that makes a command fail, or
that wastes a GPU; everything else is information or a note.
"""

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from footage.commands.diagnosis import Diagnosis, Finding, State
from footage.errors import MachineError
from footage.io import cache
from footage.processes import cores
from footage.sandbox import policy
from footage.sandbox.layers import Sandbox
from footage.video.sandbox import Limits, run_confined

NAMED = ("footage", "torch", "torchvision", "timm", "av", "numpy", "pyarrow")
"""Packages whose versions are always shown."""
IMPORTED = ("torch", "footage.models.backbone", "av", "cv2", "simplejpeg", "pyarrow")
"""Modules with compiled libraries, which may be installed and still not load."""
DECODERS = ("h264", "hevc", "vp9", "av1", "vp8", "mpeg4", "mpeg2video", "mjpeg", "prores")
"""FFmpeg's names of the codecs of nearly all videos."""
LEAST_DISK, LEAST_MEMORY = 10**9, 10**9
"""Free bytes below which common commands fail [ours]."""
LEAST_SHARED = 10**9
"""Size of shared memory in bytes that several GPUs and Ray need [ours]."""
SHARED_MEMORY = Path("/dev/shm")
NVIDIA = Path("/proc/driver/nvidia/gpus")
"""Lists the GPUs that NVIDIA's driver has found."""
_DEVELOPERS = "dev"


def doctor(folder: str | os.PathLike[str] = ".") -> Diagnosis:
    """Check packages, devices, codecs, sandbox, memory, disk and extras of this machine.

    Args:
        folder: Folder for stores and runs, whose disk is checked; it may not exist yet.

    Returns:
        The findings; `require_healthy` raises an error if there is a problem.
    """
    loaded = list(imports(IMPORTED))
    findings = [*packages(), *(one for one in loaded if one.state == "problem")]
    findings += torchvision()
    if not any(one.name == "torch" and one.state == "problem" for one in loaded):
        findings += devices()
    if not any(one.name == "av" and one.state == "problem" for one in loaded):
        findings += ffmpeg()
        findings += sandbox()
    findings += machine()
    findings += folders(Path(folder), Path(tempfile.gettempdir()), cache.folder())
    findings += extras()
    return Diagnosis(tuple(findings))


def packages() -> Iterator[Finding]:
    """Compare the installed versions with those that footage requires."""
    yield Finding(area="packages", name="Python", found=platform.python_version())
    needed = {one.name: one for one in _requirements("")}
    for name in dict.fromkeys([*NAMED, *needed]):
        wanted, version = needed.get(name), _version(name)
        fits = wanted is None or (version and wanted.specifier.contains(version, prereleases=True))
        if name in NAMED and fits:
            yield Finding(area="packages", name=name, found=version or "not installed")
        elif not fits:
            yield Finding(
                area="packages",
                name=name,
                found=f"{version or 'not installed'}, but footage needs {wanted}",
                state="problem",
                hint=f"pip install '{wanted}'",
            )


def imports(names: Sequence[str]) -> Iterator[Finding]:
    """Import modules whose compiled libraries may not load."""
    for name in names:
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            package = name.partition(".")[0]
            yield Finding(
                area="packages",
                name=name,
                found=f"cannot be imported: {error}",
                state="problem",
                hint=f"reinstall it in a new environment: pip install --force-reinstall {package}",
            )
        else:
            yield Finding(area="packages", name=name, found="loads")


def torchvision() -> Iterator[Finding]:
    """Report a torchvision that is incompatible with torch, which only footage can import."""
    compat = sys.modules.get("footage._torchvision_compat")
    if compat is not None and compat.KEPT_ALIVE:
        yield Finding(
            area="packages",
            name="import torchvision",
            found="is incompatible with this build of torch; only footage can import it",
            state="note",
            hint="install torch and torchvision in one pip command, from the same index",
        )


def devices(driver: Path = NVIDIA) -> Iterator[Finding]:
    """List the GPUs that torch can use, and report one that it cannot use.

    Args:
        driver: Folder in which NVIDIA's driver lists its GPUs.
    """
    import torch

    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.cuda.get_device_properties(number)
        memory = f"{device.total_memory / 1e9:.0f} GB"
        yield Finding(area="devices", name=f"GPU {number}", found=f"{device.name}, {memory}")
    present = len(list(driver.iterdir())) if driver.is_dir() else 0
    if torch.cuda.is_available():
        return
    if not present:
        yield Finding(area="devices", name="GPU", found="none; training uses the CPU", state="note")
        return
    is_cpu_build = torch.version.cuda is None and torch.version.hip is None
    yield Finding(
        area="devices",
        name="GPU",
        found=f"{present} present, but torch {torch.__version__} cannot use it",
        state="problem",
        hint="install a CUDA build of torch: uv pip install --torch-backend=auto torch"
        if is_cpu_build
        else f"update the NVIDIA driver to one that supports CUDA {torch.version.cuda}",
    )


def ffmpeg(decoders: Sequence[str] = DECODERS) -> Iterator[Finding]:
    """Report the versions of FFmpeg's libraries, and decoders that are missing.

    Args:
        decoders: FFmpeg's names of the codecs to look for.
    """
    import av

    versions = {
        name: ".".join(map(str, version))
        for name, version in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libavutil")
    }
    yield Finding(
        area="video",
        name="FFmpeg libraries",
        found=", ".join(f"{name} {version}" for name, version in versions.items()),
    )
    missing = [name for name in decoders if not _can_decode(name)]
    present = ", ".join(name for name in decoders if name not in missing)
    yield Finding(area="video", name="decoders", found=present or "none")
    if missing:
        yield Finding(
            area="video",
            name="missing decoders",
            found=", ".join(missing),
            state="problem",
            hint="install PyAV from its wheel, which contains them:"
            " pip install --force-reinstall --only-binary av av",
        )


def sandbox() -> Iterator[Finding]:
    """Start a confined process, as for decoding, and report its layers."""
    try:
        active = run_confined(lambda _: None, lambda *_: None, Limits().confinement(0))
    except MachineError as error:
        yield Finding(
            area="video", name="decoder sandbox", found=error.message, state="problem",
            hint=error.hint,
        )  # fmt: skip
        return
    yield from layers(active)


def layers(active: Sandbox) -> Iterator[Finding]:
    """Report the layers of a sandbox; missing ones are a problem if all are required."""
    applied, missing = active.lines()
    yield Finding(area="video", name="decoder sandbox", found=applied)
    if active.missing:
        yield Finding(
            area="video",
            name="missing layers",
            found=missing,
            state="problem" if policy.requires_all() else "note",
            hint=policy.HINT if policy.requires_all() else "see docs/background/sandbox.md",
        )


def machine() -> Iterator[Finding]:
    """Report cores, memory and shared memory."""
    from footage.training.loader import available_bytes

    usable, total = cores.available(), os.cpu_count() or 1
    yield Finding(area="machine", name="CPU cores", found=f"{usable} usable of {total}")
    yield memory(available_bytes())
    yield shared_memory(SHARED_MEMORY, _number_of_gpus())


def memory(free: int) -> Finding:
    """Report the free memory, in bytes."""
    is_short = free < LEAST_MEMORY
    return Finding(
        area="machine",
        name="memory",
        found=f"{free / 1e9:.1f} GB available",
        state="problem" if is_short else "ok",
        hint="close other programs, or raise the memory limit of the container" * is_short,
    )


def shared_memory(folder: Path, num_gpus: int) -> Finding:
    """Report the size of shared memory; only Ray and several GPUs use it.

    Args:
        folder: Where shared memory is mounted.
        num_gpus: GPUs that torch can use; more than one communicate through shared memory.
    """
    total = shutil.disk_usage(folder).total if folder.is_dir() else 0
    is_short = total < LEAST_SHARED
    state: State = "ok" if not is_short else "problem" if num_gpus > 1 else "note"
    return Finding(
        area="machine",
        name="shared memory",
        found=f"{total / 1e9:.2f} GB at {folder}" if total else f"{folder} does not exist",
        state=state,
        hint="several GPUs and Ray need 1 GB: docker run --shm-size=1g" * is_short,
    )


def folders(output: Path, temporary: Path, cached: Path) -> Iterator[Finding]:
    """Check that the folders that commands write to can be written and have space.

    Args:
        output: For stores and runs.
        temporary: For temporary files.
        cached: Of the cache of remote files.
    """
    for name, folder, advice in (
        ("output folder", output, "choose another folder with --folder"),
        ("temporary folder", temporary, "set TMPDIR to another folder"),
        ("cache", cached, "choose another folder with --cache"),
    ):
        yield _folder(name, folder, advice)


def _folder(name: str, folder: Path, advice: str) -> Finding:
    existing = next(
        each for each in (folder.absolute(), *folder.absolute().parents) if each.exists()
    )
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x" * 4096)
            file.flush()
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(
            area="disk",
            name=name,
            found=f"{folder} cannot be written: {error.strerror}",
            state="problem",
            hint=advice,
        )
    is_short = free < LEAST_DISK
    return Finding(
        area="disk",
        name=name,
        found=f"{free / 1e9:.1f} GB free at {folder}",
        state="problem" if is_short else "ok",
        hint=f"free some space, or {advice}" * is_short,
    )


def extras() -> Iterator[Finding]:
    """List the optional extras, and how to install those that are missing."""
    for extra in _metadata("Provides-Extra"):
        if extra == _DEVELOPERS:
            continue
        needed = _requirements(extra)
        missing = [
            f"{one.name}{one.specifier} (found {version})"
            if (version := _version(one.name))
            else one.name
            for one in needed
            if not one.specifier.contains(_version(one.name) or "0", prereleases=True)
        ]
        yield Finding(
            area="extras",
            name=extra,
            found=f"missing: {', '.join(missing)}" if missing else "installed",
            state="note" if missing else "ok",
            hint=f"pip install 'footage[{extra}]'" if missing else "",
        )


def _requirements(extra: str) -> list[Requirement]:
    """The requirements of footage ("") or of one of its extras, as installed."""
    found = []
    for one in map(Requirement, _metadata("Requires-Dist")):
        of_footage = one.marker is None or one.marker.evaluate({"extra": ""})
        if (one.marker is None or one.marker.evaluate({"extra": extra})) and (
            not extra or not of_footage
        ):
            found.append(one)
    return found


def _metadata(key: str) -> list[str]:
    """Values of the metadata of footage; none if it runs from its source tree."""
    try:
        return importlib.metadata.metadata("footage").get_all(key) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _can_decode(name: str) -> bool:
    import av

    try:
        av.codec.Codec(name, "r")
    except ValueError:  # of av.codec.codec.UnknownCodecError
        return False
    return True


def _number_of_gpus() -> int:
    """GPUs of a torch that has been imported successfully."""
    torch = sys.modules.get("torch")
    return torch.cuda.device_count() if torch is not None and torch.cuda.is_available() else 0
