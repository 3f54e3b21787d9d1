"""A pool of threads, with a session for each thread.

Each thread runs a function, and they take turns: only one thread at a time,
the one that holds the GIL (a global lock), can run Python code. But a thread
that waits for the network releases the GIL. So all threads can wait at the
same time. (Free-threaded Python, a special build, has no GIL: its threads can
compute at the same time, too. For waiting, that makes no difference.)

A *pool* has a limited number of *workers*, here threads, that take their work
from one queue. A *session* is an object that keeps its connections open, and
reuses them.

What to look for
    The chart shows four staircases, one for each thread. A thread that has
    finished a page takes the next one. The ninth page starts last, as soon as
    a thread has finished two pages: after 0.2 + 0.3 seconds. It needs another
    0.4 seconds, so the run takes 0.9. Equal shares would take
    2.7 / 4 = 0.675 seconds. But a page cannot be split between threads, and
    here, the last page to start is a long one. (With any number of threads,
    the run takes at least as long as the slowest page: 0.4 seconds.)

Traps
    - An exception in a thread is kept until you ask for the result. Here,
      `future.result()` raises it again, in the main thread. With the pool's
      method `map`, as in the README, you must read the results: otherwise,
      you would never see an exception.
    - `requests` does not promise that threads can share a session. So each
      thread makes its own, and stores it in a `threading.local()`, where each
      thread sees only its own attributes. When the thread ends, its session
      is deleted, and the connections close.
    - If several threads change the same data, they need a `threading.Lock`,
      which only one can hold at a time. (The GIL is not enough. For example,
      `n += 1` reads n, then stores n + 1: another thread may change n between
      the two.) Here, only the main thread prints and appends to `pages`.
    - A thread cannot be stopped from outside. So after Ctrl-C, the threads
      would still wait for pages *in flight*: requested, not yet arrived. But
      `common.run` ends the whole process, with all its threads. (After a bug,
      Python does wait for them.)

Try
    python 02_threads.py --workers 9
        A thread for each page: 0.4 seconds, as long as the slowest page.
        More would not help: the pool makes no more threads than pages.
    python 02_threads.py --workers 1
        One thread is lesson 1 again: 2.7 seconds.
    Change `in as_completed(futures)` to `in futures`
        The lines come in the order of the URLs, not as the pages finish.
    Above `page.arrived(response.status_code, response.content)`, add the line
    `sum(range(20_000_000))`
        Each page now needs some computing, too. The threads wait at the same
        time, but only one at a time can hold the GIL and compute. So most
        pages take much longer. Do the same in lesson 3, and compare.
    Change `submit(request_site, url)` to `submit(request_site)`
        A TypeError in a thread. You see it: `result()` raises it again.
"""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import requests

import common

thread_local = threading.local()


def get_session():
    """Return this thread's session; make it when the thread first asks."""
    if not hasattr(thread_local, "session"):
        thread_local.session = requests.Session()
    return thread_local.session


def request_site(url):
    """Download *url*; return its Page, arrived or failed."""
    session = get_session()
    page = common.Page(url, session)  # The timing of this page starts here.
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
    executor = ThreadPoolExecutor(workers, thread_name_prefix="Thread")
    try:
        # `submit` puts a call in the pool's queue. It immediately returns a
        # future: an object that will hold the result of that call.
        futures = [executor.submit(request_site, url) for url in urls]
        # `as_completed` yields each future when its call has ended.
        for future in as_completed(futures):
            page = future.result()  # raises the thread's exception, if any
            common.show(page)
            pages.append(page)
    finally:
        # After Ctrl-C or an error, drop what is left in the queue. (A `with`,
        # as in the README, would first download these pages.) And do not wait
        # for the pages in flight.
        executor.shutdown(wait=False, cancel_futures=True)
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
