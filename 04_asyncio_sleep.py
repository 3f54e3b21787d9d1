"""Coroutines, with sleep in place of the network: nothing to install.

A call of an `async def` function makes a *coroutine*: work not yet begun.
A *task* runs a coroutine on the *event loop*, which is one thread that goes
from task to task. At an `await` that really has to wait, the task stops, and
the loop turns to another task. If the result is ready, the task goes on.

What to look for
    Three pieces of work, of 3, 2 and 1 steps. Each step takes a second.
    First one after another: 6 seconds. Then as three tasks, whose lines
    alternate: 3 seconds, the longest alone. "Calculating" is only a label:
    each step sleeps, as a download mostly waits. Real computing has nothing
    to wait for, so an event loop would not make it any faster.

Traps
    - `time.sleep` in a coroutine stops the loop, and so all tasks.
    - Older texts hand coroutines to `asyncio.wait`: a TypeError since Python
      3.11. A TaskGroup makes the tasks, and waits until all have ended. If a
      task raises an exception, the group cancels the others, and raises an
      ExceptionGroup that holds it.
    - `asyncio.run` starts an event loop. In a notebook or in Spyder, one runs
      already: there, `await process_async(1)` takes its place.

Try
    python 04_asyncio_sleep.py --step 0.1
        The same at ten times the speed: 0.6 seconds, then 0.3.
    Change `await asyncio.sleep(step)` to `time.sleep(step)`
        6 seconds both times: each piece of work ends before the next begins.
    Change `await asyncio.sleep(step)` to `asyncio.sleep(step)`
        Nothing waits. The work is over at once, and Python warns that a
        coroutine was never awaited.
    Change `await asyncio.sleep(step)` to `sum(range(20_000_000))`, and
    `time.sleep(step)` above it as well
        Real computing. The lines no longer alternate, and both halves take
        the same time.
"""

import asyncio
import time

import common

WORKS = [("One", 3), ("Two", 2), ("Three", 1)]


def calculate_sync(name, n, step):
    """Do *n* steps of *step* seconds each; return the record, a Work."""
    work = common.Work(name)
    for i in range(1, n + 1):
        common.say(f"{name} -> {i} of {n} is calculating...")
        time.sleep(step)
    common.say(f"{name} - {n} works are done!")
    work.done()
    return work


@common.timed
def process_sync(step):
    """Do all of WORKS, one after another; return their records."""
    return [calculate_sync(name, n, step) for name, n in WORKS]


async def calculate_async(name, n, step):
    """Do the same, but let other tasks go on during each step."""
    work = common.Work(name, task=asyncio.current_task())
    for i in range(1, n + 1):
        common.say(f"{name} -> {i} of {n} is calculating...")
        await asyncio.sleep(step)
    common.say(f"{name} - {n} works are done!")
    work.done()
    return work


@common.timed
async def process_async(step):
    """Do all of WORKS together, a task for each; return their records."""
    tasks = []
    # `async with` is a `with` that may wait: here, at its end, for all tasks.
    async with asyncio.TaskGroup() as group:
        for name, n in WORKS:
            # `create_task` makes a task, which starts when this one waits.
            task = group.create_task(calculate_async(name, n, step))
            tasks.append(task)
    return [task.result() for task in tasks]


def main(arguments=()):
    """Run both halves with *arguments*, a list of str; return the status."""
    step = common.parse_step(__doc__, arguments)
    common.say("One after another (a calculation here only sleeps)")
    works, first = process_sync(step)  # `timed` adds the seconds
    common.say(f">>> total seconds: {first:.2f}")
    common.chart(works, first, "job", axis=first)
    common.say("\nTogether, a task for each (they only sleep, too)")
    works, second = asyncio.run(process_async(step))
    common.say(f">>> total seconds: {second:.2f}")
    common.say(f"The work was done by {common.who_worked(works)}")
    common.chart(works, second, "job", axis=first)  # on the same scale
    return 0


if __name__ == "__main__":
    common.run(main)
