"""A bucket of a local S3 server and an empty cache for each test."""

import fsspec
import pytest

from tests.support.object_store import object_store


@pytest.fixture(scope="session")
def server():
    """The server of this test session."""
    with object_store() as store:
        yield store


@pytest.fixture
def bucket(server, tmp_path, monkeypatch, request):
    """The URL of a new bucket."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FOOTAGE_CACHE", str(tmp_path / "cache"))
    name = f"test-{abs(hash(request.node.nodeid)):x}"
    fsspec.filesystem("s3").mkdir(name)
    server.requests.clear()
    return f"s3://{name}"
