"""Ctrl-C, a parent that is killed, and a reader that leaves."""

import os
import re
import signal
import socket
import subprocess
import unittest

from tests import servers, support

POSIX = os.name == "posix"  # Elsewhere a test cannot press Ctrl-C.

#: Imported at the start of each Python: sends itself Ctrl-C at an import.
AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == os.environ["INTERRUPT_AT"]:
            os.killpg(0, signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""

def start(lesson, *arguments, **options):
    """Start *lesson* as a shell does, with a group of processes to itself."""
    return subprocess.Popen(
        support.command(lesson, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        **{"env": support.environment(), **options},
    )


@unittest.skipUnless(POSIX, "sends signals to a group of processes")
class CtrlC(unittest.TestCase):
    """Within two seconds: one line, status 130, and nothing else."""

    def press(self, program, told):
        """Press Ctrl-C in the terminal of *program*; check what it says."""
        os.killpg(program.pid, signal.SIGINT)
        with program:
            # Ends when nobody holds the pipes: no process is left, either.
            output, errors = program.communicate(timeout=2)
        self.assertEqual((program.returncode, errors), (130, ""))
        self.assertRegex(output, rf"(\A|\n)\nInterrupted[: ]{told}\.\n\Z")
        self.assertEqual(output.count("Interrupted"), 1)

    def test_while_nobody_answers(self):
        for lesson in support.DOWNLOADING:
            with (
                self.subTest(lesson=lesson),
                servers.CountingServer(gate=100) as server,
            ):
                program = start(lesson, *server.urls * 2)
                waiting = {"01_sync": 1, "05_aiohttp": 18}.get(lesson, 4)
                server.wait_until(lambda server: server.most == waiting)
                self.press(program, " 0 of 18 sites downloaded")

    def test_in_the_middle(self):
        for lesson in support.DOWNLOADING:
            with self.subTest(lesson=lesson):
                program = start(lesson)
                program.stdout.readline()  # of what the columns are
                self.assertIn("/jython", program.stdout.readline())
                self.press(program, r" [1-8] of 9 sites downloaded")

    def test_asyncio_sleep(self):
        program = start("04_asyncio_sleep")
        self.assertIn("One -> 1", program.stdout.readline())
        self.press(program, " 0 of 6 works done")
        program = start("04_asyncio_sleep", "--step", "0.2")
        while "total" not in program.stdout.readline():
            pass
        while "Three -> 1" not in program.stdout.readline():
            pass
        self.press(program, " 3 of 6 works done")

    def test_start_methods(self):
        for method in ("spawn", "forkserver"):
            with (
                self.subTest(method=method),
                support.started_by(method) as env,
                servers.CountingServer(gate=100) as server,
            ):
                program = start("03_processes", *server.urls, env=env)
                server.wait_until(lambda server: server.most == 4)
                self.press(program, " 0 of 9 sites downloaded")

    def test_while_the_pool_starts(self):
        """The processes of a pool never get Ctrl-C, not even at first."""
        for method in ("fork", "spawn", "forkserver"):
            with (
                self.subTest(method=method),
                support.customized(AT_IMPORT, method) as env,
            ):
                env["INTERRUPT_AT"] = "multiprocessing.synchronize"
                program = start("03_processes", env=env)
                output, errors = program.communicate(timeout=10)
                program.__exit__(None, None, None)
                self.assertEqual((program.returncode, errors), (130, ""))

    def test_during_imports(self):
        with support.customized(AT_IMPORT) as env:
            for lesson, name in (
                *((name, "argparse") for name in support.LESSONS),
                ("01_sync", "requests"),
                ("05_aiohttp", "aiohttp"),
            ):
                with self.subTest(lesson=lesson, name=name):
                    env["INTERRUPT_AT"] = name
                    with start(lesson, env=env) as program:
                        output, errors = program.communicate(timeout=10)
                    self.assertEqual((program.returncode, errors), (130, ""))
                    self.assertEqual(
                        output, "\nInterrupted before the first page.\n"
                    )

    def test_practice_site_by_hand(self):
        program = start("common")
        while "Ctrl-C" not in program.stdout.readline():
            pass
        os.killpg(program.pid, signal.SIGINT)
        with program:
            _, errors = program.communicate(timeout=2)
        self.assertEqual((program.returncode, errors), (0, ""))


class Killed(unittest.TestCase):
    """However the lesson ends, no process of it stays behind."""

    def check_gone(self, lesson, end, **options):
        with start(lesson, "--repeat", "9", **options) as program:
            program.stdout.readline()
            line = program.stdout.readline()
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])
            with socket.create_connection(("127.0.0.1", port)) as site:
                end(program)
                # All who could write to it are gone when the pipe ends.
                program.communicate(timeout=5)
                site.settimeout(5)
                try:
                    self.assertEqual(site.recv(1), b"")
                except ConnectionError:
                    pass  # also an end

    def test_terminated_or_killed(self):
        for lesson in support.DOWNLOADING:
            for end in (subprocess.Popen.terminate, subprocess.Popen.kill):
                with self.subTest(lesson=lesson, end=end.__name__):
                    self.check_gone(lesson, end)

    def test_while_nobody_answers(self):
        with servers.CountingServer(gate=100) as server:
            program = start("03_processes", *server.urls)
            server.wait_until(lambda server: server.most == 4)
            program.kill()
            with program:
                program.communicate(timeout=5)


@unittest.skipUnless(POSIX, "closes a pipe as `head` does")
class Head(unittest.TestCase):
    """`python 02_threads.py | head -1`"""

    def test_head(self):
        for lesson in support.LESSONS:
            with self.subTest(lesson=lesson), start(lesson) as program:
                self.assertTrue(program.stdout.readline())
                program.stdout.close()
                self.assertEqual(program.stderr.read(), "")
