"""The server that the tests download from: it counts what it sees."""

import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from tests.answers import ANSWERS

# A key and its certificate, which nobody trusts unless told to.
CERTIFICATE = Path(__file__).with_name("certificate.pem")

# The sizes of pages by path, as on the practice site.
PAGES = {"/jython": 10_782, "/dice": 1, "/realpython": 56_718}


class Server(socketserver.ThreadingTCPServer):
    """Serves PAGES and ANSWERS, a thread for each connection.

    It answers no request until *gate* of them wait at the same time, or until
    `open_gate` is called. From then on, it answers every request, after the
    seconds that `delays` has for its path. With *tls*, it speaks HTTPS.

    It counts: `seen` lists what was requested, `most` is the most requests in
    flight at the same time, `connections` are all that were ever made, and
    `open` those that are open now.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, gate=1, tls=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate = gate
        self.delays = {}
        self.seen = []
        self.connections = 0
        self.open = 0
        self.in_flight = 0
        self.most = 0
        self.changed = threading.Condition()
        self.over = threading.Event()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        self.address = f"{scheme}://127.0.0.1:{self.server_address[1]}"
        self.urls = [self.address + path for path in PAGES] * 3

    def __enter__(self):
        soon = {"poll_interval": 0.01}  # `shutdown` waits that long.
        threading.Thread(target=self.serve_forever, kwargs=soon).start()
        return self

    def __exit__(self, *_):
        self.open_gate()
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """Print nothing: a client may leave at any time."""

    def count(self, connections=0, in_flight=0):
        """Count what begins (1), or what ends (-1)."""
        with self.changed:
            self.open += connections
            self.connections += max(connections, 0)
            self.in_flight += in_flight
            self.most = max(self.most, self.in_flight)
            self.changed.notify_all()

    def open_gate(self):
        """Answer every request from now on."""
        with self.changed:
            self.gate = 0
            self.changed.notify_all()

    def wait_until(self, condition):
        """Wait until *condition*, a function, returns something true."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout=30):
                raise TimeoutError("waited in vain for 30 seconds")


class Handler(BaseHTTPRequestHandler):
    """One connection to the Server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.count(connections=1)

    def finish(self):
        super().finish()
        self.server.count(connections=-1)

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.seen.append(self.path)
        self.server.count(in_flight=1)
        self.server.wait_until(lambda: self.server.most >= self.server.gate)
        self.server.over.wait(self.server.delays.get(path, 0))
        # This comes first: after the answer, the client may send the next.
        self.server.count(in_flight=-1)
        if path in PAGES:
            self.send_response(200)
            self.send_header("Content-Length", str(PAGES[path]))
            self.end_headers()
            self.wfile.write(b"." * PAGES[path])
            return
        self.close_connection = True
        answer = ANSWERS[path]
        if callable(answer):
            answer(self)
        else:
            self.wfile.write(answer)

    def do_CONNECT(self):
        """Record a request to a proxy; refuse it, or stay silent."""
        self.server.seen.append(self.path)
        if self.path.startswith("silent"):
            self.server.over.wait(5)
        else:
            self.send_error(502)

    def log_message(self, *_):
        """Print nothing."""
