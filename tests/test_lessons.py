"""What a lesson does when all goes well, for its server and its reader."""

import concurrent.futures
import difflib
import multiprocessing
import pickle
import re
import unittest

import requests

from tests import servers, support

WORKERS = {"01_sync": 1, "02_threads": 4, "03_processes": 4, "05_aiohttp": 9}
SESSIONS = {**WORKERS, "05_aiohttp": 1}
KINDS = {
    "01_sync": "1 thread",
    "02_threads": "4 threads",
    "03_processes": "4 processes",
    "05_aiohttp": "9 tasks of one thread",
}
NAMES = {
    "01_sync": r"MainThread",
    "02_threads": r"Thread_\d",
    "03_processes": r"\w+PoolWorker-\d+",
    "05_aiohttp": r"Task-\d+",
}
PAGE = r"(\S+) +(\d+) +(\d+) +200  (http://127\.0\.0\.1:\d+/(\w+))"
BAR = r"(\S+) +(\w+) +(\d\.\d\d) ( *)(\u2588+)"

#: The default runs take their time: they start now, beside other tests.
BESIDE = concurrent.futures.ThreadPoolExecutor(20)
RUNS = {name: BESIDE.submit(support.run, name) for name in support.LESSONS}


class DefaultRun(unittest.TestCase):
    """`python 0N_....py`, as a reader starts it."""

    @classmethod
    def setUpClass(cls):
        cls.results = {name: run.result() for name, run in RUNS.items()}

    def test_status_and_no_errors(self):
        for lesson, result in self.results.items():
            with self.subTest(lesson=lesson):
                self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_downloaded(self):
        for lesson in support.DOWNLOADING:
            with self.subTest(lesson=lesson):
                told = r"\nDownloaded 9 sites in \d\.\d\d seconds\n"
                self.assertRegex(self.results[lesson].stdout, told)

    def test_page_lines(self):
        for lesson in support.DOWNLOADING:
            with self.subTest(lesson=lesson):
                output = self.results[lesson].stdout
                rows = re.findall(rf"^{PAGE}$", output, re.M)
                self.assertEqual(len(rows), 9)
                sizes = sorted((name, int(size)) for *_, size, _, name in rows)
                sizes = {(name, int(row[2])) for *row, name in rows}
                self.assertEqual(
                    sizes,
                    {("jython", 10_782), ("dice", 1), ("realpython", 56_718)},
                )
                for worker, *_ in rows:
                    self.assertRegex(worker, f"^{NAMES[lesson]}$")
                pairs = {(worker, session) for worker, session, *_ in rows}
                self.assertEqual(len(pairs), WORKERS[lesson])
                sessions = {session for _, session in pairs}
                self.assertEqual(len(sessions), SESSIONS[lesson])

    def test_what_made_it_so(self):
        for lesson in support.DOWNLOADING:
            with self.subTest(lesson=lesson):
                plural = support.module("common").plural
                sessions = plural(SESSIONS[lesson], "session")
                pages = plural(WORKERS[lesson], "page")
                told = f"{KINDS[lesson]} over {sessions}, at most {pages} in "
                self.assertIn(told, self.results[lesson].stdout)

    def test_waterfall(self):
        for lesson in support.DOWNLOADING:
            with self.subTest(lesson=lesson):
                output = self.results[lesson].stdout
                bars = re.findall(rf"^{BAR}$", output, re.M)
                self.assertEqual(len(bars), 9)
                starts = [len(before) for *_, before, _ in bars]
                self.assertEqual(starts, sorted(starts))
                ends = [len(bar[3]) + len(bar[4]) for bar in bars]
                first = sum(start < min(ends) for start in starts)
                self.assertEqual(first, WORKERS[lesson])

    def test_width(self):
        for lesson, result in self.results.items():
            for line in result.stdout.splitlines():
                with self.subTest(lesson=lesson, line=line):
                    self.assertLessEqual(len(line), 79)

    def test_asyncio_sleep(self):
        output = self.results["04_asyncio_sleep"].stdout
        total = r"(.*)>>> total seconds: {}\.[0-4]\d\n"
        told = total.format(6) + total.format(3)
        first, second = re.match(told, output, re.S).groups()
        words = ["One"] * 4 + ["Two"] * 3 + ["Three"] * 2
        told = re.findall(r"^\w+", first, re.M)
        self.assertEqual(told, words)
        for half in (first, second):
            for name, n in (("One", 3), ("Two", 2), ("Three", 1)):
                for i in range(1, n + 1):
                    line = f"\n{name} -> {i} of {n} is calculating...\n"
                    self.assertIn(line, "\n" + half)
                self.assertIn(f"\n{name} - {n} works are done!\n", half)
        lines = re.findall(r"^(\w+) -> 1 of", second, re.M)
        self.assertEqual(lines, ["One", "Two", "Three"])
        begun = second.index("Three -> 1"), second.index("One -> 2")
        self.assertLess(*begun)


class SeenByTheServer(unittest.TestCase):
    """Concurrency and sessions, proved by what arrives at a server."""

    def run_on(self, server, lesson, *arguments, **options):
        result = support.run(lesson, *server.urls, *arguments, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("Downloaded 9 sites in ", result.stdout)
        self.assertEqual(server.requests, 9)
        return result.stdout

    def test_default(self):
        def check(lesson, gate):
            with servers.CountingServer(gate=gate) as server:
                output = self.run_on(server, lesson)
                self.assertEqual(server.most, gate)
                # A connection carries one page at a time.
                self.assertEqual(server.connections, gate)
                self.assertIn(f"at most {gate} page", output)

        support.each(self, check, WORKERS.items())

    def test_options(self):
        def check(lesson, option, number):
            with servers.CountingServer(gate=number) as server:
                output = self.run_on(server, lesson, option, number)
                self.assertEqual(server.most, number)
                self.assertEqual(server.connections, number)
                pages = support.module("common").plural(number, "page")
                self.assertIn(f"at most {pages} in flight", output)

        cases = [("02_threads", "--workers", n) for n in (1, 9)]
        cases += [("03_processes", "--workers", n) for n in (1, 9)]
        cases += [("05_aiohttp", "--limit", n) for n in (1, 4)]
        support.each(self, check, cases)

    def test_more_than_a_hundred(self):
        """--limit is also that of aiohttp's connector, 100 by default."""
        with servers.CountingServer(gate=150) as server:
            arguments = ["--repeat", 20, "--limit", 150]
            result = support.run("05_aiohttp", *server.urls, *arguments)
            self.assertIn("Downloaded 180 sites in ", result.stdout)
            self.assertEqual(server.most, 150)

    def test_repeat(self):
        def check(lesson):
            with servers.CountingServer() as server:
                result = support.run(lesson, *server.urls[:3], "--repeat", 8)
                self.assertIn("Downloaded 24 sites in ", result.stdout)
                self.assertEqual(server.requests, 24)
                bars = re.findall(rf"^{BAR}$", result.stdout, re.M)
                self.assertEqual(len(bars), 20)
                self.assertRegex(result.stdout, "\nand 4 more\n$")

        support.each(self, check, zip(support.DOWNLOADING))

    def test_order(self):
        """Pages are asked for in the order of the command line."""
        for lesson in ("01_sync", "05_aiohttp"):
            with (
                self.subTest(lesson=lesson),
                servers.CountingServer() as server,
            ):
                urls = [f"{server.address}/dice?{i}" for i in range(30)]
                limit = ["--limit", 1] if lesson == "05_aiohttp" else []
                support.run(lesson, *urls, *limit)
                self.assertEqual(
                    server.seen, [f"/dice?{i}" for i in range(30)]
                )

    def test_import(self):
        """As an import, with main() and no command line of its own."""
        for lesson in support.DOWNLOADING:
            module = support.module(lesson)
            with (
                self.subTest(lesson=lesson),
                servers.CountingServer() as server,
                support.printed() as output,
            ):
                status = support.complete(module.main(server.urls))
                self.assertEqual(status, 0)
                told = output.getvalue()
                self.assertIn("Downloaded 9 sites in ", told)
                self.assertEqual(server.requests, 9)

    def test_start_methods(self):
        """Lesson 3 as a program and as an import, however processes start."""
        imported = (
            "import importlib, sys\n"
            "lesson = importlib.import_module('03_processes')\n"
            "sys.exit(lesson.main(sys.argv[2:]))"
        )

        def check(method, flags):
            with (
                support.started_by(method) as env,
                servers.CountingServer(gate=4) as server,
            ):
                options = {"flags": flags, "env": env, "cwd": support.ROOT}
                output = self.run_on(server, "03_processes", **options)
                self.assertIn("4 processes over 4 sessions", output)
                self.assertEqual((server.most, server.connections), (4, 4))
                names = {"fork": "Fork", "spawn": "Spawn"}
                name = names.get(method, "ForkServer") + "PoolWorker-"
                self.assertIn(name, output)

        as_import = ["-c", imported]
        cases = [("fork", as_import), ("spawn", []), ("spawn", as_import)]
        cases += [("forkserver", [])]
        there = multiprocessing.get_all_start_methods()
        support.each(self, check, [case for case in cases if case[0] in there])


class CommandLine(unittest.TestCase):
    """A wrong command line: one line that names the argument, and 2."""

    def test_wrong(self):
        for arguments, named in (
            (["ftp://example.org/"], "ftp://example.org/"),
            (["example.org"], "example.org"),
            (["http://"], "http://"),
            (["http:///path"], "http:///path"),
            (["http://:80/"], "http://:80/"),
            (["http://user@/"], "http://user@/"),
            (["http://host:port/"], "port"),
            (["http://host:99999/"], "99999"),
            (["http://host:0/"], "port 0"),
            (["http://host:-1/"], "-1"),
            (["http://[::1/"], "IPv6"),
            (["http://[::g]/"], "::g"),
            (["http://[::1]x/"], r"[::1]x"),
            (["http://::1/"], "::1"),
            ([""], "argument URL: ''"),
            ([" "], "argument URL: ' '"),
            (["http://a b/"], "http://a b/"),
            (["http://a/\n"], r"http://a/\n"),
            (["http://a/\x1b[1m"], r"http://a/\x1b[1m"),
            (["http://127.0.0.1:1/", "nonsense"], "nonsense"),
            (["--repeat", "0"], "--repeat: '0'"),
            (["--repeat", "-1"], "--repeat: '-1'"),
            (["--repeat", "1.5"], "--repeat: '1.5'"),
            (["--repeat", "1000000"], "--repeat: '1000000'"),
            (["--repeat", "\u0663"], "--repeat: '\u0663'"),
            (["--repeat"], "--repeat"),
            (["--live", "http://127.0.0.1:1/"], "--live"),
            (["--liv"], "--liv"),
            (["--nonsense"], "--nonsense"),
        ):
            for lesson in support.DOWNLOADING:
                self.check_wrong(lesson, arguments, named)

    def test_own(self):
        for lesson, option in (
            ("02_threads", "--workers"),
            ("03_processes", "--workers"),
            ("05_aiohttp", "--limit"),
            ("04_asyncio_sleep", "--step"),
        ):
            for value in ("-1", "x", "", "nan", "inf"):
                named = f"{option}: {value!r}"
                self.check_wrong(lesson, [f"{option}={value}"], named)
            if option != "--step":
                self.check_wrong(lesson, [option, "0"], f"{option}: '0'")
        self.check_wrong("01_sync", ["--workers", "4"], "--workers")
        self.check_wrong("04_asyncio_sleep", ["http://a/"], "http://a/")

    def check_wrong(self, lesson, arguments, named):
        with (
            self.subTest(lesson=lesson, arguments=arguments),
            support.printed() as output,
            support.complained() as errors,
        ):
            with self.assertRaises(SystemExit) as caught:
                support.complete(support.module(lesson).main(arguments))
            self.assertEqual(caught.exception.code, 2)
            self.assertEqual(output.getvalue(), "")
            line = errors.getvalue()
            self.assertEqual(line.count("\n"), 1, line)
            self.assertIn(named, line)
            self.assertTrue(line.startswith(f"{lesson}.py: "), line)

    def test_as_a_program(self):
        def check(lesson):
            result = support.run(lesson, "--nonsense")
            self.assertEqual(result.returncode, 2)
            told = f"{lesson}.py: unrecognized arguments: --nonsense\n"
            self.assertEqual((result.stdout, result.stderr), ("", told))

        support.each(self, check, zip(support.LESSONS))

    def test_right(self):
        fault = support.module("common").fault
        for url in (
            "http://a",
            "HTTPS://a/",
            "http://a:80",
            "http://[::1]:8000/x?y#z",
            "http://[fe80::1%25eth0]/",
            "http://user:word@a/",
            "http://a/[b]c",
            "http://\ud55c\uae00.kr/\ud55c",
        ):
            with self.subTest(url=url):
                self.assertIsNone(fault(url))

    def test_help(self):
        for lesson in support.LESSONS:
            with (
                self.subTest(lesson=lesson),
                support.printed() as output,
                self.assertRaises(SystemExit) as caught,
            ):
                support.complete(support.module(lesson).main(["--help"]))
            self.assertEqual(caught.exception.code, 0)
            doc = support.module(lesson).__doc__.partition("\n")[0]
            self.assertIn(doc, " ".join(output.getvalue().split()))


class Shape(unittest.TestCase):
    """The lessons can be read side by side."""

    def test_functions(self):
        for lesson in support.DOWNLOADING:
            with self.subTest(lesson=lesson):
                source = (support.ROOT / f"{lesson}.py").read_text("utf-8")
                names = re.findall(r"^(?:async )?def (\w+)", source, re.M)
                wanted = ["request_site", "request_all_sites", "main"]
                self.assertEqual(names[-3:], wanted)
                self.assertEqual(source.count("sys.argv"), 1)
                self.assertLess(source.index("__main__"),
                                source.index("sys.argv"))

    def test_length_and_width(self):
        paths = [support.ROOT / f"{name}.py" for name in support.LESSONS]
        for path in paths:
            with self.subTest(path=path.name):
                self.assertLessEqual(len(support.code_lines(path)), 60)
        for path in support.ROOT.rglob("*.py"):
            if ".venv" not in path.parts:
                for line in path.read_text("utf-8").splitlines():
                    self.assertLessEqual(len(line), 79, f"{path}: {line}")

    def test_changed_lines(self):
        first, *others = (
            support.code_lines(support.ROOT / f"{name}.py")
            for name in support.DOWNLOADING
        )
        for name, other in zip(support.DOWNLOADING[1:], others, strict=True):
            changed = [
                line
                for line in difflib.unified_diff(first, other, n=0)
                if re.match(r"[+-](?![+-])", line)
            ]
            with self.subTest(lesson=name):
                self.assertLessEqual(len(changed), 27, "\n".join(changed))

    def test_standard_library_only(self):
        """common.py and lesson 4 run where nothing is installed."""
        result = support.run(
            "04_asyncio_sleep", "--step", "0", flags=["-I", "-S", "-c", (
                "import os, runpy, sys\n"
                "sys.path.insert(0, os.path.dirname(sys.argv[1]))\n"
                "del sys.argv[0]\n"
                "runpy.run_path(sys.argv[0], run_name='__main__')"
            )]
        )
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.stdout.count(">>> total seconds: 0.0"), 2)

    def test_page_pickles(self):
        module = support.module("01_sync")
        with servers.CountingServer() as server, requests.Session() as session:
            page = module.request_site(server.urls[0], session)
        copy = pickle.loads(pickle.dumps(page))
        self.assertEqual(vars(copy), vars(page))
        self.assertEqual((copy.size, copy.status), (10_782, 200))
