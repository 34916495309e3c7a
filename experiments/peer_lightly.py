"""Train a network on a folder of frames with LightlyTrain, and write it as a folder for timm.

    python -m venv PEER
    PEER/bin/pip install lightly-train==0.18.0 timm
    PEER/bin/python experiments/peer_lightly.py FRAMES --method simclr --out OUT

The script needs its own environment and does not import footage. Network, image size, views and
seed are those of `levels.py`; optimiser, augmentation and schedule are LightlyTrain's defaults.
SimCLR takes two views of an image, DINO two global ones (its local crops are off, because they
would add views), so a batch is 64 images.
"""

import argparse
import importlib.metadata
import json
import math
import time
from pathlib import Path
from typing import Any

import lightly_train
import timm
import torch
from safetensors.torch import save_file

NETWORK, SIZE, STEPS, IMAGES_PER_BATCH = "regnetx_002", 64, 1000, 64
TRANSFORMS: dict[str, dict[str, Any]] = {
    "simclr": {"image_size": (SIZE, SIZE)},
    "dino": {"image_size": (SIZE, SIZE), "local_view": None},
}


def main() -> None:
    """Train, then write config.json, model.safetensors and training.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("frames", type=Path)
    parser.add_argument("--method", choices=TRANSFORMS, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps_per_epoch = sum(1 for _ in options.frames.glob("*.jpg")) // IMAGES_PER_BATCH
    epochs = math.ceil(STEPS / steps_per_epoch)
    settings = {
        "method": options.method,
        "epochs": epochs,
        "batch_size": IMAGES_PER_BATCH,
        "transform_args": TRANSFORMS[options.method],
        "trainer_args": {"max_steps": STEPS},
    }
    began = time.perf_counter()
    lightly_train.pretrain(
        out=options.out / "lightly",
        data=options.frames,
        model=f"timm/{NETWORK}",
        num_workers=0,
        accelerator="cpu",
        precision="32-true",
        seed=options.seed,
        **settings,
    )
    seconds = time.perf_counter() - began
    write(options.out)
    versions = {name: importlib.metadata.version(name) for name in ("lightly-train", "torch")}
    told = {"settings": settings, "seconds": round(seconds, 1), "versions": versions}
    told["views"] = STEPS * IMAGES_PER_BATCH * 2
    (options.out / "training.json").write_text(json.dumps(told, indent=1) + "\n")


def write(out: Path) -> None:
    """Write the trained network as a folder for timm."""
    state = out / "state.pt"
    lightly_train.export(
        out=state,
        checkpoint=out / "lightly" / "checkpoints" / "last.ckpt",
        part="model",
        format="torch_state_dict",
        overwrite=True,
    )
    network = timm.create_model(NETWORK, num_classes=0)
    tensors = torch.load(state, weights_only=True)
    wanted = network.state_dict()
    network.load_state_dict({name: tensors[name] for name in wanted})
    save_file(network.state_dict(), out / "model.safetensors")
    config = {"input_size": [3, SIZE, SIZE], "mean": [0.485, 0.456, 0.406]}
    config |= {"std": [0.229, 0.224, 0.225]}
    told = {"architecture": NETWORK, "pretrained_cfg": config}
    (out / "config.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
