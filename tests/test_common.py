"""The parts of common.py, one by one."""

import asyncio
import contextlib
import errno
import http.client
import inspect
import itertools
import re
import signal
import socket
import subprocess
import sys
import threading
import unittest
from unittest import mock
from urllib.parse import urlsplit

from tests import support

common = support.module("common")


class Timed(unittest.TestCase):
    """`timed` works on def and on async def; here the clock is ours."""

    def setUp(self):
        self.now = 100.0
        clock = mock.patch.object(
            common.time, "perf_counter", lambda: self.now
        )
        clock.start()
        self.addCleanup(clock.stop)

    def test_def(self):
        @common.timed
        def work(a, *, b):
            "The text."
            self.now += 2.5
            return a, b

        self.assertEqual(work(1, b=2), ((1, 2), 2.5))
        self.assertEqual((work.__name__, work.__doc__), ("work", "The text."))

    def test_async_def(self):
        @common.timed
        async def work(a, *, b):
            "The text."
            await asyncio.sleep(0)
            self.now += 2.5
            return a, b

        self.assertTrue(inspect.iscoroutinefunction(work))
        coroutine = work(1, b=2)
        self.now += 50  # Not begun yet: this does not count.
        self.assertEqual(asyncio.run(coroutine), ((1, 2), 2.5))
        self.assertEqual((work.__name__, work.__doc__), ("work", "The text."))

    def test_exceptions_pass(self):
        @common.timed
        def work():
            raise KeyError("ours")

        @common.timed
        async def async_work():
            raise KeyError("ours")

        with self.assertRaises(KeyError):
            work()
        with self.assertRaises(KeyError):
            asyncio.run(async_work())

    def test_lessons_are_timed(self):
        for lesson in support.DOWNLOADING:
            module = support.module(lesson)
            wrapped = module.request_all_sites.__wrapped__
            self.assertEqual(wrapped.__name__, "request_all_sites")


class PracticeSite(unittest.TestCase):
    """The site that lessons download from when they are given no URL."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        address = cls.stack.enter_context(common.practice_site())
        cls.host = urlsplit(address).netloc
        cls.addClassCleanup(cls.stack.close)

    def get(self, connection, path):
        connection.request("GET", path)
        response = connection.getresponse()
        return response, response.read()

    def test_pages_on_one_connection(self):
        connection = http.client.HTTPConnection(self.host)
        with contextlib.closing(connection):
            connection.connect()
            sock = connection.sock
            for path, size in (
                ("/jython", 10_782), ("/dice", 1), ("/realpython", 56_718),
            ):
                response, body = self.get(connection, path)
                self.assertEqual((response.status, len(body)), (200, size))
                self.assertEqual(response.version, 11)
                self.assertIs(connection.sock, sock)
            self.assertRegex(self.get(connection, "/dice")[1], rb"^\d+$")
            response, body = self.get(connection, "/nothing")
            self.assertEqual((response.status, body), (404, b""))

    def test_index(self):
        connection = http.client.HTTPConnection(self.host)
        with contextlib.closing(connection):
            response, body = self.get(connection, "/")
            self.assertEqual(response.status, 200)
            for path in common.PAGES:
                self.assertIn(f'href="{path}"'.encode(), body)

    def test_delays(self):
        delays = [delay for delay, *_ in common.PAGES.values()]
        self.assertEqual(delays, [0.2, 0.3, 0.4])
        # Headers and body in one go, or 40 ms are lost now and then.
        self.assertTrue(common.PracticeHandler.disable_nagle_algorithm)

    def test_many_at_once(self):
        """Nobody waits for a second to be let in."""
        address = ("127.0.0.1", 0)
        with (
            common.PracticeServer(address, None) as server,
            contextlib.ExitStack() as stack,
        ):
            for _ in range(64):
                # Nobody accepts: they all wait in the server's queue.
                client = socket.create_connection(server.server_address, 5)
                stack.enter_context(client)

    def test_that_does_not_start(self):
        code = (
            "import common, importlib; common.__file__ = 'no such file'; "
            "importlib.import_module('01_sync').main()"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=support.ROOT, encoding="utf-8",
            capture_output=True, timeout=60,
        )
        told = "The practice site did not start.\n"
        self.assertTrue(result.stderr.endswith(told), result.stderr)
        self.assertNotIn("Traceback", result.stderr)
        self.assertEqual((result.returncode, result.stdout), (1, ""))

    def test_by_hand(self):
        command = [sys.executable, str(support.ROOT / "common.py")]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            encoding="utf-8",
        ) as site:
            lines = [site.stdout.readline() for _ in range(5)]
            address = re.search(r"http://(127\.0\.0\.1:\d+)/", lines[0])[1]
            connection = http.client.HTTPConnection(address)
            with contextlib.closing(connection):
                response, _ = self.get(connection, "/")
                self.assertEqual(response.status, 200)
            site.kill()
        for path, line in zip(common.PAGES, lines[1:], strict=False):
            self.assertIn(path, line)
        self.assertIn("Ctrl-C", lines[4])


class Script(unittest.TestCase):
    """The end of a program: quiet for a closed pipe, loud for a mistake."""

    def test_other_errors_surface(self):
        handler = signal.getsignal(signal.SIGINT)
        self.addCleanup(signal.signal, signal.SIGINT, handler)
        for error in (TypeError("ours"), OSError(errno.ENOENT, "ours")):
            with self.assertRaisesRegex(type(error), "ours"), common.script():
                raise error
        if sys.platform != "win32":
            with self.assertRaises(OSError), common.script():
                raise OSError(errno.EINVAL, "ours")


class Printed(unittest.TestCase):
    """The record of a page, and what is made of it."""

    def page(self, url="http://a/b", started=0.0, ended=1.0, error=""):
        page = common.Page(url, self)
        page.started, page.ended, page.error = started, ended, error
        return page

    def test_one_line(self):
        self.assertEqual(common.one_line("a\n  b\tc"), "a b c")
        self.assertEqual(common.one_line("a\x1b[1mb\0"), "a [1mb")
        self.assertEqual(len(common.one_line("x" * 9999)), 303)

    def test_failed(self):
        page = self.page()
        page.failed(ConnectionError("two\nlines"))
        self.assertEqual(page.error, "ConnectionError: two lines")
        page.failed(TimeoutError())
        self.assertEqual(page.error, "TimeoutError")

    def test_arrived(self):
        for status, error in (
            (200, ""), (204, ""), (299, ""), (302, "HTTP 302 Found"),
            (404, "HTTP 404 Not Found"), (799, "HTTP 799"),
        ):
            page = self.page()
            page.arrived(status, b"body")
            self.assertEqual((page.status, page.size), (status, 4))
            self.assertEqual(page.error, error)

    def test_in_flight(self):
        for spans, most in (
            ([], 0),
            ([(0, 1)], 1),
            ([(0, 1), (1, 2), (2, 3)], 1),  # Touching is not overlapping.
            ([(0, 3), (1, 2), (2, 4)], 2),
            ([(0, 5), (1, 5), (2, 5)], 3),
        ):
            pages = [self.page(started=a, ended=b) for a, b in spans]
            self.assertEqual(common.in_flight(pages), most)

    def test_sessions_are_told_apart(self):
        """Even if one is made where another was."""

        class Session:
            pass

        names = [common.Page("http://a/", Session()).session for _ in "1234"]
        self.assertEqual(len(set(names)), 4)
        session = Session()
        again = {common.Page("http://a/", session).session for _ in "1234"}
        self.assertEqual(len(again), 1)

    def test_report(self):
        report = common.Report(["http://a/"] * 3)
        with support.printed() as output:
            report.show(self.page("http://a/one"))
            report.show(self.page("http://a/two", error="Oops: no"))
            self.assertEqual(report.progress(), "1 of 3 sites downloaded")
            self.assertEqual(report.end(2.0), 1)
        told = output.getvalue()
        self.assertIn("FAILED  Oops: no  http://a/two\n", told)
        self.assertIn("\nDownloaded 1 of 3 sites in 2.00 seconds\n", told)

    def test_waterfall(self):
        rows = [("w", "one", 10, 11, ""), ("w", "two", 11, 12, "Oops")]
        with support.printed() as output:
            common.waterfall(rows, 10, 2)
        _, head, one, two = output.getvalue().split("\n")[:4]
        width = 79 - len("worker page seconds ")
        half = width // 2
        self.assertTrue(head.endswith(" 2.00"))
        self.assertEqual(len(head), 79)
        self.assertIn(one.count("\u2588"), (half, half + 1))
        self.assertTrue(two.endswith(" " + "x" * two.count("x")))
        self.assertLessEqual(len(two), 79)

    def test_worker(self):
        self.assertEqual(common.current_worker(), ("thread", "MainThread"))
        got = []
        thread = threading.Thread(
            target=lambda: got.append(common.current_worker()), name="T"
        )
        thread.start()
        thread.join()
        self.assertEqual(got, [("thread", "T")])

        async def show_site():
            return common.current_worker()

        async def cell():  # of a notebook
            task = asyncio.create_task(show_site(), name="N")
            return common.current_worker(), await task

        self.assertEqual(
            asyncio.run(cell()), (("thread", "MainThread"), ("task", "N"))
        )

    def test_live_urls(self):
        names = ["www.jython.org", "olympus.realpython.org", "realpython.com"]
        hosts = [urlsplit(url).hostname for url in common.LIVE_URLS]
        self.assertEqual(hosts, list(itertools.islice(
            itertools.cycle(names), 9
        )))
