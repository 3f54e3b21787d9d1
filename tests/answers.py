"""The catalogue: answers that are wrong, and answers that are odd but right.

Each is either bytes, which are sent unchanged, or a function, which is called
with the server's handler. After each, the connection closes.
"""

import gzip
import socket
import struct
import sys
import time


def answer(status="200 OK", *headers, body=b""):
    """Return an HTTP answer, in bytes."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def moved(location):
    """Return an answer that sends the client on to *location*."""
    return answer("302 Found", "Content-Length: 0", f"Location: {location}")


def chunked(body):
    """Return an answer whose *body* comes in chunks."""
    return answer("200 OK", "Transfer-Encoding: chunked", body=body)


def gzipped(body):
    """Return an answer whose *body* claims to be gzipped."""
    return answer("200 OK", "Content-Encoding: gzip",
                  f"Content-Length: {len(body)}", body=body)


def reset(handler):
    """Close the connection with a reset."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.request.close()


def silent(handler):
    """Send nothing, for longer than a lesson should wait."""
    handler.server.over.wait(5)


def stalled(handler):
    """Stop in the middle of a body, for just as long."""
    handler.wfile.write(answer("200 OK", "Content-Length: 9", body=b"half"))
    handler.server.over.wait(5)


def drip(handler):
    """Send a body with short pauses, which together exceed the timeout."""
    handler.wfile.write(answer("200 OK", "Content-Length: 10"))
    for _ in range(10):
        handler.wfile.write(b".")
        time.sleep(0.1)


NOTHING = "Content-Length: 0"

# Wrong answers by path, each with a regular expression for the cause that a
# lesson must report.
FAULTS = {
    "/reset": (reset, "reset|aborted|disconnected"),
    "/closed": (b"", "disconnected|without response"),
    "/not-http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "status ?line"),
    "/404": (answer("404 Not Found" + 1000 * "!", NOTHING), "404.*not found"),
    "/500": (answer("500 Oops", NOTHING), "500.*oops"),
    "/300": (answer("300 Many", NOTHING), "status 300"),
    "/304": (answer("304 Not Modified"), "status 304"),
    "/999": (answer("999 Odd", NOTHING), "999[ ,]|status 999"),
    "/302": (answer("302 Found", NOTHING), "status 302"),
    "/control": (answer("404 \x1b[1mNot", NOTHING), "40[04][ ,]"),
    "/short": (answer("200 OK", "Content-Length: 9", body=b"short"),
               "incomplete|not c"),
    "/bad-length": (chunked(b"zz\r\nwrong\r\n0\r\n\r\n"), "chunk"),
    "/endless": (chunked(b"5\r\nwrong\r\n"), "prematurely|not completed"),
    "/bad-gzip": (gzipped(b"wrong"),
                  "decod.*gzip|gzip.*decode|content-encoding: gzip"),
    "/round": (moved("/round"), "redirect"),
    "/to-nowhere": (moved("http://[::1/"), r"invalid ipv6|\[::1/"),
    "/to-file": (moved("file:///etc/passwd"), "file:///etc/passwd"),
}

# Odd but right answers by path, each with the size of its body.
ODD = {
    "/204": (answer("204 No Content"), 0),
    "/until-closed": (answer(body=b"right"), 5),
    "/http-1.0": (b"HTTP/1.0 200 OK\r\n\r\nright", 5),
    "/chunked": (chunked(b"2;a=b\r\nri\r\n3\r\nght\r\n0\r\n\r\n"), 5),
    "/gzipped": (gzipped(gzip.compress(b"right" * 9)), 45),
    "/two-members": (gzipped(gzip.compress(b"ri") + gzip.compress(b"ght")), 5),
    "/moved": (moved("/dice"), 1),
}

ANSWERS = {"/silent": silent, "/stalled": stalled, "/drip": drip}
ANSWERS |= {path: sent for path, (sent, _) in FAULTS.items()}
ANSWERS |= {path: sent for path, (sent, _) in ODD.items()}
