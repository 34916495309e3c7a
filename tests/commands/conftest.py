"""The store that the tests of ingest compare with."""

import pytest

from footage.commands.ingest import ingest
from tests.support.ingesting import CONFIG, HERE


@pytest.fixture(scope="session")
def whole(video_folder, tmp_path_factory):
    """A store of the six videos, and the report of its making."""
    out = tmp_path_factory.mktemp("ingest") / "store"
    return ingest([str(video_folder)], out, CONFIG, HERE), out
