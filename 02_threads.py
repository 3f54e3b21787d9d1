"""A pool of threads, with a session for each thread.

A *session* is an object that keeps its connections open, to use them again. A
thread runs a function while other threads run theirs. A *pool* is a fixed
number of *workers*, here threads, that take their work from one queue. The
GIL, Python's global lock, lets only one thread run Python code at a time. But
a thread that waits for the network lets go of the GIL, and other threads go
on. (A free-threaded Python has no GIL: for waiting, that changes nothing.)

What to look for
    Four staircases in the chart, one for each thread. A thread that is done
    takes the next page. A page cannot be split between threads. The ninth
    page, of 0.4 seconds, begins when a thread is free: when its first two
    pages, 0.2 + 0.3 seconds, are done. So the run takes 0.9 seconds, not
    2.7 / 4.

Traps
    - An exception in a thread is kept until somebody asks for the result.
      `executor.map(request_site, urls)` alone, with its results never read,
      would hide every error.
    - `requests` does not promise that threads may share a session. What a
      thread stores in a `threading.local()`, only that thread can see.
    - Data that several threads change needs a `threading.Lock`. None is
      needed in this file: only the main thread prints, and only it appends
      to `pages`.
    - A thread cannot be stopped. After Ctrl-C, the program ends when the
      pages in flight (asked for, not there yet) have arrived or timed out.
      A second Ctrl-C ends it at once, with a traceback.

Try
    python 02_threads.py --workers 9
        A thread for each page: 0.4 seconds, the slowest page alone. More
        would gain nothing: the pool makes no more threads than pages. Each
        thread uses memory, and gives the site more to do at once.
    python 02_threads.py --workers 1
        One thread is lesson 1 again: 2.7 seconds.
    Change `in as_completed(futures)` to `in futures`
        The lines come in the order of the URLs, not as the pages finish.
    Above `page.arrived(response.status_code, body)`, write
    `sum(range(20_000_000))`
        Each page now needs some computing, too. The bars grow much longer:
        the threads compute in turn, because only one can hold the GIL. Do
        the same in lesson 3, and compare.
    Change `submit(request_site, url)` to `submit(request_site)`
        A mistake. `result()` raises the TypeError, so it is seen at once.
"""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import requests

import common

thread_local = threading.local()


def get_session():
    """Return the session of this thread, made when it first asks."""
    if not hasattr(thread_local, "session"):
        thread_local.session = requests.Session()
    return thread_local.session


def request_site(url):
    """Download *url*; return its Page, arrived or failed."""
    session = get_session()
    page = common.Page(url, session)
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
    executor = ThreadPoolExecutor(workers, thread_name_prefix="Thread")
    try:
        # `submit` puts a call in the pool's queue. At once, it returns a
        # future: an object that will hold the result of that call.
        futures = [executor.submit(request_site, url) for url in urls]
        # `as_completed` yields each future when its call has ended.
        for future in as_completed(futures):
            page = future.result()  # or raises what the thread raised
            common.show(page)
            pages.append(page)
    finally:
        # Not `with`: a thread cannot be ended, so after Ctrl-C, `with` would
        # wait for every page that is left.
        executor.shutdown(wait=False, cancel_futures=True)
    return pages


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    options = common.parse(__doc__, arguments, workers=4)
    with common.sites(options) as urls:
        # `timed` adds the seconds to what request_all_sites returns.
        pages, seconds = request_all_sites(urls, options.workers)
    return common.report(urls, pages, seconds)


if __name__ == "__main__":
    common.run(main)
