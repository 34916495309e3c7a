import made
import pytest


@pytest.fixture(scope="session")
def assets(tmp_path_factory):
    """Unpacked generated packages for every task that needs some; read only."""
    return made.everything(tmp_path_factory.mktemp("assets"))
