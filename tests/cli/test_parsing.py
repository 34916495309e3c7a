"""What a wrong or outdated command line gets in reply."""

import warnings

import pytest

from footage import arguments, cli
from footage.cli import parsing
from footage.errors import UsageError


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("embed model a.jpg", "missing: --out", "LISTS"),
        ("embed", "missing: MODEL, PATH, --out", "LISTS"),
        ("embed model --out x.parquet", "missing: PATH", "LISTS"),
        ("evaluate model --labels", "missing: --labels", "LISTS"),
        ("evaluate --labels lab", "missing: MODEL", "LISTS"),
        ("evaluate", "missing: MODEL", "LISTS"),
        ("evaluate --held-out", "missing: MODEL", "LISTS"),
        ("evaluate --labels lab --knn 5", "unknown option '--knn'", "LISTS"),
        ("profile", "missing: MODEL, --out", "LISTS"),
        ("profile a", "missing: --out", "LISTS"),
        ("train --store s", "missing: RECIPE, --out", "`footage recipes` lists all recipes"),
        ("train --out x", "missing: RECIPE", "`footage recipes` lists all recipes"),
        ("train vivi-ex4-tiny --store s", "missing: --out", "LISTS"),
        ("train vivi-ex4-tiny --out x", "this recipe needs a frame store", "add --store STORE"),
        ("train vivi-ex4-tiny --out x --steps -5", "--steps must be at least 1, got -5", "LISTS"),
        ("train vivi-ex4-tiny --objective.frameshot.loss vicreg",
         "unknown option '--objective.frameshot.loss'", "--objective.frame-shot.loss? LISTS"),
        ("train vivi-ex4-tiny --objective.frame-shot.loss vicreg"
         " --objective.frame-shot.loss.temperature 3",
         "unknown option '--objective.frame-shot.loss.temperature'",
         "loss vicreg has: invariance, variance, covariance"),
        ("train vivi-ex4-tiny --objective.extra-levels.position.weight 1",
         "unknown level 'position'", "load its plugin with --plugin"),
        ("train vivi", "unknown recipe 'vivi'",
         "vivi-ex4, vivi-full, vivi-rot, vivi-nce, vivi-vicreg, vivi-dino or vivi-distil?"
         " (`footage recipes` lists all)"),
        ("--help-all", "unknown option '--help-all'", "use footage COMMAND --help-all"),
        ("embed m a --out x --batch-siz 3", "unknown option '--batch-siz'", "--batch-size? LISTS"),
        ("embed m a --batch-siz 3", "unknown option '--batch-siz'", "--batch-size? LISTS"),
        ("embed m a --out x --frames_per_secnd=3", "unknown option '--frames-per-secnd'",
         "--frames-per-second? LISTS"),
        ("train vivi-ex4-tiny --out x --objective.futur.weight 1",
         "unknown option '--objective.futur.weight'", "--objective.future.weight? LISTS"),
        ("train vivi-ex4-tiny --out x --learning-rate 1", "unknown option '--learning-rate'",
         "--optimizer.learning-rate? LISTS"),
        ("train vivi-ex4-tiny --out x --steps 1.5", "--steps: not a whole number: '1.5'", "LISTS"),
        ("train vivi-ex4-tiny --out x --optimizer.learning-rate q",
         "--optimizer.learning-rate: not a number: 'q'", "LISTS"),
        ("train vivi-ex4-tini --out x", "unknown recipe 'vivi-ex4-tini'",
         "vivi-ex4-tiny? (`footage recipes` lists all)"),
        ("train --from", "--from needs a file", "footage train --from RUN/run.json --out RUN"),
        ("train", "missing: RECIPE, --out", "`footage recipes` lists all recipes"),
        ("export m --to tim", "unknown export format 'tim'",
         "timm? Or load its plugin with --plugin"),
        ("export m --to gguf", "unknown export format 'gguf'",
         "choose from huggingface, onnx, safetensors, timm, torch-export, torchvision, or load its"
         " plugin with --plugin"),
        ("ingest a --detector adaptiv --out x", "unknown detector 'adaptiv'",
         "adaptive? Or load its plugin with --plugin"),
        ("ingest a --out", "--out needs a value", "LISTS"),
        ("search m q --store s", "unknown option '--store'", "--in? LISTS"),
        ("report a b --nope", "unknown option '--nope'", "LISTS"),
        ("export m n --to timm", "unexpected argument 'n'", "LISTS"),
        ("store", "footage store needs a command", "use footage store verify"),
        ("store verfy s", "unknown command 'footage store verfy'", "verify?"),
        ("store verify", "missing: STORE", "`footage store verify --help` lists all options"),
        ("vtab doctr d", "unknown command 'footage vtab doctr'", "doctor?"),
        ("trian", "unknown command 'trian'", "train?"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_error_and_one_hint(words, error, hint, capsys):
    assert cli.main(words.split()) == 2
    printed = capsys.readouterr()
    program = " ".join(words.split()[: 2 if words.startswith("train") else 1])
    hint = hint.replace("LISTS", f"`footage {program} --help` lists all options")
    if not hint.startswith(("`", "footage", "choose", "loss", "load", "use", "add")):
        hint = f"did you mean {hint}"
    assert printed.err.splitlines() == [f"error: {error}", f"hint: {hint}"]
    assert printed.out == ""


def test_an_error_of_the_command_is_not_one_of_the_command_line():
    def command(*, count: int = 0) -> None:
        raise SystemExit(2) if count else ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        parsing.run(command, [], "program")
    with pytest.raises(SystemExit):
        parsing.run(command, ["--count", "1"], "program")
    with pytest.raises(UsageError, match="not a whole number"):
        parsing.run(command, ["--count", "x"], "program")


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        ("train vivi-ex4-co-tiny --store none --images photos --out x", "--images", "--labels"),
        ("evaluate none/run.json --labelled=photos", "--labelled", "--labels"),
        ("evaluate none/run.json --labels photos --protocol knn", "--protocol", "--protocols"),
        ("profile none/run.json --labelled a --videos b --out x", "--labelled", "--labels"),
    ],
)
def test_an_old_spelling_still_works_and_names_the_new_one(
    words, old, new, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) in (1, 2)  # what it names does not exist
    assert capsys.readouterr().err.startswith(f"{old} is deprecated; use {new}\nerror: ")


def test_an_old_keyword_still_works_and_names_the_new_one():
    @arguments.renamed(labelled="labels")
    def function(model: str, *, labels: str = "") -> str:
        return model + labels

    with pytest.warns(FutureWarning, match="labelled= is deprecated; use labels="):
        assert function("a", labelled="b") == "ab"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert function("a", labels="b") == "ab"
