"""What is printed of a run, and the clock that it goes by."""

import asyncio
import contextlib
import http.client
import io
import re
import unittest
from unittest import mock

import common
from tests.support import run


def page(worker, start, end, error="", session=None):
    """Return a Page of *worker*, from *start* to *end*, in seconds."""
    made = common.Page(f"http://a/{worker}-{start}", session, worker)
    made.start, made.end, made.error = start, end, error
    return made


def printed(function, *arguments, encoding="utf-8"):
    """Return what a call of *function* prints on a console of *encoding*."""
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    with contextlib.redirect_stdout(output):
        function(*arguments)
    return output.buffer.getvalue().decode(encoding)


class Timed(unittest.TestCase):
    """The clock runs while a coroutine is awaited, not while it is made."""

    def test_timed(self):
        clock = iter([10.0, 12.5] * 2)
        seen = []

        @common.timed
        def function(result):
            seen.append(next(clock))
            return result

        @common.timed
        async def coroutine(result):
            await asyncio.sleep(0)
            return function(result)[0]

        with mock.patch.object(common.time, "perf_counter") as perf_counter:
            perf_counter.side_effect = lambda: len(seen)
            self.assertEqual(function("a"), ("a", 1))
            made = coroutine("b")
            seen.append("time goes by before it is awaited")
            self.assertEqual(asyncio.run(made), ("b", 1))


class Summary(unittest.TestCase):
    def end(self, pages, urls, seconds=2.0):
        """Return the status of a run with *pages*, and what it prints."""
        report, status = common.Run("process"), []
        report.urls = ["http://a/"] * urls

        def show_all():
            for one in pages:
                report.show(one)
            status.append(report.end(seconds))

        output = printed(show_all)
        return status[0], output

    def test_counts(self):
        for arrived, urls, told in (
            (9, 9, "Downloaded 9 sites in 2.00 seconds\n"),
            (1, 1, "Downloaded 1 site in 2.00 seconds\n"),
            (7, 9, "Downloaded 7 of 9 sites in 2.00 seconds\n"),
            (0, 1, "Downloaded 0 of 1 site in 2.00 seconds\n"),
        ):
            pages = [page("P", 0, 1) for _ in range(arrived)]
            pages += [page("P", 0, 1, "Oops") for _ in range(urls - arrived)]
            status, output = self.end(pages, urls)
            self.assertEqual(status, 0 if arrived == urls else 1)
            self.assertIn(told, output)
            self.assertEqual(output.count("FAILED  Oops"), urls - arrived)

    def test_in_flight(self):
        for spans, most in (
            ([(0, 1)], 1),
            ([(0, 1), (1, 2), (2, 3)], 1),  # Touching is not overlapping.
            ([(0, 3), (1, 2), (2, 4)], 2),
            ([(0, 5), (1, 5), (2, 5)], 3),
        ):
            pages = [page("P", *span) for span in spans]
            self.assertEqual(common.in_flight(pages), most)

    def test_workers_and_sessions(self):
        """Workers of one name in two processes are two."""
        one, two = object(), object()
        pages = [page("P", 0, 1, session=one), page("P", 1, 2, session=two)]
        pages += [page("P", 2, 3, session=one)]
        pages[2].process += 1
        _, output = self.end(pages, 3)
        self.assertIn("2 processes, 2 sessions, at most 1 page in", output)
        self.assertEqual(re.findall(r"^P +([A-Z])", output, re.M)[:3],
                         ["A", "B", "A"])

    def test_many_sessions(self):
        pages = [page("P", 0, 1, session=object()) for _ in range(60)]
        _, output = self.end(pages, 60)
        letters = re.findall(r"^P +(\w+) +0 ", output, re.M)
        self.assertEqual(len(set(letters)), 60)


class Waterfall(unittest.TestCase):
    def rows(self, pages, seconds, axis):
        output = printed(common.waterfall, pages, 0, seconds, axis)
        return output.splitlines()[1:]

    def test_worker_by_worker(self):
        pages = [page("T_10", 0, 1), page("T_9", 0, 1), page("T_10", 1, 2),
                 page("T_9", 1, 2)]
        _, *rows = self.rows(pages, 2, 4)
        self.assertEqual([row.split()[0] for row in rows],
                         ["T_9", "T_9", "T_10", "T_10"])
        starts = [row.index("\u2588") for row in rows]
        self.assertEqual(starts[0] + 9, starts[1])
        self.assertEqual(starts[:2], starts[2:])

    def test_scale(self):
        """The axis ends at its own length, and tells where the run ended."""
        head, row = self.rows([page("T", 0, 1)], 1, 4)
        self.assertEqual(row.count("\u2588"), 9)
        self.assertTrue(head.endswith("one by one: 4.00"))
        self.assertEqual(head.index("1.00") + 4, len(row))
        head, row = self.rows([page("T", 0, 4)], 4, 4)
        self.assertEqual(row.count("\u2588"), 37)
        self.assertEqual((len(head), len(row)), (79, 79))

    def test_failed(self):
        _, row = self.rows([page("T", 0, 4, "Oops")], 4, 4)
        self.assertEqual((row.count("x"), row.count("\u2588")), (37, 0))

    def test_more_pages_than_rows(self):
        pages = [page("T", number, number + 1) for number in range(24)]
        rows = self.rows(pages, 24, 24)
        self.assertEqual((len(rows), rows[-1]), (22, "and 4 more"))


class Console(unittest.TestCase):
    def test_what_it_cannot_show(self):
        for encoding, bar, word in (
            ("utf-8", "\u2588", "\ud55c"),
            ("cp949", "#", "\ud55c"),
            ("cp1252", "#", r"\ud55c"),
            ("ascii", "#", r"\ud55c"),
        ):
            output = printed(common.say, "\u2588 \ud55c", encoding=encoding)
            self.assertEqual(output, f"{bar} {word}\n")

    def test_one_line(self):
        self.assertEqual(common.printable("a\n  b\tc\x1b[1m\0"), "a b c [1m")
        failed = common.Page("http://a/", None)
        failed.failed(ConnectionError("two\nlines" + "x" * 9999))
        self.assertEqual(len(failed.error), 300)
        self.assertTrue(failed.error.startswith("ConnectionError: two lines"))


class AsyncioSleep(unittest.TestCase):
    """Lesson 4 prints the notebook's lines, in the order that it teaches."""

    def test_lines(self):
        status, output = run("04_asyncio_sleep", "--step", 0.02)
        self.assertFalse(status)
        halves = re.findall(r"(?s)(.*?)>>> total seconds: 0\.\d\d\n(.*?)\n\n",
                            output + "\n")
        one_by_one = ["One -> 1", "One -> 2", "One -> 3", "One - 3",
                      "Two -> 1", "Two -> 2", "Two - 2", "Three -> 1",
                      "Three - 1"]
        together = ["One -> 1", "Two -> 1", "Three -> 1"]
        line = r"^(\w+ -(?:> \d+ of| \d+ works))"
        lines = [[" ".join(found.split()[:3])
                  for found in re.findall(line, half, re.M)]
                 for half, _ in halves]
        self.assertEqual(lines[0], one_by_one)
        self.assertEqual(lines[1][:3], together)
        self.assertEqual(sorted(lines[1]), sorted(one_by_one))


class PracticeSite(unittest.TestCase):
    def test_pages(self):
        """Its pages and its delays; it keeps a connection open."""
        self.assertEqual([PAGE[0] for PAGE in common.PAGES.values()],
                         [0.2, 0.3, 0.4])
        output = io.StringIO()
        to_output = contextlib.redirect_stdout(output)
        with to_output, common.practice_site() as urls:
            host, path = urls[0].removeprefix("http://").split("/")
            connection = http.client.HTTPConnection(host)
            with contextlib.closing(connection):
                for path, status, size in (
                    ("/jython", 200, 10_782), ("/other", 404, 0),
                ):
                    connection.request("GET", path)
                    socket = connection.sock
                    response = connection.getresponse()
                    self.assertEqual(response.status, status)
                    self.assertEqual(len(response.read()), size)
                    self.assertIs(connection.sock, socket)
        self.assertEqual(len(urls), 9)
        self.assertIn("/jython 0.2 s, /dice 0.3 s", output.getvalue())

    def test_many_at_once(self):
        """Nobody waits for a second to be let in."""
        import socket

        with (
            common.PracticeServer(("127.0.0.1", 0), None) as server,
            contextlib.ExitStack() as stack,
        ):
            for _ in range(64):  # Nobody accepts: all wait in its queue.
                client = socket.create_connection(server.server_address, 5)
                stack.enter_context(client)

    def test_that_does_not_start(self):
        with mock.patch.object(common, "__file__", "no such file"):
            status, output = run("01_sync")
        self.assertIn("No practice site", status)
        self.assertNotIn("Downloaded", output)
