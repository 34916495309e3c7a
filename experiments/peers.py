r"""How does a peer perform on the same frames? Dump them as images, and evaluate its network.

    python -m experiments.peers frames --store STORE --seed 0 --out frames-0
    PEER/bin/python experiments/peer_lightly.py frames-0 --method simclr --out simclr-0
    python -m experiments.peers evaluate RESULTS.jsonl --model simclr-0 --seed 0 \
        --label "LightlyTrain SimCLR" --store STORE --suite POCKET

The second command runs in the peer's own environment. The frames are those of the videos on which
the arms of `levels.py` train with that seed; held-out videos stay held out. `evaluate` adds a line
in the format of `experiments/compare.py`, whose table shows both if given both files joined by
`cat`.
"""

import argparse
import json
from pathlib import Path

from experiments.compare import Arm, Line, measures, read_settings, store_hash
from experiments.compare_suites import SuiteFolder, on_suite
from experiments.levels import COMMON
from footage.data.sampling import hold_out
from footage.errors import FootageError
from footage.evaluation.held_out_frames import held_out_frames
from footage.models import load as models
from footage.runs.environment import environment
from footage.store.reader import Store
from footage.training import online_metrics
from footage.training.config import TrainConfig


def configuration_of(seed: int) -> TrainConfig:
    """Return the configuration of `levels.py`: held-out videos, network and image size."""
    return Arm("vivi-ex4-tiny", "", {}).config(read_settings(COMMON), seed)


def held_out_videos(store: Store, config: TrainConfig) -> list[str]:
    """Return the videos that a run with this configuration holds out."""
    ids = list(dict.fromkeys(store.shots["video"].to_pylist()))
    return [
        ids[number] for number in hold_out(ids, config.held_out_fraction, config.seed).nonzero()[0]
    ]


def dump(store: Store, config: TrainConfig, out: Path) -> int:
    """Write the stored JPEGs of every training video unchanged; return their number."""
    held_out = set(held_out_videos(store, config))
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    videos, lengths = store.shots["video"].to_pylist(), store.shots["num_frames"].to_pylist()
    for row, (video, length) in enumerate(zip(videos, lengths, strict=True)):
        for number, jpeg in enumerate(
            store.encoded(row, range(length)) if video not in held_out else ()
        ):
            (out / f"{row:05}-{number:05}.jpg").write_bytes(jpeg)
            count += 1
    return count


def evaluate_model(options: argparse.Namespace) -> Line:
    """Return a line of results for a model that was trained elsewhere on the dumped frames."""
    config = configuration_of(options.seed)
    evaluated = on_suite(
        config, options.model, options.results, SuiteFolder("pocket", options.suite)
    )
    store = Store.open(options.store)
    frames = held_out_frames(
        store,
        held_out_videos(store, config),
        size=config.augment.size,
        frames=config.metrics_frames,
    )
    watch = online_metrics.OnlineMetrics(frames, {})
    loaded = models.load(str(options.model), size=config.augment.size)
    backbones = [models.untrained(loaded, seed=options.seed).backbone, loaded.backbone]
    probes = [watch.compute(backbone, {})[0] for backbone in backbones]
    told = json.loads((options.model / "training.json").read_text())
    return {
        "label": options.label,
        "recipe": "",
        "settings": told["settings"],
        "seed": options.seed,
        "store": store_hash(options.store),
        "views": told["views"],
        "train_seconds": told["seconds"],
        "groups": evaluated.groups,
        "test": measures(probes, evaluated.test),
        "validation": measures(probes, evaluated.validation),
        "environment": environment() | {"peer": told["versions"]},
    }


def main() -> None:
    """Dump frames, or evaluate a model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    frames, evaluated = verbs.add_parser("frames"), verbs.add_parser("evaluate")
    for verb in (frames, evaluated):
        verb.add_argument("--store", required=True)
        verb.add_argument("--seed", type=int, default=0)
    frames.add_argument("--out", type=Path, required=True)
    evaluated.add_argument("results", help="a line of JSON is appended")
    evaluated.add_argument(
        "--model", type=Path, required=True, help="the folder of peer_lightly.py"
    )
    evaluated.add_argument("--label", required=True)
    evaluated.add_argument("--suite", required=True, help="the folder of the pocket suite")
    options = parser.parse_args()
    try:
        if options.verb == "frames":
            print(dump(Store.open(options.store), configuration_of(options.seed), options.out))
        else:
            line = evaluate_model(options)
            with Path(options.results).open("a") as file:
                file.write(json.dumps(line) + "\n")
    except FootageError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
