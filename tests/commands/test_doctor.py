"""What `footage doctor` finds on this machine, and what it reports where something is missing."""

import json
import logging
import subprocess
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

import footage
from footage import cli
from footage.commands import doctor
from footage.errors import FootageError
from footage.sandbox.layers import LAYERS, Sandbox


@pytest.fixture(autouse=True)
def _quiet_root():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def by_name(findings):
    return {one.name: one for one in findings}


def test_this_machine_can_do_what_footage_needs(tmp_path):
    found = footage.doctor(tmp_path)
    found.require_healthy()
    names = by_name(found.findings)
    assert names["torch"].found == doctor._version("torch")
    assert "h264" in names["decoders"].found
    assert "libavcodec" in names["FFmpeg libraries"].found
    assert {"CPU cores", "memory", "shared memory", "output folder", "cache"} <= set(names)
    assert json.loads(json.dumps(found.to_dict()))["healthy"] is True
    assert "libavcodec" in found._repr_html_()


def test_the_command_prints_a_table_or_json(tmp_path, capsys):
    assert cli.main(["doctor", "--folder", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "FFmpeg libraries" in table
    assert cli.main(["doctor", "--folder", str(tmp_path), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert {one["state"] for one in read["findings"]} <= {"ok", "note"}
    assert all(one["name"] in table for one in read["findings"])


def test_a_folder_that_cannot_be_written_is_a_problem_with_exit_code_1(capsys):
    assert cli.main(["doctor", "--folder", "/proc/new"]) == 1
    said = capsys.readouterr()
    assert "problem: /proc/new cannot be written" in said.out
    assert said.err.startswith("error: 1 problem found: output folder: /proc/new cannot be written")
    assert said.err.splitlines()[-1] == "hint: choose another folder with --folder"


def test_a_codec_that_ffmpeg_does_not_have_is_a_problem():
    names = by_name(doctor.ffmpeg(("h264", "no_such_codec")))
    assert names["decoders"].found == "h264"
    assert names["missing decoders"].state == "problem"
    assert names["missing decoders"].found == "no_such_codec"
    with pytest.raises(FootageError, match="1 problem found: missing decoders: no_such_codec"):
        doctor.Diagnosis(tuple(names.values())).require_healthy()


def test_a_library_that_does_not_load_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    suffix = EXTENSION_SUFFIXES[0]
    (tmp_path / f"broken_library{suffix}").write_bytes(b"not a library")
    names = by_name(doctor.imports(("json", "broken_library", "no_such_module")))
    states = {name: one.state for name, one in names.items()}
    assert states == {"json": "ok", "broken_library": "problem", "no_such_module": "problem"}
    assert "pip install --force-reinstall broken_library" in names["broken_library"].hint


def test_a_torchvision_that_does_not_fit_torch_is_reported(monkeypatch):
    monkeypatch.setattr("footage._torchvision_compat.KEPT_ALIVE", [])
    assert list(doctor.torchvision()) == []
    monkeypatch.setattr("footage._torchvision_compat.KEPT_ALIVE", ["declarations"])
    (found,) = doctor.torchvision()
    assert found.state == "note"
    assert "torch and torchvision in one pip command" in found.hint


@pytest.mark.parametrize(
    ("megabytes", "num_gpus", "state"), [(64, 0, "note"), (64, 2, "problem"), (1200, 2, "ok")]
)
def test_small_shared_memory_is_a_problem_for_several_gpus_only(
    tmp_path, megabytes, num_gpus, state
):
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs privileges")
    try:
        assert doctor.shared_memory(tmp_path, num_gpus).state == state
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_machine_without_shared_memory_is_described(tmp_path):
    found = doctor.shared_memory(tmp_path / "shm", 2)
    assert (found.state, found.found) == ("problem", f"{tmp_path}/shm does not exist")


def test_a_full_disk_is_a_problem(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs privileges")
    try:
        found = by_name(doctor.folders(tmp_path, tmp_path, tmp_path))["output folder"]
        assert (found.state, found.found) == ("problem", f"0.0 GB free at {tmp_path}")
        (tmp_path / "filler").write_bytes(bytes(2**20))
        found = by_name(doctor.folders(tmp_path, tmp_path, tmp_path))["output folder"]
        assert found.found == f"{tmp_path} cannot be written: No space left on device"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_little_memory_is_a_problem():
    assert doctor.memory(300_000_000).state == "problem"
    assert doctor.memory(3_000_000_000) == doctor.Finding(
        area="machine", name="memory", found="3.0 GB available"
    )


def test_a_gpu_that_torch_cannot_use_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "0000:01:00.0").mkdir()
    (found,) = doctor.devices(tmp_path)
    assert found.state == "problem"
    assert found.found.startswith("1 present, but torch")
    (none,) = doctor.devices(tmp_path / "no driver")
    assert (none.state, none.found) == ("note", "none; training uses the CPU")


def test_missing_layers_are_a_problem_only_if_all_are_required(monkeypatch):
    partial = Sandbox(LAYERS[:1], {"Landlock": "not supported"})
    monkeypatch.delenv("FOOTAGE_REQUIRE_SANDBOX", raising=False)
    assert by_name(doctor.layers(partial))["missing layers"].state == "note"
    monkeypatch.setenv("FOOTAGE_REQUIRE_SANDBOX", "1")
    assert by_name(doctor.layers(partial))["missing layers"].state == "problem"


def test_packages_that_are_missing_or_too_old_are_problems(monkeypatch):
    needed = ["av>=18", "rich>=9000", "no-such-package>=1", "onnxruntime>=1; extra == 'onnx'"]
    values = {"Requires-Dist": needed, "Provides-Extra": ["onnx", "remote", "dev"]}
    monkeypatch.setattr(doctor, "_metadata", values.__getitem__)
    names = by_name(doctor.packages())
    assert names["av"].state == "ok"
    assert names["rich"].hint == "pip install 'rich>=9000'"
    assert names["no-such-package"].found == ("not installed, but footage needs no-such-package>=1")
    assert "onnxruntime" not in names


def test_extras_are_listed_with_the_command_that_installs_them(monkeypatch):
    needed = [
        "rich>=9000",
        "av>=18; extra == 'video'",
        "no-such-package>=1; extra == 'more'",
        "numpy<1; extra == 'old'",
    ]
    values = {"Requires-Dist": needed, "Provides-Extra": ["video", "more", "old", "dev"]}
    monkeypatch.setattr(doctor, "_metadata", values.__getitem__)
    found = {one.name: (one.state, one.found, one.hint) for one in doctor.extras()}
    assert found == {
        "video": ("ok", "installed", ""),
        "more": ("note", "missing: no-such-package", "pip install 'footage[more]'"),
        "old": (
            "note",
            f"missing: numpy<1 (found {np.__version__})",
            "pip install 'footage[old]'",
        ),
    }


def test_a_source_tree_that_is_not_installed_has_no_requirements(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.metadata", missing)
    assert doctor._metadata("Requires-Dist") == []


def test_the_folder_of_the_drivers_gpus_is_that_of_linux():
    assert Path("/proc/driver") == doctor.NVIDIA.parents[1]
