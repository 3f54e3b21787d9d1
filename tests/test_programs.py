"""The lessons as programs: what the terminal shows, Ctrl-C, the places."""

import contextlib
import os
import re
import shutil
import signal
import socket
import tempfile
import unittest
from pathlib import Path

from tests.server import Server
from tests.support import (
    DOWNLOADING, ENVIRONMENT, LESSONS, POSIX, ROOT, STRICT, default,
    finish, start,
)

README = (ROOT / "README.md").read_text("utf-8")
METHODS = ("fork", "spawn", "forkserver")


@contextlib.contextmanager
def started_by(method, more=""):
    """Yield an environment in which processes start by *method*."""
    code = "import multiprocessing as m\nm.set_start_method({!r}, force=True)"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(code.format(method) + more)
        yield ENVIRONMENT | {"PYTHONPATH": folder}


def start_long(lesson):
    """Start *lesson* with more pages than it can download in a second."""
    one_by_one = ["--limit", "1"] if lesson == "05_aiohttp" else []
    return start(lesson, "--repeat", "9", *one_by_one)


@POSIX
class CtrlC(unittest.TestCase):
    """One line, at once, and status 130; and nobody stays behind."""

    def press(self, program, told, too_late="in flight"):
        os.killpg(program.pid, signal.SIGINT)
        # The pipes end when nobody holds them: all its processes are gone.
        status, output, errors = finish(program)
        self.assertEqual((status, errors), (130, ""))
        self.assertRegex(output, rf"(\A|\n)\nInterrupted{told}\.\n\Z")
        self.assertNotIn(too_late, output)

    def test_while_nobody_answers(self):
        """In lesson 2, threads would wait for ten seconds: not tried."""
        for lesson, at_once, method in (
            ("01_sync", 1, "fork"), ("05_aiohttp", 9, "fork"),
            *(("03_processes", 4, method) for method in METHODS),
        ):
            with (
                self.subTest(lesson, method=method),
                Server(gate=99) as server,
                started_by(method) as env,
            ):
                program = start(lesson, *server.urls, env=env)
                server.wait_for(at_once)
                self.press(program, ": 0 sites downloaded")

    def test_in_the_middle(self):
        for program in [*map(start_long, DOWNLOADING)]:
            with self.subTest(program.args):
                while " 200 " not in program.stdout.readline():
                    pass
                self.press(program, r": \d sites? downloaded")

    def test_while_a_pool_starts(self):
        """Its processes never hear of it, not even at first."""
        press = ("\nimport os, signal, sys\nif '--multiprocessing-fork' in "
                 "sys.orig_argv: os.killpg(0, signal.SIGINT)")
        with started_by("spawn", press) as env:
            status, _, errors = finish(start("03_processes", env=env))
        self.assertEqual((status, errors), (130, ""))

    def test_asyncio_sleep(self):
        """In either half, though the first one never awaits."""
        first = start("04_asyncio_sleep")
        second = start("04_asyncio_sleep", "--step", "0.2")
        while "One -> 1" not in first.stdout.readline():
            pass
        self.press(first, "", too_late="Two")
        while "total" not in second.stdout.readline():
            pass
        while "Three -> 1" not in second.stdout.readline():
            pass
        self.press(second, "")

    def test_practice_site_by_hand(self):
        program = start("common")
        for told in ("/jython\n", "/dice\n", "/realpython\n", "Ctrl-C"):
            self.assertIn(told, program.stdout.readline())
        os.killpg(program.pid, signal.SIGINT)
        self.assertEqual(finish(program), (0, "", ""))


class Killed(unittest.TestCase):
    def test_killed(self):
        """Neither the processes of a pool nor the site stay behind."""
        for program in [*map(start_long, DOWNLOADING)]:
            with self.subTest(program.args):
                while "http:" not in (line := program.stdout.readline()):
                    pass
                port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
                with socket.create_connection(("127.0.0.1", port)) as site:
                    program.kill()
                    finish(program)  # when all its processes are gone
                    site.settimeout(30)
                    with contextlib.suppress(ConnectionError):  # also an end
                        self.assertEqual(site.recv(1), b"")

    def test_while_nobody_answers(self):
        with Server(gate=99) as server:
            program = start("03_processes", server.urls[0])  # Three are idle.
            server.wait_for(1)
            program.kill()
            finish(program, timeout=8)  # A page times out after ten.


    @POSIX
    def test_head(self):
        """`python 02_threads.py | head -1` ends quietly."""
        programs = [start(lesson) for lesson in DOWNLOADING]
        programs += [start("04_asyncio_sleep", "--step", "0.1")]
        for program in programs:
            with self.subTest(program.args), program:
                program.stdout.readline()
                program.stdout.close()
                self.assertEqual(program.stderr.read(), "")


class Places(unittest.TestCase):
    """A lesson runs wherever it is started."""

    def check(self, lesson, server, **options):
        program = start(lesson, *server.urls, **options)
        status, output, errors = finish(program)
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("\nDownloaded 9 sites in ", output)
        return output

    @POSIX
    def test_start_methods(self):
        for method in METHODS:
            with (
                self.subTest(method),
                started_by(method) as env,
                Server(gate=4) as server,
            ):
                output = self.check("03_processes", server, env=env,
                                    flags=STRICT)
                self.assertIn("4 processes, 4 sessions, at most 4", output)
                self.assertIn(f"{method}PoolWorker-".lower(), output.lower())

    def test_folder(self):
        """A folder with a space and Hangul in its name; another as current."""
        with tempfile.TemporaryDirectory() as elsewhere, Server() as server:
            folder = Path(elsewhere, "my lessons \ud55c\uae00")
            folder.mkdir()
            for path in ROOT.glob("*.py"):
                shutil.copy(path, folder)
            self.check(folder / "03_processes", server, cwd=elsewhere)

    def test_standard_library_only(self):
        """Lesson 4 runs where no package is installed."""
        status, _, errors = finish(start("04_asyncio_sleep", "--step", "0",
                                         flags=["-S"]))
        self.assertEqual((status, errors), (0, ""))


class Proxies(unittest.TestCase):
    def test_practice_site(self):
        """A proxy does not come between a lesson and its practice site."""
        with Server() as proxy:
            names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY")
            env = ENVIRONMENT | dict.fromkeys(names, proxy.address)
            programs = [start(lesson, env=env) for lesson in DOWNLOADING[1:]]
            ends = [finish(program)[0] for program in programs]
            self.assertEqual(ends, [0, 0, 0])
            self.assertEqual(proxy.seen, [])

    def test_live(self):
        """Everything else goes through it, the live sites for one."""
        for lesson in DOWNLOADING:
            with self.subTest(lesson), Server() as proxy:
                names = ("http_proxy", "https_proxy")
                env = ENVIRONMENT | dict.fromkeys(names, proxy.address)
                _, output, errors = finish(start(lesson, "--live", env=env))
                self.assertIn("Downloaded 3 of 9 sites in ", output, errors)
                sites = {"www.jython.org:443", "realpython.com:443",
                         "http://olympus.realpython.org/dice"}
                self.assertEqual({*proxy.seen}, sites)


class TheDefaultRuns(unittest.TestCase):
    def test_quiet(self):
        """Status 0 and no warning, though `-X dev -W error` was asked for."""
        for lesson in LESSONS:
            with self.subTest(lesson):
                status, output, errors = default(lesson)
                self.assertEqual((status, errors), (0, ""))
                self.assertLess(max(map(len, output.splitlines())), 80)

    def test_pages(self):
        """Each with its bytes; and a bar, on the same scale in each lesson."""
        pages = ["10782 /jython", "1 /dice", "56718 /realpython"] * 3
        for lesson in DOWNLOADING:
            with self.subTest(lesson):
                output = default(lesson)[1]
                told = r" (\d+) +200  http://[\d.:]+(/\w+)"
                rows = [" ".join(row) for row in re.findall(told, output)]
                self.assertEqual(sorted(rows), sorted(pages))
                self.assertIn("/jython 0.2 s, /dice 0.3 s, /realp", output)
                run = re.search(r"Downloaded 9 sites in (\d\.\d\d) ", output)
                bars = re.findall(r" (\d\.\d\d) +(\u2588+)\n", output)
                bars = [(float(took), len(bar) / 37) for took, bar in bars]
                axis = max(float(run[1]), sum(took for took, _ in bars))
                self.assertEqual(len(bars), 9)
                for took, part in bars:
                    self.assertAlmostEqual(part, took / axis, delta=0.05)

    def test_asyncio_sleep(self):
        output = default("04_asyncio_sleep")[1]
        totals = re.findall(r"total seconds: (\d)", output)
        self.assertEqual(totals, ["6", "3"])
        for seconds, bar in re.findall(r" (\d)\.\d\d +(\u2588+)\n", output):
            self.assertAlmostEqual(len(bar) / 37 * 6, int(seconds), delta=0.3)

    def test_readme(self):
        """What the README shows is what a lesson prints."""
        command = r"(?s)\$ python (\w+)\.py\n(Downloaded .*?)\n(?=\n\$|```)"
        shown = re.findall(command, README)
        self.assertEqual(len(shown), 3)
        for lesson, text in shown:
            with self.subTest(lesson):
                _, _, printed = default(lesson)[1].rpartition("\n\nDown")
                self.assertEqual(shape(text), shape("Down" + printed))


def shape(text):
    """Return the lines of *text* without what differs from run to run."""
    text = re.sub(r"\u2588+|\d\.\d\d|Thread_\d", "", text)
    return sorted(" ".join(line.split()) for line in text.splitlines())
