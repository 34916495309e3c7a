"""The Dockerfile, the workflows and the conda recipe pass the linters of their formats."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from rattler_build import Stage0Recipe

from release import dependencies

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMA = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
CONDA = {"opencv-python-headless": "py-opencv", "torch": "pytorch"}
"""Names of packages on conda-forge that differ from those on PyPI."""


def lint(program, *arguments, cwd=ROOT):
    """Run a linter that is installed next to this interpreter."""
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def steps():
    """Every command of every workflow."""
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            yield from (step["run"] for step in job["steps"] if "run" in step)


def test_the_dockerfile_has_no_mistake_that_the_linter_finds(tmp_path):
    assert lint("hadolint", "Dockerfile") == (0, "")
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && pip install x\n")
    code, text = lint("hadolint", tmp_path / "Dockerfile")
    assert code == 1
    assert "DL3006" in text


def test_the_dockerfile_copies_only_files_that_the_context_contains():
    text = (ROOT / "Dockerfile").read_text()
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)).split()
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert set(copied) == {line[1:] for line in kept if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_workflows_match_the_schema_of_github_actions(tmp_path):
    code, text = lint(*SCHEMA, *WORKFLOWS)
    assert code == 0, text
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs_on:"))
    assert lint(*SCHEMA, wrong)[0] == 1


def test_workflows_have_no_pattern_that_is_known_to_be_unsafe(tmp_path):
    zizmor = ["zizmor", "--offline", "--no-progress", ".github"]
    code, text = lint(*zizmor)
    assert code == 0, text
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    with (tmp_path / ".github" / "workflows" / "test.yml").open("a") as file:
        file.write("      - run: echo ${{ github.event.pull_request.title }}\n")
    assert "template-injection" in lint(*zizmor, cwd=tmp_path)[1]


def test_every_workflow_limits_its_time_and_its_permissions():
    for path in WORKFLOWS:
        read = yaml.safe_load(path.read_text())
        assert read["permissions"] == {}
        assert all("timeout-minutes" in job for job in read["jobs"].values())


def test_workflows_call_targets_and_scripts_that_exist():
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = {name for step in steps() for name in re.findall(r"\bmake (\w+)", step)}
    assert called
    assert called <= set(targets)
    scripts = {name for step in steps() for name in re.findall(r"\.ci/\w+", step)}
    assert all((ROOT / name).is_file() for name in scripts)


def test_the_conda_recipe_renders_with_the_requirements_of_the_package():
    (variant,) = Stage0Recipe.from_file(ROOT / "release" / "conda" / "recipe.yaml").render()
    recipe = variant.recipe.to_dict()
    needed = []
    for one in (Requirement(text) for text in dependencies.project()[""]):
        bounds = sorted(str(one.specifier).split(","), key=lambda bound: bound.startswith("<"))
        needed.append(f"{CONDA.get(one.name, one.name)} {','.join(bounds)}".strip())
    assert recipe["requirements"]["run"] == ["python >=3.11", *needed]
    assert recipe["package"] == {
        "name": "footage", "version": dependencies.metadata()["version"],
    }  # fmt: skip
