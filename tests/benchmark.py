"""Measure the five lessons, in turn, on the same server.

    python -m tests.benchmark                          the nine practice pages
    python -m tests.benchmark --pages 900 --delay 0    what a page costs
    python -m tests.benchmark --pages 9 90 900 --delay 0.01 --rounds 5

Figures are medians of the rounds. "xlimit" is the time divided by the waiting
that the model cannot avoid, "speed-up" is over lesson 1. Pages in "flight" and
"conns", connections, are what the server counted. "CPU" is the processor time
in seconds, with that of child processes, and "ms/page" is that for one page;
"xplain" is what it is times that of the plainest code that does the same with
the same library, run in the same round. "MB" is the peak of memory: of the
process, and of four children as large as the largest where there are any.

Lesson 4 has no pages: its row is its second half, the speed-up over its first.
"""

import argparse
import asyncio
import contextlib
import heapq
import io
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests import servers, support

AT_ONCE = {"01_sync": 1, "02_threads": 4, "03_processes": 4, "05_aiohttp": 100}
SLEEP = "04_asyncio_sleep"

# ---- The plainest code of each kind ----------------------------------------

local = threading.local()


def plain_sync(urls):
    """One page after another."""
    import requests

    with requests.Session() as session:
        for url in urls:
            with session.get(url, timeout=10) as response:
                print(len(response.content), url)


def make_session():
    """Make the session of a thread, or of a process of a pool."""
    import requests

    local.session = requests.Session()


def plain_page(url):
    """Download one page with the session of this worker."""
    with local.session.get(url, timeout=10) as response:
        print(len(response.content), url)


def plain_threads(urls):
    """Four threads."""
    with ThreadPoolExecutor(4, initializer=make_session) as executor:
        list(executor.map(plain_page, urls))


def plain_processes(urls):
    """Four processes, which get their pages in chunks."""
    with multiprocessing.Pool(4, make_session) as pool:
        pool.map(plain_page, urls)


def plain_aiohttp(urls):
    """All at once on an event loop."""
    import aiohttp

    async def page(url, session):
        async with session.get(url) as response:
            print(len(await response.read()), url)

    async def pages():
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(page(url, session) for url in urls))

    asyncio.run(pages())


PLAIN = {
    "01_sync": plain_sync,
    "02_threads": plain_threads,
    "03_processes": plain_processes,
    "05_aiohttp": plain_aiohttp,
}

# ---- One run, in a process of its own --------------------------------------


def processor_seconds():
    """Return the processor time of this process and its children."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def peak_megabytes(children):
    """Return the peak of memory, or None where nobody tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1e6 if sys.platform == "darwin" else 1e3
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + children * child) / unit


def measure(name, plain, urls, pages):
    """Download *pages* of *urls*, by a lesson or its plain counterpart."""
    lesson = support.module(name)
    arguments = [] if name == SLEEP else (urls * pages)[:pages]
    call = PLAIN[name] if plain else lesson.main
    with contextlib.redirect_stdout(io.StringIO()) as output:
        before = processor_seconds()
        start = time.perf_counter()
        support.complete(call(arguments))
        duration = time.perf_counter() - start
        used = processor_seconds() - before
    told = r"(?:sites in|total seconds:) ([.\d]+)"
    told = re.findall(told, output.getvalue())
    return {
        "seconds": duration if plain else float(told[-1]),
        "first": float(told[0]) if told else None,
        "cpu": used,
        "peak": peak_megabytes(4 if name == "03_processes" else 0),
    }


def measured(server, name, plain, pages):
    """Run `measure` in a new process; add what *server* counted to it."""
    server.most = server.connections = 0
    job = json.dumps([name, plain, server.urls[:3], pages])
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmark", "--measure"],
        input=job, capture_output=True, encoding="utf-8", cwd=support.ROOT,
        env=support.environment(), check=False,
    )
    if result.returncode:
        sys.exit(f"{name}: {result.stderr}")
    counts = {"most": server.most, "connections": server.connections}
    return {**json.loads(result.stdout.splitlines()[-1]), **counts}


# ---- The table -------------------------------------------------------------


def limit(waits, at_once):
    """Return the seconds that *waits* take, *at_once* of them at a time."""
    free = [0.0] * at_once
    for wait in waits:
        heapq.heapreplace(free, free[0] + wait)
    return max(free)


def middle(runs, key):
    """Return the median of *key* over *runs*; None if there is none."""
    values = [run[key] for run in runs]
    return None if None in values else statistics.median(values)


def row(name, *figures):
    """Print a row of the table: its figures, or - where there is none."""
    line = f"{name:<16}"
    for value, (title, digits) in zip(figures, COLUMNS.items(), strict=True):
        text = "-" if value is None else f"{value:.{digits}f}"
        line += f" {text:>{len(title)}}"
    print(line)


#: The columns, and their digits after the point.
COLUMNS = {
    "seconds": 2, "xlimit": 2, "speed-up": 1, "flight": 0, "conns": 0,
    "  CPU": 2, "ms/page": 2, "xplain": 2, "  MB": 0,
}


def compare(server, pages, delay, rounds):
    """Print the table for *pages* pages; return the peaks of memory."""
    server.delays = dict.fromkeys(servers.BODIES, delay)
    if delay is None:
        server.delays = {"/jython": 0.2, "/dice": 0.3, "/realpython": 0.4}
    waits = ([*server.delays.values()] * pages)[:pages]
    runs = {(name, plain): [] for name in AT_ONCE for plain in (False, True)}
    for _ in range(rounds):
        for name, plain in runs:
            run = measured(server, name, plain, pages)
            runs[name, plain].append(run)
    print(f"\n{pages} pages, medians of {rounds}\n")
    print(f"{'':<16}", *COLUMNS)
    first = middle(runs["01_sync", False], "seconds")
    peaks = {}
    for name, at_once in AT_ONCE.items():
        if name == "05_aiohttp" and delay is None and pages == 9:
            run = measured(server, SLEEP, False, 0)
            figures = run["seconds"], run["seconds"] / 3, run["first"] / 3
            row(SLEEP, *figures, None, None, run["cpu"], None, None,
                run["peak"])
        lesson = runs[name, False]
        pairs = zip(lesson, runs[name, True], strict=True)
        ratios = [run["cpu"] / plain["cpu"] for run, plain in pairs]
        seconds, least = middle(lesson, "seconds"), limit(waits, at_once)
        cpu = middle(lesson, "cpu")
        peaks[name] = middle(lesson, "peak")
        row(
            name, seconds, seconds / least if least else None,
            first / seconds, middle(lesson, "most"),
            middle(lesson, "connections"), cpu, 1000 * cpu / pages,
            statistics.median(ratios), peaks[name],
        )
    return peaks


def main():
    """Read the command line and print the tables."""
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure(*json.load(sys.stdin))))
        return
    parser = argparse.ArgumentParser(
        "python -m tests.benchmark", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pages", type=int, nargs="+", default=[9])
    parser.add_argument("--delay", type=float, metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    peaks = []
    with servers.CountingServer() as server:
        for pages in options.pages:
            peaks.append(
                compare(server, pages, options.delay, options.rounds)
            )
    if len(peaks) > 1 and None not in peaks[0].values():
        further = options.pages[-1] - options.pages[-2]
        print("\nMemory for each further page, in KB")
        for name in AT_ONCE:
            grown = peaks[-1][name] - peaks[-2][name]
            print(f"{name:<16} {1000 * grown / further:>7.1f}")


if __name__ == "__main__":
    main()
