"""Whatever a learner edits, the output stays true."""

import contextlib
import re
import sys
import unittest
import warnings
from unittest import mock

from tests.server import Server
from tests.support import LESSONS, edited, load, run

#: What a suggested command prints, and how many pages it has in flight.
COMMANDS = {
    "01_sync.py --repeat 2": ("Downloaded 18 sites", 1),
    "01_sync.py http://127.0.0.1:1/": ("FAILED.*Downloaded 0 of 1 site ", 0),
    "02_threads.py --workers 9": ("1 process, 9 threads, 9 sessions", 9),
    "02_threads.py --workers 1": ("1 process, 1 thread, 1 session\n", 1),
    "03_processes.py --workers 9": ("9 processes, 9 threads, 9 sessions", 9),
    "04_asyncio_sleep.py --step 0.1": ("total seconds: 0.*seconds: 0", 0),
    "05_aiohttp.py --limit 4": ("9 tasks, 1 session.*arrived.: 4\n", 4),
    "05_aiohttp.py --repeat 10": ("Downloaded 90 sites.*arrived.: 90\n", 90),
}

IN_ORDER = "(/jython.*/dice.*/realpython.*){3}Downloaded 9 sites"
ONE_AFTER_ANOTHER = "(?=(.*3 works.*2 works.*1 works){2})"
SUBMIT = "futures = [executor.submit(request_site, url) for url in urls]"
GATHER = "await asyncio.gather(*coroutines)"
SUM = "sum(range(20_000_000))"

#: The suggested edits: the lesson, the old text, the new text, and what is
#: printed then.
EDITS = [
    ("01_sync", "page = request_site(url, session)",
     "page = request_site(url, requests.Session())",
     "1 process, 1 thread, 9 sessions"),
    ("02_threads", "in as_completed(futures)", "in futures", IN_ORDER),
    ("02_threads", "submit(request_site, url)", "submit(request_site)",
     "TypeError: .* missing 1 required .*'url'"),
    ("03_processes", "in as_completed(futures)", "in futures", IN_ORDER),
    ("04_asyncio_sleep", "await asyncio.sleep(step)", "time.sleep(step)",
     ONE_AFTER_ANOTHER),
    ("04_asyncio_sleep", "await asyncio.sleep(step)", "asyncio.sleep(step)",
     "total seconds: .*never awaited"),
    ("04_asyncio_sleep", "await asyncio.sleep(step)", SUM, ONE_AFTER_ANOTHER),
    ("05_aiohttp", GATHER,
     "[await coroutine for coroutine in coroutines]",
     r"1 thread, 1 task, 1 session.*arrived.: 1\n"),
    ("05_aiohttp", "await request_site(url, session)",
     "await request_site(session, url)",
     "AttributeError: 'str' object has no attribute 'get'"),
]


def attempt(lesson, *arguments):
    """Run *lesson*, a module; return what it printed, warned of and raised."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with mock.patch.dict(sys.modules, {lesson.__name__: lesson}):
                _, output = run(lesson, *arguments)
        except Exception as error:
            output = f"{type(error).__name__}: {error}"
    return output + "".join(str(warning.message) for warning in warned)


class Suggestions(unittest.TestCase):
    """Under *Try*, in the text at the top of each lesson."""

    def test_every_command_is_tested(self):
        texts = "".join(load(lesson).__doc__ for lesson in LESSONS)
        suggested = re.findall(r"^    python (.+)$", texts, re.M)
        self.assertEqual(sorted(suggested), sorted(COMMANDS))

    def test_every_edit_is_tested(self):
        for lesson in LESSONS:
            text = load(lesson).__doc__
            suggested = re.findall(
                r"Change `([^`]+)` to\s+`([^`]+)`", text)
            tested = [(old, new) for name, old, new, _ in EDITS
                      if name == lesson]
            self.assertEqual(sorted(suggested), sorted(tested))

    def test_commands(self):
        for command, (told, at_once) in COMMANDS.items():
            name, *arguments = command.split()
            with (
                self.subTest(command),
                Server(gate=at_once) as server,
                mock.patch.object(load("common"), "practice_site") as site,
            ):
                site.return_value = contextlib.nullcontext(server.urls)
                _, output = run(name.removesuffix(".py"), *arguments)
                self.assertRegex(output, f"(?s){told}")
                self.assertEqual(server.most, at_once)

    def test_edits(self):
        for lesson, old, new, told in EDITS:
            with self.subTest(lesson, new=new), Server() as server:
                arguments = server.urls
                if lesson == "04_asyncio_sleep":
                    arguments = ["--step", 0.01]
                new = new.replace(SUM, "sum(range(20))")
                output = attempt(edited(lesson, (old, new)), *arguments)
                self.assertRegex(output, f"(?s){told}")

    def test_computing(self):
        """The same edit in 02 and 03: computing after each page."""
        for lesson in ("02_threads", "03_processes"):
            text = load(lesson).__doc__
            line = "page.arrived(response.status_code, response.content)"
            self.assertIn(f"Above `{line}`, write\n    `{SUM}`", text)
            change = line, f"sum(range(20))\n        {line}"
            with self.subTest(lesson), Server(gate=4) as server:
                output = attempt(edited(lesson, change), *server.urls)
                self.assertIn("Downloaded 9 sites", output)


class OwnEdits(unittest.TestCase):
    def check(self, told, gate, lesson, *changes):
        with self.subTest(told), Server(gate) as server:
            output = attempt(edited(lesson, *changes), *server.urls)
            self.assertRegex(output, f"(?s){told}")
            if gate:
                self.assertEqual(server.most, gate)

    def test_the_notebooks_swapped_arguments(self):
        """Nine exceptions come back as results: they are not downloads."""
        hide = GATHER, GATHER[:-1] + ", return_exceptions=True)"
        swap = "request_site(url, session)\n", "request_site(session, url)\n"
        told = "Downloaded 0 of 9 sites.*instead of a Page: AttributeError"
        self.check(told, 0, "05_aiohttp", hide, swap)

    def test_the_notebooks_results_that_nobody_reads(self):
        lose = SUBMIT, "executor.map(request_site, urls)"
        none = "in as_completed(futures)", "in ()"
        told = "Downloaded 0 of 9 sites"
        self.check(told, 0, "02_threads", lose, none)

    def test_requests_block_the_event_loop(self):
        told = r"Downloaded 9 sites.*9 tasks, 1 session\n.*arrived.: 1\n"
        self.check(told, 1, "05_aiohttp",
                   ("import asyncio\n", "import asyncio, requests\n"),
                   ("async with session.get(url, timeout=TIMEOUT)",
                    "with requests.get(url)"),
                   ("await response.read()", "response.content"),
                   ("response.status,", "response.status_code,"))

    def test_map(self):
        read = "as_completed(futures)", "executor.map(request_site, urls)"
        told = r"Downloaded 9 sites.*4 threads, 4 sessions.*arrived.: 4\n"
        self.check(told, 4, "02_threads", (SUBMIT, "pass"), read,
                   ("future.result()", "future"))
