"""One thread, one ClientSession, and a task for each page.

Lesson 4's event loop, and the network. `requests` would block the loop as
`time.sleep` does; aiohttp awaits, and so one session can serve all tasks.

What to look for
    All nine bars begin at once: 0.4 s, as long as the slowest page. Nine
    pages are in flight with one thread and one session; a task costs little.

The trap
    `asyncio.gather(*tasks, return_exceptions=True)`, its result not looked
    at. The notebook that this began with passed two arguments in the wrong
    order: nine TypeErrors were returned as results, and it printed
    "Downloaded 9 sites in 0.003 seconds". Here `await task` raises them.
    `content_length` is a trap as well: a header, which may be missing. What
    arrived is what `await response.read()` returns.

Try
    python 05_aiohttp.py --limit 4
        Four pages at a time, as with four threads: 0.9 s.
    python 05_aiohttp.py --repeat 10
        90 pages, all at once, still in about 0.4 s.
    Change `site(url, session, sem) for` to `site(session, url, sem) for`
        The notebook's mistake. This time it is heard.
"""

import common  # first: it answers Ctrl-C while the others are imported

import asyncio
import sys

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

TIMEOUT = ClientTimeout(sock_connect=common.TIMEOUT, sock_read=common.TIMEOUT)


async def request_site(url, session, sem):
    """Download *url* over *session*; return its Page, arrived or failed."""
    page = common.Page(url, session)
    try:
        async with sem, session.get(page.start(), timeout=TIMEOUT) as response:
            page.arrived(response.status, await response.read())
    # What a download may raise, and no more: a TypeError is our own mistake.
    except (ClientError, OSError, ValueError) as error:
        page.failed(error)
    return page


@common.timed
async def request_all_sites(urls, show, limit=100):
    """Download *urls*; call *show* with each Page as it finishes."""
    # A page waits its turn at the semaphore: its clock starts after that.
    sem = asyncio.Semaphore(limit)
    pool = TCPConnector(limit=limit, ssl=common.trusted())
    proxy = common.proxied()
    async with ClientSession(connector=pool, trust_env=proxy) as session:
        sites = [request_site(url, session, sem) for url in urls]
        tasks = [asyncio.create_task(site) for site in sites]
        for task in asyncio.as_completed(tasks):
            show(await task)


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status.

    To be awaited: `asyncio.run` does it below, `await` in a notebook.
    """
    return common.run(request_all_sites, arguments)


if __name__ == "__main__":
    with common.script():
        sys.exit(asyncio.run(main(sys.argv[1:])))
