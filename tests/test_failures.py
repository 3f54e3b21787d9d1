"""Every way to fail, and every odd way to succeed, in each lesson.

A lesson downloads all of one table in one run, each URL followed by a page
that is right, so that one run shows what is told and what still arrives.
"""

import gzip
import re
import socket
import ssl
import unittest
import zlib
from unittest import mock

from tests import servers, support

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
GOOD = OK + b"Content-Length: 5\r\n\r\nright"
PACKED = gzip.compress(b"right" * 100)
LARGE = b"X-Large: " + b"x" * 70_000 + b"\r\n"
MANY = b"".join(b"X-%d: x\r\n" % i for i in range(500))


def moved(location):
    """Return a redirect to *location*, bytes."""
    head = b"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\n"
    return head + b"Location: " + location + b"\r\n\r\n"


def encoded(coding, body):
    """Return an answer with *body*, said to be encoded as *coding*."""
    head = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    return OK + head % (coding, len(body)) + body


def status(line):
    """Return an answer with the status *line* and a body."""
    return OK.replace(b"200 OK", line) + b"Content-Length: 5\r\n\r\nwrong"


#: Path, answer, and what the cause must say, as a regular expression.
FAULTS = {
    "/reset": (servers.reset, "reset"),
    "/closed": (b"", "(?i)disconnected|without response"),
    "/not-http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "(?i)status ?line"),
    "/bad-status": (b"HTTP/1.1 abc OK\r\n\r\n", "(?i)status ?line"),
    "/long-status": (b"HTTP/1.1 2000 OK\r\n\r\n", "(?i)status ?line"),
    "/bad-chunk": (
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nwrong\r\n0\r\n\r\n",
        "(?i)chunk",
    ),
    "/negative-chunk": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nwrong\r\n0\r\n\r\n",
        "(?i)chunk|negative",
    ),
    "/short-chunk": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nwrong",
        "(?i)incomplete|not completed",
    ),
    "/endless-chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nwrong\r\n",
        "(?i)prematurely|not completed",
    ),
    "/bad-header": (
        OK + b"no colon\r\nContent-Length: 5\r\n\r\nwrong",
        "(?i)header",
    ),
    "/bad-header-last": (
        OK + b"Content-Length: 5\r\nno colon\r\n\r\nwrong",
        "(?i)header",
    ),
    "/bad-name": (OK + b"X(: y\r\nContent-Length: 5\r\n\r\nwrong", "header"),
    "/no-name": (OK + b": y\r\nContent-Length: 5\r\n\r\nwrong", "header"),
    "/nul": (OK + b"X: \0\r\nContent-Length: 5\r\n\r\nwrong", "header"),
    "/bad-length": (
        OK + b"Content-Length: abc\r\n\r\nwrong",
        "Content-Length",
    ),
    "/negative-length": (
        OK + b"Content-Length: -5\r\n\r\nwrong",
        "Content-Length",
    ),
    "/two-lengths": (
        OK + b"Content-Length: 5\r\nContent-Length: 4\r\n\r\nwrong",
        "Content-Length",
    ),
    "/length-and-chunks": (
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nwrong\r\n0\r\n\r\n",
        "(?i)content-length",
    ),
    "/large-header": (OK + LARGE + b"\r\n", "(?i)more than|header"),
    "/largish-header": (
        OK + LARGE[-10_000:].replace(b"x", b"X-L: ", 1) + b"\r\n",
        "(?i)more than|header",
    ),
    "/many-headers": (OK + MANY + b"\r\n", "(?i)headers"),
    "/short": (OK + b"Content-Length: 9\r\n\r\nwrong", "(?i)incomplete|not c"),
    "/gzip": (encoded(b"gzip", b"wrong"), "(?i)decod.*gzip|gzip.*decode"),
    "/broken-gzip": (
        encoded(b"gzip", PACKED[:-8] + b"\0" * 8),
        "(?i)decod.*gzip|gzip.*decode",
    ),
    "/brotli": (encoded(b"br", b"wrong"), r"\bbr\b"),
    "/round": (moved(b"/round"), "(?i)redirect"),
    "/moved-10": (moved(b"/moved-9"), "(?i)redirect"),
    "/to-refused": (moved(b"http://127.0.0.1:1/"), "(?i)connect"),
    "/to-file": (moved(b"file:///etc/passwd"), "file:///etc/passwd"),
    "/to-nowhere": (
        OK.replace(b"200 OK", b"302 Found") + b"Content-Length: 0\r\n\r\n",
        "302 Found",
    ),
    "/to-no-host": (moved(b"http:///"), "http:///|host"),
    "/to-bad-host": (moved(b"http://a..b/"), "label"),
    "/to-bad-port": (moved(b"http://127.0.0.1:abc/"), "port|redirect"),
    "/to-bad-ipv6": (moved(b"http://[::1/"), "IPv6|redirect"),
    "/400": (status(b"400 Bad Request"), "400 Bad Request"),
    "/404": (status(b"404 Not Found"), "404 Not Found"),
    "/429": (status(b"429 Slow Down"), "429 Too Many Requests"),
    "/500": (status(b"500 Oops"), "500 Internal Server Error"),
    "/599": (status(b"599 Odd"), "599"),
    "/never": (servers.never, "(?i)timeout|timed out"),
    "/half": (servers.half, "(?i)timeout|timed out"),
}

def drip(client, server):
    """Answer slowly, but never pause as long as the time-out."""
    client.sendall(OK + b"Content-Length: 5\r\n\r\n")
    for byte in b"right":
        server.stopped.wait(0.2)
        client.sendall(bytes([byte]))


#: Path, answer, and the bytes of its body.
ODD = {
    "/drip": (drip, 5),
    "/204": (OK.replace(b"200 OK", b"204 No Content") + b"\r\n", 0),
    "/empty": (OK + b"Content-Length: 0\r\n\r\n", 0),
    "/until-closed": (OK + b"\r\nright", 5),
    "/http-1.0": (b"HTTP/1.0 200 OK\r\n\r\nright", 5),
    "/no-reason": (GOOD.replace(b"200 OK", b"200"), 5),
    "/continued": (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD, 5),
    "/chunked": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n"
        b"2;a=b\r\nri\r\n3\r\nght\r\n0\r\nX-Trailer: x\r\n\r\n",
        5,
    ),
    "/gzipped": (encoded(b"gzip", PACKED), 500),
    "/empty-gzip": (encoded(b"gzip", b""), 0),
    "/gzip-twice": (encoded(b"gzip", PACKED + PACKED), 1000),
    "/deflated": (encoded(b"deflate", zlib.compress(b"right")), 5),
    "/length-with-a-space": (GOOD.replace(b"5\r", b"5 \t\r"), 5),
    "/identity": (encoded(b"identity", b"right"), 5),
    "/folded": (OK + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nright", 5),
    "/latin": (OK + b"X: \xe9\r\nContent-Length: 5\r\n\r\nright", 5),
    "/moved": (moved(b"/right"), 5),
    "/moved-far": (moved(b"/moved-8"), 5),
    "/moved-space": (moved(b"/a right"), 5),
    "/permanent": (moved(b"/right").replace(b"302", b"308"), 5),
}

ANSWERS = {path: answer for path, (answer, _) in {**FAULTS, **ODD}.items()}
ANSWERS |= {f"/moved-{n}": moved(b"/moved-%d" % (n - 1)) for n in range(1, 10)}
ANSWERS["/short-move"] = b"wrong".join([
    moved(b"/right").replace(b" 0\r", b" 9\r\nContent-Encoding: gzip\r"), b""
])
ANSWERS |= {"/right": GOOD, "/moved-0": GOOD, "/a%20right": GOOD}


def refused():
    """Return a URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return f"http://127.0.0.1:{unused.getsockname()[1]}/refused"


class EveryLesson(unittest.TestCase):
    """One run of each lesson with all faults, and one with all oddities."""

    maxDiff = None

    def run_table(self, lesson, urls, address, **env):
        """Run *lesson* with *urls* and as many right ones; return both."""
        right = [f"{address}/right?{i}" for i in range(len(urls))]
        pairs = zip(urls, right, strict=True)
        every = [url for pair in pairs for url in pair]
        env = support.environment(LESSON_TIMEOUT="0.7", **env)
        return support.run(lesson, *every, env=env), right

    def check_run(self, lesson, result, right, expected):
        """Check *result* of *lesson*; *expected* has a cause by URL."""
        self.assertEqual(result.stderr, "", lesson)
        self.assertNotIn("Traceback", result.stdout)
        lines = result.stdout.splitlines()
        ended = {line.split()[-1]: line for line in lines if "http" in line}
        for url in right:
            with self.subTest(lesson=lesson, url=url):
                self.assertRegex(ended[url], r"\s5\s+200\s")
        for url, cause in expected.items():
            with self.subTest(lesson=lesson, url=url):
                self.assertIn(" FAILED ", ended[url])
                name = re.search(r"FAILED +(\w+(Error|URL|Schema|Redirects|"
                                 r"Timeout|Refused|Header)\w*: |HTTP \d{3})",
                                 ended[url])
                self.assertTrue(name, ended[url])
                self.assertRegex(ended[url], cause)
        total = len(expected) + len(right)
        told = f"Downloaded {len(right)} of {total} sites in "
        self.assertIn(told, result.stdout)
        self.assertEqual(result.returncode, 1)

    def test_faults(self):
        with (
            servers.RawServer(ANSWERS) as server,
            servers.RawServer(ANSWERS, tls=True) as tls,
        ):
            address = server.address
            expected = {address + path: FAULTS[path][1] for path in FAULTS}
            expected |= {
                refused(): "(?i)refused|connect call failed",
                "http://no-such-host.invalid/": "(?i)resol|name|host",
                f"{tls.address}/right": "(?i)certificate",
                address.replace("http:", "https:") + "/right": "(?i)ssl",
            }
            results = support.each(
                self,
                lambda lesson: self.run_table(lesson, [*expected], address),
                zip(support.DOWNLOADING),
            )
        for lesson, result in zip(support.DOWNLOADING, results, strict=True):
            self.check_run(lesson, *result, expected)

    def test_oddities(self):
        with servers.RawServer(ANSWERS) as server:
            sizes = {server.address + path: ODD[path][1] for path in ODD}

            def check(lesson):
                result, _ = self.run_table(lesson, [*sizes], server.address)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                for url, size in sizes.items():
                    line = rf"\s{size}\s+20[04]\s+{re.escape(url)}\n"
                    self.assertRegex(result.stdout, line)
                told = f"Downloaded {2 * len(sizes)} sites in "
                self.assertIn(told, result.stdout)

            support.each(self, check, zip(support.DOWNLOADING))

    def test_broken_body_of_a_redirect(self):
        """aiohttp does not read it; urllib3's error is none of requests'."""

        def check(lesson):
            urls = [f"{server.address}/short-move", f"{server.address}/right"]
            result = support.run(lesson, *urls)
            self.assertEqual(result.stderr, "")
            told = "2 sites" if lesson == "05_aiohttp" else "1 of 2 sites"
            self.assertIn(f"Downloaded {told} in ", result.stdout)

        with servers.RawServer(ANSWERS) as server:
            support.each(self, check, zip(support.DOWNLOADING))

    def test_trusted_certificate(self):
        """What requests trusts, aiohttp trusts; a list may be unusable."""

        def check(lesson, name, path, arrived):
            env = support.environment(**{name: str(path)})
            result = support.run(lesson, f"{server.address}/right", env=env)
            told = "1 sites" if arrived else "0 of 1 sites"
            self.assertIn(f"Downloaded {told} in ", result.stdout)
            self.assertEqual(result.stderr, "")

        with servers.RawServer(ANSWERS, tls=True) as server:
            cases = []
            for lesson in ("01_sync", "05_aiohttp"):
                names = "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"
                good = servers.CERTIFICATE, True
                cases += [(lesson, name, *good) for name in names]
                cases += [(lesson, names[0], "/no/such/file", False)]
            support.each(self, check, cases)


class OwnMistakes(unittest.TestCase):
    """A mistake in a lesson is heard: never a page that failed."""

    def test_type_error_surfaces(self):
        broken = mock.Mock(side_effect=TypeError("our own mistake"))
        for lesson in ("01_sync", "02_threads", "05_aiohttp"):
            module = support.module(lesson)
            with (
                self.subTest(lesson=lesson),
                support.printed(),
                mock.patch.object(module.common.Page, "arrived", broken),
                servers.CountingServer() as server,
                self.assertRaisesRegex(TypeError, "our own mistake"),
            ):
                support.complete(module.main([server.urls[0]]))


class Certificate(unittest.TestCase):
    """The tests' own certificate is good for what the tests need it for."""

    def test_names(self):
        context = ssl.create_default_context(cafile=servers.CERTIFICATE)
        self.assertEqual(len(context.get_ca_certs()), 1)
