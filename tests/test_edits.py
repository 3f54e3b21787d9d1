"""Whatever a learner edits, the output stays true."""

import contextlib
import re
import unittest
import warnings
from importlib import import_module
from unittest import mock

import common
from tests.server import Server
from tests.support import DOWNLOADING, SLEEPING, edited, run

# What a suggested command prints, and how many pages it has in flight.
COMMANDS = {
    "01_sync.py --repeat 2": ("Downloaded 18 sites", 1),
    "01_sync.py http://127.0.0.1:1/": ("FAILED.*Downloaded 0 of 1 site ", 0),
    "02_threads.py --workers 9": ("1 process, 9 threads, 9 sessions", 9),
    "02_threads.py --workers 1": ("1 process, 1 thread, 1 session\n", 1),
    "03_processes.py --workers 9": ("9 processes, 9 threads, 9 sessions", 9),
    "04_asyncio_sleep.py --step 0.1": ("total seconds: .*total seconds: ", 0),
    "05_aiohttp.py --limit 4": ("9 tasks, 1 session.*arrived.: 4\n", 4),
    "05_aiohttp.py --repeat 10": ("Downloaded 90 sites.*arrived.: 90\n", 90),
}

IN_ORDER = "(/jython.*/dice.*/realpython.*){3}Downloaded 9 sites"
IN_TURN = "(.*3 works.*2 works.*1 works){2}"
SUBMIT = "futures = [executor.submit(request_site, url) for url in urls]"
GATHER = "await asyncio.gather(*coroutines)"
SLEEP = "await asyncio.sleep(step)"
SUM = "sum(range(20_000_000))"

# The suggested edits: the lesson, the old text, the new text, and what is
# printed then.
EDITS = [
    ("01_sync", "page = request_site(url, session)",
     "page = request_site(url, requests.Session())",
     "1 process, 1 thread, 9 sessions"),
    ("02_threads", "in as_completed(futures)", "in futures", IN_ORDER),
    ("02_threads", "submit(request_site, url)", "submit(request_site)",
     "TypeError: .* missing 1 required .*'url'"),
    ("03_processes", "in as_completed(futures)", "in futures", IN_ORDER),
    (SLEEPING, SLEEP, "time.sleep(step)", IN_TURN),
    (SLEEPING, SLEEP, "asyncio.sleep(step)",
     "(total seconds: .*){2}never awaited"),
    (SLEEPING, SLEEP, SUM, IN_TURN),
    (SLEEPING, "time.sleep(step)", SUM, "3 works.*2 works.*1 works"),
    ("05_aiohttp", GATHER, "[await coroutine for coroutine in coroutines]",
     r"1 thread, 1 task, 1 session.*arrived.: 1\n"),
    ("05_aiohttp", "await request_site(url, session)",
     "await request_site(session, url)",
     "AttributeError: 'str' object has no attribute 'get'"),
]


class Edits(unittest.TestCase):
    """Those under *Try*, in the text of each lesson, and a few more."""

    def check(self, told, lesson, *changes, gate=1):
        """Check what an edited lesson prints, warns of or raises."""
        with (
            self.subTest(lesson, changes=changes),
            Server(gate) as server,
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            server.delays = {"/jython": 0.05}  # /dice would finish first.
            arguments = server.urls
            if lesson == SLEEPING:
                arguments = ["--step", 0.01]
            try:
                _, output = run(edited(lesson, *changes), *arguments)
            except Exception as error:
                output = f"{type(error).__name__}: {error}"
            output += "".join(str(warning.message) for warning in warned)
            self.assertRegex(output, f"(?s){told}")

    def test_all_are_tested(self):
        commands = []
        edits = []
        for lesson in [*DOWNLOADING, SLEEPING]:
            text = import_module(lesson).__doc__
            commands += re.findall(r"^    python (.+)$", text, re.M)
            for old, new in re.findall(
                    r"[Cc]hange `([^`]+)` to\s+`([^`]+)`", text):
                edits.append((lesson, old, new))
        self.assertEqual(sorted(commands), sorted(COMMANDS))
        self.assertEqual(sorted(edits), sorted(edit[:3] for edit in EDITS))

    def test_commands(self):
        for command, (told, at_once) in COMMANDS.items():
            name, *arguments = command.split()
            with (
                self.subTest(command),
                Server(gate=at_once) as server,
                mock.patch.object(common, "practice_site") as site,
            ):
                site.return_value = contextlib.nullcontext(server.urls)
                _, output = run(name.removesuffix(".py"), *arguments)
                self.assertRegex(output, f"(?s){told}")
                self.assertEqual(server.most, at_once)

    def test_edits(self):
        for lesson, old, new, told in EDITS:
            self.check(told, lesson, (old, new.replace(SUM, "sum(range(20))")))

    def test_computing(self):
        """The same edit in 02, 03 and 05: computing after each page."""
        requests = "page.arrived(response.status_code, response.content)"
        aiohttp = "page.arrived(response.status, body)"
        for lesson, line in (("02_threads", requests),
                             ("03_processes", requests),
                             ("05_aiohttp", aiohttp)):
            text = import_module(lesson).__doc__
            told = f"Above `{line}`, add the line\n    `{SUM}`"
            self.assertIn(told, text)
            self.check("Downloaded 9 sites", lesson,
                       (line, f"sum(range(20))\n        {line}"))

    def test_the_notebooks_swapped_arguments(self):
        """Nine exceptions come back as results: they are not downloads."""
        self.check("Downloaded 0 of 9 sites.*instead of a Page: Attribute",
                   "05_aiohttp",
                   (GATHER, GATHER[:-1] + ", return_exceptions=True)"),
                   ("await request_site(url, session)",
                    "await request_site(session, url)"))

    def test_the_notebooks_results_that_nobody_reads(self):
        self.check("Downloaded 0 of 9 sites", "02_threads",
                   (SUBMIT, "executor.map(request_site, urls)"),
                   ("in as_completed(futures)", "in ()"))

    def test_map(self):
        self.check(r"Downloaded 9 sites.*4 sessions.*arrived.: 4\n",
                   "02_threads",
                   (SUBMIT, "futures = executor.map(request_site, urls)"),
                   ("in as_completed(futures)", "in futures"),
                   ("future.result()", "future"), gate=4)

    def test_requests_block_the_event_loop(self):
        self.check(r"Downloaded 9 sites.*9 tasks, 1 session\n.*arrived.: 1\n",
                   "05_aiohttp",
                   ("import asyncio\n", "import asyncio, requests\n"),
                   ("async with session.get(url, timeout=TIMEOUT)",
                    "with requests.get(url)"),
                   ("await response.read()", "response.content"),
                   ("response.status,", "response.status_code,"))
