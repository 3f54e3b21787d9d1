"""One page after another: the lesson to compare the others with.

The program asks for a page, waits until it is there, then asks for the next.
All of them go over one `requests.Session`, which keeps its connection open.

What to look for
    The waterfall is one staircase: each bar begins where the last one ended.
    One page is in flight, so all the waiting adds up: 3 x (0.2 + 0.3 + 0.4).

The trap
    It is easy to print "Downloaded 9 sites" because nine were asked for.
    Here `request_site` returns a Page that says what became of it, and only
    the pages that arrived are counted. Another trap is a request without
    `timeout=`: it may wait for ever.

Try
    python 01_sync.py --repeat 2
        Twice the pages, twice the time.
    python 01_sync.py http://127.0.0.1:1/
        Nobody listens there: the page FAILED, and the exit status is 1.
    Change `show(request_site(url, session))` to
    `show(request_site(url, requests.Session()))`
        Nine sessions, and so nine connections, one for each page.
"""

import sys

import requests

import common


def request_site(url, session):
    """Download *url* over *session*; return its Page, arrived or failed."""
    page = common.Page(url, session)
    try:
        with session.get(url, timeout=common.TIMEOUT) as response:
            response.raise_for_status()
            page.arrived(response.status_code, response.content)
    # What a download may raise; all else is a mistake of ours, and surfaces.
    except (requests.RequestException, OSError, ValueError) as error:
        page.failed(error)
    return page


@common.timed
def request_all_sites(urls, show):
    """Download *urls*; call *show* with each Page as it finishes."""
    with requests.Session() as session:
        for url in urls:
            show(request_site(url, session))


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    with common.lesson(__doc__, arguments, "thread") as run:
        _, seconds = request_all_sites(run.urls, run.show)
        return run.end(seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
