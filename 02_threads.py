"""A pool of threads, with a session for each thread.

A thread runs a function while other threads run theirs. A *pool* is a fixed
number of *workers*, here threads, that take their work from one queue. The
GIL, Python's global lock, lets only one thread run Python code at a time. But
a thread that waits for the network lets go of it, and the others go on. (A
free-threaded Python has no GIL: for waiting, that changes nothing.)

What to look for
    Four staircases in the chart, one for each thread. A thread that is done
    takes the next page. A page cannot be split: the ninth, of 0.4 seconds,
    begins when a thread is free for it, 0.5 seconds after the start. So the
    run takes 0.9 seconds, not 2.7 / 4.

Traps
    - An exception in a thread waits until somebody asks for the result. Had
      we written `executor.map(request_site, urls)` and not read its results,
      no error would be seen.
    - `requests` does not promise that threads may share a session. What is
      stored in a `threading.local()`, each thread has for itself. Data that
      several threads change needs a `threading.Lock`; here there is none, as
      only the main thread shows and collects.
    - A thread cannot be stopped. After Ctrl-C, the program ends when the
      pages in flight (asked for, not there yet) have arrived or timed out.

Try
    python 02_threads.py --workers 9
        A thread for each page: 0.4 seconds, the slowest page alone. More
        threads would gain nothing. Each costs memory, and the site work.
    python 02_threads.py --workers 1
        One thread is lesson 1 again: 2.7 seconds.
    Change `in as_completed(futures)` to `in futures`
        The lines come in the order of the URLs, not as the pages finish.
    Above `return page`, write `sum(range(20_000_000))`
        Now each page is followed by half a second of computing. The threads
        compute in turn, as one holds the GIL. Compare it with lesson 3.
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
            response.raise_for_status()  # an error, if it is 404, say
            body = response.content
    # What a download may raise (all errors of requests are OSErrors). What
    # else is raised is a mistake in this program: it is not caught.
    except (OSError, ValueError) as error:
        page.failed(error)
    else:
        page.arrived(response.status_code, body)
    return page


@common.timed
def request_all_sites(urls, workers):
    """Download *urls*, a list; return their Pages as they finished."""
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
        # Not `with`: after Ctrl-C, it would wait for every page left.
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
