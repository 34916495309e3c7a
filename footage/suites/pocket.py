"""The table of the pocket suite: name, counterpart in VTAB, and required packages of each task.

The suite is a small stand-in for VTAB-1k with its protocol (800 + 200 labels, square resize, one
evaluation on the test part) and its three groups. It is not VTAB, and its results must not be
reported as VTAB results.
"""

from dataclasses import dataclass
from typing import Final, Literal

from footage.suites.task_spec import Pixels, TaskRow

BUILD_HINT: Final = (
    "install it (pip install pocket-suite, or packages/pocket-suite of the source repository), then"
    " run: pocket-suite build --out DIR"
)
"""Instructions for getting the images of the suite."""

Part = Literal["train800", "val200", "test"]

COUNTS: Final[dict[Part, int]] = {"train800": 800, "val200": 200, "test": 1500}
"""Number of images per part. With 1500, the standard error of an accuracy is at most 1.3 points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PocketRow(TaskRow):
    """One row of the suite's table."""

    num_test: int = COUNTS["test"]
    """Number of images of the test part."""
    pixels: Pixels = "lossless"
    """All images are written as PNG."""
    mirrors: str
    """The VTAB task that it mirrors; empty for none."""
    needs: tuple[str, ...] = ()
    """Packages of `SOURCES` that it uses; empty for a rendered task."""
    dropped: str = ""
    """Reason why the suite does not include it; empty for an included task."""

    @property
    def counts(self) -> dict[Part, int]:
        """Number of images per part."""
        return {"train800": self.num_train, "val200": self.num_val, "test": self.num_test}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A package whose files a task uses."""

    package: str
    kind: Literal["debian", "python"] = "debian"
    licence: str
    members: str = ""
    """Regular expression of the members of a Debian package that are read."""


WALLPAPERS: Final = ("plasma-workspace-wallpapers", "mate-backgrounds")

FONTS: Final = (
    "fonts-cantarell", "fonts-comic-neue", "fonts-dejavu-core", "fonts-dosis", "fonts-ebgaramond",
    "fonts-freefont-ttf", "fonts-inconsolata", "fonts-lato", "fonts-liberation",
    "fonts-linuxlibertine", "fonts-oldstandard", "fonts-open-sans", "fonts-quicksand",
    "fonts-roboto-unhinted",
)  # fmt: skip
"""Font families with different designs; croscore and liberation, for example, share theirs."""

TASKS: Final = (
    PocketRow(
        name="fashion",
        group="natural",
        num_classes=10,
        mirrors="",
        needs=("dataset-fashion-mnist",),
    ),
    PocketRow(
        name="clipart",
        group="natural",
        num_classes=13,
        num_test=1200,
        mirrors="caltech101",
        needs=("openclipart-png",),
    ),
    PocketRow(
        name="object-instance",
        group="natural",
        num_classes=20,
        mirrors="",
        needs=("sweethome3d-furniture", *WALLPAPERS),
    ),
    PocketRow(
        name="scene-digits",
        group="natural",
        num_classes=10,
        mirrors="svhn",
        needs=(*WALLPAPERS, *FONTS),
    ),
    PocketRow(
        name="landcover",
        group="specialized",
        num_classes=8,
        mirrors="eurosat",
        needs=("flightgear-data-base",),
    ),
    PocketRow(
        name="sprite-location",
        group="structured",
        num_classes=16,
        mirrors="dsprites_loc",
    ),
    PocketRow(
        name="sprite-orientation",
        group="structured",
        num_classes=16,
        mirrors="dsprites_ori",
    ),
    PocketRow(
        name="object-azimuth",
        group="structured",
        num_classes=18,
        mirrors="smallnorb_azi",
        needs=("sweethome3d-furniture",),
    ),
    PocketRow(
        name="object-elevation",
        group="structured",
        num_classes=9,
        mirrors="smallnorb_ele",
        needs=("sweethome3d-furniture",),
    ),
    PocketRow(
        name="doom",
        group="structured",
        num_classes=6,
        mirrors="dmlab",
        needs=("vizdoom",),
    ),
    PocketRow(
        name="scene-count",
        group="structured",
        num_classes=8,
        mirrors="clevr_count",
    ),
    PocketRow(
        name="scene-distance",
        group="structured",
        num_classes=6,
        mirrors="clevr_dist",
    ),
    PocketRow(
        name="vehicle-distance",
        group="structured",
        num_classes=4,
        mirrors="kitti",
        needs=("sweethome3d-furniture", *WALLPAPERS),
    ),
)

COUNTED: Final = tuple(row for row in TASKS if not row.dropped)
"""The tasks of the suite and of its average; dropped tasks are built only if named."""

SOURCES: Final = {
    source.package: source
    for source in (
        Source(
            package="dataset-fashion-mnist",
            licence="MIT",
            members=r"usr/share/datasets/fashion-mnist/.*-ubyte\.gz",
        ),
        Source(
            package="sweethome3d-furniture",
            licence="CC0-1.0 and CC-BY-3.0, see the package's copyright file",
            members=r"usr/share/(sweethome3d/furniture/.*\.sh3f|doc/sweethome3d-furniture/copyright)",
        ),
        Source(
            package="flightgear-data-base",
            licence="GPL-2.0-or-later",
            members=r"usr/share/games/flightgear/Textures/Terrain/[^/]*\.png",
        ),
        Source(
            package="plasma-workspace-wallpapers",
            licence="LGPL-3.0 and CC-BY-SA-4.0, see the package's copyright file",
            members=r"usr/share/wallpapers/\w+/contents/images/\d+x\d+\.(jpg|png)",
        ),
        Source(
            package="mate-backgrounds",
            licence="GPL-2.0-or-later and CC-BY-SA, see the package's copyright file",
            members=r"usr/share/backgrounds/mate/nature/\w+\.jpg",
        ),
        *(
            Source(
                package=family,
                licence="free, see the package's copyright file",
                members=r"usr/share/fonts/.*\.(ttf|otf)",
            )
            for family in FONTS
        ),
        Source(
            package="vizdoom",
            kind="python",
            licence="MIT; the Freedoom files in it BSD-3-Clause",
        ),
        Source(
            package="openclipart-png",
            licence="public domain",
            members=r"usr/share/openclipart/png/(animals|food|transportation|people|recreation"
            r"|buildings|signs_and_symbols/flags|plants|tools|computer)/.*\.png",
        ),
    )
}


def row(name: str) -> PocketRow:
    """Return the row of an existing task by name."""
    return next(row for row in TASKS if row.name == name)
