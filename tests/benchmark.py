"""Measure the five lessons, in turn, on the same server.

    python -m tests.benchmark                          the nine practice pages
    python -m tests.benchmark --pages 3000 --delay 0   what a page costs
    python -m tests.benchmark --many 100 1000          many at once, 02 and 05

Each run has a process of its own. The first table has medians of the rounds.
The minimum time is the waiting that a lesson cannot avoid. The plainest
program downloads the same pages as a lesson, with the same library, and does
nothing else.
"""

import argparse
import asyncio
import contextlib
import heapq
import io
import math
import multiprocessing
import os
import re
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import common
from tests.server import PAGES, Server
from tests.support import ENVIRONMENT, SLEEPING

try:
    import resource
except ImportError:  # on Windows
    resource = None

# How many pages at once, by lesson.
AT_ONCE = {"01_sync": 1, "02_threads": 4, "03_processes": 4,
           "05_aiohttp": 100}


class Figures(NamedTuple):
    """What one run took. What cannot be measured is nan (not a number)."""

    seconds: float
    cpu: float = math.nan  # processor seconds, of all processes
    memory: float = math.nan  # bytes, of the largest process
    threads: float = math.nan  # that downloaded pages
    in_flight: float = math.nan  # pages at once, as the server saw them
    connections: float = math.nan  # also as the server saw them


# ---- The plainest programs ----

local = threading.local()


def make_session():
    """Give this thread a session: the only one of lesson 1, or a worker's."""
    import requests  # here, so that it does not count for lesson 5

    local.session = requests.Session()


def download(url):
    """Download *url* over this thread's session; return its size in bytes."""
    with local.session.get(url, timeout=10) as response:
        return len(response.content)


async def download_all(urls):
    """Download *urls* in a task each, over one session; print their sizes."""
    import aiohttp

    async def fetch(url):
        async with session.get(url) as response:
            print(len(await response.read()))

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*map(fetch, urls))


def run_plainest(name, urls):
    """Download *urls* as lesson *name* does."""
    if name == "01_sync":
        make_session()
        for url in urls:
            print(download(url))
    elif name == "05_aiohttp":
        asyncio.run(download_all(urls))
    else:
        pool = ThreadPoolExecutor
        if name == "03_processes":
            pool = ProcessPoolExecutor
        with pool(4, initializer=make_session) as executor:
            for size in executor.map(download, urls):
                print(size)


# ---- Measuring ----


def processor_seconds(name):
    """Return the processor seconds of this process and its children.

    Of lesson 3, these would be too few where the processes of its pool are
    not counted: on Windows, and if a fork server starts them.
    """
    forkserver = multiprocessing.get_start_method() == "forkserver"
    if name == "03_processes" and (forkserver or not resource):
        return math.nan
    seconds = time.process_time()
    if resource:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds += children.ru_utime + children.ru_stime
    return seconds


def memory():
    """Return the bytes of the largest process: this one, or a child.

    (They cannot be added up: forked processes share most of their memory.)
    About 4 MB of it are for this module and what it imports.
    """
    if not resource:
        return math.nan
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "linux":
        # There, the figure above starts at that of the parent.
        status = Path("/proc/self/status").read_text()
        own = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return unit * max(own, children)


def run_here(name, plain, arguments, method):
    """Run a lesson, or its plainest program, here; return the Figures."""
    multiprocessing.set_start_method(method, force=True)
    lesson = import_module(name)  # Imports do not count.
    function = partial(run_plainest, name) if plain else lesson.main
    with contextlib.redirect_stdout(io.StringIO()) as output:
        before = processor_seconds(name)
        start = time.perf_counter()
        status = function(arguments)
        seconds = time.perf_counter() - start
        cpu = processor_seconds(name) - before
    if status:
        raise RuntimeError(f"{name} failed:\n{output.getvalue()}")
    threads = math.nan
    if not plain:
        told = re.search(r"done by .* (\d+) thread", output.getvalue())
        threads = int(told[1])
    return Figures(seconds, cpu, memory(), threads)


def measure(site, name, arguments, plain=False):
    """Run *name* in a new process; return Figures, with what *site* saw."""
    site.most = 0
    site.connections = 0
    method = multiprocessing.get_start_method()
    new = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, new) as executor:
        future = executor.submit(run_here, name, plain, arguments, method)
        figures = future.result()
    return figures._replace(in_flight=site.most, connections=site.connections)


def medians(runs):
    """Return the median of each figure in *runs*."""
    return Figures(*map(statistics.median, zip(*runs, strict=True)))


def minimum_time(waits, at_once):
    """Return the seconds of *waits*, with *at_once* of them together."""
    # Each page goes to the worker that is free first.
    free = [0] * at_once  # when each worker is free again
    for wait in waits:
        heapq.heapreplace(free, free[0] + wait)
    return max(free)


# ---- The tables ----


def text(figure, digits=2):
    """Return *figure* as text for a table."""
    return "-" if math.isnan(figure) else f"{figure:.{digits}f}"


def print_table(*rows):
    """Print *rows*, lists of str, each column as wide as it must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.rjust, row, widths)))


def table_of_lessons(site, pages, rounds):
    """Run all lessons *rounds* times, in turn; print a row for each."""
    urls = (site.urls * pages)[:pages]
    waits = [site.delays[url.removeprefix(site.address)] for url in urls]
    runs = {(name, plain): [] for name in AT_ONCE for plain in (False, True)}
    for number in range(rounds):
        # In turn, the lesson or its plainest program is first.
        for name, plain in runs if number % 2 else reversed(runs):
            runs[name, plain].append(measure(site, name, urls, plain))
    rows = [["", "", "times the", "speed-up", "pages in", "", "CPU ms",
             "times the", "MB of the"],
            ["lesson", "seconds", "minimum", "over 01", "flight",
             "connections", "a page", "plainest", "largest"]]
    first = medians(runs["01_sync", False])
    for name, at_once in AT_ONCE.items():
        own = medians(runs[name, False])
        plain = medians(runs[name, True])
        minimum = minimum_time(waits, at_once) or math.nan
        rows.append([
            name, text(own.seconds), text(own.seconds / minimum),
            text(first.seconds / own.seconds), text(own.in_flight, 0),
            text(own.connections, 0), text(1000 * own.cpu / pages),
            text(own.cpu / (plain.cpu or math.nan)),
            text(own.memory / 1e6, 0)])
    sleep = medians([measure(site, SLEEPING, ["--step", "0.1"])
                     for _ in range(rounds)])
    rows.append([SLEEPING, text(sleep.seconds), text(sleep.seconds / 0.9),
                 "-", "-", "-", "-", "-", text(sleep.memory / 1e6, 0)])
    print(f"\n{pages} pages, medians of rounds: {rounds} (Lesson 4 has steps "
          "of 0.1 s: its minimum is 0.6 + 0.3 s.)\n")
    print_table(*rows)


def table_of_many(site, numbers):
    """Run 02 and 05 with many pages of a second; print a row for each."""
    minimum = 1
    site.delays = dict.fromkeys(PAGES, minimum)
    rows = [["", "", "", "times the", "pages in", "", "CPU ms", ""],
            ["lesson", "pages", "seconds", "minimum", "flight", "threads",
             "a page", "MB"]]
    for number in numbers:
        urls = [f"{site.address}/dice"] * number
        for name, option in (("02_threads", "--workers"),
                             ("05_aiohttp", "--limit")):
            own = measure(site, name, [*urls, option, str(number)])
            rows.append([
                name, str(number), text(own.seconds),
                text(own.seconds / minimum), text(own.in_flight, 0),
                text(own.threads, 0), text(1000 * own.cpu / number),
                text(own.memory / 1e6, 0)])
    print("\nPages of one second each, all at once: the minimum is 1 s\n")
    print_table(*rows)


def allow_open_files(number):
    """Let this process, and its children, have *number* open files.

    Raise ValueError or OSError if the machine does not allow so many.
    """
    if resource:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < number:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def main():
    """Read the command line, and print the tables."""
    parser = argparse.ArgumentParser("python -m tests.benchmark",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=9, help="how many")
    parser.add_argument("--delay", type=float, metavar="SECONDS",
                        help="of each page (default: as on the practice site)")
    parser.add_argument("--rounds", type=int, default=3, help="how many")
    parser.add_argument("--many", type=int, nargs="+", default=[],
                        help="this many pages at once, lessons 2 and 5")
    options = parser.parse_args()
    if min(options.pages, options.rounds, *options.many) < 1:
        parser.error("--pages, --rounds and --many must be 1 or more")
    if options.delay is not None and not 0 <= options.delay <= 60:
        parser.error("--delay must be 0 or more, and at most 60")
    try:
        allow_open_files(max([100, *options.many]) + 100)
    except (OSError, ValueError) as error:
        parser.error(f"too few files may be open on this machine: {error}")
    print(f"Python {sys.version.partition(' (')[0]}, {os.cpu_count()} cores, "
          f"processes by {multiprocessing.get_start_method()}")
    with (
        Server() as site,
        mock.patch.dict(os.environ, ENVIRONMENT, clear=True),
    ):
        site.delays = {path: wait for path, (wait, _) in common.PAGES.items()}
        if options.delay is not None:
            site.delays = dict.fromkeys(PAGES, options.delay)
        table_of_lessons(site, options.pages, options.rounds)
        if options.many:
            table_of_many(site, options.many)


if __name__ == "__main__":
    main()
