"""Measure the five lessons, in turn, on the same server.

    python -m tests.benchmark                          the nine practice pages
    python -m tests.benchmark --pages 900 --delay 0    what a page costs
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
import multiprocessing
import os
import platform
import re
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from tests import server, support

#: How many pages at once, by lesson.
AT_ONCE = {"01_sync": 1, "02_threads": 4, "03_processes": 4,
           "05_aiohttp": 100}
ROW = "{:<13} {:>7} {:>9} {:>7} {:>9} {:>11} {:>8} {:>9} {:>9}"
MANY_ROW = "{:<13} {:>6} {:>7} {:>9} {:>9} {:>7} {:>8} {:>9}"


class Figures(NamedTuple):
    """What one run took."""

    seconds: float
    cpu: float  # processor seconds, of all processes
    memory: int  # bytes, of the largest process
    in_flight: int = 0  # the rest is what the server saw
    connections: int = 0
    threads: int = 0


# ---- The plainest code -----------------------------------------------------

local = threading.local()


def make_session():
    import requests

    local.session = requests.Session()


def download(url):
    with local.session.get(url, timeout=10) as response:
        print(len(response.content), url)


def plain_sync(urls):
    make_session()
    for url in urls:
        download(url)


def plain_threads(urls):
    with ThreadPoolExecutor(4, initializer=make_session) as executor:
        list(executor.map(download, urls))


def plain_processes(urls):
    with ProcessPoolExecutor(4, initializer=make_session) as executor:
        list(executor.map(download, urls))


async def download_all(urls):
    import aiohttp

    async def fetch(url):
        async with session.get(url) as response:
            print(len(await response.read()), url)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*map(fetch, urls))


def plain_aiohttp(urls):
    asyncio.run(download_all(urls))


PLAIN = {"01_sync": plain_sync, "02_threads": plain_threads,
         "03_processes": plain_processes, "05_aiohttp": plain_aiohttp}


# ---- Measuring -------------------------------------------------------------


def processor_seconds():
    """Return the processor seconds of this process and its children."""
    return time.process_time() + sum(os.times()[2:4])


def processes_are_counted():
    """Return whether the figures include the processes of a pool.

    Windows does not count them, and those of a fork server are not children
    of this process.
    """
    method = multiprocessing.get_start_method()
    return sys.platform != "win32" and method != "forkserver"


def memory():
    """Return the bytes of the largest process: this one, or a child.

    (They cannot be added up: forked processes share most of their memory.)
    """
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "linux":
        # There, the figure above starts at that of the parent.
        status = Path("/proc/self/status").read_text()
        own = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return unit * max(own, children)


def run_here(name, plain, arguments, method):
    """Run a lesson, or its plainest code, in this process; return Figures."""
    multiprocessing.set_start_method(method, force=True)
    lesson = support.load(name)  # Imports do not count.
    function = PLAIN[name] if plain else lesson.main
    with contextlib.redirect_stdout(io.StringIO()) as output:
        before = processor_seconds()
        start = time.perf_counter()
        status = function(arguments)
        seconds = time.perf_counter() - start
        cpu = processor_seconds() - before
    if status:
        raise RuntimeError(f"{name} failed:\n{output.getvalue()}")
    threads = re.search(r"done by .* (\d+) thread", output.getvalue())
    threads = int(threads[1]) if threads else 0
    return Figures(seconds, cpu, memory(), threads=threads)


def measure(site, name, plain, arguments):
    """Run *name* in a new process; return Figures, with what *site* saw."""
    site.most = 0
    site.connections = 0
    method = multiprocessing.get_start_method()
    new = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, new) as executor:
        future = executor.submit(run_here, name, plain, arguments, method)
        figures = future.result()
    return figures._replace(in_flight=site.most,
                            connections=site.connections)


def medians(runs):
    """Return the median of each figure in *runs*."""
    return Figures(*map(statistics.median, zip(*runs, strict=True)))


def minimum_time(waits, at_once):
    """Return the seconds of *waits*, with *at_once* of them together."""
    free = [0] * at_once  # when each worker is free again
    for wait in waits:
        heapq.heapreplace(free, free[0] + wait)
    return max(free)


# ---- The tables ------------------------------------------------------------


def times(figure, base):
    """Return *figure* as a multiple of *base*, as text."""
    return f"{figure / base:.2f}" if base else "-"


def table_of_lessons(site, pages, rounds):
    """Run all lessons *rounds* times, in turn; print a row for each."""
    urls = (site.urls * pages)[:pages]
    waits = [site.delays[url.removeprefix(site.address)] for url in urls]
    runs = {(name, plain): [] for name in AT_ONCE for plain in (False, True)}
    for _ in range(rounds):
        for name, plain in runs:
            runs[name, plain].append(measure(site, name, plain, urls))
    print(f"\n{pages} pages, medians of {rounds} rounds\n")
    print(ROW.format("", "", "times the", "times", "pages in", "", "CPU ms",
                     "times the", "MB of the"))
    print(ROW.format("lesson", "seconds", "minimum", "as fast", "flight",
                     "connections", "a page", "plainest", "largest"))
    first = medians(runs["01_sync", False])
    for name, at_once in AT_ONCE.items():
        lesson = medians(runs[name, False])
        plain = medians(runs[name, True])
        own = (f"{1000 * lesson.cpu / pages:.2f}",
               times(lesson.cpu, plain.cpu), round(lesson.memory / 1e6))
        if name == "03_processes" and not processes_are_counted():
            own = ("-", "-", "-")
        print(ROW.format(
            name, f"{lesson.seconds:.2f}",
            times(lesson.seconds, minimum_time(waits, at_once)),
            times(first.seconds, lesson.seconds), round(lesson.in_flight),
            round(lesson.connections), *own))
    sleep = medians([measure(site, "04_asyncio_sleep", False, [])
                     for _ in range(rounds)])
    print(f"\n04_asyncio_sleep: {sleep.seconds:.2f} seconds for both halves, "
          f"{sleep.seconds / 9:.2f} times the minimum time, 6 + 3.")


def table_of_many(site, numbers):
    """Run 02 and 05 with many pages of a second; print a row for each."""
    site.delays = dict.fromkeys(server.PAGES, 1)
    print("\nPages of one second each, all at once: the minimum time is 1 s\n")
    print(MANY_ROW.format("", "", "", "times the", "pages in", "", "CPU ms",
                          "MB of the"))
    print(MANY_ROW.format("lesson", "pages", "seconds", "minimum", "flight",
                          "threads", "a page", "largest"))
    for number in numbers:
        if not files_may_be_open(2 * number + 200):
            print(f"{number}: this machine allows too few open files")
            continue
        urls = [f"{site.address}/dice"] * number
        for name, option in (("02_threads", "--workers"),
                             ("05_aiohttp", "--limit")):
            arguments = [*urls, option, str(number)]
            figures = measure(site, name, False, arguments)
            print(MANY_ROW.format(
                name, number, f"{figures.seconds:.2f}",
                f"{figures.seconds:.2f}", figures.in_flight, figures.threads,
                f"{1000 * figures.cpu / number:.2f}",
                round(figures.memory / 1e6)))


def files_may_be_open(number):
    """Allow *number* open files, if possible; return whether it worked."""
    if sys.platform == "win32":
        return True
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= number:
        return True
    if hard != resource.RLIM_INFINITY and hard < number:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    return True


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
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, "
          f"processes by {multiprocessing.get_start_method()}")
    with (
        server.Server() as site,
        mock.patch.dict(os.environ, support.ENVIRONMENT, clear=True),
    ):
        pages = support.load("common").PAGES
        site.delays = {path: delay for path, (delay, _) in pages.items()}
        if options.delay is not None:
            site.delays = dict.fromkeys(server.PAGES, options.delay)
        table_of_lessons(site, options.pages, options.rounds)
        if options.many:
            table_of_many(site, options.many)


if __name__ == "__main__":
    main()
