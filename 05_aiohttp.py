"""One thread, one ClientSession, and a task for each page.

Lesson 4's event loop, and the network. `requests` would block the loop as
`time.sleep` does; aiohttp awaits, and so one session can serve all tasks.

What to look for
    All nine bars begin at once: 0.4 s, the slowest page alone. One thread
    does it, and one session, which opens a connection for each page that is
    in flight. `gather` makes a task of each coroutine that it is given.

The trap
    `gather(..., return_exceptions=True)` hands exceptions back as if they
    were results. A learner's notebook passed two arguments in the wrong
    order, did not look at the nine exceptions that came back, and printed
    "Downloaded 9 sites in 0.003 seconds". Without it, `gather` raises.
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

import common  # first: it answers Ctrl-C while the others are imported

import asyncio
import sys

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

TIMEOUT = ClientTimeout(sock_connect=common.TIMEOUT, sock_read=common.TIMEOUT)


async def request_site(url, session):
    """Download *url* over *session*; return its Page, arrived or failed."""
    page = common.Page(url, session)
    try:
        async with session.get(url, timeout=TIMEOUT) as response:
            page.arrived(response.status, await response.read())
    # What a download may raise, and no more: a TypeError is our own mistake.
    except (ClientError, OSError, ValueError) as error:
        page.failed(error)
    return page


@common.timed
async def request_all_sites(urls, show, limit=100):
    """Download *urls*; call *show* with each Page as it finishes."""
    semaphore = asyncio.Semaphore(limit)
    connector = TCPConnector(limit=limit, ssl=common.trusted())
    proxy = common.proxied()
    async with ClientSession(connector=connector, trust_env=proxy) as session:

        async def show_site(url):
            async with semaphore:  # Its clock starts after it had to queue.
                show(await request_site(url, session))

        await asyncio.gather(*map(show_site, urls))


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status.

    To be awaited: `asyncio.run` does it below, `await` in a notebook.
    """
    return common.run(request_all_sites, arguments)


if __name__ == "__main__":
    with common.script():
        sys.exit(asyncio.run(main(sys.argv[1:])))
