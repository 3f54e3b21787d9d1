"""One page after another: the lesson to compare the others with.

The program asks for a page, waits until all of it is there, and only then
asks for the next one. It downloads all pages over one *session*: an object
that keeps its connection to the site open, and uses it again.

What to look for
    In the chart, each bar begins where the bar above it ends. At most one
    page is *in flight* (asked for, not there yet). So the waiting adds up:
    3 x (0.2 + 0.3 + 0.4) = 2.7 seconds.

Traps
    - A program that prints the number of its URLs says "Downloaded 9 sites"
      even if nothing arrived. So here, `request_site` returns a Page, the
      record of what happened to one page, and `common.report` counts the
      Pages that arrived.
    - A request without `timeout=` may wait for ever.

Try
    python 01_sync.py --repeat 2
        Twice the pages take twice the time.
    python 01_sync.py http://127.0.0.1:1/
        Nobody listens there. The page FAILED, and the exit status is 1.
    Change `page = request_site(url, session)` to
    `page = request_site(url, requests.Session())`
        Nine sessions, so nine connections: one for each page.
"""

import requests

import common


def request_site(url, session):
    """Download *url* over *session*; return its Page, arrived or failed."""
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
    options = common.parse(__doc__, arguments)
    with common.sites(options) as urls:
        # `timed` adds the seconds to what request_all_sites returns.
        pages, seconds = request_all_sites(urls)
    return common.report(urls, pages, seconds)


if __name__ == "__main__":
    common.run(main)
