"""Concurrency and sessions, proved by what arrives at a server.

A clock proves nothing: a machine may be slow. So the server answers nothing
until, say, four requests wait at the same time. From then on, it answers every
request. A lesson with fewer pages in flight would never get an answer. One
with more would need more connections, and the server counts these, too.
"""

import asyncio
import re
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from unittest import mock

import common
from tests.server import PAGES, Server
from tests.support import DOWNLOADING, OPTION, run

# The number of pages in flight, by lesson.
AT_ONCE = {"01_sync": 1, "02_threads": 4, "03_processes": 4, "05_aiohttp": 9}


class SeenByTheServer(unittest.TestCase):
    def check(self, lesson, gate, *arguments):
        """Download nine pages, exactly *gate* of them in flight at once."""
        with self.subTest(lesson, gate=gate), Server(gate) as server:
            status, output = run(lesson, *server.urls, *arguments)
            self.assertEqual(status, 0, output)
            self.assertIn("\nDownloaded 9 sites in ", output)
            self.assertEqual((len(server.seen), server.most), (9, gate))
            # A page in flight has a connection, which its session keeps.
            self.assertEqual(server.connections, gate)
            if gate == 1:  # Pages are requested in the order given.
                self.assertEqual(server.seen, list(PAGES) * 3)
            self.assertIn(f"(requested, not yet arrived): {gate}\n", output)

    def test_default(self):
        for lesson, gate in AT_ONCE.items():
            self.check(lesson, gate)

    def test_option(self):
        for lesson, option in OPTION.items():
            self.check(lesson, 1, option, 1)
            self.check(lesson, 6, option, 6)

    def test_more_than_a_hundred(self):
        """aiohttp's own limit is 100 connections."""
        with Server(gate=120) as server:
            arguments = ["--repeat", 14, "--limit", 120]
            status, _ = run("05_aiohttp", *server.urls, *arguments)
            self.assertEqual((status, server.most), (0, 120))

    def test_no_more_processes_than_pages(self):
        """Nor more than the system allows."""
        lesson = import_module("03_processes")
        for pages, allowed, processes in ((3, 61, 3), (9, 2, 2), (0, 61, 1)):
            with (
                mock.patch.object(lesson, "ProcessPoolExecutor") as executor,
                mock.patch.object(common, "MAX_PROCESSES", allowed),
                mock.patch.object(lesson, "as_completed", return_value=[]),
            ):
                lesson.request_all_sites(["http://a/"] * pages, 50)
            self.assertEqual(executor.call_args.args, (processes,))


class InOneProcess(unittest.TestCase):
    """As in a notebook, where the kernel keeps running after a lesson."""

    def test_several_runs(self):
        """In each, S1 is first; in the end, all sockets are closed."""
        for lesson in DOWNLOADING:
            with self.subTest(lesson), Server() as server:
                for _ in range(2):
                    _, output = run(lesson, *server.urls)
                    self.assertEqual(re.search(r" S(\d+) ", output)[1], "1")
                # When a thread of a pool ends, its session's socket closes.
                server.wait_until(lambda: server.open == 0)

    def test_interrupted_threads_end(self):
        """They do not continue with the pages that are left."""
        lesson = import_module("02_threads")
        with Server(gate=99) as server:

            def interrupted(_):
                server.wait_until(lambda: server.most == 4)
                raise KeyboardInterrupt

            with (
                mock.patch.object(lesson, "as_completed", interrupted),
                self.assertRaises(KeyboardInterrupt),
            ):
                run("02_threads", *server.urls)
            threads = [thread for thread in threading.enumerate()
                       if thread.name.startswith("Thread_")]
            self.assertEqual(len(threads), 4)  # Nothing waited for them.
            server.open_gate()
            for thread in threads:
                thread.join()
            self.assertEqual(len(server.seen), 4)

    def test_a_limit_of_none(self):
        """Lesson 5 downloads one page at a time: it does not wait forever."""
        lesson = import_module("05_aiohttp")
        with Server() as server, mock.patch("common.show"):
            coroutine = lesson.request_all_sites(server.urls, 0)
            asyncio.run(asyncio.wait_for(coroutine, 30))
            self.assertEqual((len(server.seen), server.connections), (9, 1))

    def test_no_urls(self):
        """`request_all_sites` makes an empty list of an empty list."""
        for lesson in ("02_threads", "03_processes"):
            pages, _ = import_module(lesson).request_all_sites([], 4)
            self.assertEqual(pages, [])
        coroutine = import_module("05_aiohttp").request_all_sites([], 4)
        self.assertEqual(asyncio.run(coroutine)[0], [])

    def test_outside_the_main_thread(self):
        """Only the main thread can set how Ctrl-C is handled."""
        with Server() as server, ThreadPoolExecutor(1) as executor:
            future = executor.submit(run, "03_processes", *server.urls)
            self.assertEqual(future.result()[0], 0)
