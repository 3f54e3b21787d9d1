"""Coroutines, with sleep in place of the network: nothing to install.

Calling an `async def` function makes a coroutine: work that has not begun.
A task runs it on the event loop, one thread that goes from task to task.
`await` is where a task waits, and where the loop turns to another one.

What to look for
    Three pieces of work, of 3, 2 and 1 steps, first one after the other:
    6 s. Then as three tasks, whose lines alternate: 3 s, the longest alone.
    A "calculation" here only sleeps, as a download mostly waits. Real
    computing never awaits: on an event loop it would gain nothing.

The trap
    `time.sleep` in a coroutine does not let the loop go on: everybody stops.
    Older texts hand coroutines to `asyncio.wait`, a TypeError since Python
    3.11; `asyncio.gather` makes tasks of them. And `asyncio.run` is for a
    script. In a notebook a loop runs already: there it is an error, and
    `await` takes its place.

Try
    python 04_asyncio_sleep.py --step 0.1
        The same at ten times the speed: 0.6 s, then 0.3 s.
    Change `await asyncio.sleep(step)` to `time.sleep(step)`
        6 s both times: each piece of work ends before the next begins.
    In a notebook, import it as `lesson`: await lesson.process_async(1, [])
        The second half by itself.
"""

import common  # first: it answers Ctrl-C while the others are imported

import asyncio
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

WORKS = [("One", 3), ("Two", 2), ("Three", 1)]


def exe_calculate_sync(name, n, step, done):
    """Do *n* steps of *step* seconds each, and add a row to *done*."""
    start = time.perf_counter()
    thread = threading.current_thread().name
    for i in range(1, n + 1):
        print(f"{name} -> {i} of {n} is calculating...", flush=True)
        time.sleep(step)
    print(f"{name} - {n} works are done!", flush=True)
    done.append((thread, name, start, time.perf_counter(), ""))


@common.timed
def process_sync(step, done):
    """Do all of WORKS, one after another."""
    for name, n in WORKS:
        exe_calculate_sync(name, n, step, done)


async def exe_calculate_async(name, n, step, done):
    """Do the same, and let the others go on during each step."""
    start = time.perf_counter()
    task = asyncio.current_task().get_name()
    for i in range(1, n + 1):
        print(f"{name} -> {i} of {n} is calculating...", flush=True)
        await asyncio.sleep(step)
    print(f"{name} - {n} works are done!", flush=True)
    done.append((task, name, start, time.perf_counter(), ""))


@common.timed
async def process_async(step, done):
    """Do all of WORKS together, a task for each."""
    works = [exe_calculate_async(name, n, step, done) for name, n in WORKS]
    await asyncio.gather(*works)


def run(coroutine):
    """Run *coroutine* on an event loop of its own; return its result."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # In a notebook: one thread runs one loop at a time, so take another.
    with ThreadPoolExecutor() as executor:
        return executor.submit(asyncio.run, coroutine).result()


def show(rows, duration):
    """Print what a half of the lesson took, and its waterfall."""
    print(f">>> total seconds: {duration:.2f}", flush=True)
    rows = sorted(rows, key=lambda row: row[2])
    common.waterfall(rows, rows[0][2], duration, "work")


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    parser = common.argument_parser(sys.modules[__name__])
    parser.add_argument("--step", default="1", metavar="SECONDS")
    step = parser.parse_args(arguments).step
    if not re.fullmatch(r"\d+\.?\d*|\.\d+", step, re.ASCII):
        parser.error(f"argument --step: {step!r}: not a number of seconds")
    step, done = float(step), []
    with common.interrupts_told(lambda: f"{len(done)} of 6 pieces done"):
        _, duration = process_sync(step, done)
        show(done, duration)
        print()
        _, duration = run(process_async(step, done))
        show(done[3:], duration)
    return 0


if __name__ == "__main__":
    with common.script():
        sys.exit(main(sys.argv[1:]))
