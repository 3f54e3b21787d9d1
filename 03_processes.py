"""A pool of processes, with a session for each process.

A process is a running program. Here, each process runs its own Python, with
its own memory and its own GIL (the lock that lets only one thread run Python
code at a time). A *pool* has a limited number of *workers*, here processes,
that take their work from one queue. What goes to a process or comes back is
*pickled* (turned into bytes), sent, and turned into an object again. A
*session* keeps its connections open, and reuses them.

What to look for
    The chart looks like the one in lesson 2. Where processes start slowly (on
    Windows, on macOS, and on Linux since Python 3.14), the bars begin later.
    For waiting, processes are no better than threads. For computing, they are
    better: several cores can run several processes at the same time. (In
    free-threaded Python, without a GIL, the same is true of threads.)

    The summary counts four threads: in each process, one thread downloads.

Traps
    - A global variable is not shared: each process has its own. The pool
      calls its *initializer*, `start_worker`, once in each new process, so
      that each process makes one session and keeps it.
    - On Windows, on macOS, and on Linux since Python 3.14, a new process
      first imports this file, to find its functions. In that import,
      `__name__` is not "__main__". So the `if` at the end does not run the
      lesson again. Without it, the new process would end with an error. (On
      Linux before Python 3.14, a new process is a copy, a *fork*, of the main
      one, and imports nothing.)
    - An exception in a process is kept until you call `result()`, as in
      lesson 2.
    - What a process prints might not reach a notebook. So a worker returns
      each Page, and the main process prints it.
    - If a process is killed, `result()` raises a BrokenProcessPool. (Python's
      older pool, `multiprocessing.Pool`, would wait forever.)

Try
    python 03_processes.py --workers 9
        A process for each page: 0.4 seconds, plus the time to start nine
        processes. More would not help: this lesson starts no more processes
        than pages.
    Change `in as_completed(futures)` to `in futures`
        The lines come in the order of the URLs, not as the pages finish.
    Above `page.arrived(response.status_code, response.content)`, add the line
    `sum(range(20_000_000))`
        Each page now needs some computing, too. If several cores are free,
        several processes compute at once, and lesson 3 takes less time than
        lesson 2. With one core, it does not.
"""

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import current_process

import requests

import common

session = None  # In each new process, `start_worker` makes one.


def start_worker():
    """Prepare this process, a new worker of the pool: make its session."""
    global session
    session = requests.Session()
    # The worker ignores Ctrl-C, and ends when the main process ends.
    common.prepare_worker()


def request_site(url):
    """Download *url*; return its Page, arrived or failed."""
    # The timing of this page starts here. The chart shows the process's name.
    page = common.Page(url, session, worker=current_process().name)
    try:
        response = session.get(url, timeout=common.TIMEOUT)
        response.raise_for_status()  # raises an error for a 404
    except (OSError, ValueError) as error:
        # The download failed. (All `requests` errors are OSErrors. A few bad
        # URLs raise only a ValueError.) Any other error is a bug.
        page.failed(error)
    else:
        page.arrived(response.status_code, response.content)
    return page


@common.timed  # The caller gets a pair: the Pages and the seconds.
def request_all_sites(urls, workers):
    """Download *urls*, a list; show and return their Pages."""
    pages = []
    # No more processes than pages, but at least one. On Windows, a pool
    # cannot have more than 61 (MAX_PROCESSES).
    workers = max(1, min(workers, len(urls), common.MAX_PROCESSES))
    # This `with` has two items, and the second one ends first. After Ctrl-C
    # or an error, `no_process_left` ends the processes. (By itself, the pool
    # would first work through its queue.)
    with (
        ProcessPoolExecutor(workers, initializer=start_worker) as executor,
        common.no_process_left(executor),
    ):
        # `submit` puts a call in the pool's queue. It immediately returns a
        # future: an object that will hold the result of that call. `submit`
        # also starts the processes. Until all have started, Ctrl-C waits:
        # otherwise, they could print errors. (On Windows, they still may.)
        with common.ctrl_c_later():
            futures = [executor.submit(request_site, url) for url in urls]
        # `as_completed` yields each future when its call has ended.
        for future in as_completed(futures):
            page = future.result()  # raises the process's exception, if any
            common.show(page)
            pages.append(page)
    return pages


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    # Read the command line. (`--help` shows the first line of this file.)
    options = common.parse(__doc__, arguments, workers=4)
    # The practice site runs inside this `with`, unless you gave other URLs.
    with common.sites(options) as urls:
        pages, seconds = request_all_sites(urls, options.workers)
    # Print the summary and the chart.
    return common.report(urls, pages, seconds)


if __name__ == "__main__":
    common.run(main)  # with the arguments of the command line
