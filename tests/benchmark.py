"""Measure the five lessons, in turn, on the same server.

    python -m tests.benchmark                          the nine practice pages
    python -m tests.benchmark --pages 900 --delay 0    what a page costs

Figures are medians of the rounds. The limit is the waiting that a model
cannot avoid; the plainest code does the same with the same library.
"""

import argparse
import asyncio
import contextlib
import heapq
import io
import multiprocessing
import os
import re
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from tests import server, support

AT_ONCE = {"01_sync": 1, "02_threads": 4, "03_processes": 4,
           "05_aiohttp": 100}
SLEEP = "04_asyncio_sleep"
TITLES = """
                           times   times   pages in connec- CPU ms times the
                 seconds the limit as fast  flight   tions  a page plainest MB
"""
ROW = "{:<16} {:>7} {:>9} {:>7} {:>8} {:>7} {:>7} {:>7} {:>3}"

local = threading.local()


def make_session():
    import requests

    local.session = requests.Session()


def download(url):
    with local.session.get(url, timeout=10) as response:
        print(len(response.content), url)


def plain_sync(urls):
    make_session()
    list(map(download, urls))


def plain_threads(urls):
    with ThreadPoolExecutor(4, initializer=make_session) as executor:
        list(executor.map(download, urls))


def plain_processes(urls):
    with multiprocessing.Pool(4, make_session) as pool:
        pool.map(download, urls)


async def plain_aiohttp(urls):
    import aiohttp

    async def download(url):
        async with session.get(url) as response:
            print(len(await response.read()), url)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*map(download, urls))


PLAIN = plain_sync, plain_threads, plain_processes, plain_aiohttp
PLAIN = dict(zip(AT_ONCE, PLAIN, strict=True))


def measure(name, plain, urls, method):
    """Run a lesson, or its plainest code; return its figures."""
    multiprocessing.set_start_method(method, force=True)
    main = support.load(name).main  # Imports do not count.
    with contextlib.redirect_stdout(io.StringIO()) as output:
        start, before = time.perf_counter(), processor_seconds()
        if asyncio.iscoroutine(run := (PLAIN[name] if plain else main)(urls)):
            asyncio.run(run)
        seconds = time.perf_counter() - start
        cpu = processor_seconds() - before
    told = re.findall(r"total seconds: ([\d.]+)", output.getvalue())
    first, seconds = map(float, told or (0, seconds))
    peak = 0
    if sys.platform != "win32":
        import resource

        own, child = (resource.getrusage(who).ru_maxrss for who in
                      (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        peak = own + 4 * child * (name == "03_processes")
    return seconds, cpu, peak, first


def processor_seconds():
    return time.process_time() + sum(os.times()[2:4])  # the children's


def table(site, pages, rounds):
    """Run everything *rounds* times, in turn; print a row for each lesson."""
    runs = [(name, plain) for name in AT_ONCE for plain in (False, True)]
    runs.insert(6, (SLEEP, False))
    results = {run: [] for run in runs}
    urls = (site.urls * pages)[:pages]
    method = multiprocessing.get_start_method()
    new = multiprocessing.get_context("spawn")  # a process for each run
    for name, plain in runs * rounds:
        site.most = site.connections = 0
        job = measure, name, plain, [] if name == SLEEP else urls, method
        with ProcessPoolExecutor(1, new) as executor:
            figures = executor.submit(*job).result()
        results[name, plain].append([*figures, site.most, site.connections])
    print(f"\n{pages} pages, medians of {rounds}\n{TITLES}", end="")
    middle = {run: [*map(statistics.median, zip(*figures, strict=True))]
              for run, figures in results.items()}
    for name in sorted(support.LESSONS):
        seconds, cpu, peak, first, most, connections = middle[name, False]
        first = first or middle["01_sync", False][0]
        least, row = 3, ["-", "-", "-", "-"]  # Lesson 4 sleeps, and no more.
        if name != SLEEP:
            ends = [0] * AT_ONCE[name]  # when each of so many is free again
            for url in urls:
                wait = site.delays[url.removeprefix(site.address)]
                heapq.heapreplace(ends, ends[0] + wait)
            least = max(ends)
            row = [round(most), round(connections), f"{1e3 * cpu / pages:.2f}",
                   f"{cpu / middle[name, True][1]:.2f}"]
        limit = f"{seconds / least:.2f}" if least else "-"
        print(ROW.format(name, f"{seconds:.2f}", limit,
                         f"{first / seconds:.1f}", *row, round(peak / 1000)))


def main():
    """Read the command line, and print the table."""
    parser = argparse.ArgumentParser("python -m tests.benchmark")
    parser.add_argument("--pages", type=int, default=9)
    parser.add_argument("--delay", type=float, metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with server.Server() as site:
        site.delays = {"/jython": 0.2, "/dice": 0.3, "/realpython": 0.4}
        if options.delay is not None:
            site.delays = dict.fromkeys(server.PAGES, options.delay)
        table(site, options.pages, options.rounds)


if __name__ == "__main__":
    main()
