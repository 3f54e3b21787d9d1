"""The lessons as programs: what they show, how they end, where they run."""

import contextlib
import multiprocessing
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
import unittest
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from tests.server import Server
from tests.support import (
    DOWNLOADING, ENVIRONMENT, LESSONS, OPTION, POSIX, README, ROOT, STRICT,
    edited_copy, finish, load, run, start,
)

METHODS = ("fork", "spawn", "forkserver")

#: Rare errors of Python itself, if Ctrl-C comes in the microseconds in which
#: it makes the object of a socket or of a response. No lesson can prevent it.
HALF_MADE = re.compile("object has no attribute '(_sock|fp)'")

#: The default run of each lesson, lesson 4's at ten times its speed.
DEFAULTS = {}


def setUpModule():
    """Start the default runs. Any warning is an error there."""
    for lesson in DOWNLOADING:
        DEFAULTS[lesson] = start(lesson, flags=STRICT)
    sleep = "04_asyncio_sleep"
    DEFAULTS[sleep] = start(sleep, "--step", "0.1", flags=STRICT)


def tearDownModule():
    """Wait for the default runs, even if no test did."""
    for program in DEFAULTS.values():
        with program:
            pass


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
    """One line, status 130, and no process is left."""

    def press(self, program, too_late="in flight"):
        os.killpg(program.pid, signal.SIGINT)
        status, output, errors = finish(program)
        if HALF_MADE.search(errors):
            errors = ""
        self.assertEqual((status, errors), (130, ""))
        self.assertRegex(output, r"(\A|\n)\nInterrupted\.\n\Z")
        self.assertNotIn(too_late, output)

    def test_while_nobody_answers(self):
        """Not in lesson 2: its threads would wait for ten seconds."""
        with contextlib.ExitStack() as stack:
            started = []
            for lesson, at_once, method in (
                ("01_sync", 1, "fork"), ("05_aiohttp", 9, "fork"),
                *(("03_processes", 4, method) for method in METHODS),
            ):
                server = stack.enter_context(Server(gate=99))
                env = stack.enter_context(started_by(method))
                program = start(lesson, *server.urls, env=env)
                started.append((program, server, at_once, method))
            for program, server, at_once, method in started:
                with self.subTest(program.args, method=method):
                    server.wait_for(at_once)
                    self.press(program)

    def test_in_the_middle(self):
        for program in [start_long(lesson) for lesson in DOWNLOADING]:
            with self.subTest(program.args):
                while " 200 " not in program.stdout.readline():
                    pass
                self.press(program)

    def test_while_a_pool_starts(self):
        """The new processes never receive Ctrl-C, not even at first."""
        press = (
            "\nimport os, signal, sys"
            "\nif '--multiprocessing-fork' in sys.orig_argv:"
            "\n    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:"
            "\n        sys.stderr.write('It hears Ctrl-C.')"
            "\n    os.killpg(0, signal.SIGINT)"
        )
        with started_by("spawn", press) as env:
            status, _, errors = finish(start("03_processes", env=env))
        self.assertEqual((status, errors), (130, ""))

    def test_when_nobody_reads_on(self):
        """As in `python 01_sync.py | tee log`: Ctrl-C ends tee as well."""
        program = start_long("01_sync")
        program.stdout.readline()
        program.stdout.close()
        os.killpg(program.pid, signal.SIGINT)
        with program:
            self.assertEqual(program.stderr.read(), "")
        self.assertEqual(program.returncode, 130)

    def test_asyncio_sleep(self):
        """In either half, though the first one never awaits."""
        first = start("04_asyncio_sleep")
        second = start("04_asyncio_sleep", "--step", "0.1")
        while "One -> 1" not in first.stdout.readline():
            pass
        self.press(first, too_late="Two")
        while "total" not in second.stdout.readline():
            pass
        while "Three -> 1" not in second.stdout.readline():
            pass
        self.press(second)

    def test_practice_site_by_hand(self):
        program = start("common")
        for told in ("/jython\n", "/dice\n", "/realpython\n", "Ctrl-C"):
            self.assertIn(told, program.stdout.readline())
        os.killpg(program.pid, signal.SIGINT)
        self.assertEqual(finish(program), (0, "", ""))


class Killed(unittest.TestCase):
    def test_killed(self):
        """Neither a process of a pool nor the site is left."""
        for program in [start_long(lesson) for lesson in DOWNLOADING]:
            with self.subTest(program.args):
                while "http:" not in (line := program.stdout.readline()):
                    pass
                port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
                with socket.create_connection(("127.0.0.1", port)) as site:
                    program.kill()
                    finish(program)  # when all its processes are gone
                    site.settimeout(30)
                    with contextlib.suppress(ConnectionError):  # ended, too
                        self.assertEqual(site.recv(1), b"")

    def test_while_nobody_answers(self):
        with Server(gate=99) as server:
            program = start("03_processes", *server.urls)
            server.wait_for(4)
            program.kill()
            finish(program, timeout=8)  # The timeout of a page is ten.

    @POSIX
    def test_head(self):
        """`python 02_threads.py | head -1` ends quietly."""
        programs = [start_long(lesson) for lesson in DOWNLOADING]
        programs += [start("04_asyncio_sleep", "--step", "0.5")]
        for program in programs:
            with self.subTest(program.args), program:
                program.stdout.readline()
                program.stdout.close()
                self.assertEqual(program.stderr.read(), "")
                self.assertEqual(program.wait(), 1)


@POSIX
class ProcessesThatEnd(unittest.TestCase):
    """If lesson 3 is cut short: an error, status 1, no process left."""

    def check(self, cause, lesson, *arguments, more=""):
        """Start processes by each method; check that *cause* is the error."""
        with contextlib.ExitStack() as stack:
            programs = []
            for method in METHODS:
                env = stack.enter_context(started_by(method, more))
                programs.append(start(lesson, *arguments, env=env))
            for method, program in zip(METHODS, programs, strict=True):
                with self.subTest(method):
                    status, _, errors = finish(program)
                    self.assertEqual(status, 1)
                    self.assertIn(cause, errors.splitlines()[-1])

    def test_one_is_killed(self):
        """For example by `kill -9`, or when memory runs out."""
        old = "    page = common.Page("
        new = f"    import os; os.kill(os.getpid(), {signal.SIGKILL:d})\n"
        with edited_copy("03_processes", (old, new + old)) as lesson:
            self.check("BrokenProcessPool", lesson)

    def test_a_pool_that_cannot_start(self):
        """The limit on open files is too low."""
        few = ("\nimport resource\n"
               "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))")
        arguments = ["--workers", "60", "--repeat", "7"]
        self.check("Too many open files", "03_processes", *arguments, more=few)

    def test_ctrl_c_is_heard_again(self):
        before = signal.getsignal(signal.SIGINT)
        with self.assertRaises(OSError), load("common").ctrl_c_ignored():
            self.assertEqual(signal.getsignal(signal.SIGINT), signal.SIG_IGN)
            raise OSError
        self.assertIs(signal.getsignal(signal.SIGINT), before)
        load("03_processes").start_worker()  # by hand, in the main process
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_a_worker_leaves_ctrl_c_to_its_parent(self):
        common = load("common")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context, common.stay_with_parent) as pool:
            handler = pool.submit(signal.getsignal, signal.SIGINT).result()
        self.assertEqual(handler, signal.SIG_IGN)

    def test_the_practice_site_does_not_hear_ctrl_c(self):
        """Otherwise, Ctrl-C would end it while processes start."""
        old = "            common.show(page)"
        new = ("            import os, signal\n"
               "            with common.ctrl_c_ignored():\n"
               "                os.killpg(0, signal.SIGINT)\n")
        with edited_copy("02_threads", (old, new + old)) as lesson:
            program = start(lesson, "--workers", "9")
            status, output, errors = finish(program)
        self.assertEqual((status, errors), (0, ""), output)

    def test_the_users_own_live_on(self):
        common = load("common")
        context = multiprocessing.get_context("spawn")
        until = context.Event()
        own = context.Process(target=until.wait)
        of_the_lesson = context.Process(target=time.sleep, args=(60,))
        own.start()
        with self.assertRaises(KeyboardInterrupt), common.no_process_left():
            of_the_lesson.start()
            raise KeyboardInterrupt
        of_the_lesson.join()
        until.set()
        own.join()
        self.assertEqual(own.exitcode, 0)  # It ended by itself.


class InOneProcess(unittest.TestCase):
    """As in a notebook, where the kernel keeps running after a lesson."""

    def test_sockets_are_closed(self):
        for lesson in DOWNLOADING:
            with self.subTest(lesson), Server() as server:
                for _ in range(2):
                    run(lesson, *server.urls)
                # When a thread of a pool ends, its session's socket closes.
                with server.changed:
                    gone = server.changed.wait_for(
                        lambda: server.open == 0, timeout=30)
                self.assertTrue(gone)

    def test_interrupted_threads_end(self):
        """They do not continue with the pages that are left."""
        interrupt = mock.Mock(side_effect=KeyboardInterrupt)
        with (
            Server() as server,
            mock.patch.object(load("common"), "show", interrupt),
        ):
            server.delays = {"/dice": 0.02}
            with self.assertRaises(KeyboardInterrupt):
                run("02_threads", *[f"{server.address}/dice"] * 40)
            for thread in threading.enumerate():
                if thread.name.startswith("Thread_"):
                    thread.join(timeout=10)
                    self.assertFalse(thread.is_alive())
            self.assertLess(server.requests, 40)

    def test_outside_the_main_thread(self):
        with Server() as server, ThreadPoolExecutor(1) as executor:
            future = executor.submit(run, "03_processes", *server.urls)
            self.assertEqual(future.result()[0], 0)


class Places(unittest.TestCase):
    """A lesson runs wherever it is started."""

    def finish_well(self, program):
        """Check that *program* got nine pages; return its output."""
        status, output, errors = finish(program)
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("\nDownloaded 9 sites in ", output)
        return output

    @POSIX
    def test_start_methods(self):
        for method in METHODS:
            with (
                self.subTest(method),
                Server(gate=4) as server,
                started_by(method) as env,
            ):
                program = start("03_processes", *server.urls, env=env,
                                flags=STRICT)
                output = self.finish_well(program)
                self.assertIn("4 processes, 4 threads, 4 sessions", output)
                self.assertIn(f"{method}process-", output.lower())

    def test_folder(self):
        """A folder with a space and Hangul in its name, from elsewhere."""
        with tempfile.TemporaryDirectory() as elsewhere, Server() as server:
            folder = Path(elsewhere, "my lessons \ud55c\uae00")
            folder.mkdir()
            for path in ROOT.glob("*.py"):
                shutil.copy(path, folder)
            program = start(folder / "03_processes", *server.urls,
                            cwd=elsewhere)
            self.finish_well(program)

    def test_standard_library_only(self):
        """Lesson 4 runs where no package is installed."""
        status, _, errors = finish(start("04_asyncio_sleep", "--step", "0",
                                         flags=["-S"]))
        self.assertEqual((status, errors), (0, ""))

    def test_without_docstrings(self):
        """`python -OO` removes all docstrings."""
        with Server() as server:
            programs = [start(lesson, *server.urls, flags=["-OO"])
                        for lesson in DOWNLOADING]
            sleep = "04_asyncio_sleep"
            programs.append(start(sleep, "--step", "0", flags=["-OO"]))
            for program in programs:
                with self.subTest(program.args):
                    self.assertEqual(finish(program)[::2], (0, ""))

    def test_blocked_loop(self):
        """asyncio's debug mode names the task that blocks the loop."""
        block = "await asyncio.sleep(step)", "time.sleep(0.11)"
        fewer = '("One", 3), ("Two", 2), ', ""
        with edited_copy("04_asyncio_sleep", block, fewer) as lesson:
            program = start(lesson, "--step", "0", flags=["-X", "dev"])
            errors = finish(program)[2]
            self.assertRegex(errors, r"Task.*calculate_async.* took 0\.\d+ s")


class Proxies(unittest.TestCase):
    def test_practice_site(self):
        """A proxy does not come between a lesson and its practice site."""
        with Server() as proxy:
            names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY")
            env = ENVIRONMENT | dict.fromkeys(names, proxy.address)
            programs = [start(lesson, option, "9", env=env)
                        for lesson, option in OPTION.items()]
            ends = [finish(program)[0] for program in programs]
            self.assertEqual((ends, proxy.seen), ([0, 0, 0], []))

    def test_live(self):
        """All else goes through a proxy, for example the live sites."""
        sites = {"www.jython.org:443", "realpython.com:443",
                 "http://olympus.realpython.org/dice"}
        with contextlib.ExitStack() as stack:
            programs = []
            for lesson in DOWNLOADING:
                proxy = stack.enter_context(Server())
                names = ("http_proxy", "https_proxy")
                env = ENVIRONMENT | dict.fromkeys(names, proxy.address)
                programs.append((start(lesson, "--live", env=env), proxy))
            for program, proxy in programs:
                with self.subTest(program.args):
                    _, output, errors = finish(program)
                    self.assertIn("Downloaded 3 of 9 sites", output, errors)
                    self.assertEqual({*proxy.seen}, sites)


class TheDefaultRuns(unittest.TestCase):
    """They take seconds, so they run beside the other tests."""

    @classmethod
    def setUpClass(cls):
        #: By lesson: its status, its output and its errors.
        cls.ended = {lesson: finish(program)
                     for lesson, program in DEFAULTS.items()}

    def test_quiet(self):
        """Status 0 and no warning, even with `-X dev -W error`."""
        for lesson in LESSONS:
            with self.subTest(lesson):
                status, output, errors = self.ended[lesson]
                self.assertEqual((status, errors), (0, ""))
                self.assertLess(max(map(len, output.splitlines())), 80)

    def test_pages(self):
        """Each has its size, and a bar on the same scale in each lesson."""
        pages = ["10782 /jython", "1 /dice", "56718 /realpython"] * 3
        for lesson in DOWNLOADING:
            with self.subTest(lesson):
                output = self.ended[lesson][1]
                told = r" (\d+) +200  http://[\d.:]+(/\w+)"
                rows = [" ".join(row) for row in re.findall(told, output)]
                self.assertEqual(sorted(rows), sorted(pages))
                self.assertIn("/jython 0.2 s, /dice 0.3 s, /realp", output)
                axis = float(re.search(r" 0 s +(\d\.\d\d) s\n", output)[1])
                bars = re.findall(r" (\d\.\d\d) +(\u2588+)\n", output)
                self.assertEqual(len(bars), 9)
                for took, bar in bars:
                    length = float(took) / axis * 36
                    self.assertAlmostEqual(len(bar), length, delta=0.6)

    def test_asyncio_sleep(self):
        output = self.ended["04_asyncio_sleep"][1]
        totals = re.findall(r"total seconds: (\d\.\d)", output)
        self.assertEqual(totals, ["0.6", "0.3"])
        self.assertIn("done by 1 process, 1 thread, 3 tasks\n", output)
        self.assertEqual(load("common").parse_step("", []), 1)  # the default

    def test_readme(self):
        """What the README shows is what a lesson prints."""
        command = r"(?s)\$ python (\w+)\.py\n(Downloaded .*?)\n(?=\n\$|```)"
        shown = re.findall(command, README)
        self.assertEqual(len(shown), 3)
        for lesson, text in shown:
            with self.subTest(lesson):
                printed = self.ended[lesson][1]
                self.assertEqual(shape(text) - shape(printed), {})

    def test_quick_start(self):
        """The blocks for Bash and PowerShell have the same steps."""
        blocks = re.findall(r"```(sh|powershell)\n(.*?)```", README, re.S)
        (_, bash), (shell, power) = blocks[:2]
        self.assertEqual(shell, "powershell")
        self.assertNotIn("&&", power)  # an error in PowerShell 5.1
        steps = power.replace("Scripts\\", "bin\\").replace("\\", "/")
        self.assertEqual(bash.replace(" && ", "\n"), steps)


def shape(text):
    """Count the lines of *text*, ignoring what differs between runs."""
    text = re.sub(r"\u2588+|\d\.\d\d|Thread_\d", "", text)
    return Counter(" ".join(line.split()) for line in text.splitlines())
