"""A pool of processes, with a Session for each process.

Each process is a Python of its own, with its own memory and its own GIL.
What goes to it and comes back is pickled: here a URL, and then a Page.

What to look for
    The same picture as with threads, a little later: the bars begin once the
    processes have started. Where that takes long, on Windows and macOS, the
    first to be ready may carry most of the pages. For waiting, processes buy
    nothing. For computing they would: they run Python on several cores.

The trap
    A global variable is not shared: each process has its own. `set_session`
    fills it once in each, so that a process keeps one session for its pages.
    On Windows and macOS (and Linux, from Python 3.14 on) the processes import
    this file: without the `if` at its end they would run the lesson again.
    What they print gets lost in a notebook: so they return each Page, and
    this process prints it. And a Pool waits for ever for a killed process.

Try
    python 03_processes.py --workers 9
        A process for each page: 0.4 s, and the start of nine processes.
    python 03_processes.py --workers 1
        One process is lesson 1 again, and its start.
    Change `imap_unordered(request_site, urls)` to `map(request_site, urls)`
        No line until the last page is there, then all, in the URLs' order.
"""

import multiprocessing
import signal
import sys

import requests

import common

session = None


def set_session():
    """Make the Session of this process, one of the pool's, at its start."""
    global session
    session = requests.Session()
    common.stay_with_parent()


def request_site(url):
    """Download *url*; return its Page, arrived or failed."""
    page = common.Page(url, session, multiprocessing.current_process().name)
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
    # Ctrl-C reaches every process. These inherit that it is to be ignored.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    pool = multiprocessing.Pool(workers, set_session)
    signal.signal(signal.SIGINT, handler)
    with pool:
        for page in pool.imap_unordered(request_site, urls):
            show(page)


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    with common.lesson(__doc__, arguments, "process", workers=4) as run:
        _, seconds = request_all_sites(run.urls, run.show, run.workers)
        return run.end(seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
