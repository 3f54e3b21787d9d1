"""Ctrl-C, a parent that is killed, and a reader that leaves."""

import contextlib
import itertools
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
        child = "--multiprocessing-fork" in sys.orig_argv
        wanted = os.environ["INTERRUPT_AT"]
        if name == wanted or (child and "child " + name == wanted):
            os.killpg(0, signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""

#: Lets the practice site start only when its lesson is gone.
SLOW_SITE = """
import sys
if sys.argv[-1:] == ["--for-a-lesson"] or "--for-a-lesson" in sys.orig_argv:
    print("the site starts", file=sys.stderr, flush=True)
    sys.stdin.read()
"""


def start(lesson, *arguments, env=None):
    """Start *lesson* as a shell does, with a group of processes to itself."""
    return subprocess.Popen(
        support.command(lesson, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        env=env or support.environment(),
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
        self.assertRegex(output, rf"(\A|\n)\nInterrupted:{told}\.\n\Z")
        self.assertEqual(output.count("Interrupted"), 1)

    def test_while_nobody_answers(self):
        def check(lesson, waiting):
            with servers.CountingServer(gate=100) as server:
                program = start(lesson, *server.urls * 2)
                server.wait_until(lambda server: server.most == waiting)
                self.press(program, " 0 of 18 sites downloaded")

        waiting = zip(support.DOWNLOADING, (1, 4, 4, 18), strict=True)
        support.each(self, check, waiting)

    def test_in_the_middle(self):
        def check(lesson):
            program = start(lesson)
            program.stdout.readline()  # what the columns are
            self.assertIn("/jython", program.stdout.readline())
            self.press(program, " [1-8] of 9 sites downloaded")

        support.each(self, check, zip(support.DOWNLOADING))

    def test_asyncio_sleep(self):
        program = start("04_asyncio_sleep")
        self.assertIn("One -> 1", program.stdout.readline())
        self.press(program, " 0 of 6 pieces done")
        program = start("04_asyncio_sleep", "--step", "0.2")
        while "total" not in program.stdout.readline():
            pass
        while "Three -> 1" not in program.stdout.readline():
            pass
        self.press(program, " 3 of 6 pieces done")

    def test_start_methods(self):
        def check(method):
            with (
                support.started_by(method) as env,
                servers.CountingServer(gate=100) as server,
            ):
                program = start("03_processes", *server.urls, env=env)
                server.wait_until(lambda server: server.most == 4)
                self.press(program, " 0 of 9 sites downloaded")

        support.each(self, check, [("spawn",), ("forkserver",)])

    def test_while_the_pool_starts(self):
        """The processes of a pool never get Ctrl-C, not even at first."""

        def check(method, name):
            with support.customized(AT_IMPORT, method) as env:
                env["INTERRUPT_AT"] = name
                with start("03_processes", env=env) as program:
                    output, errors = program.communicate(timeout=10)
                self.assertEqual((program.returncode, errors), (130, ""))
                told = "\nInterrupted: 0 of 9 sites downloaded.\n"
                self.assertEqual(output, told)

        methods = ("fork", "spawn", "forkserver")
        cases = [(method, "multiprocessing.synchronize") for method in methods]
        support.each(self, check, [*cases, ("spawn", "child requests")])

    def test_during_imports(self):
        def check(lesson, name):
            with support.customized(AT_IMPORT) as env:
                env["INTERRUPT_AT"] = name
                with start(lesson, env=env) as program:
                    output, errors = program.communicate(timeout=10)
            self.assertEqual((program.returncode, errors), (130, ""))
            told = "\nInterrupted: nothing done yet.\n"
            self.assertEqual(output, told)

        cases = [(lesson, "argparse") for lesson in support.LESSONS]
        cases += [("01_sync", "requests"), ("05_aiohttp", "aiohttp")]
        support.each(self, check, cases)

    def test_while_the_site_starts(self):
        """The lesson is gone before its site can tell its address."""
        with support.customized(SLOW_SITE) as env:
            program = start("02_threads", env=env)
            self.assertEqual(program.stderr.readline(), "the site starts\n")
            os.killpg(program.pid, signal.SIGINT)
            with program:
                output, errors = program.communicate(timeout=10)
        self.assertEqual((program.returncode, errors), (130, ""))
        self.assertEqual(output, "\nInterrupted: nothing done yet.\n")

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

    def check_gone(self, lesson, end):
        with start(lesson, "--repeat", "9") as program:
            program.stdout.readline()
            line = program.stdout.readline()
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])
            with socket.create_connection(("127.0.0.1", port)) as site:
                end(program)
                # All who could write to it are gone when the pipe ends.
                program.communicate(timeout=5)
                site.settimeout(5)
                with contextlib.suppress(ConnectionError):  # also an end
                    self.assertEqual(site.recv(1), b"")

    def test_terminated_or_killed(self):
        ends = [subprocess.Popen.terminate, subprocess.Popen.kill]
        lessons = [*support.DOWNLOADING, "03_processes"]
        cases = zip(lessons, itertools.cycle(ends))
        support.each(self, self.check_gone, cases)

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
        def check(lesson):
            with start(lesson) as program:
                self.assertTrue(program.stdout.readline())
                program.stdout.close()
                self.assertEqual(program.stderr.read(), "")

        support.each(self, check, zip(support.LESSONS))
