"""What the five lessons share: addresses, the clock, and what is printed.

The parts stand in the order in which a run meets them. Only the standard
library is used, so that lesson 4 runs where nothing is installed.

`python common.py` serves the practice site by hand, for a browser or curl.
"""

import os
import signal
import sys


def interrupt_early(*_):
    """Answer Ctrl-C while there is nothing yet to clean up."""
    print("\nInterrupted: nothing done yet.", flush=True)
    os._exit(130)


# A lesson imports this file before the slow imports, so that Ctrl-C finds an
# answer during them too. A program in another folder is not meddled with.
program = getattr(sys.modules["__main__"], "__file__", None) or os.devnull
if os.path.dirname(os.path.abspath(program)) == os.path.dirname(__file__):
    signal.signal(signal.SIGINT, interrupt_early)

import argparse
import asyncio
import contextlib
import errno
import functools
import inspect
import itertools
import multiprocessing
import re
import socketserver
import ssl
import subprocess
import threading
import time
import weakref
from http.client import responses
from http.server import BaseHTTPRequestHandler
from multiprocessing import resource_tracker
from urllib.parse import urlsplit
from urllib.request import getproxies

# ---- Addresses and limits ------------------------------------------------

#: The three real sites, three times each.
LIVE_URLS = [
    "https://www.jython.org",
    "http://olympus.realpython.org/dice",
    "https://realpython.com",
] * 3

#: The practice site: path, seconds until it answers, content type, body.
PAGES = {
    "/jython": (0.2, "text/html", b"<h1>jython</h1>".ljust(10_782)),
    "/dice": (0.3, "application/json", b"4"),
    "/realpython": (0.4, "text/html", b"<h1>realpython</h1>".ljust(56_718)),
}

#: What the practice site answers to other paths, with the status 404.
NOTHING = (0, "text/plain", b"")

#: Seconds to wait for a connection, and then between two pieces of an answer.
TIMEOUT = os.environ.get("LESSON_TIMEOUT") or "10"
if not re.fullmatch(r"[0-9]*\.?[0-9]+", TIMEOUT) or not float(TIMEOUT):
    print(f"LESSON_TIMEOUT: {TIMEOUT!r}: not seconds", file=sys.stderr)
    sys.exit(2)
TIMEOUT = float(TIMEOUT)

# ---- A run, from its start to its end --------------------------------------


def run(request_all_sites, arguments):
    """Run a lesson: read *arguments*, download, print what happened.

    Returns the exit status: 0 if all pages arrived, else 1; for a lesson
    whose *request_all_sites* is a coroutine function, a coroutine of it.
    Raises SystemExit(2) if *arguments*, a list of str, are wrong.
    """
    with contextlib.ExitStack() as stack:
        ready = prepared(request_all_sites, arguments)
        download, report = stack.enter_context(ready)
        if inspect.iscoroutinefunction(request_all_sites):
            trusted()  # Reading it takes a while, which is no download.
            return run_async(download, report, stack.pop_all())
        _, duration = download()
        return report.end(duration)


async def run_async(download, report, stack):
    """Do the last two steps of `run` on an event loop."""
    with stack:
        _, duration = await download()
        return report.end(duration)


@contextlib.contextmanager
def prepared(request_all_sites, arguments):
    """Yield the call that downloads what *arguments* say, and its Report."""
    options, own = command_line(request_all_sites, arguments)
    with contextlib.ExitStack() as stack:
        urls = options.urls or (LIVE_URLS if options.live else [])
        if not urls:
            site = stack.enter_context(practice_site())
            urls = [site + path for path in PAGES] * 3
        report = Report(urls * options.repeat)
        stack.enter_context(interrupts_told(report.progress))
        call = request_all_sites, report.urls, report.show
        yield functools.partial(*call, **own), report


@contextlib.contextmanager
def interrupts_told(progress):
    """On Ctrl-C, print how far it got: what *progress*, a function, says."""
    early = signal.getsignal(signal.SIGINT) is interrupt_early
    if early:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        if early:  # Once is enough: a second Ctrl-C would cut this short.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        say(f"\nInterrupted: {progress()}.")
        raise


@contextlib.contextmanager
def script():
    """Let Ctrl-C, or a reader that leaves as `head` does, end it quietly."""
    status = 130
    try:
        yield
    except KeyboardInterrupt:
        print(end="", flush=True)
    except OSError as error:
        closed = errno.EINVAL if sys.platform == "win32" else errno.EPIPE
        if error.errno not in (closed, errno.EPIPE):
            raise
        status = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if [thread for thread in threading.enumerate() if not thread.daemon][1:]:
        os._exit(status)  # They may still wait for a server; we do not.
    sys.exit(status)


# ---- The command line ----------------------------------------------------


def command_line(request_all_sites, arguments):
    """Return what *arguments* ask for: the options, and the lesson's own.

    The lesson's own option is the third parameter of *request_all_sites*.
    """
    parser = argument_parser(inspect.getmodule(request_all_sites))
    add = parser.add_argument
    add("urls", nargs="*", metavar="URL",
        help="pages to download, in place of the practice site's")
    add("--live", action="store_true", help="download three real sites")
    add("--repeat", type=count, default=1, metavar="N",
        help="download all of them N times (default: 1)")
    own = [*inspect.signature(request_all_sites).parameters.values()][2:]
    for option in own:
        add(f"--{option.name}", type=count, default=option.default,
            metavar="N",
            help=f"at most N pages at once (default: {option.default})")
    options = parser.parse_intermixed_args(arguments)
    if options.live and options.urls:
        parser.error("argument --live: not allowed together with a URL")
    for url in filter(fault, options.urls):
        parser.error(f"argument URL: {url!r}: {fault(url)}")
    return options, {o.name: getattr(options, o.name) for o in own}


def argument_parser(lesson):
    """Return a parser for *lesson*, a module; it errs on one line."""
    name = os.path.basename(lesson.__file__)
    about = lesson.__doc__.partition("\n")[0]
    parser = argparse.ArgumentParser(name, None, about, allow_abbrev=False)
    parser.error = lambda text: parser.exit(2, f"{name}: {one_line(text)}\n")
    return parser


def fault(url):
    """Return what keeps *url* from being an http or https URL, or None."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            return "no page is served on port 0"
    except ValueError as error:  # in the port, or the IPv6 address
        return error
    # After the bracket of an IPv6 address, only a port can come.
    shape = re.fullmatch(r"(?i)https?://(?![^/?#]*\][^:/?#])\S+", url)
    if not (shape and parts.hostname and url.isprintable()):
        return "not an http:// or https:// URL with a host"


def count(text):
    """Return *text* as an int, 1 to 999999; else raise ArgumentTypeError."""
    if re.fullmatch("0*[1-9][0-9]{0,5}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: not from 1 to 999999")


# ---- The practice site ---------------------------------------------------


def print_nothing(*_):
    """Stand in for a method that would print."""


class PracticeHandler(BaseHTTPRequestHandler):
    """Answers each path of PAGES after its delay; / is an index of them."""

    protocol_version = "HTTP/1.1"  # A connection stays open for more pages.
    disable_nagle_algorithm = True  # Else a body waits 40 ms for its headers.

    def do_GET(self):
        links = "".join(f'<li><a href="{page}">{page}</a>' for page in PAGES)
        index = 0, "text/html", f"<h1>Practice site</h1>{links}".encode()
        delay, kind, body = {"/": index, **PAGES}.get(self.path, NOTHING)
        time.sleep(delay)
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    log_message = print_nothing  # The terminal belongs to the lesson.


class PracticeServer(socketserver.ThreadingTCPServer):
    """A thread for each connection. (HTTPServer looks up its own name.)"""

    request_queue_size = 1024  # With 5, the default, some wait for a second.
    daemon_threads = True
    handle_error = print_nothing  # A client may leave early.


def serve(for_lesson):
    """Serve the practice site until Ctrl-C; *for_lesson*, until it ends."""
    with PracticeServer(("127.0.0.1", 0), PracticeHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = "http://127.0.0.1:{1}".format(*server.server_address)
        if for_lesson:
            with contextlib.suppress(OSError):  # if the lesson is gone already
                print(address, flush=True)
                sys.stdin.read()  # Nothing comes; it ends with the lesson.
            os._exit(0)
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
        pages = [f"{page}  after {PAGES[page][0]} s" for page in PAGES]
        say("\n".join([f"Serving {address}/", *pages, "Ctrl-C ends it."]))
        threading.Event().wait()


@contextlib.contextmanager
def practice_site():
    """Start the practice site in a process of its own; yield its address.

    Its standard input ends with the lesson, however that ends, and it with
    that. It is apart from the terminal, so that Ctrl-C does not reach it.
    Raises SystemExit if it does not start.
    """
    command = [sys.executable, os.path.abspath(__file__), "--for-a-lesson"]
    apart = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, **apart) as site:
        address = site.stdout.readline().decode().strip()
        if not address:
            sys.exit("The practice site did not start.")
        before = os.environ.get("no_proxy")
        os.environ["no_proxy"] = "127.0.0.1"  # No proxy comes in between.
        try:
            yield address
        finally:
            os.environ["no_proxy"] = before or ""
            if before is None:
                del os.environ["no_proxy"]


# ---- The clock -------------------------------------------------------------


def timed(function):
    """Decorate *function*, which then returns its result and its seconds.

    It may be made by `def` or by `async def`. A call of the second only makes
    a coroutine, which takes 0.000 seconds: what counts is the await.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            start = time.perf_counter()
            result = await function(*args, **kwargs)
            return result, time.perf_counter() - start

    else:

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            start = time.perf_counter()
            result = function(*args, **kwargs)
            return result, time.perf_counter() - start

    return wrapper


# ---- One page --------------------------------------------------------------

#: The sessions of this process, with their names, as long as they live.
SESSIONS, NUMBERS = weakref.WeakKeyDictionary(), itertools.count()


class Page:
    """What becomes of one page. Its clock starts when it is made.

    It can be pickled, so that a process can return it.

    Its attributes: `url`; `kind` and `worker`, what carried it and that one's
    name; `session`, which is different for each session; `started` and
    `ended`, in seconds on time.perf_counter, the same for all processes;
    `status`; `size`, in bytes; `error`, on one line, empty if it arrived.
    """

    def __init__(self, url, session):
        self.url = url
        self.kind, self.worker = current_worker()
        self.session = session_name(session)
        self.status = self.size = 0
        self.error = ""
        self.started = self.ended = time.perf_counter()

    def arrived(self, status, body):
        """Note an answer: a failure if its status is not 200 to 299."""
        self.ended = time.perf_counter()
        self.status, self.size = status, len(body)
        if not 200 <= status < 300:
            self.error = f"HTTP {status} {responses.get(status, '')}".strip()

    def failed(self, error):
        """Note *error*, the exception that came in place of an answer."""
        self.ended = time.perf_counter()
        cause = one_line(f"{type(error).__name__}: {error}")
        self.error = cause.removesuffix(":")

    def row(self):
        """Return the row of the waterfall, with a short name for the page."""
        parts = urlsplit(self.url)
        name = (parts.path.rpartition("/")[2] or parts.hostname)[-16:]
        return self.worker, name, self.started, self.ended, self.error


def session_name(session):
    """Return a str that is different for each session, of any process."""
    try:
        if session not in SESSIONS:
            SESSIONS[session] = f"{os.getpid()}-{next(NUMBERS)}"
        return SESSIONS[session]
    except TypeError:  # It is no session: its use will tell.
        return ""


def current_worker():
    """Return what runs this, task, process or thread, and its name."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # No event loop runs in this thread.
        task = None
    # A notebook runs each cell in a task, which is not what we look for.
    if task and task.get_coro().__name__ == "show_site":
        return "task", task.get_name()
    if multiprocessing.parent_process():
        return "process", multiprocessing.current_process().name
    return "thread", threading.current_thread().name


def one_line(text):
    """Return *text* on one line, printable, and cut to 300 characters."""
    text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    return text if len(text) <= 300 else f"{text[:300]}..."


# ---- Where aiohttp and requests differ -------------------------------------

#: A header as aiohttp lets it pass (RFC 9112, section 5; its own length).
HEADER = re.compile(
    r"content-length: [0-9]+[ \t]*"
    r"|(?!content-length:)[!#$%&'*+.^_`|~\w-]+: ([^\0\r]|\r\n){0,8190}",
    re.ASCII | re.IGNORECASE,
)


def check(response):
    """Return *response*, of requests; raise ValueError if aiohttp refuses it.

    Python's http.client reads over malformed headers; aiohttp does not.
    """
    for answer in (*response.history, response):
        headers = answer.raw._original_response.msg
        lines = [f"{name}: {value}" for name, value in headers.items()]
        bad = [line for line in lines if not HEADER.fullmatch(line)]
        lengths = headers.get_all("Content-Length", [])
        lengths += headers.get_all("Transfer-Encoding", [])
        if bad or headers.defects or len(lengths) > 1:
            raise ValueError(f"malformed headers: {bad or lines}")
    coding = response.headers.get("Content-Encoding", "").lower()
    asked = response.request.headers.get("Accept-Encoding", "")
    if coding in ("br", "zstd") and coding not in asked:
        raise ValueError(f"encoded as {coding}, which was not asked for")
    if len(response.history) >= 10:
        raise ValueError("10 redirects or more")
    return response


@functools.cache
def trusted():
    """Return an SSLContext for aiohttp that trusts what requests trusts.

    That is what REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, a file or a
    folder, else the file that is installed with requests.
    """
    import certifi  # Not there where lesson 4 runs with nothing installed.

    named = map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    path = next(filter(None, named), certifi.where())
    kind = "capath" if os.path.isdir(path) else "cafile"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(OSError):  # Without its list, it trusts nobody.
        context.load_verify_locations(**{kind: path})
    return context


def proxied():
    """Return whether the environment names a proxy.

    Only then should aiohttp look for one: that costs five times the processor
    time of a page. What requests understands and aiohttp does not, ALL_PROXY
    and a proxy without its http://, is spelt out for it.
    """
    proxies = getproxies()
    for scheme in ("http", "https"):
        if proxy := proxies.get(scheme) or proxies.get("all"):
            full = proxy if "://" in proxy else f"http://{proxy}"
            if full != proxies.get(scheme):
                os.environ[f"{scheme}_proxy"] = full
    return bool(proxies.keys() - {"no"})


# ---- A process of a pool ---------------------------------------------------


@contextlib.contextmanager
def interrupts_held():
    """Hold Ctrl-C back while a pool starts, and from its processes for good.

    A process inherits what its parent holds back. Windows has no such thing:
    there only `stay_with_parent` keeps Ctrl-C from it, a moment later.
    """
    if sys.platform == "win32":
        yield
        return
    if multiprocessing.get_start_method() != "fork":
        resource_tracker.ensure_running()  # Its start would let Ctrl-C go.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stay_with_parent():
    """Leave Ctrl-C to the parent process, and end as soon as it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent():
    """Wait until the parent process ends, and end this one."""
    multiprocessing.parent_process().join()
    os._exit(1)


# ---- What is printed -------------------------------------------------------

#: The columns of a line, the rows of a waterfall, and what its bars are of.
COLUMNS, ROWS, BLOCK = 79, 20, "\u2588"
LINE = "{:<22} {:>7} {:>6} {:>6}  {}"


class Report:
    """The pages of one run: a line as each finishes, and the sum of them."""

    def __init__(self, urls):
        self.urls = urls
        self.pages = []
        self.arrived = 0
        self.sessions = {}

    def show(self, page):
        """Print the line of *page*, a Page that finished."""
        if not self.pages:
            say(LINE.format("worker", "session", "bytes", "status", "URL"))
        self.pages.append(page)
        self.arrived += not page.error
        number = self.sessions.setdefault(page.session, len(self.sessions) + 1)
        told = page.size, page.status, page.url
        if page.error:
            told = "", "FAILED", f"{page.error}  {page.url}"
        say(LINE.format(page.worker, number, *told))

    def progress(self):
        """Return how far the run got, as '7 of 9 sites downloaded'."""
        return f"{self.arrived} of {len(self.urls)} sites downloaded"

    def end(self, duration):
        """Print the summary of a run that took *duration* seconds, till now.

        Returns the exit status: 0 if all pages arrived, else 1.
        """
        start = time.perf_counter() - duration
        total = len(self.urls)
        failed = self.arrived != total
        sites = f"{self.arrived} of {total}" if failed else total
        say(f"\nDownloaded {sites} sites in {duration:.2f} seconds")
        workers = {page.worker: page.kind for page in self.pages}
        kind = next(iter(workers.values()), "worker")
        workers = plural(len(workers), kind)
        workers += " of one thread" if kind == "task" else ""
        sessions = plural(len(self.sessions), "session")
        most = plural(in_flight(self.pages), "page")
        say(f"{workers} over {sessions}, at most {most} in flight at once")
        pages = sorted(self.pages, key=lambda page: page.started)
        waterfall([page.row() for page in pages[:ROWS]], start, duration)
        if len(pages) > ROWS:
            say(f"and {len(pages) - ROWS} more")
        return int(failed)


def plural(number, noun):
    """Return *number* and *noun*, as '1 page' or '4 processes'."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"


def in_flight(pages):
    """Return how many of *pages* were under way at once, at most."""
    changes = [(page.started, 1) for page in pages]
    changes += [(page.ended, -1) for page in pages]
    changes = [change for _, change in sorted(changes)]
    return max(itertools.accumulate(changes), default=0)


def waterfall(rows, start, duration, work="page"):
    """Draw a bar for each of *rows*, on an axis of *duration* seconds.

    A row holds the worker, the name of its *work*, the two seconds between
    which it did it, on the clock that showed *start* at the axis's left end,
    and whether it failed.
    """
    rows = [("worker", work, None, None, ""), *rows]
    first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
    width = COLUMNS - first - second - 10
    axis = f"seconds 0{duration:>{width - 1}.2f}"
    say(f"\n{'worker':<{first}} {work:<{second}} {axis}")
    for worker, name, started, ended, failed in rows[1:]:
        left = round((started - start) / duration * width)
        right = max(round((ended - start) / duration * width), left + 1)
        bar = " " * left + ("x" if failed else BLOCK) * (right - left)
        took = f"{ended - started:.2f}"
        say(f"{worker:<{first}} {name:<{second}} {took:>7} {bar}")
    if any(row[4] for row in rows):
        say("x: did not arrive")


def say(text):
    """Print *text* at once, in plainer characters if the console needs it."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace(BLOCK, "#")
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, flush=True)


if __name__ == "__main__":
    serve(for_lesson=sys.argv[1:] == ["--for-a-lesson"])
