"""Coroutines, with sleep in place of the network: nothing to install.

Calling an `async def` function does not run it yet: the call makes a
*coroutine*. A *task* runs a coroutine in the *event loop*. The loop runs all
tasks in one thread, and goes from task to task. When a task comes to an
`await` and must wait for the result, it pauses, and the loop turns to another
task. A *TaskGroup* makes tasks, and waits until all have ended.

What to look for
    There are three jobs, of 3, 2 and 1 steps. Each step takes a second.
    First, the jobs are done one after another: 6 seconds. Then they are done
    as three tasks: 3 seconds, as long as the longest job. The lines of the
    tasks alternate. They say "is calculating", but each step only sleeps,
    just as a download mostly waits. Real computing has nothing to wait for,
    so an event loop would not make it any faster.

Traps
    - While `time.sleep` runs in a coroutine, the loop and all tasks stand
      still.
    - If a task raises an exception, its TaskGroup cancels the other tasks.
      Then, at the end of the `async with`, it raises an ExceptionGroup: one
      exception that holds the exceptions of the tasks.
    - In an old tutorial, you may see `asyncio.wait(coroutines)`. Since Python
      3.11, that is a TypeError. Use a TaskGroup instead.
    - `asyncio.run` starts an event loop, runs a coroutine in it, and returns
      the result. In a notebook or in Spyder, a loop is already running: use
      `await process_async(1)` there instead.

Try
    python 04_asyncio_sleep.py --step 0.1
        The same at ten times the speed: 0.6 seconds, then 0.3.
    Change `await asyncio.sleep(step)` to `time.sleep(step)`
        6 seconds both times: each job ends before the next one begins.
    Change `await asyncio.sleep(step)` to `asyncio.sleep(step)`
        The second half does not wait. It is over immediately, and Python
        warns that a coroutine was never awaited.
    Change `await asyncio.sleep(step)` to `sum(range(20_000_000))`, and
    change `time.sleep(step)` to `sum(range(20_000_000))`
        Now the steps really compute. The lines no longer alternate, and both
        halves take the same time.
"""

import asyncio
import time

import common

JOBS = [("One", 3), ("Two", 2), ("Three", 1)]


def calculate_sync(name, n, step):
    """Do *n* steps of *step* seconds each; return a Record of the job."""
    # A record, like a Page in lesson 1: who did the job, and when. Its timing
    # starts here.
    record = common.Record(name)
    for i in range(1, n + 1):
        print(f"{name} -> {i} of {n} is calculating...")
        time.sleep(step)
    print(f"{name} - {n} works are done!")
    record.ended()
    return record


@common.timed  # The caller gets a pair: the records and the seconds.
def process_sync(step):
    """Do all of JOBS, one after another; return their records."""
    return [calculate_sync(name, n, step) for name, n in JOBS]


async def calculate_async(name, n, step):
    """Like calculate_sync, but let other tasks run during each step."""
    # The chart shows the task's name.
    record = common.Record(name, task=asyncio.current_task().get_name())
    for i in range(1, n + 1):
        print(f"{name} -> {i} of {n} is calculating...")
        await asyncio.sleep(step)
    print(f"{name} - {n} works are done!")
    record.ended()
    return record


@common.timed  # The caller gets a pair: the records and the seconds.
async def process_async(step):
    """Do all of JOBS together, a task for each; return their records."""
    tasks = []
    # `async with` is a `with` that may wait. At the end of this one, the
    # TaskGroup waits until all its tasks have ended.
    async with asyncio.TaskGroup() as group:
        for name, n in JOBS:
            # `create_task` returns a new task for the coroutine. The task
            # does not start yet. It starts when process_async waits: at the
            # end of the `async with`.
            task = group.create_task(calculate_async(name, n, step))
            tasks.append(task)
    return [task.result() for task in tasks]


def main(arguments=()):
    """Run both halves with *arguments*, a list of str; return the status."""
    step = common.parse_step(__doc__, arguments)
    print("One after another (each calculation only sleeps)")
    records, sync_seconds = process_sync(step)
    print(f">>> total seconds: {sync_seconds:.2f}")
    print(f"The work was done by {common.who_worked(records)}")
    common.chart(records, sync_seconds, "job")
    print("\nTogether, a task for each job (while one sleeps, others run)")
    records, async_seconds = asyncio.run(process_async(step))
    print(f">>> total seconds: {async_seconds:.2f}")
    print(f"The work was done by {common.who_worked(records)}")
    # This chart has the same scale as the first one.
    common.chart(records, async_seconds, "job", axis=sync_seconds)
    print("\nReal computing, in place of sleep, would keep the thread busy:")
    print("tasks would save no time.")
    return 0


if __name__ == "__main__":
    common.run(main)  # with the arguments of the command line
