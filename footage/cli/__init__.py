"""The command line: parse, call a command, print what it returns, choose the exit code.

Data goes to stdout, logs to stderr. The end of `USAGE` lists the exit codes; an error carries its
own. Only this module and `cli_evaluation` print. Each command imports what it needs when it is
called, so that `footage --help` answers at once.
"""

import contextlib
import difflib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from footage.cli import evaluation, terminal
from footage.errors import FootageError, MachineError, OutputError
from footage.sandbox import policy
from footage.sandbox.shortage import is_out_of_memory, with_limits
from footage.text import one_line, printable

USAGE = """\
footage: train an image backbone on raw, unlabelled video

  footage ingest   PATHS... --out STORE              decode videos, detect shots, and store frames
  footage store    verify STORE [--repair VIDEOS]    verify every byte of a frame store; repair it
  footage train    RECIPE --store STORE --out RUN    train a backbone; rerun to resume
  footage evaluate MODEL --labelled FOLDER           kNN and linear probe, compared with baselines
  footage evaluate MODEL --suite vtab --data DIR     VTAB-1k or another task suite
  footage profile  MODEL... --out FOLDER             measure and compare feature invariances
  footage embed    MODEL INPUTS... --out FILE        extract features from images and videos
  footage export   RUN --to timm --out FOLDER        export weights to timm or safetensors
  footage report   RUN... --out report.html          self-contained HTML report
  footage vtab     doctor DIR | export --out DIR     check, export, or import VTAB-1k data
  footage recipes  [NAME...]                         list or describe the recipes of `train`
  footage demo                                       run the whole pipeline on a laptop in minutes

MODEL is a run, an exported file or folder, or a timm name.
Run `footage COMMAND --help` for options. Add --debug to any command for a full traceback, or
--require-sandbox to stop with an error unless every layer of the decoder sandbox is available.

Exit codes: 0 done, 1 error, 2 wrong command line, 74 output cannot be written (no space, no
permission), 75 output in use by another process, or a failure of the machine (memory, limits),
128 + N stopped by signal N: 130 Ctrl-C, 138 SIGUSR1 (requeue), 143 SIGTERM. Training saves a
checkpoint before it stops; rerun to resume."""

log = logging.getLogger(__name__)

BROKEN_PIPE = 141
"""Exit code of a program that SIGPIPE ended, as a shell reports it."""

Paths = Positional[tuple[str, ...]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of footage.

    Args:
        arguments: The command line without the program's name; None takes the real one.

    Returns:
        The exit code.
    """
    return run_program(VERBS, USAGE, arguments)


def run_program(
    commands: Mapping[str, Callable[[Sequence[str]], None]],
    usage: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run one command of a program whose errors and exit codes are those of footage.

    Args:
        commands: Functions by name; each is called with the words after its name.
        usage: Text that `--help` prints.
        arguments: The command line without the program's name; None takes the real one.

    Returns:
        The exit code.
    """
    terminal.prepare_streams()
    sys.excepthook = terminal.print_traceback
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    require_sandbox = "--require-sandbox" in words
    words = [word for word in words if word not in ("--debug", "--require-sandbox")]
    _log_to_stderr()
    with policy.of_command(require_all=require_sandbox):
        code = _run(commands, usage, words, debug)
    error = terminal.output_error()
    if error is None:
        return code
    terminal.discard_output()
    if isinstance(error, BrokenPipeError):  # whoever read the output, such as `head`, has stopped
        return BROKEN_PIPE
    return _refuse(
        f"standard output cannot be written: {error.strerror}",
        "free some space or redirect the output elsewhere, then rerun the same command",
        OutputError.exit_code,
    )


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(terminal.PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], force=True)
    logging.getLogger("footage").setLevel(logging.INFO)


def _run(
    commands: Mapping[str, Callable[[Sequence[str]], None]],
    usage: str,
    words: list[str],
    debug: bool,
) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(usage)
        return 0
    command = commands.get(words[0])
    if command is None:
        near = difflib.get_close_matches(words[0], commands, n=1)
        return _refuse(
            f"unknown command {words[0]!r}",
            f"did you mean {near[0]}?" if near else f"commands: {', '.join(commands)}",
            code=2,
        )
    try:
        command(words[1:])
    except FootageError as error:
        if debug:
            raise
        return _refuse(error.message, error.hint, error.exit_code)
    except (MemoryError, ImportError, RuntimeError) as error:
        if debug or not is_out_of_memory(error):
            raise
        return _refuse(
            with_limits("out of memory"),
            "free memory or raise the limit (see `ulimit -a`), then rerun the same command",
            MachineError.exit_code,
        )
    except KeyboardInterrupt:
        return _refuse("interrupted", "rerun the same command to resume", code=130)
    return 0


def _refuse(message: str, hint: str, code: int = 1) -> int:
    with contextlib.suppress(OSError):  # the exit code still reports it
        for kind, text in (("error", message), ("hint", hint)):
            if text:
                print(f"{kind}: {one_line(text)}", file=sys.stderr)
        sys.stderr.flush()
    return code


def _ingest(words: Sequence[str]) -> None:
    from footage.commands.ingest import IngestConfig, ingest
    from footage.ingestion.report import TooManyRejectedError, UnprocessedError

    default = IngestConfig()

    def command(
        paths: Paths, *, out: str, config: Annotated[IngestConfig, arg(name="")] = default
    ) -> None:
        """Decode videos into a frame store. Rerun to resume or to add new videos.

        Args:
            paths: Video files, folders (searched recursively), or fsspec URLs.
            out: The frame store to write, a local folder.
            config: Ingest settings.
        """
        try:
            print(printable(ingest(paths, out, config).summary()))
        except (TooManyRejectedError, UnprocessedError) as error:
            print(printable(error.report.summary()))
            raise

    terminal.run(command, words, "footage ingest")


def _store(words: Sequence[str]) -> None:
    from footage.commands.store import require_sound, verify

    def command(
        store: Positional[str],
        *,
        repair: Annotated[tuple[str, ...] | None, arg(metavar="[PATHS ...]")] = None,
    ) -> None:
        """Read every byte of a frame store and compare it with what was written.

        Args:
            store: A frame store that `footage ingest` wrote.
            repair: Also restore damaged files. The videos of damaged frames are looked up in these
                files, folders or URLs and ingested again. Without a path, only files that can be
                restored without a video are.
        """
        report = verify(store, repair)
        print(printable(report.summary()))
        require_sound(report)

    evaluation.one_of("store", words, {"verify": command})


def _train(words: Sequence[str]) -> None:
    from footage.commands.train import train
    from footage.training.config import TrainConfig

    name, base, rest = _starting_point(list(words))

    def command(
        *,
        out: str,
        store: str = "",
        images: str = "",
        config: Annotated[TrainConfig, arg(name="")],
    ) -> None:
        """Train a backbone on a frame store. Rerun the same command to resume.

        `footage train --from RUN/run.json --out OTHER` repeats a run.

        Args:
            out: The run folder.
            store: A frame store that `footage ingest` wrote.
            images: Labelled images, for recipes that learn from them: class folders, a list file,
                Parquet, WebDataset or a Hugging Face folder.
            config: Training configuration; defaults come from the recipe.
        """
        print(train(config, store=store, images=images, out=out, recipe=name))

    command.__kwdefaults__ = {"store": "", "images": "", "config": base}
    terminal.run(command, rest, f"footage train {name}")


def _starting_point(words: list[str]) -> tuple[str, Any, list[str]]:
    """A recipe's name, the configuration to start from, and the options that follow."""
    from footage import configuration
    from footage.recipes.methods import recipe
    from footage.runs import layout
    from footage.training.config import TrainConfig

    first = words[0].partition("=")[0] if words else ""
    if first == "--from":
        words = [part for word in words[:1] for part in word.split("=", 1)] + words[1:]
        if len(words) < 2:
            raise FootageError("--from needs a file", "footage train --from RUN/run.json --out RUN")
        record = layout.read_record(Path(words[1]))
        base = configuration.from_dict(TrainConfig, record["config"])
        given = {word.partition("=")[0] for word in words}
        same = [
            word
            for name in ("store", "images")
            if record.get(name) and f"--{name}" not in given
            for word in (f"--{name}", record[name])
        ]
        return record["recipe"], base, words[2:] + same
    if first in ("-h", "--help"):
        return "RECIPE", TrainConfig(), words
    if not first or first.startswith("-"):
        raise FootageError("train needs a recipe first", "see `footage recipes`")
    return words[0], recipe(words[0]), words[1:]


def _embed(words: Sequence[str]) -> None:
    from footage.commands.embed import EmbedConfig, embed

    default = EmbedConfig()

    def command(
        model: Positional[str],
        inputs: Paths,
        *,
        out: str,
        config: Annotated[EmbedConfig, arg(name="")] = default,
    ) -> None:
        """Extract features from images and videos into a Parquet file, one row per image or frame.

        Args:
            model: A run, an exported file or folder, or a timm name.
            inputs: Images, videos, folders of both, or URLs.
            out: The Parquet file to write.
            config: Settings for extracting features.
        """
        found = embed(model, inputs, out=out, config=config)
        print(found.path)
        log.info(
            "%d images, %d frames of %d videos, %d files not fully readable",
            found.num_images, found.num_frames, found.num_videos, len(found.failures),
        )  # fmt: skip

    terminal.run(command, words, "footage embed")


def _export(words: Sequence[str]) -> None:
    from footage.commands.export import Target, export

    def command(model: Positional[str], *, to: Target, out: str = "") -> None:
        """Export a backbone to timm or safetensors and verify it by reloading.

        Args:
            model: A run, an exported file or folder, or a timm name.
            to: timm writes a folder that timm loads; safetensors writes one file.
            out: The folder or file to write; for a run, the default is in RUN/exports.
        """
        written = export(model, to=to, out=out)
        print(written.path)
        log.info("largest difference %.1e; %s", written.largest_difference, written.usage)

    terminal.run(command, words, "footage export")


def _report(words: Sequence[str]) -> None:
    from footage.commands.report import report

    def command(runs: Paths, *, out: str = "report.html") -> None:
        """Write a self-contained HTML report about one or more runs.

        Args:
            runs: Run folders, plus suite results of other models, and profiles.
            out: The HTML file to write.
        """
        print(report(runs, out=out))

    terminal.run(command, words, "footage report")


def _demo(words: Sequence[str]) -> None:
    from footage.commands.demo import DemoConfig, demo

    default = DemoConfig()

    def command(
        videos: Paths = (),
        *,
        out: str = "demo",
        config: Annotated[DemoConfig, arg(name="")] = default,
    ) -> None:
        """Ingest, train, evaluate, export and report, in minutes on a laptop CPU.

        Args:
            videos: Your own videos. Defaults to a small set of real and rendered clips.
            out: The folder for all outputs.
            config: Settings of the demo.
        """
        print(printable(demo(videos, out=out, config=config).summary()))

    terminal.run(command, words, "footage demo")


def _recipes(words: Sequence[str]) -> None:
    from footage.recipes.methods import METHODS, RECIPES, recipe
    from footage.recipes.scales import SCALES

    def command(names: Paths = ()) -> None:
        """List the recipes of `train`, or describe what a recipe reproduces, changes and costs.

        Args:
            names: Recipes to describe.
        """
        for name in names:
            recipe(name)  # refuses an unknown one
            print(f"{name}\n\n{RECIPES[name].notes}\n")
        if names:
            return
        for method in METHODS:
            print(f"{method:18} {RECIPES[method].summary}")
        others = ", ".join(f"METHOD-{scale}" for scale in SCALES if scale != "paper")
        print(f"\nMETHOD alone has the paper's scale; {others} are smaller")

    terminal.run(command, words, "footage recipes")


VERBS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "ingest": _ingest,
    "store": _store,
    "train": _train,
    "evaluate": evaluation.evaluate,
    "profile": evaluation.profile,
    "embed": _embed,
    "export": _export,
    "report": _report,
    "vtab": evaluation.vtab,
    "pocket": evaluation.pocket,
    "recipes": _recipes,
    "demo": _demo,
}
