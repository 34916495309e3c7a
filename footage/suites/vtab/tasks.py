"""The nineteen tasks of VTAB-1k, one row each.

Source: google-research/task_adaptation at d7630d3, which names the TFDS builders, the slices and
the label rules. Slices refer to the stored order of records, without sampling or stratification.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from footage.suites.task_spec import Group, Pixels, TaskRow

SUITE: Final = "vtab-1k"

LabelRule = Literal[
    "stored_label",
    "clevr_count",
    "clevr_closest_distance",
    "kitti_closest_vehicle",
    "dsprites_x_position",
    "dsprites_orientation",
    "smallnorb_azimuth",
    "smallnorb_elevation",
]
"""Names of the functions in `labels.LABELS`."""

PixelRule = Literal["stored_pixels", "grey_as_rgb", "mask_as_rgb"]
"""Names of the functions in `labels.PIXELS`."""

_SLICE: Final = re.compile(r"(\w+)(?:\[(\d*):(\d*)\])?")


def records(part: str, sizes: Mapping[str, int]) -> tuple[str, range]:
    """Return the split of a slice, and the positions of its records.

    Args:
        part: `test`, `train[:800]`, `train[63000:63200]` or `train[21600:]`.
        sizes: Number of records in each split.
    """
    found = _SLICE.fullmatch(part)
    assert found is not None, part
    split, start, stop = found.groups()
    return split, range(int(start or 0), int(stop or sizes[split]))


@dataclass(frozen=True, kw_only=True, slots=True)
class VtabTask:
    """One task: the required content of its folder, and its source in TFDS."""

    name: str
    """Name of the task and of its folder, as in redistributed copies."""
    group: Group
    num_classes: int
    pixels: Pixels
    """Encoding of the images in TFDS."""
    builder: str
    """Argument of `tfds.builder` in the original code."""
    sizes: Mapping[str, int]
    """Number of records in each split of the slices."""
    train800: str = "train[:800]"
    val200: str
    test: str
    label: LabelRule = "stored_label"
    image: PixelRule = "stored_pixels"
    note: str = ""
    """Known problems with obtaining the data."""

    @property
    def row(self) -> TaskRow:
        """The required content of a folder of this task."""
        train, val, test = (
            len(records(part, self.sizes)[1]) for part in (self.train800, self.val200, self.test)
        )
        return TaskRow(
            name=self.name,
            group=self.group,
            num_classes=self.num_classes,
            num_train=train,
            num_val=val,
            num_test=test,
            pixels=self.pixels,
        )


_CLEVR: Final = {"train": 70_000, "validation": 15_000}
_DSPRITES: Final = {"train": 737_280}
_SMALLNORB: Final = {"train": 24_300, "test": 24_300}

_CLEVR_NOTE: Final = "one archive of 18 GB; its test split has no labels, so validation is used"
_SMALLNORB_NOTE: Final = "val200 contains toys of the test part, as in the original"

TASKS: Final[tuple[VtabTask, ...]] = (
    VtabTask(
        name="caltech101",
        group="natural",
        num_classes=102,
        pixels="jpeg",
        builder="caltech101:3.*.*",
        sizes={"train": 3060, "test": 6084},
        val200="train[2754:2954]",
        test="test",
        note="its address moved several times; 101 classes and a background",
    ),
    VtabTask(
        name="cifar",
        group="natural",
        num_classes=100,
        pixels="lossless",
        builder="cifar100:3.*.*",
        sizes={"train": 50_000, "test": 10_000},
        val200="train[45000:45200]",
        test="test",
    ),
    VtabTask(
        name="dtd",
        group="natural",
        num_classes=47,
        pixels="jpeg",
        builder="dtd:3.*.*",
        sizes={"train": 1880, "validation": 1880, "test": 1880},
        val200="validation[:200]",
        test="test",
        note="the first of the ten published folds",
    ),
    VtabTask(
        name="oxford_flowers102",
        group="natural",
        num_classes=102,
        pixels="jpeg",
        builder="oxford_flowers102:2.*.*",
        sizes={"train": 1020, "validation": 1020, "test": 6149},
        val200="validation[:200]",
        test="test",
    ),
    VtabTask(
        name="oxford_iiit_pet",
        group="natural",
        num_classes=37,
        pixels="jpeg",
        builder="oxford_iiit_pet:3.*.*",
        sizes={"train": 3680, "test": 3669},
        val200="train[2944:3144]",
        test="test",
    ),
    VtabTask(
        name="svhn",
        group="natural",
        num_classes=10,
        pixels="lossless",
        builder="svhn_cropped:3.*.*",
        sizes={"train": 73_257, "test": 26_032},
        val200="train[65931:66131]",
        test="test",
    ),
    VtabTask(
        name="sun397",
        group="natural",
        num_classes=397,
        pixels="jpeg",
        builder="sun397/tfds:4.*.*",
        sizes={"train": 76_128, "validation": 10_875, "test": 21_750},
        val200="validation[:200]",
        test="test",
        note="its host has been offline since 2025; a file in t/track/outdoor is damaged",
    ),
    VtabTask(
        name="patch_camelyon",
        group="specialized",
        num_classes=2,
        pixels="lossless",
        builder="patch_camelyon:2.*.*",
        sizes={"train": 262_144, "validation": 32_768, "test": 32_768},
        val200="validation[:200]",
        test="test",
    ),
    VtabTask(
        name="eurosat",
        group="specialized",
        num_classes=10,
        pixels="jpeg",
        builder="eurosat/rgb:2.*.*",
        sizes={"train": 27_000},
        val200="train[16200:16400]",
        test="train[21600:]",
    ),
    VtabTask(
        name="resisc45",
        group="specialized",
        num_classes=45,
        pixels="jpeg",
        builder="resisc45:3.*.*",
        sizes={"train": 31_500},
        val200="train[18900:19100]",
        test="train[25200:]",
        note="manual download: put NWPU-RESISC45.rar into the manual folder of TFDS",
    ),
    VtabTask(
        name="diabetic_retinopathy",
        group="specialized",
        num_classes=5,
        pixels="jpeg",
        builder="diabetic_retinopathy_detection/btgraham-300:3.*.*",
        sizes={"train": 35_126, "validation": 10_906, "test": 42_670},
        val200="validation[:200]",
        test="test",
        note="manual download from Kaggle: all five train zips (`Download all` omits one); "
        "one class makes up about 73.6 % of the test part",
    ),
    VtabTask(
        name="clevr_count",
        group="structured",
        num_classes=8,
        pixels="lossless",
        builder="clevr:3.*.*",
        sizes=_CLEVR,
        val200="train[63000:63200]",
        test="validation",
        label="clevr_count",
        note=_CLEVR_NOTE,
    ),
    VtabTask(
        name="clevr_dist",
        group="structured",
        num_classes=6,
        pixels="lossless",
        builder="clevr:3.*.*",
        sizes=_CLEVR,
        val200="train[63000:63200]",
        test="validation",
        label="clevr_closest_distance",
        note=_CLEVR_NOTE,
    ),
    VtabTask(
        name="dmlab",
        group="structured",
        num_classes=6,
        pixels="jpeg",
        builder="dmlab:2.0.1",
        sizes={"train": 65_550, "validation": 22_628, "test": 22_735},
        val200="validation[:200]",
        test="test",
        note="classes are {close, far, very far} x {positive, negative reward}",
    ),
    VtabTask(
        name="kitti",
        group="structured",
        num_classes=4,
        pixels="lossless",
        builder="kitti:3.2.0",
        sizes={"train": 6347, "validation": 423, "test": 711},
        val200="validation[:200]",
        test="test",
        label="kitti_closest_vehicle",
        note="the original uses 3.1.0, which can no longer be built; 3.2.0 has the same data",
    ),
    VtabTask(
        name="dsprites_loc",
        group="structured",
        num_classes=16,
        pixels="lossless",
        builder="dsprites:2.*.*",
        sizes=_DSPRITES,
        val200="train[589824:590024]",
        test="train[663552:]",
        label="dsprites_x_position",
        image="mask_as_rgb",
    ),
    VtabTask(
        name="dsprites_ori",
        group="structured",
        num_classes=16,
        pixels="lossless",
        builder="dsprites:2.*.*",
        sizes=_DSPRITES,
        val200="train[589824:590024]",
        test="train[663552:]",
        label="dsprites_orientation",
        image="mask_as_rgb",
        note="orientations 0 and 39 look alike and shapes are symmetric: no model reaches 100 %",
    ),
    VtabTask(
        name="smallnorb_azi",
        group="structured",
        num_classes=18,
        pixels="lossless",
        builder="smallnorb:2.*.*",
        sizes=_SMALLNORB,
        val200="test[:200]",
        test="test[12150:]",
        label="smallnorb_azimuth",
        image="grey_as_rgb",
        note=_SMALLNORB_NOTE,
    ),
    VtabTask(
        name="smallnorb_ele",
        group="structured",
        num_classes=9,
        pixels="lossless",
        builder="smallnorb:2.*.*",
        sizes=_SMALLNORB,
        val200="test[:200]",
        test="test[12150:]",
        label="smallnorb_elevation",
        image="grey_as_rgb",
        note=_SMALLNORB_NOTE,
    ),
)

ROWS: Final[tuple[TaskRow, ...]] = tuple(task.row for task in TASKS)
