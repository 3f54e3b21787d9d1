"""What the five lessons share. A run of one begins with `lesson`, below.

Only the standard library is used: lesson 4 runs with nothing installed.
`python common.py` serves the practice site by hand, for a browser or curl.
"""

import argparse
import asyncio
import contextlib
import errno
import functools
import inspect
import itertools
import multiprocessing
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from unittest import mock
from urllib.request import getproxies

#: The three real sites, three times each.
LIVE_URLS = ["https://www.jython.org", "http://olympus.realpython.org/dice",
             "https://realpython.com"] * 3

#: The practice site: each path, the seconds until it answers, and its body.
PAGES = {
    "/jython": (0.2, b"<h1>jython</h1>".ljust(10_782)),
    "/dice": (0.3, b"4"),
    "/realpython": (0.4, b"<h1>realpython</h1>".ljust(56_718)),
}

#: Seconds to wait for a connection, and then between two pieces of an answer.
TIMEOUT = 10


def timed(function):
    """Decorate *function*, which then returns its result and its seconds.

    For an `async def`, these are the seconds of the await, not of the call.
    """

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        return result, time.perf_counter() - start

    @functools.wraps(function)
    async def async_wrapper(*args, **kwargs):
        start = time.perf_counter()
        result = await function(*args, **kwargs)
        return result, time.perf_counter() - start

    return async_wrapper if inspect.iscoroutinefunction(function) else wrapper


# ---- The record of one page ------------------------------------------------

#: Every session, by its id: as long as it is here, no other gets that id.
SESSIONS = {}


class Work:
    """A piece of work, by *worker*, by default the current thread.

    Its `start`, when it is made, and its `end` are in seconds on the clock
    time.perf_counter, which all processes share.
    """

    def __init__(self, name, worker=None):
        self.name, self.process, self.error = name, os.getpid(), ""
        self.worker = worker or threading.current_thread().name
        self.start = self.end = time.perf_counter()

    def done(self):
        """Stop the clock; return the Work."""
        self.end = time.perf_counter()
        return self


class Page(Work):
    """What became of the page at *url*, asked for over *session*.

    `status` and `size`, in bytes, are the answer's. It can be pickled.
    """

    def __init__(self, url, session, worker=None):
        super().__init__(url, worker)
        SESSIONS[id(session)] = session
        self.url, self.session = url, (self.process, id(session))
        self.status, self.size, self.error = 0, 0, "did not finish"

    def arrived(self, status, body):
        """Note an answer: its *status*, and its *body* in bytes."""
        self.done()
        self.status, self.size, self.error = status, len(body), ""

    def failed(self, error):
        """Note *error*, the exception that came in place of an answer."""
        self.done()
        self.error = printable(f"{type(error).__name__}: {error}")[:300]


# ---- What is printed of a run ----------------------------------------------

#: The line of a page; the columns of the longest bar, and the most bars.
LINE, AXIS, ROWS = "{:<22} {:>7} {:>6} {:>6}  {}", 37, 20


class Run:
    """A run: its `urls`, its options (`workers`, say), and what it prints."""

    def __init__(self, kind):
        self.kind, self.urls = kind, []
        self.pages, self.downloaded, self.sessions = [], 0, {}

    def show(self, page):
        """Print the line of *page*, a Page that arrived or failed."""
        self.pages.append(page)
        self.downloaded += not page.error
        # A letter: a number might seem to contradict that of the worker.
        number = self.sessions.setdefault(page.session, len(self.sessions))
        letter = f"{chr(ord('A') + number % 26)}{number // 26 or ''}"
        told = page.size, page.status, printable(page.url)
        if page.error:
            told = "", "FAILED", f"{page.error}  {printable(page.url)}"
        say(LINE.format(page.worker, letter, *told))

    def end(self, seconds):
        """Sum up the run, of *seconds* till now; return the exit status."""
        start = time.perf_counter() - seconds
        sites, failed = plural(len(self.urls), "site"), 0
        if self.downloaded != len(self.urls):
            sites, failed = f"{self.downloaded} of {sites}", 1
        say(f"\nDownloaded {sites} in {seconds:.2f} seconds")
        if not self.pages:
            say("No page was shown: what became of them is not known")
            return failed
        workers = {(page.process, page.worker) for page in self.pages}
        workers = plural(len(workers), self.kind)
        sessions = plural(len(self.sessions), "session")
        most = plural(in_flight(self.pages), "page")
        say(f"{workers}, {sessions}, at most {most} in flight at once")
        if self.kind == "task":
            main = asyncio.current_task().get_name()
            say("1 event loop, in 1 thread: it runs a task while others wait "
                f"({main} is main)")
        in_turn = sum(page.end - page.start for page in self.pages)
        axis = seconds if len(self.pages) > ROWS else max(seconds, in_turn)
        waterfall(self.pages, start, seconds, axis)
        return failed


def waterfall(works, start, seconds, axis, heading="page"):
    """Draw a bar for each of *works*, worker by worker.

    They took *seconds* after *start*; the axis is *axis* seconds long.
    """
    column = round(seconds / axis * AXIS)  # where the run ends
    ruler = "0" + f" {seconds:.2f}".rjust(column - 1)
    if column < AXIS - 5:
        ruler += f" one by one: {axis:.2f}".rjust(AXIS - len(ruler))
    say(f"\n{'worker':<22} {heading:<10} seconds {ruler}")
    rows = sorted(works, key=lambda work: work.start)[:ROWS]
    # By length first, so that Thread_9 stands before Thread_10.
    rows.sort(key=lambda work: (len(work.worker), work.worker, work.process))
    for work in rows:
        name = printable(work.name).rstrip("/").rpartition("/")[2][:10]
        left = round((work.start - start) / axis * AXIS)
        right = max(round((work.end - start) / axis * AXIS), left + 1)
        bar = " " * left + ("x" if work.error else "\u2588") * (right - left)
        took = work.end - work.start
        say(f"{work.worker:<22} {name:<10} {took:7.2f} {bar}")
    if len(works) > ROWS:
        say(f"and {len(works) - ROWS} more")


def in_flight(pages):
    """Return how many of *pages* were under way at once, at most."""
    changes = [(p.start, 1) for p in pages] + [(p.end, -1) for p in pages]
    return max(itertools.accumulate(change for _, change in sorted(changes)))


def plural(number, noun):
    """Return *number* and *noun*, as '1 page' or '4 processes'."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"


def printable(text):
    """Return *text* on one line, without control characters."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def say(text):
    """Print *text* at once; what the console cannot show becomes plainer."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text.replace(r"\u2588", "#"), flush=True)


# ---- The command line, and the run -----------------------------------------


@contextlib.contextmanager
def lesson(doc, arguments, kind, **own):
    """Yield the Run that *arguments*, a list of str, describe, ready to go.

    *doc* is the lesson's docstring, *kind* what its workers are, and *own*
    its own option, with the default. Raises SystemExit: 2 if *arguments* are
    wrong, 1 if there is no practice site, and as `ends_early` does.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    number = {"type": positive_int, "metavar": "N"}
    source = parser.add_mutually_exclusive_group()
    source.add_argument("urls", nargs="*", default=[], metavar="URL",
                        help="your pages; without any, the practice site's")
    source.add_argument("--live", action="store_true", help="real sites")
    parser.add_argument("--repeat", default=1, help="N times over", **number)
    for name, default in own.items():
        parser.add_argument(f"--{name}", default=default, **number,
                            help=f"N pages at once (default: {default})")
    run = parser.parse_args(arguments, Run(kind))
    urls = LIVE_URLS if run.live else run.urls
    site = contextlib.nullcontext(urls) if urls else practice_site()
    with ends_early(run), site as urls:
        run.urls = urls * run.repeat
        say(LINE.format("worker", "session", "bytes", "status", "URL"))
        yield run


def positive_int(text):
    """Return *text* as an int of 1 or more. Raises ValueError."""
    if int(text) < 1:
        raise ValueError
    return int(text)


@contextlib.contextmanager
def ends_early(run=None):
    """Exit with 130 after Ctrl-C, or with 1 if nobody reads on (`| head`)."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        sites = f": {plural(run.downloaded, 'site')} downloaded" if run else ""
        say(f"\nInterrupted{sites}.")
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # as on Windows
            raise
        # At its end, Python prints what is left: let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def stay_with_parent():
    """Leave Ctrl-C to the parent of this process, and end when it ends."""

    def end_with_parent():
        multiprocessing.parent_process().join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def proxied():
    """Return whether there is a proxy. (Looking for one slows aiohttp.)"""
    return bool(getproxies().keys() - {"no"})


# ---- The practice site -----------------------------------------------------


class PracticeHandler(BaseHTTPRequestHandler):
    """Answers each path of PAGES after its delay."""

    protocol_version = "HTTP/1.1"  # A connection stays open for more pages.
    disable_nagle_algorithm = True  # Else a body waits 40 ms for its headers.

    def do_GET(self):
        delay, body = PAGES.get(self.path, (0, b""))
        time.sleep(delay)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PracticeServer(socketserver.ThreadingTCPServer):
    """A thread for each connection. (HTTPServer looks up its own name.)"""

    request_queue_size = 1024  # With 5, the default, some wait for a second.
    daemon_threads = True


@contextlib.contextmanager
def practice_site():
    """Start the practice site in a process of its own; yield its nine URLs.

    It ends when its standard input does: with the lesson, however that ends.
    """
    command = [sys.executable, __file__, "--for-a-lesson"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere,
                          start_new_session=True, creationflags=group) as site:
        address = site.stdout.readline().decode().rpartition("/")[0]
        if not address:
            sys.exit("No practice site: `python common.py` tells why.")
        waits = ", ".join(f"{path} {PAGES[path][0]} s" for path in PAGES)
        say("The practice site waits on purpose, as if it were far away:\n"
            f"{waits}\n")
        # No proxy comes in between, whatever the environment says.
        with mock.patch.dict(os.environ, no_proxy="127.0.0.1"):
            yield [address + path for path in PAGES] * 3


def serve(for_a_lesson):
    """Serve the practice site until Ctrl-C; *for_a_lesson*, until it ends."""
    with PracticeServer(("127.0.0.1", 0), PracticeHandler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        urls = [address + path for path in PAGES]
        print(*urls, "Ctrl-C ends it.", sep="\n", flush=True)
        if for_a_lesson:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            sys.stdin.read()  # Nothing comes; it ends with the lesson.
        else:
            server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(for_a_lesson=sys.argv[1:] == ["--for-a-lesson"])
