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
    Change `await asyncio.sleep(step)` to `asyncio.sleep(step)`
        Nothing waits: the work is over at once, and Python warns that a
        coroutine was never awaited.
"""

import argparse
import asyncio
import signal
import sys
import time

import common

WORKS = [("One", 3), ("Two", 2), ("Three", 1)]


def calculate_sync(name, n, step):
    """Do *n* steps of *step* seconds each; return the Work."""
    work = common.Work(name)
    for i in range(1, n + 1):
        common.say(f"{name} -> {i} of {n} is calculating...")
        time.sleep(step)
    common.say(f"{name} - {n} works are done!")
    return work.done()


@common.timed
def process_sync(step):
    """Do all of WORKS, one after another; return them."""
    return [calculate_sync(*work, step) for work in WORKS]


async def calculate_async(name, n, step):
    """Do the same, and let the others go on during each step."""
    work = common.Work(name, asyncio.current_task().get_name())
    for i in range(1, n + 1):
        common.say(f"{name} -> {i} of {n} is calculating...")
        await asyncio.sleep(step)
    common.say(f"{name} - {n} works are done!")
    return work.done()


@common.timed
async def process_async(step):
    """Do all of WORKS together, a task for each; return them."""
    return await asyncio.gather(*(calculate_async(*w, step) for w in WORKS))


async def main(arguments=()):
    """Run both halves, with *arguments*, a list of str."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--step", type=float, default=1, metavar="SECONDS")
    step = parser.parse_args(arguments).step
    0 <= step <= 60 or parser.error(f"argument --step: {step}: not 0 to 60")
    with common.ends_early():
        print("One after another: each calculation only sleeps")
        # asyncio.run answers Ctrl-C at an await, and this half has none.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        works, total = process_sync(step)
        signal.signal(signal.SIGINT, handler)
        print(f">>> total seconds: {total:.2f}")
        common.waterfall(works, works[0].start, total, total, "work")
        print(f"\nTogether ({asyncio.current_task().get_name()} runs main)")
        works, seconds = await process_async(step)
        print(f">>> total seconds: {seconds:.2f}")
        common.waterfall(works, works[0].start, seconds, total, "work")


if __name__ == "__main__":
    # debug=False: -X dev would report that the first half blocks the loop.
    sys.exit(asyncio.run(main(sys.argv[1:]), debug=False))
