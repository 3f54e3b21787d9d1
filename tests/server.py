"""The server that the tests download from: it counts what it sees."""

import socketserver
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from tests.answers import ANSWERS

#: A key and its certificate, which nobody trusts unless told to.
CERTIFICATE = Path(__file__).with_name("certificate.pem")

#: The sizes of pages by path, as on the practice site.
PAGES = {"/jython": 10_782, "/dice": 1, "/realpython": 56_718}


class Server(socketserver.ThreadingTCPServer):
    """Serves PAGES and ANSWERS, a thread for each connection.

    With *gate* N, it answers no request until N of them wait at the same
    time. From then on, it answers every request immediately. It counts
    `requests` and `connections`, the connections `open` now, and `most`, the
    most requests in flight at the same time. `seen` lists their targets.
    `delays` are the seconds, by path, before it answers. With *tls*, it
    speaks HTTPS.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, gate=1, tls=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate = gate
        self.delays = {}
        self.seen = []
        self.requests = 0
        self.connections = 0
        self.in_flight = 0
        self.open = 0
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
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """Print nothing: a client may leave at any time."""

    def connected(self):
        """Count a connection that is open from now on."""
        with self.changed:
            self.connections += 1
            self.open += 1

    def disconnected(self):
        """Count a connection that is no longer open."""
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def begin(self, target):
        """Count a request for *target* that is in flight from now on."""
        with self.changed:
            self.seen.append(target)
            self.requests += 1
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            self.changed.notify_all()

    def end(self):
        """Count a request that is no longer in flight."""
        with self.changed:
            self.in_flight -= 1

    def wait_for(self, at_once):
        """Wait until *at_once* requests have been in flight together."""
        with self.changed:
            self.changed.wait_for(lambda: self.most >= at_once, timeout=30)


class Handler(BaseHTTPRequestHandler):
    """One connection to the Server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.connected()

    def finish(self):
        super().finish()
        self.server.disconnected()

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.begin(self.path)
        self.server.wait_for(at_once=self.server.gate)
        time.sleep(self.server.delays.get(path, 0))
        # This comes first: after the answer, the client may send the next.
        self.server.end()
        if path in ANSWERS:
            self.close_connection = True
            self.answer_as_in_the_catalogue(ANSWERS[path])
        else:
            self.answer_with_a_page(PAGES.get(path, 0))

    def answer_as_in_the_catalogue(self, answer):
        if callable(answer):
            answer(self)
        else:
            self.wfile.write(answer)

    def answer_with_a_page(self, size):
        self.send_response(200 if size else 404)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"." * size)

    def do_CONNECT(self):
        """Record a request to a proxy; refuse it, or stay silent."""
        self.server.begin(self.path)
        self.server.end()
        if self.path.startswith("silent"):
            self.server.over.wait(5)
        else:
            self.send_error(502)

    def log_message(self, *_):
        """Print nothing."""
