import contextlib
import functools
import http.server
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from footage.errors import FootageError, MachineError, OutputError, VideoError
from footage.ingestion.source_table import Source
from footage.ingestion.sources import fetch, find
from tests.support import synthetic


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return synthetic.encode(tmp_path_factory.mktemp("clip") / "a.mp4", synthetic.scene(1, 1.0))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/endless"):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side hangs up
                while True:
                    self.wfile.write(bytes(2**16))
        elif self.path.startswith("/status-"):
            self.send_error(int(self.path[8:11]))
        elif self.path == "/moved.mp4":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        else:
            super().do_GET()

    def do_HEAD(self):
        if self.path.startswith("/status-"):
            self.send_error(int(self.path[8:11]))
        else:
            super().do_HEAD()


@pytest.fixture
def server(tmp_path, clip):
    folder = tmp_path / "www"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.mp4", "sub/b.mp4", "notes.txt", ".hidden.mp4"):
        (folder / name).write_bytes(clip.read_bytes())
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def names(sources):
    return [source.name for source in sources]


def test_one_file_of_a_web_server_is_found_and_fetched(server, clip, tmp_path):
    (source,) = find([f"{server}/a.mp4"])
    assert (source.name, source.num_bytes) == ("a.mp4", clip.stat().st_size)
    fetch(source, tmp_path / "copy", 2**20)
    assert (tmp_path / "copy").read_bytes() == clip.read_bytes()


def test_a_listing_of_a_web_server_is_a_folder(server):
    assert names(find([f"{server}/"])) == ["a.mp4", "sub/b.mp4"]


def test_what_a_web_server_does_not_have_is_one_error(server):
    with pytest.raises(FootageError, match=r"'http://.*absent.mp4' does not exist"):
        find([f"{server}/absent.mp4"])


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "access is denied"), (403, "access is denied"), (429, "429"), (503, "503")],
)
def test_a_web_server_that_refuses_a_request_is_not_the_fault_of_the_video(
    server, tmp_path, status, message
):
    url = f"{server}/status-{status}.mp4"
    with pytest.raises(MachineError, match=message):
        fetch(Source("a.mp4", url, url, 0), tmp_path / "copy", 2**20)
    with pytest.raises(FootageError, match=message) as raised:
        find([url])
    assert "does not exist" not in raised.value.message


def test_an_endless_answer_is_cut_at_the_largest_size(server, tmp_path):
    source = Source("endless", f"{server}/endless", f"{server}/endless", 0)
    with pytest.raises(VideoError, match="larger than 1000000 bytes"):
        fetch(source, tmp_path / "copy", 1_000_000)
    assert (tmp_path / "copy").stat().st_size <= 1_000_000


def test_a_redirection_to_a_local_file_is_not_followed(server, tmp_path):
    source = Source("moved", f"{server}/moved.mp4", f"{server}/moved.mp4", 0)
    with pytest.raises(VideoError, match="cannot be fetched"):
        fetch(source, tmp_path / "copy", 2**20)
    assert not (tmp_path / "copy").exists()


def test_file_urls_are_local_paths(clip):
    assert find([f"file://{clip}"]) == find([str(clip)])
    assert find([f"file://{clip.parent}"]) == find([str(clip.parent)])
    with pytest.raises(FootageError, match="file or folder not found"):
        find([f"file://{clip}-absent"])


def test_names_that_are_not_utf8_are_found_behind_a_file_url(clip, tmp_path):
    os.link(clip, tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    assert names(find([f"file://{tmp_path}"])) == ["caf\\xe9.mp4"]
    assert names(find([str(tmp_path)])) == ["caf\\xe9.mp4"]


def test_a_missing_package_is_named_with_the_extra_that_installs_it():
    program = (
        "import sys\n"
        "for name in ('aiohttp', 's3fs', 'gcsfs', 'adlfs', 'paramiko'): sys.modules[name] = None\n"
        "from footage.errors import FootageError\n"
        "from footage.ingestion.sources import find\n"
        "for protocol in ('http', 'https', 's3', 'gs', 'az', 'sftp'):\n"
        "    try: find([f'{protocol}://host/folder/a.mp4'])\n"
        "    except FootageError as error: print(error.message.split(' (')[0], '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    needed = "URLs need a package that is not installed |"
    assert done.stdout.splitlines() == [
        *(
            f"{p}:// {needed} pip install 'footage[remote]'"
            for p in ("http", "https", "s3", "gs", "az")
        ),
        f"sftp:// {needed} install the package named above",
    ]


def test_an_unknown_protocol_is_one_error():
    with pytest.raises(FootageError, match="'banana://x' cannot be read: ValueError"):
        find(["banana://x"])


def test_nothing_found_lists_the_suffixes_that_were_seen(tmp_path):
    for name in ("a.gif", "b.gif", "c.txt"):
        (tmp_path / name).touch()
    with pytest.raises(FootageError, match=r"no videos found .*\.gif 2, \.txt 1"):
        find([str(tmp_path)])


def test_what_was_skipped_is_logged(clip, tmp_path, caplog):
    os.link(clip, tmp_path / "a.mp4")
    (tmp_path / "b.txt").touch()
    (tmp_path / ".hidden").mkdir()
    with caplog.at_level(logging.INFO, logger="footage"):
        find([str(tmp_path)])
    assert f"{tmp_path}: 1 files found; skipped: 1 of other types (.txt 1), 1 hidden" in caplog.text


def test_a_full_disk_while_fetching_is_not_the_fault_of_the_video(server):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    (source,) = find([f"{server}/a.mp4"])
    with pytest.raises(OutputError, match="No space left"):
        fetch(source, Path("/dev/full"), 2**20)
