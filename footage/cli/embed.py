"""The command line of `footage embed`."""

import logging
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from footage.cli import output, parsing
from footage.cli.following import log_python
from footage.cli.options import SOME, Model, required
from footage.embedding.config import EmbedConfig

log = logging.getLogger(__name__)


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_embed, words, "footage embed")


def _embed(
    model: Model,
    inputs: Annotated[
        tuple[str, ...],
        Positional,
        SOME,
        required("PATH [PATH ...]", "Images, videos, folders of both, or fsspec URLs."),
    ],
    *,
    out: Annotated[str, required("FILE", "Output: .parquet, .npy or .lance.")],
    config: Annotated[EmbedConfig, arg(name="")] = EmbedConfig(),  # noqa: B008 (frozen)
) -> None:
    """Extract features from images and videos into Parquet, NumPy or Lance.

    The output has one row per image or frame.
    """
    from footage.commands.embed import embed
    from footage.embedding.formats import format_of

    found = embed(model, inputs, out=out, config=config)
    if found.shard:
        output.show_values(
            found.to_dict(),
            f"shard {found.shard} is done: {found.num_images} images, {found.num_videos} videos",
        )
        log.info("next: rerun with --merge in place of --shard when all shards are done")
        return
    output.show(found)
    log.info(
        "%d images, %d frames of %d videos, %d files not fully readable",
        found.num_images, found.num_frames, found.num_videos, len(found.failures),
    )  # fmt: skip
    if found.num_skipped:
        log.info("%d files were already in the output", found.num_skipped)
    log_python(format_of(found.path).usage())
