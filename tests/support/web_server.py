"""A web server that requires the password and the signature for its files."""

import base64
import contextlib
import http.server
import threading
from urllib.parse import parse_qs, urlsplit


class _Handler(http.server.BaseHTTPRequestHandler):
    files: dict
    secret = ""

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        url = urlsplit(self.path)
        signed = self.secret in parse_qs(url.query).get("X-Amz-Signature", [])
        expected = base64.b64encode(f"user:{self.secret}".encode()).decode()
        known = self.headers.get("Authorization") == f"Basic {expected}"
        content = self.files.get(url.path)
        if content is None or not (signed and known):
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "video/mp4")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def web_server(files, secret):
    """Serve bytes by path on this machine; yield a function from a path to its URL."""
    handler = type("Handler", (_Handler,), {"files": files, "secret": secret})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"user:{secret}@127.0.0.1:{server.server_port}"
        yield lambda path: f"http://{place}{path}?X-Amz-Date=today&X-Amz-Signature={secret}"
        server.shutdown()
