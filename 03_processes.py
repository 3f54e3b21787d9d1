"""A pool of processes, with a session for each process.

A process is a running program. Here, each is a Python of its own, with its
own memory and its own GIL (the lock that lets only one thread run Python code
at a time). A *pool* is a fixed number of *workers*, here processes, that take
their work from one queue. What goes to a process or comes back is *pickled*:
made into bytes, sent, and made into an object again. A *session* keeps its
connections open, to use them again.

What to look for
    The chart of lesson 2. Where processes start slowly, on Windows and on
    macOS, the bars begin later. In each process, one thread does the work.
    For waiting, processes gain nothing over threads. For computing they do:
    as many can compute at once as there are cores.

Traps
    - A global variable is not shared: each process has its own. The pool
      calls its *initializer*, `start_worker`, once in each new process, so
      that each process makes one session and keeps it.
    - A new process may import this file. It does on Windows, on macOS, and
      on Linux from Python 3.14 on. Without the `if` at the end, each would
      start the lesson again, and Python ends that with a RuntimeError.
    - An exception in a process is kept until somebody asks for the result,
      as in lesson 2.
    - What a process prints may not reach a notebook. So each returns its
      Page, and the main process prints it.
    - `multiprocessing.Pool`, the older pool, waits for ever if one of its
      processes is killed. Here, `result()` raises a BrokenProcessPool.

Try
    python 03_processes.py --workers 9
        A process for each page: 0.4 seconds, plus the time to start nine
        processes. More would gain nothing: there are never more processes
        than pages. (Windows allows 61 at most.)
    python 03_processes.py --workers 1
        One process is lesson 1 again, plus the time to start it.
    Change `in as_completed(futures)` to `in futures`
        The lines come in the order of the URLs, not as the pages finish.
    Above `page.arrived(response.status_code, body)`, write
    `sum(range(20_000_000))`
        Each page now needs some computing, too. With several cores, several
        processes compute at once, and lesson 3 takes less time than lesson
        2. With one core it does not.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed

import requests

import common

session = None


def start_worker():
    """Prepare this process, a worker of the pool: make its session."""
    global session
    session = requests.Session()
    common.stay_with_parent()  # ignore Ctrl-C; end when the parent ends


def request_site(url):
    """Download *url*; return its Page, arrived or failed."""
    process = multiprocessing.current_process().name
    page = common.Page(url, session, process=process)  # named in the chart
    try:
        with session.get(url, timeout=common.TIMEOUT) as response:
            response.raise_for_status()  # raises an error for a 404
            body = response.content
    # The errors that a download can cause: those of requests are OSErrors,
    # and a bad URL may be a ValueError. Any other is a bug: not caught here.
    except (OSError, ValueError) as error:
        page.failed(error)
    else:
        page.arrived(response.status_code, body)
    return page


@common.timed
def request_all_sites(urls, workers):
    """Download *urls*, a list; show and return their Pages."""
    pages = []
    workers = min(workers, len(urls) or 1)  # no more than there are pages
    with (
        ProcessPoolExecutor(workers, initializer=start_worker) as executor,
        common.no_process_left(),  # after an error, so that `with` can end
    ):
        with common.ctrl_c_ignored():  # here, the processes start
            # `submit` puts a call in the pool's queue. At once, it returns
            # a future: an object that will hold the result of that call.
            futures = [executor.submit(request_site, url) for url in urls]
        # `as_completed` yields each future when its call has ended.
        for future in as_completed(futures):
            page = future.result()  # or raises what the process raised
            common.show(page)
            pages.append(page)
    return pages


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    most = common.MOST_PROCESSES  # on Windows, 61
    options = common.parse(__doc__, arguments, workers=4, most=most)
    with common.sites(options) as urls:
        # `timed` adds the seconds to what request_all_sites returns.
        pages, seconds = request_all_sites(urls, options.workers)
    return common.report(urls, pages, seconds)


if __name__ == "__main__":
    common.run(main)
