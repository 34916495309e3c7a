"""The sections of pictures: what is found nearest, and the shots with their cuts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from footage.reporting.markup import Markup, join, tag
from footage.reporting.retrieval import Answer
from footage.reporting.thumbnails import ShownShot, ShownVideo, clock, thumbnail

SHEET_HEIGHT: Final = 108
FOUND_HEIGHT: Final = 108
"""In pixels; shown smaller, so that they are sharp on a dense screen."""


class Comparison(NamedTuple):
    """The same queries for a run and for its network with random weights."""

    run: str
    trained: Sequence[Answer]
    untrained: Sequence[Answer]
    num_frames: int
    """Number of frames that were searched."""
    are_held_out: bool
    """Whether the queries come from videos that none of the runs was trained on."""


def retrieval_section(comparisons: Sequence[Comparison], missing: str) -> Markup:
    """For each query the nearest frames of other videos, trained next to untrained."""
    title = tag("h2", "Nearest-neighbour retrieval")
    if not any(comparison.trained for comparison in comparisons):
        reason = missing or "The store holds frames of one video only."
        return tag("section", title, tag("p", reason, class_="note"), id="retrieval")
    searched = comparisons[0].num_frames
    queries = (
        "Each query is a frame of a held-out video"
        if comparisons[0].are_held_out
        else "Each query is a frame of a video that may have been trained on"
    )
    note = (
        f"{queries}, followed by the frames nearest to it by cosine, one per other video, among "
        f"{searched} frames of the whole store. There are no labels: an untrained network goes by "
        "colour and layout; look for what the trained one adds."
    )
    return tag(
        "section",
        title,
        tag("p", note, class_="note"),
        *(_comparison(comparison, len(comparisons) > 1) for comparison in comparisons),
        id="retrieval",
    )


def _comparison(comparison: Comparison, named: bool) -> Markup:
    heads = ("query", "nearest to the trained backbone", "nearest to the same network untrained")
    cells = [tag("div", head, class_="head") for head in heads]
    for trained, untrained in zip(comparison.trained, comparison.untrained, strict=True):
        query = trained.query
        caption = tag("figcaption", f"{clock(query.seconds)}  {_short(query.video)}")
        cells.append(
            tag(
                "figure",
                thumbnail(query, height=FOUND_HEIGHT),
                caption,
                class_="query",
                title=_short(query.video),
            )
        )
        cells += [_found(trained, heads[1]), _found(untrained, heads[2])]
    title = tag("h3", comparison.run) if named else Markup("")
    return join(title, tag("div", *cells, class_="retrieval"))


def _found(answer: Answer, head: str) -> Markup:
    return tag(
        "div",
        *(
            tag(
                "figure",
                thumbnail(found.frame, height=FOUND_HEIGHT),
                tag("figcaption", f"{found.similarity:.2f}"),
                title=_short(found.frame.video),
            )
            for found in answer.found
        ),
        class_="found",
        data_head=head,
    )


def contact_section(
    sheet: Sequence[ShownVideo], totals: Mapping[str, Any], num_trained: int, missing: str
) -> Markup:
    """One row per video: its timeline with the cuts, and frames of its shots."""
    title = tag("h2", "Training videos and detected shots")
    if not sheet:
        reason = missing or "The store holds no frames."
        return tag("section", title, tag("p", reason, class_="note"), id="shots")
    among = f" of {num_trained:,}" if num_trained else ""
    note = (
        f"{len(sheet)}{among} training videos, evenly spread. The store, held-out "
        f"videos included, holds {totals['shots']:,} shots and {totals['frames']:,} frames of "
        f"{totals['seconds'] / 3600:.2f} hours. "
        "Vertical lines mark cuts: in the bar at their time in the video, between frames where one "
        "shot ends and the next begins."
    )
    return tag("section", title, tag("p", note, class_="note"), *map(_video, sheet), id="shots")


def _video(video: ShownVideo) -> Markup:
    hidden = video.num_shots - len(video.shots)
    facts = f"{clock(video.seconds)} · {_count(video.num_shots, 'shot')} · " + _count(
        video.num_frames, "frame"
    )
    facts += f" · first {len(video.shots)} shots shown" if hidden else ""
    return tag(
        "article",
        tag(
            "header",
            tag("span", video.path, class_="name-of-file"),
            tag("span", facts),
        ),
        _timeline(video),
        tag("div", *map(_shot, video.shots), class_="strip"),
        class_="video",
    )


def _timeline(video: ShownVideo) -> Markup:
    length = max(video.seconds, 1e-6)
    whole = tag("rect", x=0, y=0, width=1000, height=10)
    cuts = [
        tag("line", x1=1000 * cut / length, x2=1000 * cut / length, y1=0, y2=10)
        for cut in video.cuts
    ]
    return tag(
        "svg",
        whole,
        *cuts,
        class_="timeline",
        viewBox="0 0 1000 10",
        preserveAspectRatio="none",
        role="img",
        aria_label="cuts at " + (", ".join(clock(cut) for cut in video.cuts) or "no time"),
    )


def _shot(shot: ShownShot) -> Markup:
    return tag(
        "div",
        *(
            tag(
                "figure",
                thumbnail(frame, height=SHEET_HEIGHT),
                tag("figcaption", clock(frame.seconds)),
            )
            for frame in shot.frames
        ),
        class_="shot",
        title=f"shot {shot.shot}: {clock(shot.start_seconds)} to {clock(shot.end_seconds)}",
    )


def _short(video: str) -> str:
    """A video's id without its content hash."""
    return video.rpartition("#")[0] or video


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
