"""What the five lessons share. Only the standard library is used.

One run of a lesson, step by step:

1. `run` calls the lesson's `main` with the arguments of the command line.
2. `parse` reads these arguments.
3. `sites` yields the URLs. If the reader gives none, it starts a practice
   site, a small web server, and stops it after the run.
4. The lesson's `request_all_sites` downloads the pages. For each page, it
   makes a record, a `Page`, and prints a line with `show`. The decorator
   `timed` measures how long all that takes.
5. `report` prints the rest, from the Pages: how many arrived, who did the
   work, and a chart. It returns the exit status, and `run` exits with it.

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

#: The three real sites, three times each.
LIVE_URLS = ["https://www.jython.org", "http://olympus.realpython.org/dice",
             "https://realpython.com"] * 3

#: The practice site: each path, the seconds until it answers, and its body,
#: which is padded with spaces to that many bytes.
PAGES = {
    "/jython": (0.2, b"<h1>jython</h1>".ljust(10_782)),
    "/dice": (0.3, b"4"),
    "/realpython": (0.4, b"<h1>realpython</h1>".ljust(56_718)),
}

#: Seconds to wait for a connection, and then between two pieces of an answer.
TIMEOUT = 10

#: The highest number that a command-line option may have.
MOST_ALLOWED = 1_000_000

#: The most processes that a pool may have: Windows has a limit.
MOST_PROCESSES = 61 if sys.platform == "win32" else MOST_ALLOWED


# ---- The decorator that measures -------------------------------------------


def timed(function):
    """Make *function* return a pair: its result, and the seconds it took.

    There are two versions, because only an `async def` can `await`. For an
    `async def` function, the seconds are those of the `await`.
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

#: A number for each session of this process. (Another process may have the
#: same numbers. So `show` numbers the sessions of all processes again.) A
#: WeakKeyDictionary is a dict that forgets a key which nobody uses any more.
#: A plain dict would keep all sessions alive, and their connections open.
session_numbers = weakref.WeakKeyDictionary()
numbers_lock = threading.Lock()
next_number = itertools.count(1)


def number_of(session):
    """Return the number of *session*. No other session ever gets it."""
    try:
        with numbers_lock:  # Several threads may ask at once.
            if session not in session_numbers:
                session_numbers[session] = next(next_number)
            return session_numbers[session]
    except TypeError:  # A str, say (last *Try* of lesson 5), is no weak key.
        return None


class Work:
    """The record of a piece of work: who did it, when it started and ended.

    The worker's name is *worker*, or else *task* (the name of an asyncio
    task), or else the name of the current thread. `start` and `end` are
    seconds on the clock time.perf_counter, which all processes share. `error`
    says what went wrong; it is "" if nothing did.
    """

    def __init__(self, name, worker=None, task=None):
        self.name = name
        self.process = os.getpid()
        self.thread = threading.current_thread().name
        self.task = task
        self.worker = worker or task or self.thread  # the first that is given
        self.session = None
        self.error = ""
        self.start = time.perf_counter()
        self.end = self.start

    def __repr__(self):
        return f"{type(self).__name__}({vars(self)})"

    def done(self):
        """Note that the work ends now."""
        self.end = time.perf_counter()


class Page(Work):
    """The record of the page at *url*, asked for over *session*.

    The time starts when the record is made. `name` is the URL, `size` is in
    bytes. The record holds only plain data, and not the session itself, so it
    can be sent from one process to another.
    """

    def __init__(self, url, session, worker=None, task=None):
        super().__init__(url, worker, task)
        self.session = (self.process, number_of(session))
        self.status = 0
        self.size = 0
        self.error = "did not finish"

    def arrived(self, status, body):
        """Note an answer: its *status*, an int, and its *body*, as bytes.

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


# ---- What a run prints -----------------------------------------------------

PAGE_ROW = "{:<22} {:>7} {:>6} {:>6}  {}"  # a page
BAR_ROW = "{:<22} {:<10} {:>7} {}"  # a page in the chart
BAR_COLUMNS = 36
MOST_BARS = 20

#: The sessions shown in this run, of all processes, numbered 1, 2, 3, ...
run_sessions = {}


def show(page):
    """Print the line of *page*, a Page that arrived or failed."""
    if page.session not in run_sessions:
        run_sessions[page.session] = len(run_sessions) + 1
    session = run_sessions[page.session]
    url = printable(page.name)
    if page.error:
        columns = "", "FAILED", f"{url}  {page.error}"
    else:
        columns = page.size, page.status, url
    say(PAGE_ROW.format(page.worker[:22], f"S{session}", *columns))


def report(urls, results, seconds):
    """Print how the run went, and its chart; return the exit status.

    *urls* were requested, and *results*, a list, came back in *seconds*: a
    Page for each URL, if all is well. The status is 0 if every page arrived,
    and 1 if not.
    """
    pages = [result for result in results if isinstance(result, Page)]
    downloaded = count_arrived(urls, pages)
    count = plural(len(urls), "site")
    if downloaded != len(urls):
        count = f"{downloaded} of {count}"
    say(f"\nDownloaded {count} in {seconds:.2f} seconds")
    # The next two messages appear only if somebody has changed a lesson.
    for other in results:
        if not isinstance(other, Page):
            kind = type(other).__name__
            say(printable(f"Expected a Page, got {kind}: {other}"))
    lost = len(urls) - len(results)
    if lost > 0:
        say(f"No result came back for {plural(lost, 'page')}")
    if pages:
        say(f"The work was done by {who_worked(pages)}")
        say("Highest number of pages in flight (requested, not yet arrived): "
            f"{in_flight(pages)}")
        chart(pages, seconds)
    run_sessions.clear()  # The next run in a notebook begins with S1 again.
    return 0 if downloaded == len(urls) else 1


def count_arrived(urls, pages):
    """Return how many of *urls* arrived, according to *pages*."""
    arrived = Counter(page.name for page in pages if not page.error)
    # `&` keeps the smaller of two counts. If somebody has changed a lesson, a
    # URL that was requested once may arrive twice. Here, it counts once.
    return (arrived & Counter(urls)).total()


def who_worked(works):
    """Return a str that says how many processes, threads, ... did *works*."""
    found = {
        "process": {work.process for work in works},
        "thread": {(work.process, work.thread) for work in works},
        "task": {(work.process, work.task) for work in works if work.task},
        "session": {work.session for work in works if work.session},
    }
    counts = []
    for noun, different in found.items():
        if different:
            counts.append(plural(len(different), noun))
    return ", ".join(counts)


def in_flight(works):
    """Return the highest number of *works* that were under way at once.

    This goes through all starts (+1) and ends (-1) in the order of their
    times, and counts. At equal times, sorted() puts -1 first.
    """
    changes = [(work.start, 1) for work in works]
    changes += [(work.end, -1) for work in works]
    now = 0
    most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def chart(works, seconds, noun="page", axis=None):
    """Draw a bar for each of *works*, whose run took *seconds*.

    The chart is *axis* seconds wide (those of the chart before), by default
    as wide as all bars laid end to end. If the run is longer, or if there are
    more works than MOST_BARS, the chart is as wide as the run.
    """
    total = sum(work.end - work.start for work in works)
    # The run ended with its last piece of work, so it began *seconds* before
    # that. (The first piece may come later: starting a process takes time.)
    began = max(work.end for work in works) - seconds
    width = "the last one"  # This ends a sentence, below.
    if axis is None:
        axis = total
        width = "that"
    shown = f"each {noun}, from its start to its end"
    bars = "the bars"
    if len(works) > MOST_BARS:
        shown = f"the first {MOST_BARS} of {len(works)} {noun}s only"
        bars = f"all {len(works)} bars"
        axis = 0  # So the run decides.
    if seconds > axis * 1.02:  # A difference of 2 % can be seen in a chart.
        width = "the run"
    axis = max(axis, seconds)
    say(f"\nA bar for {shown}.")
    say(f"Laid end to end, {bars} take {total:.2f} s. "
        f"The chart is as wide as {width}.")
    ruler = "0 s" + f"{axis:.2f} s".rjust(BAR_COLUMNS - 3)
    say(BAR_ROW.format("worker", noun, "seconds", ruler))
    rows = sorted(works, key=lambda work: work.start)[:MOST_BARS]
    # Group by worker. Shorter names first: Thread_9 comes before Thread_10.
    rows.sort(key=lambda work: (len(work.worker), work.worker, work.process))
    for work in rows:
        say(bar(work, began, axis))


def bar(work, began, axis):
    """Return the row of *work* in a chart of *axis* seconds from *began*."""
    # Rounded as it is printed, so that equal times have equal bars.
    took = round(work.end - work.start, 2)
    length = max(round(took / axis * BAR_COLUMNS), 1)
    left = max(round((work.start - began) / axis * BAR_COLUMNS), 0)
    left = min(left, BAR_COLUMNS - length)
    block = "\u2588"  # a full block
    if on_console(block) != block:
        block = "#"
    name = printable(work.name).rstrip("/").split("/")[-1][:10]
    time_taken = "FAILED" if work.error else f"{took:.2f}"
    drawn = " " * left + block * length
    return BAR_ROW.format(work.worker[:22], name, time_taken, drawn)


def plural(number, noun):
    """Return *number* and *noun*, as '1 page' or '4 processes'."""
    ending = "es" if noun.endswith("s") else "s"
    return f"1 {noun}" if number == 1 else f"{number} {noun}{ending}"


def printable(text):
    """Return *text* on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in text)


def say(text):
    """Print *text* now, even if the console cannot show all of it."""
    print(on_console(text), flush=True)


def on_console(text):
    """Return *text*, with an escape for what the console cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


# ---- The command line, and the run -----------------------------------------


def run(main):
    """Run *main* with the command line; exit with the status it returns.

    Ctrl-C ends the program with one line, and status 130. If its output is
    closed early (by `| head` on Linux or macOS), it ends quietly, with 1.
    """
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or later is needed.")
    status = 1
    # If nobody reads the output any more, main and say raise an error.
    try:
        try:
            status = main(sys.argv[1:])
        except KeyboardInterrupt:
            status = 130
            say("\nInterrupted.")
    except Exception as error:
        if not is_closed_pipe(error):
            raise
    sys.exit(status)


def is_closed_pipe(error):
    """Return whether *error* says only that nobody reads our output."""
    if isinstance(error, ExceptionGroup):  # as a TaskGroup raises it
        return all(is_closed_pipe(inner) for inner in error.exceptions)
    return isinstance(error, BrokenPipeError)


def parse(doc, arguments, **own):
    """Return the options that *arguments*, a list of str, ask for.

    *doc* is the lesson's docstring; `--help` shows its first line. *own* is
    the lesson's own option with its default: `workers=4`, say. The result has
    the attributes `urls`, `live`, `repeat` and *own*. If *arguments* are
    wrong, the program ends with status 2.
    """
    # `python -OO` removes all docstrings: then *doc* is None.
    parser = argparse.ArgumentParser(description=doc and doc.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("urls", nargs="*", default=[], metavar="URL",
                        help="your own pages (default: a practice site)")
    source.add_argument("--live", action="store_true",
                        help="three real sites, each three times")
    parser.add_argument("--repeat", type=int, default=1, metavar="N",
                        help="the whole list N times (default: 1)")
    for name, default in own.items():
        parser.add_argument(f"--{name}", type=int, default=default,
                            metavar="N", help="at most N pages in flight "
                            f"at once (default: {default})")
    options = parser.parse_args(arguments)
    for url in options.urls:
        if url.startswith("//"):
            parser.error(f"argument URL: no http: or https: in {url}")
    for name in ["repeat", *own.keys()]:
        check_range(parser, name, getattr(options, name), 1, MOST_ALLOWED)
    return options


def parse_step(doc, arguments):
    """Like `parse`, for lesson 4: return the seconds of its `--step`."""
    parser = argparse.ArgumentParser(description=doc and doc.splitlines()[0])
    parser.add_argument("--step", type=float, default=1, metavar="SECONDS",
                        help="the length of one step (default: 1)")
    step = parser.parse_args(arguments).step
    check_range(parser, "step", step, 0, 60)
    return step


def check_range(parser, name, value, least, most):
    """End the program with an error of *parser* if *value* is not allowed."""
    if not least <= value <= most:
        parser.error(f"argument --{name}: must be {least} or more, "
                     f"and at most {most}, not {value}")


@contextlib.contextmanager
def sites(options):
    """Yield the list of URLs that *options* (of `parse`) ask for.

    If they ask for none, the URLs are those of the practice site, which runs
    until the end of the `with` block. If it cannot start, the program ends
    with status 1.
    """
    urls = LIVE_URLS if options.live else options.urls
    # `nullcontext(urls)` is for a `with`, too. It only hands out *urls*.
    source = contextlib.nullcontext(urls) if urls else practice_site()
    with source as urls:
        run_sessions.clear()  # An interrupted run may have left some.
        say("The pages, as they finish. "
            "A session (S1, ...) keeps its connections open:")
        say(PAGE_ROW.format("worker", "session", "bytes", "status", "URL"))
        yield urls * options.repeat


def proxy_is_set():
    """Return whether a proxy is set, in the environment or in the system.

    With trust_env, aiohttp uses it. But then it also looks for a .netrc file,
    in another thread for each page. So lesson 5 sets it only if needed.
    """
    # "no" is not a proxy: it lists the hosts that are asked directly.
    return bool(getproxies().keys() - {"no"})


# ---- Help for lesson 3: processes, and Ctrl-C ------------------------------


@contextlib.contextmanager
def ctrl_c_ignored():
    """Ignore Ctrl-C in this `with` block, and in processes started in it.

    (On Windows, these processes ignore it only a moment later.) Only the main
    thread may set how Ctrl-C is handled, and only the main thread hears it.
    So in another thread, this does nothing. In Python, SIGINT is Ctrl-C, and
    SIG_IGN means "ignore".
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
    """If an exception ends this `with` block, end its processes, too.

    These are all the processes that the program has started in the block.
    Processes that ran before the block began are left alone.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise


def stay_with_parent():
    """Make this process ignore Ctrl-C, and end when its parent ends.

    Ctrl-C reaches all processes of a group. Only the parent has to react.
    """

    def end_with_parent():
        multiprocessing.parent_process().join()  # waits until that ends
        os._exit(1)  # ends this process now, whatever it is doing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A daemon thread does not keep its process alive.
    threading.Thread(target=end_with_parent, daemon=True).start()


# ---- The practice site -----------------------------------------------------


class PracticeHandler(BaseHTTPRequestHandler):
    """Answers each path of PAGES after its delay."""

    protocol_version = "HTTP/1.1"  # A connection stays open for more pages.
    disable_nagle_algorithm = True  # Without this, a page takes 40 ms more.

    def do_GET(self):
        delay, body = PAGES.get(self.path, (0, b""))
        time.sleep(delay)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PracticeServer(socketserver.ThreadingTCPServer):
    """The server: it makes a thread for each connection."""

    request_queue_size = 1024  # With the default, 5, some clients wait 1 s.
    daemon_threads = True  # The server ends without waiting for its threads.


@contextlib.contextmanager
def practice_site():
    """Start the practice site in a process of its own; yield its nine URLs.

    The site stops at the end of the `with` block. If the lesson is killed,
    the site ends, too.
    """
    # Ctrl-C reaches all processes that one command of a terminal has started:
    # a group. So the site gets its own group.
    if sys.platform == "win32":
        own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        own_group = {"start_new_session": True}
    # The site prints its URLs. It ends when this process ends, because its
    # input, a pipe from this process, is closed then.
    command = [sys.executable, __file__, "--for-a-lesson"]
    site = subprocess.Popen(command, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            **own_group)
    with site, no_proxy_to("127.0.0.1"):
        try:
            urls = [site.stdout.readline().decode().strip() for _ in PAGES]
            if not all(urls):
                sys.exit("The practice site did not start. "
                         "To see why, run `python common.py`.")
            waits = [f"{path} {PAGES[path][0]} s" for path in PAGES]
            say("The practice site waits on purpose before it answers, as a "
                "site far away would:\n" + ", ".join(waits) + "\n")
            yield urls * 3
        finally:
            site.terminate()


@contextlib.contextmanager
def no_proxy_to(host):
    """Use no proxy between this program and *host* inside this block."""
    before = os.environ.get("no_proxy")
    # Programs know both spellings, and most prefer this one.
    others = before or os.environ.get("NO_PROXY", "")
    os.environ["no_proxy"] = f"{others},{host}"
    try:
        yield
    finally:
        del os.environ["no_proxy"]
        if before is not None:
            os.environ["no_proxy"] = before


def serve(for_a_lesson):
    """Serve the site until Ctrl-C or, for a lesson, until the lesson ends."""
    # Port 0 means: any port that is free.
    with PracticeServer(("127.0.0.1", 0), PracticeHandler) as server:
        port = server.server_address[1]
        for path in PAGES:
            print(f"http://127.0.0.1:{port}{path}")
        print("Press Ctrl-C to stop the site.", flush=True)
        if for_a_lesson:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            # The input is a pipe from the lesson, which writes nothing to it.
            # So this returns only when the lesson has ended.
            sys.stdin.read()
        else:
            server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(for_a_lesson=sys.argv[1:] == ["--for-a-lesson"])
