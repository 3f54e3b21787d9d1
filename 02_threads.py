"""A pool of threads, with a Session for each thread.

A thread that waits for the network lets go of the GIL, the lock that lets
only one thread run Python at a time, and meanwhile the other threads go on.

What to look for
    Four staircases. A thread that is done takes the next page. The longest
    staircase is the run: 0.2 + 0.3 + 0.4 = 0.9 s, not 2.7 / 4, as shares
    differ. Each thread makes a session for its first page and keeps it.

The trap
    An exception raised in a thread is kept until somebody asks for the
    result. `executor.map(request_site, urls)`, with results that nobody
    reads, loses it; `future.result()` raises it again. And do not share one
    Session among threads: `requests` does not promise that this is safe.
    `threading.local()` keeps one for each. Nor can a thread be stopped: after
    Ctrl-C, the program ends when its pages in flight have ended.

Try
    python 02_threads.py --workers 9
        A thread for each page: 0.4 s, the slowest page alone.
    python 02_threads.py --workers 1
        One thread is lesson 1 again: 2.7 s.
    Begin `get_session` with `print(thread_local.__dict__)`
        {} at the first page of a thread; after that, its session. (Lines may
        run together: here, the threads print at the same time.)
    Change `submit(request_site, url)` to `submit(request_site)`
        A TypeError, heard at once: `result()` raises it.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import requests

import common

thread_local = threading.local()


def get_session():
    """Return the Session of this thread, made when it first asks."""
    if not hasattr(thread_local, "session"):
        thread_local.session = requests.Session()
    return thread_local.session


def request_site(url):
    """Download *url*; return its Page, arrived or failed."""
    session = get_session()
    page = common.Page(url, session, threading.current_thread().name)
    try:
        with session.get(url, timeout=common.TIMEOUT) as response:
            response.raise_for_status()
            page.arrived(response.status_code, response.content)
    # What a download may raise; all else is a mistake of ours, and surfaces.
    except (requests.RequestException, OSError, ValueError) as error:
        page.failed(error)
    return page


@common.timed
def request_all_sites(urls, show, workers):
    """Download *urls*; call *show* with each Page as it finishes."""
    # No `with`: after Ctrl-C, it would wait for all the pages that are left.
    executor = ThreadPoolExecutor(workers, thread_name_prefix="Thread")
    try:
        futures = [executor.submit(request_site, url) for url in urls]
        for future in as_completed(futures):
            show(future.result())
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    with common.lesson(__doc__, arguments, "thread", workers=4) as run:
        _, seconds = request_all_sites(run.urls, run.show, run.workers)
        return run.end(seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
