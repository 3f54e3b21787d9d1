"""What a learner edits: whatever it is, what is printed stays true."""

import contextlib
import re
import sys
import unittest
import warnings
from unittest import mock

from tests.server import Server
from tests.support import LESSONS, ROOT, edited, load, run

#: What a suggested command prints, and how many pages it has in flight.
COMMANDS = {
    "01_sync.py --repeat 2": ("Downloaded 18 sites", 1),
    "01_sync.py http://127.0.0.1:1/": ("FAILED.*Downloaded 0 of 1 site ", 0),
    "02_threads.py --workers 9": ("9 threads, 9 sessions, at most 9", 9),
    "02_threads.py --workers 1": ("1 thread, 1 session, at most 1 page ", 1),
    "03_processes.py --workers 9": ("9 processes, 9 sessions", 9),
    "03_processes.py --workers 1": ("1 process, 1 session", 1),
    "04_asyncio_sleep.py --step 0.1": ("total seconds: 0.*seconds: 0", 0),
    "05_aiohttp.py --limit 4": ("9 tasks, 1 session, at most 4 pages", 4),
    "05_aiohttp.py --repeat 10": ("Downloaded 90 sites.*at most 90", 90),
}

EDITS = {
    "01_sync": "1 thread, 9 sessions, at most 1 page",
    "02_threads": "TypeError: .* missing 1 required .*'url'",
    "03_processes": "(/jython.*/dice.*/realpython.*){3}Downloaded 9 sites",
    "04_asyncio_sleep": ("(?=(.*3 works.*2 works.*1 works){2})",
                         "total seconds: .*never awaited"),
    "05_aiohttp": "AttributeError: 'str' object has no attribute 'get'",
}

SHOW_SITE = "await asyncio.gather(*map(show_site, urls))"


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

    def test_commands(self):
        texts = "".join(load(lesson).__doc__ for lesson in LESSONS)
        suggested = re.findall(r"^    python (.+)$", texts, re.M)
        self.assertEqual(sorted(suggested), sorted(COMMANDS))
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
        for lesson, told in EDITS.items():
            text = load(lesson).__doc__
            change = r"Change `([^`]+)` to\s+`([^`]+)`"
            changes = re.findall(change, text)
            results = [told] if isinstance(told, str) else told
            for change, result in zip(changes, results, strict=True):
                with self.subTest(lesson, change=change), Server() as server:
                    source = (ROOT / f"{lesson}.py").read_text("utf-8")
                    self.assertIn(change[0], source.replace(text, ""))
                    sleep = lesson == "04_asyncio_sleep"
                    arguments = ["--step", 0.01] if sleep else server.urls
                    output = attempt(edited(lesson, change), *arguments)
                    self.assertRegex(output, f"(?s){result}")

    def test_look_at_thread_local_memory(self):
        look = "print(thread_local.__dict__)"
        self.assertIn(look, load("02_threads").__doc__)
        first = "    if not hasattr(thread_local"
        change = first, f"    {look}\n{first}"
        with Server(gate=4) as server:
            output = attempt(edited("02_threads", change), *server.urls)
        self.assertEqual(output.count("{}"), 4)
        self.assertEqual(output.count("{'session': <requests."), 5)


class OwnEdits(unittest.TestCase):
    def check(self, told, gate, lesson, *changes):
        with self.subTest(told), Server(gate) as server:
            output = attempt(edited(lesson, *changes), *server.urls)
            self.assertRegex(output, f"(?s){told}")
            if gate:
                self.assertEqual(server.most, gate)

    def test_plain_gather(self):
        new = ("for page in await asyncio.gather(*(request_site(url, session)"
               " for url in urls)): show(page)")
        told = "Downloaded 9 sites.*9 tasks, 1 session, at most 9"
        self.check(told, 9, "05_aiohttp", (SHOW_SITE, new))

    def test_task_group(self):
        new = ("async with asyncio.TaskGroup() as group:\n            "
               "for url in urls: group.create_task(do_it(url))")
        told = "Downloaded 9 sites.*9 tasks, 1 session, at most 9"
        rename = "async def show_site", "async def do_it"
        self.check(told, 9, "05_aiohttp", (SHOW_SITE, new), rename)

    def test_exceptions_that_nobody_looks_at(self):
        new = SHOW_SITE[:-1] + ", return_exceptions=True)"
        swap = "request_site(url, session))", "request_site(session, url))"
        told = "Downloaded 0 of 9 sites.*is not known"
        self.check(told, 0, "05_aiohttp", (SHOW_SITE, new), swap)

    def test_results_that_nobody_reads(self):
        old = "futures = [executor.submit(request_site, url) for url in urls]"
        none = "for future in as_completed(futures)", "for future in ()"
        new = "executor.map(request_site, urls)"
        told = "Downloaded 0 of 9 sites.*is not known"
        self.check(told, 0, "02_threads", (old, new), none)

    def test_map(self):
        old = "futures = [executor.submit(request_site, url) for url in urls]"
        read = "as_completed(futures)", "executor.map(request_site, urls)"
        told = "Downloaded 9 sites.*4 threads, 4 sessions, at most 4"
        self.check(told, 4, "02_threads", (old, "pass"), read,
                   ("future.result()", "future"))

    def test_one_session_for_all_threads(self):
        old = "session = get_session()"
        told = "Downloaded 9 sites.*4 threads, 1 session, at most 4"
        self.check(told, 4, "02_threads", (old, "session = SHARED"),
                   ("thread_local =", "SHARED = requests.Session()\nold ="))
