"""What a run prints, and the practice site: common.py by itself."""

import asyncio
import contextlib
import errno
import http.client
import io
import os
import socket
import sys
import unittest
from unittest import mock

import common
from tests.support import posix_only, run

BLOCK = "\u2588"


def page(worker, start, end):
    """Return a Page of *worker*, from *start* to *end*, in seconds."""
    made = common.Page("http://a/", None)
    made.worker = worker
    made.start = start
    made.end = end
    made.error = ""
    return made


def printed():
    """Catch what a `with` block prints, for `getvalue`."""
    return contextlib.redirect_stdout(io.StringIO())


class Report(unittest.TestCase):
    def test_lost_results(self):
        """One page cannot stand for two; one that did not end is no page."""
        once = page("P", 0, 1)
        unfinished = common.Page("b", None)
        with printed() as output:
            common.report(["http://a/", "b"], [once, once, unfinished], 2.0)
        self.assertIn("Downloaded 1 of 2 sites", output.getvalue())

    def test_touching_is_not_overlapping(self):
        pages = [page("P", second, second + 1) for second in range(3)]
        self.assertEqual(common.in_flight(pages), 1)
        self.assertEqual(common.in_flight([page("P", 1, 1)]), 1)


class Chart(unittest.TestCase):
    def chart(self, pages, seconds, **options):
        """Return the lines of a chart: its words, its ruler, its bars."""
        with printed() as output:
            common.chart(pages, seconds, **options)
        _, first, second, ruler, *rows = output.getvalue().splitlines()
        return f"{first} {second}", ruler, rows

    def test_worker_by_worker(self):
        """It does not matter when the chart is drawn."""
        pages = [page("T_10", 0, 1), page("T_9", 0, 1), page("T_10", 1, 2),
                 page("T_9", 1, 2)]
        _, _, rows = self.chart(pages, 2)
        cells = [" ".join(row.split()[:2]) for row in rows]
        self.assertEqual(cells, ["T_9 a", "T_9 a", "T_10 a", "T_10 a"])
        starts = [row.index(BLOCK) for row in rows]
        self.assertEqual(starts[0] + 9, starts[1])
        self.assertEqual(starts[:2], starts[2:])
        # Two processes may have workers of one name.
        pages = [page("MainThread", second, second + 1) for second in range(3)]
        pages[1].process = 0
        _, _, rows = self.chart(pages, 3)
        starts = [row.index(BLOCK) - 42 for row in rows]
        self.assertEqual(starts, [12, 0, 24])

    def test_scale(self):
        """There is room for all bars, end to end, and for the whole run."""
        for pages, seconds, axis, width, told in (
            ([page("T", 0, 1)] * 4, 1, 0, 9,
             "each page, .* add up to 4.00 s. The chart ends there."),
            # The first page began late, and hardly late.
            ([page("T", 1, 5)], 5, 0, 29, "ends with the run."),
            ([page("T", 0.014, 1)], 1, 0, 36, "The chart ends there."),
            # The chart before was longer, and shorter.
            ([page("T", 0, 3)], 3, 6, 18, "ends as the first one did."),
            ([page("T", 0, 3)], 3, 1, 36, "ends with the run."),
            # The page took no time.
            ([page("T", 1, 1)], 1, 0, 1, "ends with the run."),
            # There are more pages than rows.
            ([page("T", n, n + 2) for n in range(24)], 25, 0, 3,
             "first 20 of 24 pages, .* 48.00 s. The chart ends with the run."),
        ):
            words, ruler, rows = self.chart(pages, seconds, axis=axis)
            self.assertRegex(words, told)
            self.assertEqual(len(rows), min(len(pages), 20))
            self.assertEqual(rows[0].count(BLOCK), width)
            self.assertLessEqual(len(rows[0]), len(ruler))

    def test_late_start(self):
        """A bar begins when its page does, not when the run does."""
        _, _, rows = self.chart([page("T", 1, 5)], 5)
        self.assertEqual(rows[0].index(BLOCK), 42 + 7)

    def test_equal_times_are_equal_bars(self):
        # All are printed as 0.40; on this axis, 3 and a half columns.
        pages = [page("T", 0, 0.396 + n / 1000) for n in range(9)]
        _, _, rows = self.chart(pages, 1, axis=4.114)
        self.assertEqual(len({row.count(BLOCK) for row in rows}), 1)


class Program(unittest.TestCase):
    """`common.run`: the program around a lesson."""

    def test_closed_output(self):
        """The program ends quietly, also if a TaskGroup holds the error."""
        closed = BrokenPipeError()
        output = mock.Mock(**{"write.side_effect": closed})
        for error in (closed, ExceptionGroup("of a TaskGroup", [closed])):
            with (
                contextlib.redirect_stdout(output),
                mock.patch("os._exit", side_effect=sys.exit),
                self.assertRaises(SystemExit) as raised,
            ):
                common.run(mock.Mock(side_effect=error))
            self.assertEqual(raised.exception.code, 1)

    def test_mistakes(self):
        """They are raised, even if they look like Ctrl-C or a closed pipe."""
        for error in (OSError(errno.EINVAL, "ours"), asyncio.CancelledError(),
                      BrokenPipeError("ours")):
            with (
                printed(),
                mock.patch("os._exit"),
                self.assertRaises(type(error)),
            ):
                common.run(mock.Mock(side_effect=error))

    def test_old_python(self):
        with (
            mock.patch.object(sys, "version_info", (3, 10)),
            self.assertRaisesRegex(SystemExit, "3.11 or later"),
        ):
            common.run(mock.Mock())


class PracticeSite(unittest.TestCase):
    def test_keeps_a_connection(self):
        with printed(), common.practice_site() as urls:
            site = http.client.HTTPConnection(urls[0].split("/")[2])
            with contextlib.closing(site):
                site.request("GET", "/other")
                response = site.getresponse()
                self.assertEqual(response.read(), b"")
                self.assertEqual(response.status, 404)
                self.assertFalse(response.will_close)

    def test_proxy(self):
        """One variable is set, and put back; no other is touched."""
        for own in ({"http_proxy": "http://a"}, {"no_proxy": "a.org"}):
            with mock.patch.dict(os.environ, own, clear=True):
                before = dict(os.environ)  # Windows knows capitals only.
                with printed(), common.practice_site():
                    self.assertEqual(os.environ["no_proxy"], "127.0.0.1")
                    self.assertIs(common.proxy_is_set(), "http_proxy" in own)
                self.assertEqual(dict(os.environ), before)

    @posix_only
    def test_group_of_its_own(self):
        """Ctrl-C is for all processes of a group: not for the site."""
        groups = []

        def terminate(site):
            groups.append(os.getpgid(site.pid))  # It ends without a signal.

        with (
            mock.patch("subprocess.Popen.terminate", terminate),
            printed(), common.practice_site(),
        ):
            pass
        self.assertNotIn(os.getpgid(0), groups)
        self.assertEqual(len(groups), 1)

    def test_a_client_that_leaves(self):
        """That is no error. And what is sent is sent without delay."""
        client = mock.Mock()
        client.makefile().readline.side_effect = ConnectionResetError
        common.PracticeHandler(client, None, None)
        client.setsockopt.assert_called_with(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

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
