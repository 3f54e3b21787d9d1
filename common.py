"""What the five lessons share. Only the standard library is used.

One run of a lesson, step by step:

1. `run` hands the command line to the lesson's `main`.
2. `parse` reads the command line.
3. `sites` yields the URLs. Without URLs of the reader's own, it starts a
   practice site, a small web server, and stops it after the run.
4. The lesson's `request_all_sites` downloads the pages. It makes a `Page`, a
   record, of each, and prints a line for it with `show`. `timed` measures
   how long all that takes.
5. `report` prints the rest, from the Pages: how many arrived, who did the
   work, and a chart. It returns the exit status, and `run` exits with it.

`python common.py` serves the practice site by hand, for a browser or curl.
"""

import argparse
import contextlib
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
import weakref
from collections import Counter
from http.server import BaseHTTPRequestHandler
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

#: The highest number on a command line. Windows has its own for processes.
MOST = 1_000_000
MOST_PROCESSES = 61 if sys.platform == "win32" else MOST


# ---- The decorator that measures -------------------------------------------


def timed(function):
    """Decorate *function*, which then returns a pair: its result, its seconds.

    For an `async def`, these are the seconds of the `await`, not of the call.
    """

    @functools.wraps(function)
    def timed_function(*args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        return result, time.perf_counter() - start

    @functools.wraps(function)
    async def timed_coroutine(*args, **kwargs):
        start = time.perf_counter()
        result = await function(*args, **kwargs)
        return result, time.perf_counter() - start

    if inspect.iscoroutinefunction(function):
        return timed_coroutine
    return timed_function


# ---- The record of one page ------------------------------------------------

#: The number of each session, thread and task of this process. "Weak" means
#: that an object that nobody uses any more is not kept alive by its number.
numbers = weakref.WeakKeyDictionary()
new_number = itertools.count()
numbers_lock = threading.Lock()


def number_of(thing):
    """Return the number of *thing*; no two of a process share one, ever."""
    try:
        with numbers_lock:  # Several threads ask at once.
            return numbers.setdefault(thing, next(new_number))
    except TypeError:  # Not a session: a str, say, after a mistake.
        return None


class Work:
    """The record of a piece of work: who did it, and from when to when.

    The worker is the current thread, unless the name of a *process*, or a
    *task* of asyncio, is given. `start` and `end` are seconds on
    time.perf_counter, the same clock in all processes. `error` tells what
    went wrong, "" if nothing.
    """

    def __init__(self, name, process=None, task=None):
        thread = threading.current_thread()
        self.name = name
        self.worker = process or thread.name
        self.process = os.getpid()
        self.thread = (self.process, number_of(thread))
        self.task = None
        if task:
            self.worker = task.get_name()
            self.task = (self.process, number_of(task))
        self.session = None
        self.error = ""
        self.start = time.perf_counter()
        self.end = self.start

    def done(self):
        """Note that the work ends now."""
        self.end = time.perf_counter()


class Page(Work):
    """The record of the page at *url*, asked for over *session*.

    It starts when it is made. `name` is the URL, `size` is in bytes. It holds
    plain data only, not the session, so it can be sent between processes.
    """

    def __init__(self, url, session, process=None, task=None):
        super().__init__(url, process, task)
        self.session = (self.process, number_of(session))
        self.status = 0
        self.size = 0
        self.error = "did not finish"

    def arrived(self, status, body):
        """Note an answer: its *status*, an int, and its *body*, in bytes.

        Only a status from 200 to 299 means success (RFC 9110, section 15).
        """
        self.done()
        self.status = status
        self.size = len(body)
        if 200 <= status <= 299:
            self.error = ""
        else:
            self.error = f"status {status} is not a success"

    def failed(self, error):
        """Note *error*, the exception that came instead of an answer."""
        self.done()
        self.error = printable(f"{type(error).__name__}: {error}")[:300]


# ---- What is printed of a run ----------------------------------------------

LINE = "{:<22} {:>7} {:>6} {:>6}  {}"  # of a page
BAR_LINE = "{:<22} {:<10} {:>7} {}"  # of a page in the chart
WIDTH = 36  # columns for the bars
ROWS = 20  # the most bars

#: The number of each session in this run, in the order in which they appear.
run_sessions = {}


def show(page):
    """Print the line of *page*, a Page that arrived or failed."""
    session = run_sessions.setdefault(page.session, len(run_sessions) + 1)
    columns = page.size, page.status, printable(page.name)
    if page.error:
        columns = "", "FAILED", f"{page.error}  {printable(page.name)}"
    say(LINE.format(page.worker[:22], f"S{session}", *columns))


def report(urls, results, seconds):
    """Print how the run went, and its chart; return the exit status.

    *urls* were asked for, and *results* came back in *seconds*: Pages, if
    all is well. The status is 0 if every page arrived, and 1 if not.
    """
    pages = [result for result in results if isinstance(result, Page)]
    # Each URL counts as often as it was asked for, and no more.
    arrived = Counter(page.name for page in pages if not page.error)
    downloaded = (arrived & Counter(urls)).total()
    sites = plural(len(urls), "site")
    if downloaded != len(urls):
        sites = f"{downloaded} of {sites}"
    say(f"\nDownloaded {sites} in {seconds:.2f} seconds")
    # These three do not happen, until somebody edits a lesson.
    others = (arrived - Counter(urls)).total()
    if others:
        say(f"{plural(others, 'page')} arrived that nobody had asked for")
    for other in results:
        if not isinstance(other, Page):
            say(printable(f"No Page, but {type(other).__name__}: {other}"))
    if len(results) < len(urls):
        missing = plural(len(urls) - len(results), "page")
        say(f"What became of {missing} is not known: no result came back")
    if pages:
        say(f"The work was done by {who_worked(pages)}")
        say("Most pages seen in flight at once (asked for, not there yet): "
            f"{in_flight(pages)}")
        chart(pages, seconds)
    run_sessions.clear()  # The next run begins with S1 again.
    return 0 if downloaded == len(urls) else 1


def who_worked(works):
    """Return how many processes, threads, ... did *works*, as a text."""
    found = {
        "process": {work.process for work in works},
        "thread": {work.thread for work in works},
        "task": {work.task for work in works if work.task},
        "session": {work.session for work in works if work.session},
    }
    return ", ".join(plural(len(found[noun]), noun) for noun in found
                     if found[noun])


def in_flight(works):
    """Return how many of *works*, at most, were under way at once."""
    changes = [(work.start, 1) for work in works]
    changes += [(work.end, -1) for work in works]
    now = most = 0
    # Sorted: at equal times, the -1 of an end comes before the 1 of a start.
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def chart(works, seconds, noun="page", axis=0):
    """Draw a bar for each of *works*, whose run took *seconds*.

    It is *axis* seconds wide, by default as wide as all bars end to end. If
    there are more than ROWS, it shows the first, and is as wide as the run.
    """
    in_turn = sum(work.end - work.start for work in works)
    began = max(work.end for work in works) - seconds
    axis = max(axis or in_turn, seconds, 1e-6)
    count = plural(len(works), noun)
    which = f"each {noun}, from its start to its end"
    if len(works) > ROWS:
        axis = max(seconds, 1e-6)
        which = f"the first {ROWS} of {count}"
    say(f"\nA bar for {which}. The chart is {axis:.2f} s wide.")
    say(f"The run took {seconds:.2f} s. The times of {count} add up to "
        f"{in_turn:.2f} s.")
    if any(work.error for work in works):
        say(f"A bar of x stands for a {noun} that failed.")
    ruler = "0 s" + f"{axis:.2f} s".rjust(WIDTH - 3)
    say(BAR_LINE.format("worker", noun, "seconds", ruler))
    rows = sorted(works, key=lambda work: work.start)[:ROWS]
    # By length first, so that Thread_9 stands before Thread_10.
    rows.sort(key=lambda work: (len(work.worker), work.worker, work.process))
    for work in rows:
        took = f"{work.end - work.start:.2f}"
        # From the time as printed, so that equal times have equal bars.
        length = max(round(float(took) / axis * WIDTH), 1)
        left = max(round((work.start - began) / axis * WIDTH), 0)
        bar = ("x" if work.error else "\u2588") * length
        name = printable(work.name).rstrip("/").rpartition("/")[2][:10]
        say(BAR_LINE.format(work.worker[:22], name, took, " " * left + bar))


def plural(number, noun):
    """Return *number* and *noun*, as '1 page' or '4 processes'."""
    ending = "es" if noun.endswith("s") else "s"
    return f"1 {noun}" if number == 1 else f"{number} {noun}{ending}"


def printable(text):
    """Return *text* on one line, without control characters."""
    text = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(text.split())


def say(text):
    """Print *text* at once; escape what the console cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text.replace(r"\u2588", "#"), flush=True)


# ---- The command line, and the run -----------------------------------------


def run(main):
    """Run *main* with the command line; exit with the status it returns.

    Ctrl-C ends the program with one line, and 130. If its output is closed
    early (by `| head`, not on Windows), it ends quietly, with 1.
    """
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit("Python 3.11 or later is needed.")
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        say("\nInterrupted.")
        status = 130
    except Exception as error:
        # A TaskGroup raises a group of errors: look into it, too.
        _, others = ExceptionGroup("", [error]).split(BrokenPipeError)
        if others:
            raise
        # At its end, Python writes what is left: send it to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def parse(doc, arguments, most=MOST, **own):
    """Return the options that *arguments*, a list of str, ask for.

    *doc* is the lesson's docstring. *own* is the lesson's own option, with
    its default, and *most* the highest value of it. The result has `urls`,
    `live`, `repeat` and *own*. Raises SystemExit, 2, if *arguments* are wrong.
    """
    # `python -OO` removes all docstrings: then *doc* is None.
    parser = argparse.ArgumentParser(description=doc and doc.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("urls", nargs="*", default=[], metavar="URL",
                        help="your own pages (default: a practice site)")
    source.add_argument("--live", action="store_true", help="real sites")
    parser.add_argument("--repeat", type=number(int, 1, MOST), default=1,
                        metavar="N", help="the list of pages N times over")
    for name, default in own.items():
        parser.add_argument(f"--{name}", type=number(int, 1, most),
                            default=default, metavar="N",
                            help=f"at most N at once (default: {default})")
    return parser.parse_args(arguments)


def parse_step(doc, arguments):
    """Return the seconds of lesson 4's `--step`, a float; else as `parse`."""
    parser = argparse.ArgumentParser(description=doc and doc.splitlines()[0])
    parser.add_argument("--step", type=number(float, 0, 60), default=1,
                        metavar="SECONDS", help="length of one step")
    return parser.parse_args(arguments).step


def number(kind, least, most):
    """Return a function that makes a text a *kind*, from *least* to *most*."""

    def convert(text):
        value = kind(text)  # argparse tells of a ValueError
        if least <= value <= most:
            return value
        raise argparse.ArgumentTypeError(
            f"must be {least} or more, and at most {most}, not {text}")

    convert.__name__ = kind.__name__  # as argparse names it in its error
    return convert


@contextlib.contextmanager
def sites(options):
    """Yield the list of URLs that *options* (of `parse`) ask for.

    Without any, that is the practice site's, which is open until the end of
    the `with` block. Ends the program, with status 1, if it cannot start.
    """
    urls = LIVE_URLS if options.live else options.urls
    source = contextlib.nullcontext(urls) if urls else practice_site()
    with source as urls:
        say("The pages, as they finish:")
        say(LINE.format("worker", "session", "bytes", "status", "URL"))
        yield urls * options.repeat


def proxied():
    """Return whether there is a proxy. (Looking for one slows aiohttp.)"""
    return bool(getproxies().keys() - {"no"})


# ---- Help for lesson 3: processes, and Ctrl-C ------------------------------


@contextlib.contextmanager
def ctrl_c_ignored():
    """Ignore Ctrl-C in this `with` block, and in processes started in it.

    Only the main thread may change this: in another, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def no_process_left():
    """If an exception ends this `with` block, end its processes too.

    Those that ran before the block began are left alone.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise


def stay_with_parent():
    """Leave Ctrl-C to the parent of this process, and end when it ends."""

    def end_with_parent():
        multiprocessing.parent_process().join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


# ---- The practice site -----------------------------------------------------


class PracticeHandler(BaseHTTPRequestHandler):
    """Answers each path of PAGES after its delay."""

    protocol_version = "HTTP/1.1"  # A connection is kept for more pages.
    disable_nagle_algorithm = True  # Otherwise, a page takes 40 ms more.

    def do_GET(self):
        delay, body = PAGES.get(self.path, (0, b""))
        time.sleep(delay)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PracticeServer(socketserver.ThreadingTCPServer):
    """The server: it makes a thread for each connection."""

    request_queue_size = 1024  # The default of 5 makes others wait 1 s.
    daemon_threads = True


@contextlib.contextmanager
def practice_site():
    """Start the practice site in a process of its own; yield its nine URLs.

    It is stopped at the end of the `with` block. If the lesson is killed, it
    ends as well: its standard input comes from the lesson, and ends with it.
    """
    command = [sys.executable, __file__, "--for-a-lesson"]
    pipe = subprocess.PIPE
    # Ctrl-C is for the lesson alone, not for its site: this is for Windows.
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    site = subprocess.Popen(command, stdin=pipe, stdout=pipe,
                            stderr=subprocess.DEVNULL, creationflags=group,
                            start_new_session=True)  # and this for the others
    before = os.environ.get("no_proxy")
    with site:
        try:
            address = site.stdout.readline().decode().rpartition("/")[0]
            if not address:
                sys.exit("No practice site: `python common.py` tells why.")
            # Do not use a proxy for this machine.
            os.environ["no_proxy"] = "127.0.0.1"
            waits = [f"{path} {PAGES[path][0]} s" for path in PAGES]
            say("The practice site waits on purpose before it answers, as a "
                "site far away would:\n" + ", ".join(waits) + "\n")
            yield [address + path for path in PAGES] * 3
        finally:
            os.environ.pop("no_proxy", None)
            if before is not None:
                os.environ["no_proxy"] = before
            site.terminate()


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
