"""Does the structure of videos teach anything that their frames do not? Equal views, one network.

    python -m experiments.structure RESULTS.jsonl --store STORE --suite POCKET --seeds 0
    python -m experiments.structure RESULTS.jsonl --table

Four arms of 1000 steps and 128,000 views, each written out in full, so that later defaults do not
change them: `vivi-ex4` as it is shipped; the shot level alone, on two views of two frames;
`frames-as-images`, which sees the same frames without their videos, in its best batch; and
`vivi-ex4` as it was shipped before, with few videos per batch and small crops. An arm takes 15
minutes on one busy core, and its evaluation 4.
"""

from experiments.compare import main

GENTLE = "augment.crop_scale_min=0.5"


def batch(videos: int, shots: int, frames: int, views: int = 1) -> str:
    """Return the settings of V, S, F and A."""
    sizes = {"videos_per_batch": videos, "shots_per_video": shots, "views_per_frame": views}
    sizes |= {"frames_per_shot": frames}
    return ",".join(f"sampling.{name}={size}" for name, size in sizes.items())


def rates(arm: str, values: tuple[float, ...] = (0.0003, 0.003)) -> tuple[str, ...]:
    """Return an arm with other learning rates, by default a third and triple the tiny scale's."""
    recipe, label, *settings = arm.split(":")
    return tuple(
        f"{recipe}:{label}, learning rate {rate}:"
        + ",".join([*settings, f"optimizer.learning_rate={rate}"])
        for rate in values
    )


ARMS = (
    f"vivi-ex4-tiny:vivi-ex4:{batch(32, 2, 2)},objective.future.steps=1,{GENTLE}",
    f"ex-shot-tiny:ex-shot, 2 frames x 2 views:{batch(32, 1, 2, 2)},{GENTLE}",
    f"frames-as-images-tiny:frames-as-images:{batch(8, 4, 1, 4)},{GENTLE}",
    f"vivi-ex4-tiny:vivi-ex4 before:{batch(8, 4, 4)},objective.future.steps=3,"
    "augment.crop_scale_min=0.2",
)

if __name__ == "__main__":
    main(__doc__ or "", ARMS, "steps=1000,compute.workers=1,compute.threads=1")
