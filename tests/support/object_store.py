"""An S3 server (moto) on this machine, behind a proxy that can disturb requests."""

import contextlib
import dataclasses
import http.client
import http.server
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import msgspec
from moto.server import ThreadedMotoServer

from footage.io.remote_lock import NAME, Holder

KEY, SECRET = "AKIDTESTTESTTEST", "verysecretkey/of+tests"

OVERLOADED, RESET, TRUNCATED, SLOW, CORRUPT, DENIED, EXPIRED, UNANSWERED = (
    "503", "reset", "truncated", "slow", "corrupt", "403", "expired", "unanswered"
)  # fmt: skip
_ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>{}</Message></Error>'
_REFUSALS = {
    OVERLOADED: (503, "SlowDown", "Please reduce your request rate."),
    DENIED: (403, "AccessDenied", "Access Denied"),
    EXPIRED: (400, "ExpiredToken", "The provided token has expired."),
}


@dataclasses.dataclass
class Request:
    """One request that reached the proxy."""

    method: str
    path: str
    range: str


Disturb = Callable[[Request], str]
"""Returns one of the constants above for a request to disturb, otherwise ""."""


class ObjectStore:
    """The server as tests see it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.requests: list[Request] = []
        self.disturb: Disturb = lambda _: ""
        self.slow_seconds = 0.3

    def environment(self) -> dict[str, str]:
        """Environment variables that direct a process to the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def files(self, url: str) -> dict[str, bytes]:
        """Name and content of every file below a URL."""
        system, root = fsspec.core.url_to_fs(url)
        system.invalidate_cache()
        return {name[len(root) + 1 :]: system.cat_file(name) for name in system.find(root)}

    @contextlib.contextmanager
    def disturbed(self, disturb: Disturb):
        """Disturb requests in a block; yield the list of disturbed requests."""
        hit: list[Request] = []

        def recorded(request):
            what = disturb(request)
            if what:
                hit.append(request)
            return what

        self.disturb = recorded
        try:
            yield hit
        finally:
            self.disturb = lambda _: ""


def first(count: int, what: str, wanted: Callable[[Request], bool]) -> Disturb:
    """Disturb the first `count` of the wanted requests."""
    lock, left = threading.Lock(), [count]

    def disturb(request):
        with lock:
            if not wanted(request) or not left[0]:
                return ""
            left[0] -= 1
            return what

    return disturb


class _Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: ObjectStore
    port: int

    def _forward(self):
        body = self._body()
        request = Request(self.command, self.path, self.headers.get("Range", ""))
        self.store.requests.append(request)
        what = self.store.disturb(request)
        if what in _REFUSALS:
            status, code, message = _REFUSALS[what]
            self._answer(status, {}, _ERROR.format(code, message).encode())
            return
        if what == RESET:
            self._reset()
            return
        if what == SLOW:
            time.sleep(self.store.slow_seconds)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
            if what == UNANSWERED:
                self._reset()
                return
            if what == CORRUPT and data:
                data = data[:-1] + bytes([data[-1] ^ 1]) if len(data) < 2 else _flipped(data)
            headers = dict(answer.getheaders())
            self._answer(answer.status, headers, data, is_cut=what == TRUNCATED)
        finally:
            connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            del self.headers["Transfer-Encoding"]
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, headers: dict[str, Any], data: bytes, *, is_cut: bool = False):
        kept = {"content-length", "transfer-encoding", "connection", "server", "date"}
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else len(data)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in kept:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if is_cut else data)
        if is_cut:
            self.close_connection = True

    def _reset(self):
        linger = struct.pack("ii", 1, 0)  # close sends a reset
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_):
        pass


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@contextlib.contextmanager
def object_store():
    """Start the server and the proxy; yield an `ObjectStore`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    handler = type("Handler", (_Proxy,), {"port": port})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        proxy.daemon_threads = True
        store = ObjectStore(f"http://127.0.0.1:{proxy.server_port}")
        handler.store = store
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield store
        finally:
            proxy.shutdown()
            server.stop()


@contextlib.contextmanager
def locked_elsewhere(url: str) -> Iterator[None]:
    """Another machine holds the lock of a remote folder, and shows that it is alive.

    The lock remains afterwards, as if that machine had been switched off.
    """
    system = fsspec.filesystem("s3")
    ended = threading.Event()

    def write() -> None:
        holder = Holder(1, "another-machine", "other", time.time())
        system.pipe_file(f"{url}/{NAME}", msgspec.json.encode(holder))

    def go_on_writing() -> None:
        while not ended.wait(0.2):
            write()

    write()
    writer = threading.Thread(target=go_on_writing)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()
