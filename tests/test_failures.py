"""Every way to fail, and the odd ways to succeed, in each lesson.

One run downloads a whole table, and a good page for each entry.
"""

import asyncio
import contextlib
import errno
import io
import re
import sys
import unittest
from unittest import mock

from tests.answers import FAULTS, ODD
from tests.server import Server
from tests.support import (
    DOWNLOADING, ENVIRONMENT, load, run, short_timeouts,
)


class Table(unittest.TestCase):
    def test_faults(self):
        with Server() as server, Server(tls=True) as tls:
            causes = {server.address + path: cause
                      for path, (_, cause) in FAULTS.items()}
            causes |= {
                "http://127.0.0.1:1/": "refused|connect",
                "http://no-such-host.invalid/": "resol|name|host",
                f"{tls.address}/untrusted": "certificate",
                "http://a..b/": "label",
                "http://[::1/": r"\[::1",
                "http://a:99999/": "99999",
            }
            for lesson in DOWNLOADING:
                self.check_faults(lesson, server, causes)

    def check_faults(self, lesson, server, causes):
        right = [f"{server.address}/dice?{i}" for i in range(len(causes))]
        status, output = run(lesson, *causes, *right)
        lines = output.partition("URL\n")[2].partition("\n\n")[0]
        told = dict(re.findall(
            r" (?:FAILED|1 +200)  (\S+)(?:  (.*))?$", lines, re.M))
        with self.subTest(lesson):
            self.assertEqual(status, 1)
            self.assertIn(f"\nDownloaded {len(right)} of {2 * len(right)} "
                          "sites in ", output)
            self.assertNotRegex(output, r"[^\n\x20-\uffff]")
            self.assertNotIn("Traceback", output)
        for url in right:
            with self.subTest(lesson, url=url):
                self.assertEqual(told[url], "")
        for url, cause in causes.items():
            with self.subTest(lesson, url=url):
                self.assertRegex(told[url], re.compile(cause, re.I))

    def test_oddities(self):
        for lesson in DOWNLOADING:
            with self.subTest(lesson), Server() as server:
                urls = [server.address + path for path in ODD]
                status, output = run(lesson, *urls)
                self.assertEqual(status, 0, output)
                for path, (_, size) in ODD.items():
                    line = rf" {size} +20[04]  {server.address}{path}\n"
                    self.assertRegex(output, line)

    def test_silent(self):
        for lesson in DOWNLOADING:
            with self.subTest(lesson), Server() as server, short_timeouts():
                urls = f"{server.address}/silent", f"{server.address}/stalled"
                status, output = run(lesson, *urls)
                self.assertEqual(status, 1)
                self.assertIn("Downloaded 0 of 2 sites in ", output)
                self.assertEqual(len(re.findall("FAILED.*[Tt]ime", output)), 2)

    def test_silent_proxy(self):
        """No proxy keeps a lesson waiting forever."""
        for lesson in ("01_sync", "02_threads", "05_aiohttp"):
            with (
                self.subTest(lesson),
                Server() as proxy,
                mock.patch.dict(ENVIRONMENT, https_proxy=proxy.address),
                short_timeouts(),
            ):
                status, output = run(lesson, "https://silent.invalid/")
                self.assertEqual(status, 1)
                self.assertRegex(output, "FAILED.*[Tt]ime")
                self.assertEqual(proxy.seen, ["silent.invalid:443"])

    def test_slow(self):
        """The timeout is for each pause, not for the whole page."""
        with Server() as server, short_timeouts(0.5):
            status, output = run("05_aiohttp", f"{server.address}/drip")
            self.assertEqual(status, 0, output)


class OwnMistakes(unittest.TestCase):
    def test_surfaces(self):
        """A mistake in a lesson is raised, not shown as a failed page."""
        page = load("common").Page
        for mistake in (TypeError("our own"), ValueError("our own")):
            broken = mock.Mock(side_effect=mistake)
            for lesson in ("01_sync", "02_threads", "05_aiohttp"):
                with (
                    self.subTest(lesson, mistake=mistake),
                    Server() as server,
                    mock.patch.object(page, "arrived", broken),
                    self.assertRaisesRegex(type(mistake), "our own"),
                ):
                    run(lesson, *server.urls)

    def test_only_what_a_library_raises_is_a_failed_page(self):
        for lesson, get in (
            ("01_sync", "requests.Session.get"),
            ("02_threads", "requests.Session.get"),
            ("05_aiohttp", "aiohttp.ClientSession.get"),
        ):
            with (
                self.subTest(lesson),
                mock.patch(get, side_effect=TypeError("our own")),
                self.assertRaisesRegex(TypeError, "our own"),
            ):
                run(lesson, "http://127.0.0.1:1/")

    def test_no_urls(self):
        """`request_all_sites` may be called directly, with an empty list."""
        self.assertEqual(load("01_sync").request_all_sites([])[0], [])
        for lesson in ("02_threads", "03_processes"):
            self.assertEqual(load(lesson).request_all_sites([], 4)[0], [])
        coroutine = load("05_aiohttp").request_all_sites([], 4)
        self.assertEqual(asyncio.run(coroutine)[0], [])

    def test_none_at_once(self):
        """An error is raised, and nothing waits forever."""
        for lesson in ("02_threads", "03_processes"):
            with self.assertRaises(ValueError):
                load(lesson).request_all_sites(["http://127.0.0.1:1/"], 0)
        with self.assertRaises(ValueError):
            asyncio.run(load("05_aiohttp").request_all_sites([], 0))

    def test_exits(self):
        """Only Ctrl-C interrupts, and only a closed pipe ends quietly."""
        run_program = load("common").run
        for error in (OSError(errno.EINVAL, "ours"), asyncio.CancelledError()):
            with self.assertRaises(type(error)):
                run_program(mock.Mock(side_effect=error))
        closed = BrokenPipeError()
        for error in (closed, ExceptionGroup("of a TaskGroup", [closed])):
            with (
                contextlib.redirect_stdout(io.StringIO()),
                self.assertRaises(SystemExit) as end,
            ):
                run_program(mock.Mock(side_effect=error))
            self.assertEqual(end.exception.code, 1)
        with (
            mock.patch.object(sys, "version_info", (3, 10)),
            self.assertRaisesRegex(SystemExit, "3.11 or later"),
        ):
            run_program(mock.Mock())


class CommandLine(unittest.TestCase):
    def check(self, lesson, named, *arguments):
        with self.subTest(lesson, arguments=arguments):
            status, output = run(lesson, *arguments)
            self.assertEqual(status, 2)
            self.assertRegex(output, rf"(?s)\Ausage: .*error: .*{named}")

    def test_wrong(self):
        for lesson in DOWNLOADING:
            self.check(lesson, "--nonsense", "--nonsense")
            for url in ("//a/", "host/page", "ftp://a/", ""):
                self.check(lesson, f"URL: .*'{url}'", "http://a/", url)
            self.check(lesson, "--live", "--live", "http://127.0.0.1:1/")
            self.check(lesson, "must be 1 or more", "--repeat", "0")
            for number in ("0", "-1", "1.5", "x"):
                self.check(lesson, f"--repeat.*{number}", "--repeat", number)
                own = "limit" if lesson == "05_aiohttp" else "workers"
                if lesson != "01_sync":
                    self.check(lesson, f"{own}.*{number}", f"--{own}", number)
        for number in ("-1", "nan", "inf", "x"):
            name = "04_asyncio_sleep"
            self.check(name, f"--step.*{number}", "--step", number)
