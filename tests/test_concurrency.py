"""Concurrency and sessions, proved by what arrives at a server.

A clock proves nothing: a machine may be slow. So the server answers nothing
until, say, four requests wait at the same time. From then on, it answers every
request. A lesson with fewer pages in flight would never get an answer. The
server's highest count shows that it had no more.
"""

import unittest
from unittest import mock

from tests.server import Server
from tests.support import OPTION, load, run, short_timeouts

#: The number of pages in flight, by lesson.
AT_ONCE = {"01_sync": 1, "02_threads": 4, "03_processes": 4, "05_aiohttp": 9}


class SeenByTheServer(unittest.TestCase):
    def check(self, lesson, gate, *arguments):
        """Download nine pages, exactly *gate* of them in flight at once."""
        with self.subTest(lesson, gate=gate), Server(gate) as server:
            status, output = run(lesson, *server.urls, *arguments)
            self.assertEqual(status, 0, output)
            self.assertIn("\nDownloaded 9 sites in ", output)
            self.assertEqual((server.requests, server.most), (9, gate))
            # A page in flight has a connection, which its session keeps.
            self.assertEqual(server.connections, gate)
            self.assertIn(f"(requested, not yet arrived): {gate}\n", output)

    def test_default(self):
        for lesson, gate in AT_ONCE.items():
            self.check(lesson, gate)

    def test_option(self):
        for lesson, option in OPTION.items():
            self.check(lesson, 1, option, 1)
            self.check(lesson, 6, option, 6)

    def test_no_more_processes_than_pages(self):
        lesson = load("03_processes")
        executor = mock.Mock(wraps=lesson.ProcessPoolExecutor)
        with (
            Server(gate=3) as server,
            mock.patch.object(lesson, "ProcessPoolExecutor", executor),
        ):
            status, _ = run("03_processes", *server.urls[:3], "--workers", 50)
            self.assertEqual((status, executor.call_args.args), (0, (3,)))
            with mock.patch.object(load("common"), "MAX_PROCESSES", 2):
                run("03_processes", *server.urls, "--workers", 50)
            self.assertEqual(executor.call_args.args, (2,))

    def test_more_than_a_hundred(self):
        """aiohttp's own limit is 100 connections."""
        with Server(gate=120) as server:
            arguments = ["--repeat", 14, "--limit", 120]
            status, _ = run("05_aiohttp", *server.urls, *arguments)
            self.assertEqual((status, server.most), (0, 120))

    def test_order(self):
        """Pages are requested in the order given."""
        for lesson in ("01_sync", "02_threads", "05_aiohttp"):
            with self.subTest(lesson), Server() as server:
                paths = [f"/dice?{number}" for number in range(30)]
                own = [OPTION[lesson], 1] if lesson in OPTION else []
                run(lesson, *(server.address + path for path in paths), *own)
                self.assertEqual(server.seen, paths)

    def test_queue(self):
        """The timeout of a page does not run while it waits for its turn."""
        with Server() as server, short_timeouts(0.5):
            server.delays = {"/dice": 0.05}
            arguments = server.urls[1], "--repeat", 24, "--limit", 2
            status, output = run("05_aiohttp", *arguments)
            self.assertEqual(status, 0, output)
