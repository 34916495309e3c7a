"""The completion scripts of the shells, as bash uses its own."""

import contextlib
import shutil
import subprocess

import pytest

from footage import cli
from footage.cli import completion, help_text

ASK = """
source "$1"; shift
[[ $(complete -p footage) == *" -F "* ]] || exit 1
handler=$(complete -p footage | sed 's/.* -F \\([^ ]*\\).*/\\1/')
COMP_WORDS=(footage "$@"); COMP_CWORD=$#
COMP_LINE="footage $*"; COMP_POINT=${#COMP_LINE}
compopt() { :; }  # only works while bash itself completes
"$handler" footage "${@: -1}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in completion.SHELLS:
        with (folder / shell).open("w") as file, contextlib.redirect_stdout(file):
            completion.run([shell])
    return folder


def completed(scripts, *words):
    """What bash offers for the last of some words."""
    command = ["bash", "-c", ASK, "-", str(scripts / "bash"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=scripts)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["e"], {"evaluate", "embed", "export"}),
        (["--v"], {"--version"}),
        (["--print-completion", ""], {"bash", "zsh", "fish"}),
        (["store", ""], {"verify"}),
        (["vtab", "import"], {"import-parquet"}),
        (["store", "verify", "--rep"], {"--repair"}),
        (["train", "vivi-ex4-co-t"], {"vivi-ex4-co-tiny"}),
        (["train", "vivi-ex4-tiny", "--optimizer.l"], {"--optimizer.learning-rate"}),
        (["train", "vivi-ex4-tiny", "--precision", "b"], {"bf16"}),
        (["train", "vivi-ex4-tiny", "--channels-last", "--no-c"], {"--no-channels-last"}),
        (["train", "--fr"], {"--from"}),
        (["ingest", "--log"], {"--log-file"}),
        (["report", "ba"], {"bash"}),
        (["report", "--out", "fi"], {"fish"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(words, offered, scripts):
    assert completed(scripts, *words) == offered


def test_bash_offers_every_command_first(scripts):
    assert completed(scripts, "") >= set(cli.COMMANDS)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_shell_that_is_installed_accepts_its_script(shell, scripts):
    text = (scripts / shell).read_text()
    assert all(name in text for name in cli.COMMANDS)
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(scripts / shell)], check=True)


@pytest.mark.parametrize("command", ["ingest", "evaluate", "profile", "embed", "demo"])
def test_every_option_in_the_help_of_a_command_is_offered(command, scripts):
    listed = {one.name.split()[0] for one in help_text.entries(help_text.help_of([command, "-h"]))}
    options = {name.strip(",") for name in listed if name.startswith("-")}
    assert len(options) > 4
    assert options <= completed(scripts, command, "-")


@pytest.mark.parametrize("words", [["csh"], [], ["bash", "zsh"]])
def test_an_unknown_shell_is_one_error(words, capsys):
    assert cli.main(["--print-completion", *words]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("error: --print-completion needs one of bash, zsh, fish")
    assert found.err.count("\n") == 2
