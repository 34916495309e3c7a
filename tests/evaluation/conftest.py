from pathlib import Path

import pytest

from tests.labelled_shapes import draw_shapes


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("labelled") / "shapes")
