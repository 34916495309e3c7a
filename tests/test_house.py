"""The house rules that a linter does not know: short files, no code from data, no home of mine."""

import ast
import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "footage").rglob("*.py"))
ALL_CODE = sorted(
    path for folder in ("footage", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
MOST_LINES = 400
TALKING_TO_THEIR_OWN = {"executors.py"}
"""Speak with processes that they started, over pipes of their own, as multiprocessing does."""

PRINTING = {"cli.py", "cli_evaluation.py"}
SPEAKING_PROCESSES = {"transnet.py"}
"""Started as programs of their own; they answer on stdout."""


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def dotted(node):
    """The dotted name of a called function; empty for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def calls(source):
    return [
        (dotted(node.func), {word.arg: word.value for word in node.keywords}, node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
    ]


def is_true(node):
    return isinstance(node, ast.Constant) and node.value is True


def dangers(source):
    """Calls that run code out of data, or give a shell or an archive its way."""
    found = []
    for name, keywords, line in calls(source):
        last = name.rpartition(".")[2]
        if name in ("eval", "exec") or name.startswith(
            ("pickle.", "cPickle.", "dill.", "marshal.")
        ):
            found.append((line, name))
        if name == "torch.load" and not is_true(keywords.get("weights_only")):
            found.append((line, "torch.load without weights_only=True"))
        if "allow_pickle" in keywords and is_true(keywords["allow_pickle"]):
            found.append((line, "allow_pickle=True"))
        if name in ("yaml.load", "yaml.unsafe_load", "os.system", "os.popen", "torch.hub.load"):
            found.append((line, name))
        if last in ("extractall", "unpack_archive"):
            found.append((line, last))
        if "shell" in keywords and not (
            isinstance(keywords["shell"], ast.Constant) and keywords["shell"].value is False
        ):
            found.append((line, "shell="))
        if name == "av.logging.set_level":
            found.append((line, name + " (deadlocks)"))
    return found


@pytest.mark.parametrize("path", ALL_CODE, ids=name_of)
def test_no_file_is_longer_than_can_be_read(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: split it by what it does"


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_no_code_is_run_out_of_data(path):
    found = dangers(path.read_text(encoding="utf-8"))
    if path.name in TALKING_TO_THEIR_OWN:
        found = [(line, name) for line, name in found if name != "pickle.loads"]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(file)",
        "pickle.Unpickler(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "archive.extractall(folder)",
        "shutil.unpack_archive(path)",
        "subprocess.run(words, shell=True)",
        "subprocess.run(words, shell=flag)",
        "eval(text)",
        "av.logging.set_level(0)",
    ],
)
def test_the_check_of_dangerous_calls_sees_each_of_them(line):
    assert len(dangers(line)) == 1


def test_harmless_calls_are_let_through():
    for line in (
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "subprocess.run(words, shell=False)",
        "yaml.safe_load(text)",
        "model.eval()",
    ):
        assert dangers(line) == []


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_only_the_command_line_prints(path):
    if path.name in PRINTING | SPEAKING_PROCESSES:
        pytest.skip("its job")
    assert [
        line for name, _, line in calls(path.read_text(encoding="utf-8")) if name == "print"
    ] == []


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_imports_no_pickle(path):
    if path.name in TALKING_TO_THEIR_OWN:
        pytest.skip("its job")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.partition(".")[0] for name in names} & {"pickle", "dill", "shelve"}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_annotations_are_what_they_look_like(path):
    assert "from __future__ import annotations" not in path.read_text(encoding="utf-8")


def test_every_module_has_its_place_in_the_import_contract():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    placed = set(re.findall(r"footage\.(\w+)", contracts["importlinter:contract:layers"]["layers"]))
    modules = {path.relative_to(ROOT / "footage").parts[0].removesuffix(".py") for path in LIBRARY}
    assert modules - {"__init__"} == placed


def committed_texts():
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".json", ".txt", "") and path.is_file():
            yield name, path.read_text(encoding="utf-8", errors="replace")


def test_no_machine_leaves_its_paths_behind():
    # Spelt in two parts, so that this file does not find itself.
    home = re.compile("(?<![\\w.])/" + r"(?:home|root|Users|work|mnt)" + r"/\w")
    found = [
        f"{name}: {line.strip()[:80]}"
        for name, text in committed_texts()
        if name != "LICENSE"
        for line in text.splitlines()
        if home.search(line)
    ]
    assert found == []
