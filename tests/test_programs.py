"""The lessons as programs: what they show, how they end, where they run."""

import _thread
import contextlib
import multiprocessing
import os
import re
import signal
import socket
import sys
import tempfile
import time
import unittest
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from unittest import mock

import common
from tests.server import Server
from tests.support import (
    DOWNLOADING, ENVIRONMENT, OPTION, README, SLEEPING, edited_copy, finish,
    finish_well, posix_only, read_until, run, start,
)

# The start methods. (On macOS, a fork may crash in a library of the system.)
METHODS = multiprocessing.get_all_start_methods()
if sys.platform == "darwin":
    METHODS.remove("fork")

STRICT = ["-X", "dev", "-W", "error"]

# The default runs, by lesson.
DEFAULTS = {}


def setUpModule():
    """Start the default runs: they take seconds, beside all other tests."""
    for lesson in [*DOWNLOADING, SLEEPING]:
        faster = ["--step", "0.1"] if lesson == SLEEPING else []
        program = start(lesson, *faster, flags=STRICT)
        DEFAULTS[lesson] = unittest.enterModuleContext(program)


def starting_by(test, method, more=""):
    """Return an environment: processes start by *method*, and run *more*."""
    folder = test.enterContext(tempfile.TemporaryDirectory())
    code = (f"import multiprocessing\n"
            f"multiprocessing.set_start_method({method!r}, force=True)\n")
    Path(folder, "sitecustomize.py").write_text(code + more)
    return ENVIRONMENT | {"PYTHONPATH": folder}


def counted(text):
    """Count the lines of *text*, ignoring what differs between runs."""
    text = re.sub(r"\u2588+|\d+\.\d\d|Thread_\d", "", text)
    return Counter(" ".join(line.split()) for line in text.splitlines())


def start_long(lesson):
    """Start *lesson* with so many pages that no test sees its end."""
    one_by_one = ["--limit", "1"] if lesson == "05_aiohttp" else []
    return start(lesson, "--repeat", "999", *one_by_one)


@posix_only
class CtrlC(unittest.TestCase):
    """One line, status 130, and no process is left."""

    def press_and_check(self, program, too_late="in flight"):
        os.killpg(program.pid, signal.SIGINT)
        status, output, errors = finish(program)
        self.assertEqual((status, errors), (130, ""))
        self.assertRegex(output, r"(\A|\n)\nInterrupted\.\n\Z")
        self.assertNotIn(too_late, output)

    def test_while_nobody_answers(self):
        cases = [("01_sync", 1, "spawn"), ("02_threads", 4, "spawn"),
                 ("05_aiohttp", 6, "spawn")]
        cases += [("03_processes", 4, method) for method in METHODS]
        # What the processes ignore, too, if they are forked.
        ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        programs = []
        for lesson, at_once, method in cases:
            server = self.enterContext(Server())
            server.delays = {"/jython": 60, "/realpython": 60}
            jython, dice, realpython = server.urls[:3]
            urls = [dice, jython, realpython] * 3
            env = starting_by(self, method, ignore)
            program = start(lesson, *urls, env=env)
            programs.append((program, server, at_once))
        for program, server, at_once in programs:
            with self.subTest(program.args):
                read_until(program, " 200 ")
                server.wait_until(
                    lambda n=at_once, s=server: s.in_flight == n)
                self.press_and_check(program)

    def test_in_the_middle(self):
        program = start_long("02_threads")
        read_until(program, " 200 ")
        self.press_and_check(program)

    def test_asyncio_sleep(self):
        """In either half, though the first one never awaits."""
        program = start(SLEEPING)
        read_until(program, "One -> 1")
        self.press_and_check(program, too_late="Two")
        at_once = "time.sleep(step)", "pass"
        with edited_copy(SLEEPING, at_once) as second_half:
            program = start(second_half)
            read_until(program, "Together")
            read_until(program, "Three -> 1")
            self.press_and_check(program, too_late="total")

    def test_while_a_pool_starts(self):
        """Each new process presses it, but only the main one receives it."""
        press = (
            "import os, signal, sys\n"
            "if '--multiprocessing-fork' in sys.orig_argv:\n"
            "    if not signal.pthread_sigmask(signal.SIG_BLOCK, []):\n"
            "        print('Ctrl-C!', file=sys.stderr, flush=True)\n"
            "    os.killpg(0, signal.SIGINT)\n"
        )
        program = start("03_processes", env=starting_by(self, "spawn", press))
        status, _, errors = finish(program)
        self.assertEqual((status, errors), (130, ""))

    def test_when_nobody_reads_on(self):
        """As in `python 01_sync.py | tee log`: Ctrl-C ends tee as well."""
        program = start_long("01_sync")
        read_until(program, " 200 ")
        program.stdout.close()
        os.killpg(program.pid, signal.SIGINT)
        with program:
            self.assertEqual(program.stderr.read(), "")
        self.assertEqual(program.returncode, 130)

    def test_interactive(self):
        """`python -i` keeps running, until its input ends."""
        program = start("01_sync", "--repeat", "99", flags=["-i"])
        read_until(program, " 200 ")
        os.killpg(program.pid, signal.SIGINT)
        errors = finish(program)[2]
        self.assertIn("\nKeyboardInterrupt\n", errors)

    def test_practice_site_by_hand(self):
        program = start("common")
        lines = "".join(program.stdout.readline() for _ in range(4))
        told = r"(?s).*:(\d+)/jython\n.*/dice\n.*/realpython\n.*Ctrl-C.*\n"
        port = re.fullmatch(told, lines)[1]
        with socket.create_connection(("127.0.0.1", port)) as browser:
            browser.sendall(b"GET / HTTP/1.1\r\n\r\n")
            browser.recv(1)
            os.killpg(program.pid, signal.SIGINT)
            self.assertEqual(finish(program)[:2], (0, ""))


class CutShort(unittest.TestCase):
    """No process is left, and an error is reported."""

    def test_killed(self):
        """Neither a process of a pool nor the site is left."""
        for program in [start_long("01_sync"), start_long("03_processes")]:
            with self.subTest(program.args):
                line = read_until(program, " 200 ")
                port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
                with socket.create_connection(("127.0.0.1", port)) as site:
                    program.kill()
                    finish(program)
                    site.settimeout(30)
                    with contextlib.suppress(ConnectionError):  # ended, too
                        self.assertEqual(site.recv(1), b"")

    @posix_only
    def test_head(self):
        """`python 02_threads.py | head -1` ends quietly."""
        programs = [start_long(lesson) for lesson in OPTION]
        programs.append(start(SLEEPING, "--step", "0.5"))
        unbuffered = ENVIRONMENT | {"PYTHONUNBUFFERED": "1"}
        programs.append(start("01_sync", "--repeat", "9", env=unbuffered))
        for program in programs:
            program.stdout.readline()
        programs.append(start("01_sync", "--help"))
        for program in programs:
            program.stdout.close()
        for program in programs:
            with self.subTest(program.args), program:
                self.assertEqual(program.stderr.read(), "")
                self.assertEqual(program.wait(), 1)

    def check_error(self, cause, lesson, *arguments, more=""):
        """Start processes by each method; check that *cause* is the error."""
        programs = {}
        for method in METHODS:
            env = starting_by(self, method, more)
            programs[method] = start(lesson, *arguments, env=env)
        for method, program in programs.items():
            with self.subTest(method):
                status, _, errors = finish(program)
                self.assertEqual(status, 1)
                self.assertIn(cause, errors.splitlines()[-1])

    @posix_only
    def test_a_process_is_killed(self):
        """For example by `kill -9`, or when memory runs out."""
        old = "    page = common.Page("
        new = f"    import os; os.kill(os.getpid(), {signal.SIGKILL:d})\n"
        with edited_copy("03_processes", (old, new + old)) as lesson:
            self.check_error("BrokenProcessPool", lesson)

    @posix_only
    def test_a_pool_that_cannot_start(self):
        """The limit on open files is too low."""
        few = ("import resource\n"
               "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n")
        self.check_error("Too many open files", "03_processes",
                         "--workers", "60", "--repeat", "7", more=few)


class Guards(unittest.TestCase):
    """What common.py does for lesson 3."""

    def test_ctrl_c_comes_later(self):
        """At the end of the block, even if the pool cannot be made."""
        before = signal.getsignal(signal.SIGINT)
        for press in (_thread.interrupt_main,  # as in a notebook
                      lambda: signal.raise_signal(signal.SIGINT)):
            done = []
            with self.assertRaises(KeyboardInterrupt), common.ctrl_c_later():
                press()
                done.append("the rest of the block")
                raise OSError
            self.assertEqual(len(done), 1)
            self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_ctrl_c_waits_for_the_end_of_a_pool(self):
        done = []

        def shutdown():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest")

        pool = mock.Mock(shutdown=shutdown)
        with (
            self.assertRaises(KeyboardInterrupt),
            common.no_process_left(pool),
        ):
            pass
        self.assertEqual(len(done), 1)

    def test_the_main_process_has_no_parent(self):
        before = signal.getsignal(signal.SIGINT)
        common.prepare_worker()
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_prepare_worker(self):
        """It leaves Ctrl-C to its parent, and asks its site past a proxy."""
        context = multiprocessing.get_context("spawn")
        proxy = {"http_proxy": "http://a", "no_proxy": "a.org"}
        for own, excepted in ((proxy, "a.org,127.0.0.1"), ({}, None)):
            with (
                mock.patch.dict(os.environ, ENVIRONMENT | own, clear=True),
                ProcessPoolExecutor(1, context, common.prepare_worker) as pool,
            ):
                handler = pool.submit(signal.getsignal, signal.SIGINT)
                variable = pool.submit(os.getenv, "no_proxy")
            self.assertEqual(handler.result(), signal.SIG_IGN)
            self.assertEqual(variable.result(), excepted)

    def test_the_users_own_processes_live_on(self):
        context = multiprocessing.get_context("spawn")
        until = context.Event()
        own = context.Process(target=until.wait, daemon=True)
        of_the_lesson = context.Process(target=time.sleep, args=(60,))
        own.start()
        self.addCleanup(until.set)
        with (
            self.assertRaises(KeyboardInterrupt),
            common.no_process_left(mock.Mock()),
        ):
            of_the_lesson.start()
            raise KeyboardInterrupt
        of_the_lesson.join()
        self.assertNotEqual(of_the_lesson.exitcode, 0)  # It was ended.
        until.set()
        own.join()
        self.assertEqual(own.exitcode, 0)  # It ended by itself.


class Places(unittest.TestCase):
    """A lesson runs wherever it is started."""

    def test_start_methods(self):
        programs = {}
        for method in METHODS:
            server = self.enterContext(Server(gate=4))
            env = starting_by(self, method)
            programs[method] = start("03_processes", *server.urls,
                                     env=env, flags=STRICT)
        for method, program in programs.items():
            with self.subTest(method):
                output = finish_well(program)
                self.assertIn("4 processes, 4 threads, 4 sessions", output)
                shown = set(re.findall(r" (S\d+) ", output))
                self.assertEqual(shown, {"S1", "S2", "S3", "S4"})
                self.assertIn(f"{method}process-", output.lower())

    def test_standard_library_only(self):
        """Lesson 4 runs where no package is installed."""
        finish_well(start(SLEEPING, "--step", "0", flags=["-S"]))

    def test_without_docstrings(self):
        """`python -OO` removes all docstrings."""
        for lesson in [*DOWNLOADING, SLEEPING]:
            with mock.patch.object(import_module(lesson), "__doc__", None):
                status, output = run(lesson, "--help")
                self.assertEqual(status, 0, output)

    def test_what_a_console_cannot_show(self):
        for encoding, block, shown in (
            ("utf-8", "\u2588", "\ud55c"), ("ascii", "#", r"\ud55c"),
        ):
            with self.subTest(encoding):
                env = ENVIRONMENT | {"PYTHONIOENCODING": encoding}
                url = "http://127.0.0.1:1/"
                program = start("01_sync", f"{url}\ud55c\x1b[1m", env=env)
                status, output, _ = finish(program)
                self.assertEqual(status, 1)
                self.assertIn(f"FAILED  {url}{shown} [1m ", output)
                self.assertRegex(output, f"FAILED +{block}+\n")
                self.assertTrue(output.replace("\n", " ").isprintable())

    def test_blocked_loop(self):
        """asyncio's debug mode names the task that blocks the loop."""
        block = "await asyncio.sleep(step)", "time.sleep(0.11)"
        fewer = '("One", 3), ("Two", 2), ', ""
        with edited_copy(SLEEPING, block, fewer) as lesson:
            program = start(lesson, "--step", "0", flags=["-X", "dev"])
            errors = finish(program)[2]
            told = r"Task.*calculate_async.* took \d+\.\d+ s"
            self.assertRegex(errors, told)

    def test_proxy_and_practice_site(self):
        """A proxy does not come between a lesson and its practice site."""
        with Server() as proxy:
            names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY")
            env = ENVIRONMENT | dict.fromkeys(names, proxy.address)
            programs = [start("03_processes", "--workers", "9", env=env),
                        start("05_aiohttp", env=env)]
            ends = [finish(program)[0] for program in programs]
            self.assertEqual((ends, proxy.seen), ([0, 0], []))

    def test_proxy_and_live_sites(self):
        """Everything else goes through a proxy."""
        sites = {"www.jython.org:443", "realpython.com:443",
                 "http://olympus.realpython.org/dice"}
        programs = []
        for lesson in DOWNLOADING:
            proxy = self.enterContext(Server())
            names = ("http_proxy", "https_proxy")
            env = ENVIRONMENT | dict.fromkeys(names, proxy.address)
            programs.append((start(lesson, "--live", env=env), proxy))
        for program, proxy in programs:
            with self.subTest(program.args):
                _, output, errors = finish(program)
                self.assertIn("Downloaded 3 of 9 sites", output, errors)
                self.assertEqual(set(proxy.seen), sites)


class DefaultRuns(unittest.TestCase):
    """Status 0 and no warning, even with `-X dev -W error`."""

    @classmethod
    def setUpClass(cls):
        cls.ended = {lesson: finish(program)
                     for lesson, program in DEFAULTS.items()}

    def test_quiet(self):
        for lesson, (status, output, errors) in self.ended.items():
            with self.subTest(lesson):
                # On a slow machine, asyncio may find its own steps slow.
                errors = re.sub("Executing <.* seconds\n", "", errors)
                self.assertEqual((status, errors), (0, ""))
                self.assertLess(max(map(len, output.splitlines())), 80)

    def test_pages(self):
        """Each has its size, and the practice site says how long it waits."""
        pages = ["10782 /jython", "1 /dice", "56718 /realpython"] * 3
        waits = "\n/jython 0.2 s, /dice 0.3 s, /realpython 0.4 s\n"
        for lesson in DOWNLOADING:
            with self.subTest(lesson):
                output = self.ended[lesson][1]
                rows = re.findall(r" (\d+) +200  http://[\d.:]+(/\w+)", output)
                rows = [" ".join(row) for row in rows]
                self.assertEqual(sorted(rows), sorted(pages))
                self.assertIn(waits, output)
                for name, seconds in (("jython", 0.2), ("realpython", 0.4)):
                    bars = re.findall(rf" {name} +(\d+\.\d\d) ", output)
                    self.assertGreaterEqual(min(map(float, bars)), seconds)

    def test_asyncio_sleep(self):
        output = self.ended[SLEEPING][1]
        self.assertIn("\nOne -> 1 of 3 is calculating...\n", output)
        done = re.findall(r"^(\w+) - . works are done!", output, re.M)
        names = ["One", "Two", "Three"]
        self.assertEqual(done, names + names[::-1])
        in_turn, together = re.findall(r"total seconds: (\d+\.\d+)", output)
        self.assertGreaterEqual(float(in_turn), 0.59)  # A clock may be coarse.
        self.assertGreaterEqual(float(together), 0.29)
        first, second = re.findall(r" 0 s +(\d+\.\d+) s\n", output)
        self.assertGreaterEqual(float(second), float(first) - 0.01)
        self.assertIn("done by 1 process, 1 thread\n", output)
        self.assertIn("done by 1 process, 1 thread, 3 tasks\n", output)
        self.assertEqual(common.parse_step("", []), 1)  # the default

    def test_readme(self):
        """What the README shows is what a lesson prints."""
        command = r"(?s)\$ python (\w+)\.py\n(Downloaded .*?)\n(?=\n\$|```)"
        shown = re.findall(command, README)
        self.assertEqual(len(shown), 3)
        for lesson, text in shown:
            with self.subTest(lesson):
                printed = self.ended[lesson][1]
                self.assertEqual(counted(text) - counted(printed), {})

    def test_quick_start(self):
        """The blocks for Bash and PowerShell have the same steps."""
        blocks = re.findall(r"```(sh|powershell)\n(.*?)```", README, re.S)
        (_, bash), (shell, power) = blocks[:2]
        self.assertEqual(shell, "powershell")
        self.assertNotIn("&&", power)  # an error in PowerShell 5.1
        steps = power.replace("Scripts\\", "bin\\").replace("\\", "/")
        self.assertEqual(bash.replace(" && ", "\n"), steps)
