"""The completion scripts of the shells, as bash uses its own."""

import contextlib
import io
import os
import shutil
import subprocess

import pytest

from footage import cli, registry
from footage.cli import completion, help_text
from tests.support import plugins

BASH = """
source "$1"; shift
[[ $(complete -p footage) == *" -F "* ]] || exit 1
handler=$(complete -p footage | sed 's/.* -F \\([^ ]*\\).*/\\1/')
compopt() { :; }  # only works while bash itself completes
for COMP_LINE in "$@"; do
  read -ra COMP_WORDS <<< "$COMP_LINE"; COMP_POINT=${#COMP_LINE}
  [[ $COMP_LINE != *" " ]] || COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  "$handler" footage "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  echo "${COMPREPLY[@]}"
done
"""
ZSH = """
zmodload zsh/zpty
setup='fpath=($PWD $fpath); autoload -Uz compinit; compinit -D -u
compadd() {  # also writes the matches to a file
  local -a found
  (( ${@[(I)-[OAD]]} )) || { builtin compadd -A found "$@"; printf "%s " "$found[@]" >> answers }
  builtin compadd "$@"
}
comppostfuncs=(end_line); end_line() { comppostfuncs=(end_line); print >> answers }
bindkey "^I" complete-word; PS1="ready>"; '
print -r -- "$setup" > setup
: > answers
zpty terminal zsh -f -i
zpty -w terminal ". ./setup"
zpty -r -m terminal output "*ready>*"
for line in "${@:2}"; do
  zpty -w -n terminal $'\\x15'"$line"$'\\t'
  (( count += 1 ))
  while (( $(wc -l < answers) < count )) && zpty -t terminal; do
    zpty -r -t terminal output; sleep 0.01
  done
done
zpty -d terminal
cat answers
"""
FISH = r"""
source $argv[1]
for line in $argv[2..]
    echo (complete -C $line | cut -f 1)
end
"""
NAMES = {"bash": "footage.bash", "zsh": "_footage", "fish": "footage.fish"}
"""File names that the shells expect."""
RUN = {
    "bash": ["bash", "-c", BASH, "-"],
    "zsh": ["zsh", "-f", "-c", ZSH, "-"],
    "fish": ["fish", "--no-config", "-c", FISH],
}
PLUGIN = """
from dataclasses import dataclass
from footage.objectives.losses.base import EmbeddingLossConfig, register_loss
from footage.video.detectors.base import register_detector


@register_loss("alignment", title="Alignment")
@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment(EmbeddingLossConfig):
    uniformity: float = 1.0

    def loss(self, embeddings, batch, positives):
        return embeddings.mean()

    def chance(self, shape, positives):
        return 0.0


@register_detector("brightness")
class Brightness:
    def push(self, tiny, seconds):
        return []

    def finish(self):
        return []
"""
LOSS = "train vivi-ex4-tiny --objective.frame-shot.loss"
ANSWERS = {
    "--js": {"--json"},
    "--json e": {"evaluate", "embed", "export"},
    "e": {"evaluate", "embed", "export"},
    "--v": {"--version"},
    "--print-completion ": {"bash", "zsh", "fish"},
    "store ": {"verify"},
    "vtab import": {"import-parquet"},
    "store verify --rep": {"--repair"},
    "train vivi-ex4-co-t": {"vivi-ex4-co-tiny"},
    "train vivi-ex4-tiny --optimizer.l": {"--optimizer.learning-rate"},
    "train vivi-ex4-tiny --optimizer.learning-rate ": set(),
    "train vivi-ex4-tiny --precision b": {"bf16"},
    "train vivi-ex4-tiny --channels-last --no-c": {"--no-channels-last"},
    "train vivi-ex4-tiny --log mlflow --out videos --log wa": {"wandb"},
    f"{LOSS} ni": set(),
    f"{LOSS} vic": {"vicreg"},
    f"{LOSS}.cov": {"--objective.frame-shot.loss.covariance"},
    "train --fr": {"--from"},
    "ingest --log": {"--log-file"},
    "ingest vid": {"videos"},
    "ingest videos --detector tr": {"transnet"},
    "export runs/first --to hug": {"huggingface"},
    "report vid": {"videos"},
    "report --out vid": {"videos"},
    "report x --out vid": {"videos"},
}
OF_PLUGIN = {
    f"{LOSS} al": {"alignment"},
    f"{LOSS}.uni": {"--objective.frame-shot.loss.uniformity"},
    "ingest videos --detector br": {"brightness"},
}


def script(shell):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        completion.run([shell])
    return text.getvalue()


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell, name in NAMES.items():
        (folder / name).write_text(script(shell))
    (folder / "videos").mkdir()
    return folder


def completed(folder, shell, lines):
    """What a shell offers for the last word of each line."""
    if shell != "bash" and not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    command = [*RUN[shell], str(folder / NAMES[shell]), *(f"footage {line}" for line in lines)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=folder, timeout=60,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    assert done.stderr == ""
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines)
    return {
        line: set(words.replace("/", "").split())
        for line, words in zip(lines, answers, strict=True)
    }


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_shell_completes_commands_options_choices_and_files(shell, scripts):
    offered = completed(scripts, shell, [*ANSWERS])
    assert offered == ANSWERS


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_value_after_an_equals_sign_is_completed(shell, scripts):
    (offered,) = completed(scripts, shell, ["train vivi-ex4-tiny --precision=b"]).values()
    assert {word.removeprefix("--precision=") for word in offered} == {"bf16"}


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_command_and_every_option_of_a_command_is_offered(shell, scripts):
    commands = ["ingest", "evaluate", "profile", "embed", "demo"]
    offered = completed(scripts, shell, ["", *(f"{name} --" for name in commands)])
    assert offered[""] >= set(cli.COMMANDS)
    for name in commands:
        listed = help_text.entries(help_text.help_of([name, "--help"]))
        options = {word.strip(",") for one in listed for word in one.name.split()[:2]}
        options = {word for word in options if word.startswith("--")}
        assert len(options) > 4
        assert options <= offered[f"{name} --"]


def test_names_and_settings_of_plugins_are_completed(tmp_path, monkeypatch):
    plugins.forget_at_end(monkeypatch)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    registry.load_plugins([str(tmp_path / "plugin.py")])
    (tmp_path / NAMES["bash"]).write_text(script("bash"))
    assert completed(tmp_path, "bash", [*OF_PLUGIN]) == OF_PLUGIN


@pytest.mark.parametrize("words", [["csh"], [], ["bash", "zsh"]])
def test_an_unknown_shell_is_one_error(words, capsys):
    assert cli.main(["--print-completion", *words]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("error: --print-completion needs one of bash, zsh, fish")
    assert found.err.count("\n") == 2
