"""The sdist and the wheel, tried outside the checkout as a user would."""

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from docs.pages.licences import is_listed
from footage import cli
from tests.support.labelled_shapes import draw_shapes
from tests.support.training import AS_OPTIONS

ROOT = Path(__file__).parents[2]
TRAIN = "train vivi-ex4-tiny --store store --steps 2 --metrics-every 1 --checkpoint-every 1"
COMMANDS = [
    "recipes",
    "doctor",
    "vtab doctor --help",
    "ingest videos --out store --workers 1",
    "store verify store",
    " ".join([TRAIN, "--out first", *AS_OPTIONS]),
    " ".join([TRAIN, "--out second --init first", *AS_OPTIONS]),
    "mix second",
    "evaluate first --labels photos --protocols knn",
    "embed first photos --out features.parquet",
    "search first photos --in store --top 3 --html found.html",
    "duplicates store --html duplicates.html",
    "profile first --store store --out profile --scenes 1",
    "export first --to timm --out exported",
    "report first second --out report.html",
    "demo videos --out demo --train-seconds 1 --most-steps 2 --labelled-scale 0.1",
]
TYPED = """\
import footage
from footage.commands.diagnosis import Diagnosis


def problems(folder: str) -> list[str]:
    found: Diagnosis = footage.doctor(folder)
    return [one.hint for one in found.problems]


version: str = footage.__version__
"""
MYPY = """\
[mypy]
strict = true
[mypy-PIL.*,cv2.*,fsspec.*,huggingface_hub.*,msgspec.*,numpy.*,pyarrow.*,rich.*,torch.*]
follow_imports = skip
"""
"""Packages other than footage are not checked, which would take minutes."""


def run(*command, cwd, code=0, **variables):
    """Run a command without the settings that this process has for the checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the sdist and of the wheel that was built from it."""
    if "FOOTAGE_DIST" in os.environ:
        return ROOT / os.environ["FOOTAGE_DIST"]
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    """The wheel."""
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """The bin folder of a new environment with the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    run(*pip, wheel, "--constraint", ROOT / "constraints.txt", cwd=folder)
    return folder / "bin"


def test_the_sdist_contains_what_is_needed_to_build_and_nothing_else(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}
    assert tops == {
        ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "footage",
        "pyproject.toml",
    }  # fmt: skip


def test_the_wheel_contains_every_file_of_the_package(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("footage/")}
    files = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "footage").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert packed == files
    assert "footage/py.typed" in packed


def test_the_wheel_runs_outside_the_checkout(wheel, tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--target", tmp_path / "site", wheel, cwd=tmp_path)
    here = {"PYTHONPATH": str(tmp_path / "site")}
    code = "import footage; print(footage.__file__, footage.__version__)"
    file, version = run(sys.executable, "-c", code, cwd=tmp_path, **here).split()
    assert Path(file).is_relative_to(tmp_path)
    program = tmp_path / "site" / "bin" / "footage"
    assert run(program, "--version", cwd=tmp_path, **here) == f"footage {version}\n"
    assert wheel.name.startswith(f"footage-{version}-")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_works_in_a_new_environment(fresh, video_folder, tmp_path):
    assert {line.split()[0] for line in COMMANDS} == set(cli.COMMANDS)
    draw_shapes(tmp_path / "photos")
    (tmp_path / "videos").symlink_to(video_folder)
    for line in COMMANDS:
        assert run(fresh / "footage", *line.split(), cwd=tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert (tmp_path / "second" / "exports" / "mixed.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_script_of_a_user_is_type_checked_against_the_wheel(fresh, tmp_path):
    (tmp_path / "mypy.ini").write_text(MYPY)
    (tmp_path / "right.py").write_text(TYPED)
    (tmp_path / "wrong.py").write_text(TYPED.replace("version: str", "version: int"))
    mypy = [sys.executable, "-m", "mypy", "--python-executable", fresh / "python"]
    error, summary = run(*mypy, "right.py", "wrong.py", cwd=tmp_path, code=1).splitlines()
    assert error.startswith("wrong.py:10: error: Incompatible types in assignment")
    assert summary == "Found 1 error in 1 file (checked 2 source files)"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_of_licences_lists_every_package_that_the_wheel_installs(fresh):
    installed = json.loads(run(fresh / "python", "-m", "pip", "list", "--format=json", cwd=fresh))
    names = {re.sub(r"[-_.]+", "-", one["name"]).lower() for one in installed}
    page = (ROOT / "docs" / "reference" / "licences.md").read_text()
    listed = set(re.findall(r"^\| ([a-z0-9-]+) \|", page.partition("## Optional")[0], re.MULTILINE))
    wanted = {name for name in names if is_listed(name)} - {"footage", "pip"}
    assert wanted - listed == set()
