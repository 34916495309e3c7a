"""What the documents say can be typed: every command parses, every link leads somewhere."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import footage
from footage import cli, configuration
from footage.cli import parsing
from footage.recipes.methods import recipe

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUN_ELSEWHERE = "extending"
"""Folder whose examples `tests/docs/test_extending.py` runs as they stand."""


def blocks(language):
    return [
        (path.name, block)
        for path in DOCUMENTS
        if path.parent.name != RUN_ELSEWHERE
        for block in re.findall(rf"```{language}\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    ]


def commands():
    """Every command of every shell block, without its comment."""
    for document, block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition(" || ")[0], comments=True)
            if words:
                yield pytest.param(words, id=f"{document}: {' '.join(words)[:60]}")


@pytest.fixture
def beside_a_run(tmp_path, monkeypatch):
    """A folder with the run that the README repeats."""
    record = {
        "config": configuration.to_dict(recipe("vivi-ex4-tiny")),
        "recipe": "vivi-ex4-tiny",
        "store": "store",
        "model": {
            "architecture": "resnet18",
            "options": {},
            "preprocessing": {"size": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        },
    }
    (tmp_path / "runs" / "second").mkdir(parents=True)
    (tmp_path / "runs" / "second" / "run.json").write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parsing, "run", parsing.parse)  # parse only


OTHERS = {
    ("pip", "install"),
    ("pip", "download"),
    ("wandb", "sync"),
    ("trackio", "show"),
    ("hf", "upload"),
}
"""Commands of other tools that the documents may use."""


@pytest.mark.parametrize("words", list(commands()))
@pytest.mark.usefixtures("beside_a_run")
def test_every_command_of_the_documents_parses(words):
    if words[0] in ("torchrun", "srun"):
        words = ["footage", *words[words.index("footage") + 1 :]]
    if "sbatch" in " ".join(words):
        assert (ROOT / "docs/guides/jobs" / words[-1].rstrip(")")).is_file()
    elif words[0] == "footage":
        end = words.index(">") if ">" in words else len(words)
        assert cli.main(words[1:end]) == 0
    elif words[0] == "make":
        done = subprocess.run(
            ["make", "-C", str(ROOT), "-n", *words[1:]], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    elif words[0] == "python":
        module = words[2].replace(".", "/") + ".py" if words[1] == "-m" else words[1]
        assert (ROOT / module).is_file()
    elif words[0] == "export":
        assert re.fullmatch(r"[A-Z_]+=\S+", words[1])
    else:
        assert tuple(words[:2]) in OTHERS


def test_a_command_that_does_not_exist_would_be_noticed(beside_a_run):
    assert cli.main(["digest", "videos/"]) == 2
    assert cli.main(["report", "runs/first", "--colour", "red"]) == 2


@pytest.mark.parametrize(
    ("document", "block"), [pytest.param(*found, id=found[0]) for found in blocks("python")]
)
def test_every_name_that_the_documents_take_from_the_package_exists(document, block):
    names = [
        node.attr
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "footage"
    ]
    assert names, document
    for name in names:
        assert callable(getattr(footage, name))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(path):
    text = path.read_text("utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for link in links:
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize(
    ("target", "command"), [("demo", ".venv/bin/footage demo"), ("test", "-m pytest")]
)
def test_the_readme_names_both_commands_and_each_sets_itself_up(target, command, tmp_path):
    first_screen = (ROOT / "README.md").read_text("utf-8").splitlines()[:40]
    assert any(line.startswith(f"make {target}") for line in first_screen)
    for name in (
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
    ):  # a checkout in which nothing is installed
        shutil.copy(ROOT / name, tmp_path)
    steps = subprocess.run(
        ["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    places = [steps.index(step) for step in ("-m venv .venv", "-m pip", command)]
    assert places == sorted(places)
    assert steps.count("-m pip") == 1  # a second one may replace torch


def test_the_readme_names_every_verb():
    text = (ROOT / "README.md").read_text("utf-8")
    for verb in cli.COMMANDS:
        assert re.search(rf"footage {verb}\b|`{verb}`", text), verb


def test_the_picture_is_what_its_script_draws(tmp_path):
    script = (ROOT / "docs" / "images" / "draw_hierarchy.py").read_text("utf-8")
    copy = tmp_path / "draw_hierarchy.py"
    copy.write_text(script, encoding="utf-8")
    subprocess.run([sys.executable, str(copy)], check=True)
    for name in ("hierarchy-light.svg", "hierarchy-dark.svg"):
        assert (tmp_path / name).read_bytes() == (ROOT / "docs" / "images" / name).read_bytes()


def test_a_verb_of_the_package_stays_a_verb_after_its_module_was_imported():
    code = (
        "import footage, footage.commands.ingest, footage.commands.report\n"
        "for _ in range(2):\n"
        "    for name in footage.__all__: assert callable(getattr(footage, name)), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
