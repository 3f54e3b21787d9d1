"""A pool of processes, with a Session for each process.

Each process is a Python of its own, with its own memory and its own GIL.
What goes to it and comes back is pickled: here a URL, and then a Page.

What to look for
    The same picture as with threads, a little later: the bars begin once the
    processes have started. For waiting that buys nothing. For computing it
    would: processes run Python on several cores at the same time.

The trap
    A global variable is not shared: each process has its own. `set_session`
    fills it once in each, so that a process keeps one session for all of its
    pages. On Windows and macOS (and Linux, from Python 3.14 on) the processes
    import this file: without the `if` at its end they would run the lesson
    again. What they print can get lost, in a notebook for one: so they return
    each Page, and this process prints it. And a Pool waits for ever for a
    process that was killed; ProcessPoolExecutor would raise an error.

Try
    python 03_processes.py --workers 9
        A process for each page: 0.4 s, and the start of nine processes.
    python 03_processes.py --workers 1
        One process is lesson 1 again, and its start.
    Change `pool.imap_unordered(request_site, urls, chunk)` to
    `pool.map(request_site, urls)`
        No line until the last page is there, then all, in the URLs' order.
"""

import common  # first: it answers Ctrl-C while the others are imported

import multiprocessing
import sys

import requests

session = None


def set_session():
    """Make the Session of this process, one of the pool's, at its start."""
    global session
    common.stay_with_parent()
    session = requests.Session()


def request_site(url):
    """Download *url*; return its Page, arrived or failed."""
    page = common.Page(url, session)
    try:
        with session.get(url, timeout=common.TIMEOUT) as response:
            page.arrived(response.status_code, common.check(response).content)
    # What a download may raise, and no more: a TypeError is our own mistake.
    # (RequestException is an OSError; what urllib3 lets slip through is not.)
    except (requests.exceptions.BaseHTTPError, OSError, ValueError) as error:
        page.failed(error)
    return page


@common.timed
def request_all_sites(urls, show, workers=4):
    """Download *urls*; call *show* with each Page as it finishes."""
    with common.interrupts_held():  # Ctrl-C is for this process alone.
        pool = multiprocessing.Pool(min(workers, len(urls)), set_session)
    # A message to a process costs time: a long list goes in larger pieces.
    chunk = min(8, 1 + len(urls) // 100)
    with pool:
        for page in pool.imap_unordered(request_site, urls, chunk):
            show(page)


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    return common.run(request_all_sites, arguments)


if __name__ == "__main__":
    with common.script():
        sys.exit(main(sys.argv[1:]))
