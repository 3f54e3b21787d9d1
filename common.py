"""What the five lessons share. Only the standard library is used.

One run of lesson 1, 2, 3 or 5, step by step:

1. `run` calls the lesson's `main` with the command line. `parse` reads it.
2. `sites` yields the URLs. If the command line asks for none, `sites` starts
   a practice site: a small web server, which stops after the run.
3. The lesson's `request_all_sites` downloads the pages. For each one, it
   makes a record (a `Page`), and prints a line with `show`. The decorator
   `timed` measures how long all that takes.
4. `report` prints the rest, and returns the exit status.

`python common.py` starts only the practice site, for a browser or for curl.
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

LIVE_URLS = ["https://www.jython.org", "http://olympus.realpython.org/dice",
             "https://realpython.com"] * 3

# The practice site: for each path, the seconds until it answers, and the body.
PAGES = {
    "/jython": (0.2, b"<h1>jython</h1>".ljust(10_782)),
    "/dice": (0.3, b"4"),
    "/realpython": (0.4, b"<h1>realpython</h1>".ljust(56_718)),
}

TIMEOUT = 10  # seconds: to connect, and then for each part of a response
MAX_NUMBER = 10_000  # the highest that a command-line option accepts
# The most processes in a pool: Windows allows no more than 61.
MAX_PROCESSES = 61 if sys.platform == "win32" else MAX_NUMBER


def timed(function):
    """Make *function* return a pair: its result, and the seconds it took."""

    @functools.wraps(function)
    def timed_function(*args, **kwargs):
        sessions_shown.clear()  # A new run begins with S1.
        start = time.perf_counter()
        result = function(*args, **kwargs)
        return result, time.perf_counter() - start

    @functools.wraps(function)  # the same, for an `async def` function
    async def timed_coroutine(*args, **kwargs):
        sessions_shown.clear()  # A new run begins with S1.
        start = time.perf_counter()
        result = await function(*args, **kwargs)
        return result, time.perf_counter() - start

    if inspect.iscoroutinefunction(function):
        return timed_coroutine
    return timed_function


# ---- The record of one page ----

# For each session of this process, an id: the process and a number (not the
# one shown). A WeakKeyDictionary does not keep its keys alive: a dict would
# keep the sessions, and their connections.
session_ids = weakref.WeakKeyDictionary()
numbers = itertools.count(1)


class Record:
    """The record of a piece of work: who did it, and when.

    The worker's name is *worker*, or else *task* (the name of an asyncio
    task), or else the name of the current thread. `start` and `end` are
    seconds on a clock that all processes share.
    """

    def __init__(self, name, worker=None, task=None):
        self.name = name
        self.process = os.getpid()
        self.thread = threading.get_native_id()  # from the operating system
        self.task = task
        # The first that is given:
        self.worker = worker or task or threading.current_thread().name
        self.session = None
        self.error = ""
        self.start = time.perf_counter()
        self.end = self.start

    def __repr__(self):
        return f"{type(self).__name__}({vars(self)})"

    def ended(self, error=""):
        """Record that the work has ended, and the *error*, if any."""
        self.end = time.perf_counter()
        self.error = error


class Page(Record):
    """The record of the page at *url*, requested over *session*.

    `name` is the URL, and `size` is in bytes. For the session, the record has
    only an id. So a Page can be sent to another process.
    """

    def __init__(self, url, session, worker=None, task=None):
        super().__init__(url, worker, task)
        # If somebody swaps *url* and *session* (as in lesson 5), *session* is
        # a str. For that, a WeakKeyDictionary raises a TypeError.
        with contextlib.suppress(TypeError):
            # A session that already has an id keeps it.
            new_id = self.process, next(numbers)
            self.session = session_ids.setdefault(session, new_id)
        self.status = 0
        self.size = 0
        self.error = "did not finish"

    def arrived(self, status, body):
        """Record a response: its *status*, an int, and its *body*, bytes."""
        # `raise_for_status` lets a 304 pass, too. (RFC 9110, section 15, says
        # what a status means.)
        success = 200 <= status <= 299
        self.ended("" if success else f"status {status} is not a success")
        self.status = status
        self.size = len(body)

    def failed(self, error):
        """Record *error*, the exception that ended the download."""
        self.ended(printable(f"{type(error).__name__}: {error}")[:300])


# ---- What a run prints ----

PAGE_ROW = "{:<22} {:>7} {:>6} {:>6}  {}"  # a page
BAR_ROW = "{:<22} {:<10} {:>7} {}"  # a page in the chart
BAR_COLUMNS = 36
MAX_BARS = 20

# The sessions that `show` has printed in this run, by id. For each, its number
# in the output: 1 for S1.
sessions_shown = {}


def show(page):
    """Print the line for *page*, a Page that arrived or failed."""
    next_number = len(sessions_shown) + 1
    session_number = sessions_shown.setdefault(page.session, next_number)
    url = printable(page.name)
    columns = page.size, page.status, url
    if page.error:
        columns = "", "FAILED", f"{url}  {page.error}"
    print(PAGE_ROW.format(page.worker[:22], f"S{session_number}", *columns))


def report(urls, results, seconds):
    """Print how the run went, and its chart; return the exit status.

    *urls* were requested, and *results* came back in *seconds*: a Page for
    each URL, unless somebody has changed the lesson. The status is 0 if every
    page arrived, and 1 otherwise.
    """
    pages = [result for result in results if isinstance(result, Page)]
    arrived = Counter(page.name for page in pages if not page.error)
    # For each URL, `&` keeps the smaller count: requested or arrived.
    downloaded = (Counter(urls) & arrived).total()
    count = plural(len(urls), "site")
    if downloaded < len(urls):
        count = f"{downloaded} of {count}"
    print(f"\nDownloaded {count} in {seconds:.2f} seconds")
    for result in results:
        if not isinstance(result, Page):
            text = printable(repr(result))
            print(f"This came back instead of a Page: {text}")
    if pages:
        print(f"The work was done by {who_worked(pages)}")
        print("Highest number of pages in flight (requested, not yet arrived):"
              f" {in_flight(pages)}")
        chart(pages, seconds)
    return 0 if downloaded == len(urls) else 1


def who_worked(records):
    """Return, as a str, how many processes, threads, ... did the work."""
    counts = []
    for noun in ("process", "thread", "task", "session"):
        # Each noun is also an attribute of a Record.
        found = {getattr(record, noun) for record in records}
        found.discard(None)  # no task, or no session
        if found:
            counts.append(plural(len(found), noun))
    return ", ".join(counts)


def in_flight(records):
    """Return the highest number of *records* that were under way at once."""
    changes = [(record.start, 1) for record in records]
    changes += [(record.end, -1) for record in records]
    changes.sort()  # by time; at equal times, -1 comes first
    # `accumulate` yields the sum of the first change, of the first two, ...
    sums = itertools.accumulate(change for _, change in changes)
    return max(1, *sums)  # 1, even if all records took no time


def chart(records, seconds, noun="page", axis=0):
    """Draw a bar for each of *records*, whose run took *seconds*.

    The chart ends at *axis* seconds (lesson 4: where its first chart ends) or
    else at the sum of all times. But if the run is longer, or has more than
    MAX_BARS records, the chart ends with the run.
    """
    total = sum(record.end - record.start for record in records)
    ends = "as the first one did" if axis else "there"
    axis = axis or total
    shown = f"each {noun}"
    if len(records) > MAX_BARS:
        shown = f"each of the first {MAX_BARS} of {len(records)} {noun}s"
    # In lesson 1, the run is slightly longer than all bars together. So up to
    # 2% is ignored.
    if len(records) > MAX_BARS or seconds > axis * 1.02:
        ends = "with the run"
        axis = seconds
    print(f"\nBy worker: a bar for {shown}, from start to end.")
    print(f"The times of all {noun}s add up to {total:.2f} s. "
          f"The chart ends {ends}.")
    ruler = "0 s" + f"{axis:.2f} s".rjust(BAR_COLUMNS - 3)
    print(BAR_ROW.format("worker", noun, "seconds", ruler))
    rows = sorted(records, key=lambda record: record.start)[:MAX_BARS]
    # Group by worker. Shorter names first: Thread_9 comes before Thread_10.
    rows.sort(key=lambda row: (len(row.worker), row.worker, row.process))
    # An estimate: the run ended with its last record, or soon after.
    began = max(record.end for record in records) - seconds
    for record in rows:
        print(bar(record, began, axis))


def bar(record, began, axis):
    """Return the row of *record* in a chart of *axis* seconds from *began*."""
    # Rounded as printed, so that equal times have equal bars.
    took = round(record.end - record.start, 2)
    length = min(max(round(took / axis * BAR_COLUMNS), 1), BAR_COLUMNS)
    left = round((record.start - began) / axis * BAR_COLUMNS)
    left = min(left, BAR_COLUMNS - length)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    block = "\u2588" if encoding.lower().startswith("utf") else "#"
    name = printable(record.name).rstrip("/").split("/")[-1][:10]
    time_taken = "FAILED" if record.error else f"{took:.2f}"
    drawn = " " * left + block * length
    return BAR_ROW.format(record.worker[:22], name, time_taken, drawn)


def plural(number, noun):
    """Return *number* and *noun*, such as '1 page' or '4 processes'."""
    ending = "es" if noun.endswith("s") else "s"
    return f"1 {noun}" if number == 1 else f"{number} {noun}{ending}"


def printable(text):
    """Return *text* on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in text)


# ---- The command line, and the run ----

def run(main):
    """Run *main* with the command line; exit with the status it returns.

    Ctrl-C ends the program with one line, and status 130. (If Python is
    interactive, as with `%run` in IPython or with `python -i`, it raises a
    KeyboardInterrupt.) If the output is closed early (by `| head` on Linux or
    macOS), the program ends quietly, with status 1.
    """
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or later is needed.")
    if hasattr(sys.stdout, "reconfigure"):
        # Print each line immediately, with escapes for what cannot be shown.
        # (The output of IDLE cannot be reconfigured.)
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    status = 1
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        if hasattr(sys, "ps1") or sys.flags.interactive:
            raise
        with contextlib.suppress(BrokenPipeError):
            print("\nInterrupted.", flush=True)
        os._exit(130)  # ends this process now, with all its threads
    finally:
        # If nobody reads the output any more, this empty line fails. (With an
        # unbuffered output, `flush` alone would not.)
        try:
            print(flush=True)
        except BrokenPipeError:
            os._exit(status)  # ends this process now, and prints no error
    sys.exit(status)


def parse(doc, arguments, **own):
    """Return the options that *arguments*, a list of str, ask for.

    *doc* is the lesson's docstring; `--help` shows its first line. *own* is
    the lesson's own option with its default: `workers=4`, say. The result has
    the attributes `urls`, `live` and `repeat`, and one for *own*. If
    *arguments* are wrong, the program ends with status 2.
    """
    # `python -OO` removes all docstrings: then *doc* is None.
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("urls", nargs="*", default=[], metavar="URL",
                        help="your own pages (default: a practice site)")
    source.add_argument("--live", action="store_true",
                        help="three real pages, each three times")
    parser.add_argument("--repeat", type=number, default=1, metavar="N",
                        help="all pages N times (default: 1)")
    for name, default in own.items():
        text = f"at most N pages in flight at once (default: {default})"
        parser.add_argument(f"--{name}", type=number, default=default,
                            metavar="N", help=text)
    options = parser.parse_args(arguments)
    for url in options.urls:
        if not url.lower().startswith(("http://", "https://")):
            parser.error(f"not an http:// or https:// URL: {url!r}")
    return options


def number(text):
    """Return *text*, from the command line, as an int, if it is in range."""
    value = int(text)
    if 1 <= value <= MAX_NUMBER:
        return value
    raise argparse.ArgumentTypeError(
        f"must be 1 or more (at most {MAX_NUMBER}), not {value}")


def parse_step(doc, arguments):
    """Like `parse`, for lesson 4: return its `--step`, in seconds."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--step", type=float, default=1, metavar="SECONDS",
                        help="the length of one step (default: 1)")
    step = parser.parse_args(arguments).step
    if not 0 <= step <= 60:
        parser.error(f"argument --step: must be from 0 to 60, not {step}")
    return step


@contextlib.contextmanager
def sites(options):
    """Yield the list of URLs that *options* (from `parse`) ask for.

    If they ask for none, the URLs are those of the practice site, which runs
    until the end of the `with` block. (`contextmanager` makes this function
    usable in a `with`: the block runs at the `yield`.)
    """
    named = LIVE_URLS if options.live else options.urls
    # `nullcontext(named)` just yields *named*.
    source = contextlib.nullcontext(named) if named else practice_site()
    with source as urls:
        print("A session (S1, ...) keeps connections open for its next pages.")
        print("The pages, as they finish:")
        print(PAGE_ROW.format("worker", "session", "bytes", "status", "URL"))
        yield urls * options.repeat


def proxy_is_set():
    """Return whether the environment or the system settings name a proxy.

    With trust_env, aiohttp uses the proxy. But then, for each page, aiohttp
    also looks for a .netrc file. So lesson 5 sets trust_env only if needed.
    """
    return bool(getproxies().keys() & {"http", "https"})


# ---- Ctrl-C, and the end of processes (a learner can skip this) ----

@contextlib.contextmanager
def ctrl_c_later():
    """Hold back Ctrl-C until the end of this `with` block.

    On Linux and macOS, processes that start in the block never receive it,
    unless the fork server that starts them was already running. (SIGINT is
    the signal of Ctrl-C.) Only the main thread receives Ctrl-C, so in another
    thread, this function does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    old_handler = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    has_mask = hasattr(signal, "pthread_sigmask")  # Windows has none.
    if has_mask:  # Processes inherit the mask that blocks SIGINT.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        if has_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, old_handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def no_process_left(executor):
    """If an exception ends this `with` block, end all processes started in it.

    In any case, wait until *executor*, a pool, has ended. Until then, Ctrl-C
    is held back.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()  # It may ignore `terminate`.
        raise
    finally:
        with ctrl_c_later():
            executor.shutdown()


def prepare_worker():
    """Prepare this process: it ignores Ctrl-C, and ends when its parent ends.

    Between this process and the practice site, no proxy is used. In the main
    process, which has no parent, this function does nothing.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end_with_parent():
        parent.join()  # waits until the parent ends
        os._exit(1)  # ends this process now, whatever it is doing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # `practice_site` sets no_proxy. But a fork server that started earlier
    # passes on an older environment. (If no variable names a proxy, no_proxy
    # must not be set: it would hide the proxy of the system settings.)
    if any(name.lower().endswith("_proxy") for name in os.environ):
        own = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
        os.environ["no_proxy"] = f"{own},127.0.0.1"
    # A daemon thread does not keep its process alive.
    threading.Thread(target=end_with_parent, daemon=True).start()


# ---- The practice site ----

class PracticeHandler(BaseHTTPRequestHandler):
    """Answers each path of PAGES after its delay."""

    protocol_version = "HTTP/1.1"  # A connection stays open for more pages.
    disable_nagle_algorithm = True  # Otherwise, most pages take 40 ms more.

    def handle(self):
        """Serve one connection. (If the client leaves, that is no error.)"""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self):
        """Answer a GET request: `handle` calls this for each one."""
        delay, body = PAGES.get(self.path, (0, b""))
        time.sleep(delay)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PracticeServer(socketserver.ThreadingTCPServer):
    """The server: it makes a thread for each connection."""

    # (An HTTPServer would look up the machine's name, which may take seconds.)
    request_queue_size = 1024  # With the default, 5, some clients wait 1 s.
    daemon_threads = True  # The server ends without waiting for its threads.


@contextlib.contextmanager
def practice_site():
    """Start the practice site in a process of its own; yield its nine URLs.

    The site stops at the end of the `with` block, or when the lesson is
    killed. If it cannot start, the program ends with status 1.
    """
    site = subprocess.Popen(
        [sys.executable, __file__, "--for-a-lesson"],  # runs `serve`, below
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
        # Ctrl-C does not reach the site. (The second line is for Windows.)
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0))
    old_no_proxy = os.environ.get("no_proxy")
    with site:
        try:
            # Between the lesson and its site, no proxy is used.
            os.environ["no_proxy"] = "127.0.0.1"
            urls = [site.stdout.readline().strip() for _ in PAGES]
            if not all(urls):
                sys.exit("The practice site did not start. "
                         "To see why, run `python common.py`.")
            waits = [f"{path} {PAGES[path][0]} s" for path in PAGES]
            print("The practice site waits on purpose before it answers:")
            print(", ".join(waits) + "\n")
            yield urls * 3
        finally:
            site.terminate()
            os.environ.pop("no_proxy", None)
            if old_no_proxy is not None:
                os.environ["no_proxy"] = old_no_proxy


def serve(for_a_lesson):
    """Serve the site until Ctrl-C or, for a lesson, until the lesson ends."""
    # Port 0 means any free port.
    with PracticeServer(("127.0.0.1", 0), PracticeHandler) as server:
        port = server.server_address[1]
        for path in PAGES:
            print(f"http://127.0.0.1:{port}{path}")
        print("Press Ctrl-C to stop the site.", flush=True)
        if for_a_lesson:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            # This waits: the pipe closes when the lesson ends, or is killed.
            sys.stdin.read()
        else:
            server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(for_a_lesson=sys.argv[1:] == ["--for-a-lesson"])
