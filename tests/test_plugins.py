"""Whatever a plugin does wrong is one error that names it, and one hint."""

import logging
import sys
import textwrap
from pathlib import Path

import pytest

from footage import cli, registry
from footage.cli import following, logs
from footage.objectives.losses.base import LOSSES
from footage.runs import checkpoint, layout
from tests.support import plugins
from tests.support.descriptors import open_files
from tests.support.hand_made_runs import hand_made_run
from tests.support.training import AS_OPTIONS

LOSS = """
    from dataclasses import dataclass
    from footage.objectives.losses.base import EmbeddingLossConfig, register_loss

    @register_loss("mine", title="Mine")
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Mine(EmbeddingLossConfig):
        margin: float = 1.0

        def loss(self, embeddings, batch, positives):
            return embeddings.square().mean()

        def chance(self, shape, positives):
            return 0.0
"""
LOGGER = """
    from footage.training.loggers.base import register_logger

    @register_logger("mine")
    class Mine:
        def __init__(self, run, first_step):
            pass

        def log(self, step, values):
            pass

        def flush(self):
            pass

        def close(self):
            pass
"""
EXPORTER = """
    from pathlib import Path
    from footage.models.export.base import Exporter, register_exporter

    @register_exporter("mine")
    class Mine(Exporter):
        default_name = "mine"

        def write(self, model, path):
            self.model = model

        def load(self, path):
            return self.model.backbone

        def usage(self, path):
            return "import footage"
"""
DECORATOR = "hint: decorate settings with @dataclass(frozen=True, kw_only=True, slots=True)"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Writes a plugin, mine.py."""
    monkeypatch.chdir(tmp_path)
    plugins.forget_at_end(monkeypatch)

    def write(text, old="", new=""):
        assert old in text
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        Path("mine.py").write_text(textwrap.dedent(text.replace(old, new)).lstrip())

    return write


def refused(words, capsys):
    """Run a command that fails; return its error and its hint."""
    capsys.readouterr()
    assert cli.main(words) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].startswith("error: ")
    assert "Traceback" not in "".join(lines)
    return lines[-2].removeprefix("error: "), lines[-1].removeprefix("hint: ")


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax (mine.py, line 2)", "--debug"),
        ("def f():\n    raise ValueError('no key')\nf()\n",
         "ValueError: no key (mine.py, line 2)", "--debug"),
        ("import nonexistent_thing\n", "'nonexistent_thing', which is not installed",
         "install nonexistent_thing"),
        (LOSS.replace("frozen=True, ", ""), "TypeError: cannot inherit non-frozen",
         "decorate settings with @dataclass(frozen=True"),
        (LOSS.replace("@dataclass(frozen=True, kw_only=True, slots=True)", ""),
         "loss 'mine' is not a dataclass", "decorate the class with @dataclass(frozen=True"),
        (LOSS.replace("def chance", "def other"), "loss 'mine' has no method 'chance'", "loss.md"),
        (LOSS.replace("def loss", "def other"), "loss 'mine' has no method 'loss'", "loss.md"),
        (LOSS.replace("float = 1.0", "float"), "the setting 'margin' of loss 'mine' has no default",
         "add one"),
        (EXPORTER.replace("def load", "def other"), "exporter 'mine' has no method 'load'",
         "exporter.md"),
        (EXPORTER.replace("default_name", "name"), "has no attribute 'default_name'",
         "exporter.md"),
    ],
)  # fmt: skip
def test_a_plugin_that_cannot_be_used_is_one_error(text, error, hint, plugin, capsys):
    plugin(text)
    found = refused(["recipes", "--plugin", "mine.py"], capsys)
    assert error in found[0]
    assert hint in found[1]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("--plugin none.py", "plugin file not found: 'none.py'", "check the path of --plugin"),
        ("--plugin a.py,b.py", "--plugin takes one file or module, got 'a.py,b.py'",
         "repeat --plugin for each"),
        ("--plugin nowhere.at.all", "plugin module not found: 'nowhere.at.all'",
         "pass a Python file that ends in .py, or install the module"),
        ("--plugin", "--plugin needs a file or module", "for example: --plugin my_loss.py"),
        ("--plugin --debug-not", "--plugin needs a file or module",
         "for example: --plugin my_loss.py"),
    ],
)  # fmt: skip
def test_a_plugin_that_is_not_found_is_one_error(words, error, hint, plugin, capsys):
    plugin("")
    assert refused(["recipes", *words.split()], capsys) == (error, hint)


def test_debug_shows_the_traceback_of_a_plugin(plugin):
    plugin("raise ValueError('no key')\n")
    with pytest.raises(Exception, match="no key") as error:
        cli.main(["recipes", "--plugin", "mine.py", "--debug"])
    assert isinstance(error.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("self.model = model", "raise RuntimeError('odd')",
         "exporter 'mine' failed in write: RuntimeError: odd (mine.py, line 9)"),
        ("return self.model.backbone", "return {}['key']",
         "exporter 'mine' failed in load: KeyError: 'key' (mine.py, line 12)"),
        ("return self.model.backbone", "return lambda images: self.model.backbone(images)[0]",
         "exporter 'mine': the function that load returned must return a tensor of shape (4, "),
        ("return self.model.backbone", "return None",
         "failed in the function that load returned: TypeError: 'NoneType'"),
        ('return "import footage"', "return self.nothing", "exporter 'mine' failed in usage: "),
        ("default_name =", "__init__ = lambda self: 1 / 0; default_name =",
         "exporter 'mine' cannot be created: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_failing_exporter_is_one_error(old, new, error, plugin, capsys):
    plugin(EXPORTER, old, new)
    hand_made_run(Path("run"))
    words = ["export", "run", "--plugin", "mine.py", "--to", "mine"]
    assert error in refused(words, capsys)[0]
    assert not [path for path in Path("run/exports").glob("*") if path.name != ".mine.lock"] or (
        "usage" in error
    )


@pytest.fixture
def train(tiny_store):
    """The words of a training of 2 steps with the plugin mine.py."""
    return ["train", "vivi-ex4-tiny", "--plugin", "mine.py", "--store", str(tiny_store.path),
            "--out", "run", *AS_OPTIONS, "--steps", "2", "--checkpoint-every", "1"]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (".square().mean()", ".square().mean(-1)",
         "loss 'mine' must return one number, a tensor of shape (), got shape ("),
        (".square().mean()", ".square().mean().item()",
         "loss 'mine' must return one number, a tensor of shape (), got float"),
        (".square().mean()", ".square().mean().detach()",
         "loss 'mine' returned a tensor without a gradient"),
        ("return embeddings", "return embeddings.nothing",
         "loss 'mine' failed: AttributeError: 'Tensor' object has no attribute 'nothing'"
         " (mine.py, line 10)"),
        ("return 0.0", "return None", "loss 'mine' failed in chance: TypeError"),
    ],
)  # fmt: skip
def test_a_failing_loss_is_one_error_and_leaves_no_run(old, new, error, plugin, train, capsys):
    plugin(LOSS, old, new)
    found = refused([*train, "--objective.frame-shot.loss", "mine"], capsys)[0]
    assert found.startswith(error)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("log(self, step, values):\n            pass",
         "log(self, step, values):\n            assert step != 2, 'away'",
         "failed at step 2: AssertionError: away (mine.py, line 9)"),
        ("first_step):\n            pass", "first_step):\n            run.nothing",
         "cannot be created: AttributeError"),
        ("def flush", "def other", "cannot be created: TypeError: it has no method 'flush'"),
        ("close(self):\n            pass", "close(self):\n            1 / 0",
         "failed at step 2: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_failing_logger_is_one_warning_and_training_completes(
    old, new, warning, plugin, train, capsys
):
    plugin(LOGGER, old, new)
    assert cli.main([*train, "--log", "tensorboard", "--log", "mine"]) == 0
    errors = capsys.readouterr().err
    assert errors.count("logger 'mine'") == 1
    assert f"logger 'mine' {warning}" in errors
    assert checkpoint.steps(Path("run") / layout.CHECKPOINTS) == [1, 2]
    assert open_files(Path("run")) == []


def test_an_unknown_logger_is_found_before_anything_is_read(plugin, capsys):
    plugin("")
    words = ["train", "vivi-ex4-tiny", "--store", "none", "--out", "run"]
    found = refused([*words, "--log", "mine"], capsys)
    assert found == (
        "unknown logger 'mine'",
        "choose from jsonl, mlflow, tensorboard, trackio, wandb, or load its plugin with --plugin",
    )


def test_a_run_names_its_plugin_wherever_the_plugin_is_missing(plugin, train, capsys, monkeypatch):
    plugin(LOSS)
    assert cli.main([*train, "--objective.frame-shot.loss", "mine"]) == 0
    assert "--held-out --plugin mine.py\n" in capsys.readouterr().err
    assert cli.main(["report", "run", "--plugin", "mine.py"]) == 0
    page = Path("report.html").read_text()
    assert "Shot level: Mine, " in page
    assert "(plugin mine.py)" in page
    assert str(Path.cwd()) not in page

    monkeypatch.setenv(registry.VARIABLE, "")
    LOSSES._entries.pop("mine")
    unknown = "unknown objective.frame_shot.loss.name 'mine'; the run used the plugin mine.py"
    assert refused(["report", "run"], capsys) == (unknown, "add --plugin mine.py")
    assert refused(["train", "--from", "run/run.json", "--out", "other"], capsys) == (
        unknown,
        "add --plugin mine.py",
    )
    resumed = [word for word in train if word not in ("--plugin", "mine.py")]
    message, hint = refused(resumed, capsys)
    assert message == (
        "'run' contains a run with different settings: objective.frame_shot.loss.name: 'mine'"
        " there, 'exemplar' here; the run used the plugin mine.py"
    )
    assert hint == "add --plugin mine.py"


def test_a_missing_backbone_names_the_plugin_of_its_run(plugin, capsys):
    hand_made_run(Path("run"))
    record = layout.read_record(Path("run"))
    model = {**record["model"], "architecture": "my_net"}
    layout.write_record(Path("run"), {**record, "model": model, "plugins": ["elsewhere/nets.py"]})
    message, hint = refused(["export", "run", "--to", "timm"], capsys)
    assert message == "timm has no model 'my_net'; the run used the plugin nets.py"
    assert hint == "add --plugin elsewhere/nets.py"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return 1 / 0", "backbone 'mine' cannot be created with {}: ZeroDivisionError"),
        ("return 3", "backbone 'mine' is of type int"),
        ("return nn.Flatten()", "backbone 'mine' has no attribute num_features"),
    ],
)
def test_a_failing_backbone_is_one_error(body, error, plugin, capsys):
    plugin(
        "from torch import nn\n"
        "from footage.models.options import register_backbone\n"
        "@register_backbone('mine')\n"
        f"def mine(size):\n    {body}\n"
    )
    words = ["export", "mine", "--plugin", "mine.py", "--to", "safetensors"]
    assert refused([*words, "--out", "a.safetensors"], capsys)[0].startswith(error)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("norun", "timm has no model 'norun', and no run, file or folder 'norun' exists"),
        ("runs/frist", "model not found: 'runs/frist'"),
    ],
)
def test_evaluate_checks_the_model_before_the_labels(model, error, plugin, capsys):
    assert refused(["evaluate", model, "--labels", "none"], capsys)[0] == error


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("import a; a.load('b')", """python -c "import a; a.load('b')\""""),
        ("a('$x')", """python -c 'a('"'"'$x'"'"')'"""),
    ],
)
def test_python_of_the_next_step_is_quoted_for_the_shell(code, printed, capsys):
    logging.basicConfig(handlers=[logs.StderrHandler()], force=True, level="INFO")
    following.log_python(code)
    assert capsys.readouterr().err == f"next: {printed}\n"
