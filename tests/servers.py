"""The servers that the tests download from, each on a free local port."""

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

#: A key and its certificate, for the names of the live sites and localhost.
CERTIFICATE = Path(__file__).with_name("certificate.pem")

#: Bodies by path, as long as those of the practice site.
BODIES = {"/jython": 10_782, "/dice": 1, "/realpython": 56_718}


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection; serves while its context lasts."""

    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """Say nothing: a client may leave when it likes."""

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,)).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class CountingServer(Server):
    """An HTTP/1.1 server that counts what it sees.

    Attributes: `requests`, `connections`, `in_flight` now and `most` at
    once; `seen`, the paths in their order. With *gate* N, it answers nobody
    until N requests wait at the same time, and then everybody. *delays* has
    the seconds by path that it lets a request wait.
    """

    def __init__(self, gate=1, delays=None):
        super().__init__(("127.0.0.1", 0), CountingHandler)
        self.gate = gate
        self.delays = delays or {}
        self.requests = self.connections = self.in_flight = self.most = 0
        self.seen = []
        self.changed = threading.Condition()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.urls = [self.address + path for path in BODIES] * 3

    def wait_until(self, condition, timeout=15):
        """Wait until *condition*, a function of the server, is true."""
        with self.changed:
            if condition(self):
                return
            if not self.changed.wait_for(lambda: condition(self), timeout):
                raise AssertionError(f"in {timeout} s it did not come true")

    def note(self, **changes):
        """Add *changes* to the counts, and wake those who wait for them."""
        with self.changed:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)
            self.most = max(self.most, self.in_flight)
            self.changed.notify_all()


class CountingHandler(BaseHTTPRequestHandler):
    """Answers a GET of one of BODIES, and any other path by 404."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.note(connections=1)

    def do_GET(self):
        server = self.server
        server.note(requests=1, in_flight=1, seen=[self.path])
        path = urlsplit(self.path).path  # A proxy is asked for a whole URL.
        server.wait_until(lambda server: server.most >= server.gate)
        if delay := server.delays.get(path):
            time.sleep(delay)
        body = b"." * BODIES.get(path, 0)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        server.note(in_flight=-1)

    def log_message(self, *_):
        """Print nothing."""


class RawServer(Server):
    """Answers each path by the bytes that *answers* has for it, and closes.

    An answer may also be a function of the socket. *tls* wraps the server.
    """

    def __init__(self, answers, tls=False):
        super().__init__(("127.0.0.1", 0), RawHandler)
        self.answers = answers
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(CERTIFICATE)
        self.stopped = threading.Event()
        scheme = "https" if tls else "http"
        self.address = f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *details):
        self.stopped.set()
        super().__exit__(*details)


class RawHandler(socketserver.BaseRequestHandler):
    """One connection of a RawServer."""

    def handle(self):
        if not self.server.context:
            self.answer(self.request)
            return
        wrap = self.server.context.wrap_socket
        with wrap(self.request, server_side=True) as client:
            self.answer(client)

    def answer(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                return
            head += piece
            if head.startswith(b"\x16\x03"):  # TLS, where there is none
                head = b"GET /400 HTTP/1.1\r\n\r\n"
        target = urlsplit(head.split()[1].decode("ascii", "replace"))
        answer = self.server.answers[target.path or "/"]
        if callable(answer):
            answer(client, self.server)
            return
        client.sendall(answer)
        # To close with bytes unread would be a reset: read to the end.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass


def reset(client, _):
    """Close the connection by a reset."""
    linger = struct.pack("hh" if socket.os.name == "nt" else "ii", 1, 0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.close()


def never(client, server):
    """Answer nothing, until the test is over."""
    server.stopped.wait()


def half(client, server):
    """Stop in the middle of a body, until the test is over."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    server.stopped.wait()


class Proxy(Server):
    """An HTTP proxy that sends everything to *plain* or *tls*, two servers.

    `asked` has the first line of each request: GET with a whole URL, or
    CONNECT with a host and a port.
    """

    def __init__(self, plain, tls=None):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.plain, self.tls = plain, tls
        self.asked = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class ProxyHandler(socketserver.BaseRequestHandler):
    """One connection to a Proxy."""

    def handle(self):
        client, head = self.request, b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                return
            head += piece
        line = head.split(b"\r\n")[0].decode()
        self.server.asked.append(line)
        tunnel = line.startswith("CONNECT ")
        target = self.server.tls if tunnel else self.server.plain
        with socket.create_connection(target.server_address[:2]) as server:
            if tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head)
            back = threading.Thread(target=pump, args=(server, client))
            back.start()
            pump(client, server)
            back.join()


def pump(source, target):
    """Copy bytes from *source* to *target* until there are no more."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
