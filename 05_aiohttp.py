"""One thread, one ClientSession, and a task for each page.

Lesson 4's event loop, and the network. `requests` would block the loop as
`time.sleep` does; aiohttp awaits, and so one session can serve all tasks.

What to look for
    All nine bars begin at once: 0.4 s, the slowest page alone. One thread
    does it, and one session, which opens a connection for each page that is
    in flight.

The trap
    `gather(..., return_exceptions=True)` hands exceptions back as if they
    were results. A learner's notebook passed two arguments in the wrong
    order, did not look at the nine exceptions that came back, and printed
    "Downloaded 9 sites in 0.003 seconds". By default, `gather` raises.
    Another trap: `response.content_length` is only a header, and may be
    None. What has arrived is what `await response.read()` returns.

Try
    python 05_aiohttp.py --limit 4
        Four pages at a time, as with four threads: 0.9 s.
    python 05_aiohttp.py --repeat 10
        90 pages, all at once, still in about 0.4 s.
    Change `await request_site(url, session)` to
    `await request_site(session, url)`
        The notebook's mistake: it ends the program with an AttributeError.
"""

import asyncio
import sys

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

import common

TIMEOUT = ClientTimeout(sock_connect=common.TIMEOUT, sock_read=common.TIMEOUT)


async def request_site(url, session):
    """Download *url* over *session*; return its Page, arrived or failed."""
    page = common.Page(url, session, asyncio.current_task().get_name())
    try:
        async with session.get(url, timeout=TIMEOUT) as response:
            response.raise_for_status()
            page.arrived(response.status, await response.read())
    # What a download may raise; all else is a mistake of ours, and surfaces.
    except (ClientError, OSError, ValueError) as error:
        page.failed(error)
    return page


@common.timed
async def request_all_sites(urls, show, limit):
    """Download *urls*; call *show* with each Page as it finishes."""
    # The semaphore is the limit; 0 means that the connector has none.
    semaphore, connector = asyncio.Semaphore(limit), TCPConnector(limit=0)
    proxy = common.proxied()  # whether to look for one at all
    async with ClientSession(connector=connector, trust_env=proxy) as session:

        async def show_site(url):
            async with semaphore:  # A page queues here, before its bar.
                show(await request_site(url, session))

        await asyncio.gather(*map(show_site, urls))


async def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    with common.lesson(__doc__, arguments, "task", limit=100) as run:
        _, seconds = await request_all_sites(run.urls, run.show, run.limit)
        return run.end(seconds)


if __name__ == "__main__":
    # debug=False: -X dev would report that a site's start blocks the loop.
    sys.exit(asyncio.run(main(sys.argv[1:]), debug=False))
