"""One page after another: the lesson to compare the others with.

The program asks for a page, waits until all of it has arrived, and only then
asks for the next one. It downloads all pages over one *session*: an object
that keeps its connection to the site open, and reuses it for the next page.

What to look for
    In the chart, each bar begins where the bar above it ends. At most one
    page is *in flight* (requested, not yet arrived). So the waiting adds up:
    3 x (0.2 + 0.3 + 0.4) = 2.7 seconds.

Traps
    - Do not print "Downloaded 9 sites" just because there were 9 URLs: some
      pages may have failed. Here, `request_site` makes a *Page*, the record
      of one download: who did it, over which session, when, and how it ended.
      `page.arrived(...)` records a response, `page.failed(...)` an exception.
      The function `common.report` counts the Pages without an error.
    - An exception from a failed download is recorded in the Page. Any other
      exception is a bug, so it ends the program, with a traceback.
    - A request without `timeout=` may wait forever.

Try
    python 01_sync.py --repeat 2
        18 pages take twice as long as 9.
    python 01_sync.py http://127.0.0.1:1/
        Nothing listens at this address. The page is shown as FAILED, and the
        exit status is 1.
    Change `page = request_site(url, session)` to
    `page = request_site(url, requests.Session())`
        Nine sessions, so nine connections: one for each page.
"""

import requests

import common


def request_site(url, session):
    """Download *url* over *session*; return its Page, arrived or failed."""
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
def request_all_sites(urls):
    """Download *urls*, a list; show and return their Pages."""
    pages = []
    with requests.Session() as session:
        for url in urls:
            page = request_site(url, session)
            common.show(page)
            pages.append(page)
    return pages


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    # Read the command line. (`--help` shows the first line of this file.)
    options = common.parse(__doc__, arguments)
    # The practice site runs inside this `with`, unless you gave other URLs.
    with common.sites(options) as urls:
        pages, seconds = request_all_sites(urls)
    # Print the summary and the chart.
    return common.report(urls, pages, seconds)


if __name__ == "__main__":
    common.run(main)  # with the arguments of the command line
