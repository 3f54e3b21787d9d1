"""What a run prints, and the clock that times it."""

import asyncio
import contextlib
import http.client
import io
import os
import pickle
import re
import socket
import subprocess
import threading
import time
import unittest
import weakref
from unittest import mock

import common
from tests.support import run


def page(worker, start, end, error="", session=None):
    """Return a Page of *worker*, from *start* to *end*, in seconds."""
    made = common.Page("http://a/", session)
    made.worker = worker
    made.start, made.end, made.error = start, end, error
    return made


def printed(function, *arguments, encoding="utf-8"):
    """Return what *function* prints on a console with *encoding*."""
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    with contextlib.redirect_stdout(output):
        function(*arguments)
    output.flush()
    return output.buffer.getvalue().decode(encoding)


class Timed(unittest.TestCase):
    def test_timed(self):
        """The clock runs while a coroutine is awaited, not before."""
        ticks = []

        @common.timed
        def function():
            ticks.append("tick")

        @common.timed
        async def coroutine():
            ticks.append("tick")

        clock = mock.patch.object(time, "perf_counter", lambda: len(ticks))
        with clock:
            self.assertEqual(function(), (None, 1))
            made = coroutine()
            ticks.append("time goes by before it is awaited")
            self.assertEqual(asyncio.run(made), (None, 1))


class Report(unittest.TestCase):
    def check(self, pages, status, told):
        """Check that *told* is printed for *pages*; return the output."""
        urls = ["http://a/"] * len(pages)
        statuses = []

        def run():
            for one in pages:
                common.show(one)
            statuses.append(common.report(urls, pages, 2.0))

        output = printed(run)
        self.assertEqual(statuses, [status])
        self.assertIn(told, output)
        return output

    def test_counts(self):
        good, bad = page("P", 0, 1), page("P", 0, 1, "Oops")
        for pages, status, told in (
            ([good] * 9, 0, "Downloaded 9 sites in 2.00 seconds\n"),
            ([good], 0, "Downloaded 1 site in 2.00 seconds\n"),
            ([good, bad], 1, "Downloaded 1 of 2 sites in 2.00 seconds\n"),
            ([bad], 1, "Downloaded 0 of 1 site in 2.00 seconds\n"),
        ):
            output = self.check(pages, status, told)
            failed = output.count("FAILED  http://a/  Oops")
            self.assertEqual(failed, pages.count(bad))

    def test_lost_results(self):
        """A missing result, or one that is not a Page, is not a download."""
        output = printed(common.report, ["u"] * 3, [KeyError("x")], 1.0)
        self.assertIn("Downloaded 0 of 3 sites", output)
        self.assertIn("instead of a Page: KeyError('x')", output)
        once = page("P", 0, 1)
        output = printed(common.report, ["http://a/", "u"], [once] * 2, 1.0)
        self.assertIn("Downloaded 1 of 2 sites", output)
        unfinished = common.Page("http://a/", None)
        self.check([unfinished], 1, "FAILED  http://a/  did not finish")

    def test_in_flight(self):
        for spans, most in (
            ([(0, 1)], 1),
            ([(0, 1), (1, 2), (2, 3)], 1),  # Touching is not overlapping.
            ([(0, 3), (1, 2), (2, 4)], 2),
            ([(0, 5), (1, 5), (2, 5)], 3),
        ):
            pages = [page("P", *span) for span in spans]
            self.assertEqual(common.in_flight(pages), most)

    def test_who_worked(self):
        """Threads with the same name in two processes count as two."""
        made = [Session() for _ in range(60)]
        pages = [page("P", 0, 0, session=one) for one in [*made, made[0]]]
        pages[-1].process += 1
        pages[0].task = "Task-2"
        told = "done by 2 processes, 2 threads, 1 task, 60 sessions\n"
        output = self.check(pages, 0, told)
        numbers = re.findall(r"^P +S(\d+) +0 ", output, re.M)
        self.assertEqual(numbers[-1], numbers[0])
        self.assertEqual(len(set(numbers)), 60)

    def test_sessions_begin_again(self):
        """In every run, whatever became of the one before, S1 is first."""

        @common.timed
        def run():
            common.show(page("P", 0, 1, session=Session()))

        for _ in range(2):
            self.assertRegex(printed(run), "^P +S1 ")

    def test_page(self):
        """A Page keeps no session alive, and can be sent to a process."""
        session = Session()
        made = common.Page("http://a/", session)
        shown = repr([made])
        self.assertRegex(shown, r"^\[Page\(.*'name': 'http://a/'.*\)\]$")
        gone = weakref.ref(session)
        del session
        self.assertIsNone(gone())
        made.arrived(200, b"four")
        self.assertEqual(vars(pickle.loads(pickle.dumps(made))), vars(made))
        for status in (101, 199, 300, 304, 999):
            made.arrived(status, b"")
            self.assertIn(str(status), made.error)


class Session:
    """Something that can be numbered, as a session can."""


class Chart(unittest.TestCase):
    def chart(self, pages, seconds, **options):
        """Return the lines of a chart: its words, its ruler, its bars."""
        lines = printed(lambda: common.chart(pages, seconds, **options))
        _, first, second, *rows = lines.splitlines()
        return f"{first} {second}", *rows

    def test_worker_by_worker(self):
        pages = [page("T_10", 0, 1), page("T_9", 0, 1), page("T_10", 1, 2),
                 page("T_9", 1, 2)]
        _, _, *rows = self.chart(pages, 2)
        workers = [row.split()[0] for row in rows]
        self.assertEqual(workers, ["T_9", "T_9", "T_10", "T_10"])
        starts = [row.index("\u2588") for row in rows]
        self.assertEqual(starts[0] + 9, starts[1])
        self.assertEqual(starts[:2], starts[2:])

    def test_scale(self):
        """There is room for all bars, end to end, and for the whole run."""
        for pages, seconds, axis, width, told in (
            ([page("T", 0, 1)] * 4, 1, 0, 9, "4.00 s. The chart is as wide as "
             "that."),
            ([page("T", 1, 5)], 5, 0, 29, "as wide as the run."),
            ([page("T", 0.014, 1)], 1, 0, 36, "as wide as that."),
            ([page("T", 0, 3)], 3, 6, 18, "as wide as the last one."),
            ([page("T", 0, 3)], 3, 1, 36, "as wide as the run."),
            ([page("T", 0, 1.02)], 1.02, 1, 36, "as wide as the last one."),
            ([page("T", 1, 1)], 1, 0, 1, "as wide as the run."),
        ):
            words, ruler, *rows = self.chart(pages, seconds, axis=axis)
            self.assertIn(told, words)
            self.assertEqual(rows[0].count("\u2588"), width)
            self.assertLessEqual(len(rows[0]), len(ruler))

    def test_equal_times_are_equal_bars(self):
        # All are printed as 0.40; on this axis, 7 and a half columns.
        pages = [page("T", 0, 0.396 + n / 1000) for n in range(9)]
        _, _, *rows = self.chart(pages, 1, axis=1.92)
        self.assertEqual(len({row.count("\u2588") for row in rows}), 1)

    def test_later(self):
        """A chart can be drawn at any time."""
        now = time.perf_counter()
        for start in (now, now - 3):
            _, _, row = self.chart([page("T", start + 1, start + 4)], 4)
            self.assertEqual(row.index("\u2588"), 42 + 9)

    def test_failed(self):
        *_, row = self.chart([page("T", 0, 4, "Oops")], 4)
        self.assertRegex(row, "^T +a +FAILED \u2588+$")

    def test_more_pages_than_rows(self):
        pages = [page("T", number, number + 2) for number in range(24)]
        words, ruler, *rows = self.chart(pages, 25)
        self.assertTrue(ruler.endswith(" 25.00 s"))
        self.assertEqual(len(rows), 20)
        self.assertIn("A bar for each of the first 20 of 24 pages,", words)
        self.assertIn("All bars, laid end to end: 48.00 s. The chart is as "
                      "wide as the run.", words)


class Console(unittest.TestCase):
    def test_what_it_cannot_show(self):
        for encoding, block, shown in (
            ("utf-8", "\u2588", "\ud55c"), ("cp949", "#", "\ud55c"),
            ("cp1252", "#", "\\ud55c"), ("ascii", "#", "\\ud55c"),
        ):
            output = printed(self.run_a_lesson, encoding=encoding)
            self.assertIn(f"FAILED  http://{shown}/  Oops", output)
            self.assertEqual(output.count(block), 36)

    def run_a_lesson(self):
        with self.assertRaises(SystemExit):
            common.run(self.main)

    def main(self, arguments):
        failed = page("P", 0, 1, "Oops")
        failed.name = "http://\ud55c/"
        common.show(failed)
        return common.report(["http://\ud55c/"], [failed], 1.0)

    def test_one_line(self):
        self.assertEqual(common.printable("a\nb\tc\x1b[1m\0"), "a b c [1m ")
        failed = common.Page("http://a/", None)
        failed.failed(ConnectionError("two\nlines"))
        self.assertEqual(failed.error, "ConnectionError: two lines")
        failed.failed(ConnectionError("endless " * 1000))
        self.assertEqual(len(failed.error), 300)


class AsyncioSleep(unittest.TestCase):
    def test_lines(self):
        """The lines of lesson 4: one job after another, then alternating."""
        status, output = run("04_asyncio_sleep", "--step", 0.02)
        self.assertFalse(status)
        halves = output.split(">>> total seconds: ")[:2]
        orders = ("One 1, One 2, One 3, One -, Two 1, Two 2, Two -, Three 1",
                  "One 1, Two 1, Three 1, ")
        for half, told in zip(halves, orders, strict=True):
            lines = re.findall(r"^(\w+) -(?:> (\d) of \d is| \d works)", half,
                               re.M)
            self.assertEqual(len(lines), 9)
            seen = ", ".join(f"{name} {step or '-'}" for name, step in lines)
            self.assertTrue(seen.startswith(told), seen)


class PracticeSite(unittest.TestCase):
    def test_keeps_a_connection(self):
        delays = [delay for delay, _ in common.PAGES.values()]
        self.assertEqual(delays, [0.2, 0.3, 0.4])
        to_output = contextlib.redirect_stdout(io.StringIO())
        with to_output, common.practice_site() as urls:
            connection = http.client.HTTPConnection(urls[0].split("/")[2])
            with contextlib.closing(connection):
                connection.request("GET", "/other")
                response = connection.getresponse()
                self.assertEqual(response.status, 404)
                self.assertEqual(response.read(), b"")
                self.assertIsNotNone(connection.sock)

    def test_proxy(self):
        """One variable is set, and put back; no other is touched."""
        for own in ({}, {"no_proxy": "example.org"}):
            with mock.patch.dict(os.environ, own):
                before = dict(os.environ)
                with common.no_proxy_to("127.0.0.1"):
                    self.assertEqual(os.environ["no_proxy"], "127.0.0.1")
                self.assertEqual(dict(os.environ), before)

    def test_ends_though_its_pipe_is_held(self):
        """For example by processes that were started while it was open."""
        popen = subprocess.Popen
        held = []

        def popen_and_hold(*arguments, **options):
            site = popen(*arguments, **options)
            held.append(os.dup(site.stdin.fileno()))
            return site

        def visit():
            with common.practice_site():
                pass

        visitor = threading.Thread(target=visit, daemon=True)
        to_output = contextlib.redirect_stdout(io.StringIO())
        with mock.patch("subprocess.Popen", popen_and_hold), to_output:
            visitor.start()
            visitor.join(timeout=10)
        ended = not visitor.is_alive()
        os.close(held[0])
        visitor.join()
        self.assertTrue(ended)

    def test_many_at_once(self):
        """No client waits for a second to be let in."""
        with (
            common.PracticeServer(("127.0.0.1", 0), None) as server,
            contextlib.ExitStack() as stack,
        ):
            for _ in range(64):  # All wait in the server's queue.
                client = socket.create_connection(server.server_address, 5)
                stack.enter_context(client)

    def test_that_does_not_start(self):
        with mock.patch.object(common, "__file__", "no such file"):
            status, output = run("01_sync")
        self.assertIn("did not start", status)
        self.assertNotIn("Downloaded", output)
