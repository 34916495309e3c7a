"""Bounded types for the fields of result files, and the environment that every file records."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
"""A fraction in [0, 1]."""
Positive = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Pixels = Annotated[int, Meta(ge=0, le=2**20)]
Text = Annotated[str, Meta(max_length=10_000)]
Bits = Annotated[str, Meta(max_length=2**24)]
"""Bits in base64."""
Hash = Annotated[str, Meta(max_length=64, pattern="^[0-9a-f]*$")]
"""Hexadecimal digits; empty in files of versions that did not record the hash."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base class of all parts of a result file."""


class Environment(msgspec.Struct, frozen=True):
    """Result of `runs.environment`; later versions may record more."""

    versions: dict[str, Text]
    commit: Text
    machine: dict[str, Text | Count | None]


class NormalisedInput(Record, frozen=True):
    """`footage.models.backbone.Preprocessing` as JSON."""

    size: Pixels
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]


class DescribedModel(msgspec.Struct, frozen=True):
    """Result of `footage.models.load.describe`; later versions may describe more."""

    architecture: Text
    options: dict[str, Any]
    feature_dim: Count
    preprocessing: NormalisedInput
    weights_origin: Text
