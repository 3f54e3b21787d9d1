"""What the README and the lessons say is so, and what they suggest works."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests import benchmark, servers, support
from tests.test_lessons import BESIDE, RUNS

README = (support.ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)

SECTIONS = [
    "Quick start", "The five lessons", "What they print", "The benchmark",
    "Which one when", "Side by side", "Your own pages", "In a notebook",
    "Beyond one machine", "What this leaves out",
]

#: What each suggested command prints, as a regular expression.
COMMANDS = {
    "01_sync.py": "Downloaded 9 sites",
    "02_threads.py": "Downloaded 9 sites",
    "05_aiohttp.py": "Downloaded 9 sites",
    "01_sync.py --repeat 2": "Downloaded 18 sites.*at most 1 page in flight",
    "01_sync.py http://127.0.0.1:1/": "FAILED .*loaded 0 of 1 .*x: did not",
    "02_threads.py --workers 9": "9 threads over 9 sessions, at most 9",
    "02_threads.py --workers 1": "1 thread over 1 session, at most 1 page",
    "02_threads.py --repeat 10 --workers 8": "Downloaded 90 sites.*8 threads",
    "02_threads.py --live": "Downloaded .*9 sites",
    "03_processes.py --workers 9": r"\d process.*at most \d page",
    "03_processes.py --workers 1": "1 process over 1 session, at most 1 page",
    "04_asyncio_sleep.py --step 0.1": r"(3 works.*seconds: 0\.\d\d.*){2}",
    "05_aiohttp.py --limit 4": "9 tasks of one thread .*at most 4 pages",
    "05_aiohttp.py --repeat 10": "90 tasks of one thread .*at most 90",
    "05_aiohttp.py http://127.0.0.1:8000/ http://127.0.0.1:8000/README.md":
        "Downloaded .*2 sites",
}

#: Commands that other tests run, or a person.
ELSEWHERE = ("common.py", "-m ", "0N_")

#: What each suggested edit leads to: the lesson, the exit status, and what
#: is printed. The lesson downloads from a server that counts.
EDITS = {
    "01_sync": (0, "1 thread over 9 sessions, at most 1", ""),
    "02_threads": (1, "", "TypeError: .*missing 1 required .* 'url'"),
    "03_processes": (0, "(jython.*dice.*realpython.*){3}Downloaded 9 s", ""),
    "04_asyncio_sleep": (0, r"seconds: 0\.\d\d.*seconds: 0\.[6-9]", ""),
    "05_aiohttp": (1, "", r"AttributeError: 'str' object has no .*'get'$"),
}


#: They take their time, too: they start now, beside other tests.
SUGGESTED = {
    line: BESIDE.submit(support.run, line.split()[0][:-3], *line.split()[1:])
    for line in COMMANDS if " " in line
}

BENCHMARK = BESIDE.submit(
    subprocess.run,
    [sys.executable, "-m", "tests.benchmark", "--rounds", "1", "--pages", "18",
     "--delay", "0"],
    cwd=support.ROOT, env=support.environment(), encoding="utf-8",
    capture_output=True, timeout=60,
)


def shape(text):
    """Return the lines of *text*, without what differs from run to run."""
    for pattern, kept in (
        (r"\u2588+", "="),
        (r":\d{4,5}/", ":PORT/"),
        (r"\d\.\d\d", "SECONDS"),
        (r"(Task-|Thread_)\d+ +\d? ?", r"\1 "),
        (r" +", " "),
    ):
        text = re.sub(pattern, kept, text)
    return sorted(line.strip() for line in text.strip().splitlines())


class Readme(unittest.TestCase):
    """The README tells the truth."""

    def test_sections(self):
        self.assertEqual(re.findall(r"^## (.*)", README, re.M), SECTIONS)

    def test_quick_start(self):
        language, block = BLOCKS[0]
        self.assertEqual((language, block.count("\n")), ("sh", 2))
        start = README.index("## Quick start")
        self.assertLess(start, README.index(block))
        install, test = block.splitlines()
        self.assertRegex(install, r"^python -m venv .*-r requirements\.txt")
        self.assertRegex(install, r"02_threads\.py$")
        self.assertRegex(test, "-m unittest$")

    def test_outputs(self):
        shown = dict(re.findall(r"\$ python (\S+)\.py\n(.*?)```", README,
                                re.S))
        self.assertEqual([*shown], ["01_sync", "02_threads", "05_aiohttp"])
        for lesson, output in shown.items():
            with self.subTest(lesson=lesson):
                real = RUNS[lesson].result().stdout
                self.assertEqual(shape(output), shape(real))

    def test_files_and_options(self):
        for name in re.findall(r"`(?:python )?(\w+\.(?:py|txt|md))", README):
            with self.subTest(name=name):
                if name == "robots.txt":
                    continue
                self.assertTrue((support.ROOT / name).is_file())
        helps = benchmark.__doc__
        for lesson in support.LESSONS:
            with support.printed() as output, self.assertRaises(SystemExit):
                support.complete(support.module(lesson).main(["--help"]))
            helps += output.getvalue()
        for option in re.findall(r"(?<![\w-])--[a-z]+", README):
            with self.subTest(option=option):
                self.assertIn(option, helps)

    def test_benchmark(self):
        result = BENCHMARK.result()
        self.assertEqual(result.stderr, "")
        header = re.search(r"^ +seconds .*$", result.stdout, re.M)[0]
        self.assertEqual(README.count(header), 2)
        for lesson in support.DOWNLOADING:
            row = re.search(rf"^{lesson} .*$", result.stdout, re.M)[0]
            self.assertEqual(len(row.split()), 10)
            shown = re.findall(rf"^{lesson} .*$", README, re.M)
            self.assertEqual(
                [len(line) for line in (row, *shown)], [len(header)] * 3
            )

    def test_diff(self):
        self.assertIn("diff -y -W 160 01_sync.py 02_threads.py", README)

    def test_width(self):
        for line in README.splitlines():
            if not re.search(r"^\||-m venv|https?://", line):
                self.assertLessEqual(len(line), 79, line)


class Suggestions(unittest.TestCase):
    """Each command and each edit that a text suggests does what it says."""

    def texts(self):
        docs = [support.module(lesson).__doc__ for lesson in support.LESSONS]
        return [README, *docs]

    def test_docstrings(self):
        for lesson in support.LESSONS:
            with self.subTest(lesson=lesson):
                doc = support.module(lesson).__doc__
                self.assertLessEqual(doc.count("\n"), 27)
                for part in ("What to look for", "The trap", "Try"):
                    self.assertIn(f"\n{part}\n    ", doc)

    def test_commands(self):
        told = set()
        for text in self.texts():
            lines = re.findall(r"^(?:    |\$ )?python (.*)$", text, re.M)
            flat = text.replace("\n", " ")
            lines += re.findall(r"(?<!`)`python ([^`]+)`(?!`)", flat)
            told |= {
                line for line in lines if not line.startswith(ELSEWHERE)
            }
        self.assertEqual(told, set(COMMANDS))

        for line, run in SUGGESTED.items():
            with self.subTest(line=line):
                self.assertEqual(run.result().stderr, "")
                expected = f"(?s){COMMANDS[line]}"
                self.assertRegex(run.result().stdout, expected)

    def test_edits(self):
        def check(lesson, status, printed, complained):
            doc = support.module(lesson).__doc__
            before, after = re.search(
                r"    Change `(.*?)` to\s+`(.*?)`", doc, re.S
            ).groups()
            source = (support.ROOT / f"{lesson}.py").read_text("utf-8")
            body = source.replace(doc, "")
            self.assertEqual(body.count(before), 1, before)
            with (
                tempfile.TemporaryDirectory() as folder,
                servers.CountingServer() as server,
            ):
                shutil.copy(support.ROOT / "common.py", folder)
                path = Path(folder, f"{lesson}.py")
                path.write_text(body.replace(before, after), "utf-8")
                arguments = server.urls
                if lesson.startswith("04"):
                    arguments = ["--step", "0.1"]
                result = subprocess.run(
                    [sys.executable, path, *arguments], timeout=60,
                    env=support.environment(), capture_output=True,
                    encoding="utf-8",
                )
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertRegex(result.stdout, f"(?s){printed}")
            self.assertRegex(result.stderr, f"(?s){complained}")
            if lesson == "01_sync":
                self.assertEqual(server.connections, 9)
            if complained:
                self.assertEqual(result.stderr.count("Traceback"), 1)
            if lesson.startswith("04"):
                names = re.findall(r"^(\w+) -> ", result.stdout, re.M)
                alone = ["One"] * 3 + ["Two"] * 2 + ["Three"]
                self.assertEqual(names, alone * 2)

        support.each(self, check, [(k, *v) for k, v in EDITS.items()])

    def test_wait_takes_no_coroutines(self):
        """`asyncio.wait` takes no coroutines: lesson 4 says so."""
        code = (
            "import asyncio\n"
            "async def work(): pass\n"
            "async def main(): await asyncio.wait([work()])\n"
            "asyncio.run(main())\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, encoding="utf-8"
        )
        self.assertIn("TypeError", result.stderr)
