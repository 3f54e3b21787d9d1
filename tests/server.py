"""The server that the tests download from: it counts what it sees."""

import gzip
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

#: A key and its certificate, which nobody trusts unless told to.
CERTIFICATE = Path(__file__).with_name("certificate.pem")

#: Pages by path, as long as those of the practice site.
PAGES = {"/jython": 10_782, "/dice": 1, "/realpython": 56_718}

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
EMPTY = OK + b"Content-Length: 0\r\n"
MOVED = EMPTY.replace(b"200 OK", b"302 Found") + b"Location: "
NONE = EMPTY.replace(b"200 OK", b"404 Not Found")
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = OK + b"Content-Encoding: gzip\r\n"


def reset(handler):
    """Close the connection by a reset."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.request.close()


def silent(handler):
    """Answer nothing, for longer than a lesson shall wait."""
    handler.server.over.wait(5)


def stalled(handler):
    """Stop in the middle of a body, for as long."""
    handler.wfile.write(OK + b"Content-Length: 9\r\n\r\nhalf")
    handler.server.over.wait(5)


def drip(handler):
    """Send a body that takes longer than a pause in it may take."""
    for piece in (OK + b"Content-Length: 5\r\n\r\n", *b"right"):
        handler.wfile.write(piece if isinstance(piece, bytes) else b".")
        time.sleep(0.12)


#: What is wrong: by path the answer, in bytes or by a function of the
#: handler, and a regular expression for the cause that a lesson must tell.
FAULTS = {
    "/reset": (reset, "reset|aborted|disconnected"),
    "/closed": (b"", "disconnected|without response"),
    "/not-http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "status ?line"),
    "/404": (NONE + b"\r\n", "404.*not found"),
    "/500": (EMPTY.replace(b"200 OK", b"500 Oops") + b"\r\n", "500.*oops"),
    "/control": (NONE.replace(b"Not", b"\x1b[1mNot") + b"\r\n", "4"),
    "/short": (OK + b"Content-Length: 9\r\n\r\nshort", "incomplete|not c"),
    "/bad-chunk": (CHUNKED + b"zz\r\nwrong\r\n0\r\n\r\n", "chunk"),
    "/endless": (CHUNKED + b"5\r\nwrong\r\n", "prematurely|not completed"),
    "/bad-gzip": (GZIP + b"Content-Length: 5\r\n\r\nwrong", "decod.*gzip|"
                  "gzip.*decode|content-encoding: gzip"),
    "/round": (MOVED + b"/round\r\n\r\n", "redirect"),
    "/to-file": (MOVED + b"file:///etc/passwd\r\n\r\n", "file:///etc/passwd"),
}

#: What is odd and right: by path the answer, and the bytes of its body.
ODD = {
    "/204": (OK.replace(b"200 OK", b"204 No Content") + b"\r\n", 0),
    "/until-closed": (OK + b"\r\nright", 5),
    "/http-1.0": (b"HTTP/1.0 200 OK\r\n\r\nright", 5),
    "/chunked": (CHUNKED + b"2;a=b\r\nri\r\n3\r\nght\r\n0\r\n\r\n", 5),
    "/gzipped": (GZIP + b"\r\n" + gzip.compress(b"right" * 9), 45),
    "/moved": (MOVED + b"/dice\r\n\r\n", 1),
}

ANSWERS = {path: answer for path, (answer, _) in {**FAULTS, **ODD}.items()}
ANSWERS |= {"/silent": silent, "/stalled": stalled, "/drip": drip}


class Server(socketserver.ThreadingTCPServer):
    """Serves PAGES and ANSWERS, a thread for each connection.

    With *gate* N, it answers nobody until N requests wait at the same time,
    and then everybody. It counts `requests`, `connections` and `most`, the
    requests in flight at once; `seen` has the targets of all. `delays` are
    the seconds, by path, that it takes its time. *tls*: it speaks https.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, gate=1, tls=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate, self.delays = gate, {}
        self.requests = self.connections = self.in_flight = self.most = 0
        self.seen = []
        self.changed, self.over = threading.Condition(), threading.Event()
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
        """Say nothing: a client may leave when it likes."""

    def note(self, **changes):
        """Add *changes* to the counts, and wake those who wait for them."""
        with self.changed:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)
            self.most = max(self.most, self.in_flight)
            self.changed.notify_all()

    def wait_for(self, at_once):
        """Wait until so many requests have been in flight *at_once*."""
        with self.changed:
            self.changed.wait_for(lambda: self.most >= at_once, timeout=30)


class Handler(BaseHTTPRequestHandler):
    """One connection to the Server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.note(connections=1)

    def do_GET(self):
        server, path = self.server, urlsplit(self.path).path
        server.note(requests=1, in_flight=1, seen=[self.path])
        server.wait_for(at_once=server.gate)
        time.sleep(server.delays.get(path, 0))
        answer = ANSWERS.get(path)
        if callable(answer):
            answer(self)
        elif answer is not None:
            self.wfile.write(answer)
        else:
            body = b"." * PAGES.get(path, 0)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = answer is not None
        server.note(in_flight=-1)

    def do_CONNECT(self):
        """Note what a proxy is asked for, and refuse it."""
        self.server.note(seen=[self.path])
        self.send_error(502)

    def log_message(self, *_):
        """Print nothing."""
