"""One thread, one session, and a task for each page.

This is the event loop of lesson 4, with the network: one thread that goes
from task to task. A *task* runs a *coroutine* (what a call of an `async def`
function makes). At an `await` that has to wait, the loop turns to another
task. `requests` would *block* the loop: while it waits, no other task runs.
aiohttp is made to be awaited. (`await asyncio.to_thread(...)` runs a function
that blocks in another thread.) All tasks run in one thread, so they can share
one session, an object that keeps connections open and uses them again.

What to look for
    All nine bars begin at once: 0.4 seconds, the slowest page alone. If
    `request_site` blocked the loop (with `requests`, say), the chart would
    be the one staircase of lesson 1: 2.7 seconds. (Task-1, which is not in
    the chart, is `request_all_sites` itself.)

Traps
    - `gather` makes a task of each coroutine, and waits for all of them. If
      one raises an exception, `gather` raises it at once, and does not cancel
      the others. With `return_exceptions=True`, `gather` returns exceptions
      as if they were results, and a bug looks like a quick success: with two
      arguments in the wrong order, a learner's notebook printed "Downloaded
      9 sites in 0.003 seconds".
    - `response.content_length` is only what a header says, and may be None.
      When the status and headers are there, the body may still be on its
      way: `await response.read()` waits for it, and returns it.
    - `asyncio.run` starts an event loop. In a notebook or in Spyder, one runs
      already: there, `await request_all_sites(urls, 100)` takes its place.

Try
    python 05_aiohttp.py --limit 4
        Four pages at a time: 0.9 seconds, as with four threads.
    python 05_aiohttp.py --repeat 10
        90 pages, all at once, still in about 0.4 seconds.
    Change `await asyncio.gather(*coroutines)` to
    `[await coroutine for coroutine in coroutines]`
        `await` alone makes nothing concurrent: it takes 2.7 seconds.
    Change `await request_site(url, session)` to
    `await request_site(session, url)`
        The notebook's mistake: here, the program ends with an AttributeError.
"""

import asyncio

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

import common

TIMEOUT = ClientTimeout(sock_connect=common.TIMEOUT, sock_read=common.TIMEOUT)


async def request_site(url, session):
    """Download *url* over *session*; return its Page, arrived or failed."""
    page = common.Page(url, session, task=asyncio.current_task())
    try:
        # `async with` is a `with` that may wait, here for the headers.
        async with session.get(url, timeout=TIMEOUT) as response:
            response.raise_for_status()  # raises an error for a 404
            body = await response.read()
    # The errors that a download can cause: a bad URL may be a ValueError.
    # Any other is a bug: not caught here.
    except (ClientError, OSError, ValueError) as error:
        page.failed(error)
    else:
        page.arrived(response.status, body)
    return page


async def show_site(url, session, semaphore):
    """Download *url* when the *semaphore* lets it; show and return it."""
    # A semaphore is a counter: it lets *limit* tasks in, and others wait.
    async with semaphore:
        page = await request_site(url, session)
    common.show(page)
    return page


@common.timed
async def request_all_sites(urls, limit):
    """Download *urls*, a list, at most *limit* (1 or more) at once.

    Return their Pages, in the order of *urls*.
    """
    if limit < 1:
        raise ValueError("limit must be 1 or more")
    semaphore = asyncio.Semaphore(limit)
    # By default, aiohttp allows 100 connections at once; 0 means no limit.
    # Pages wait at the semaphore instead, before their time begins.
    connector = TCPConnector(limit=0)
    proxy = common.proxied()  # look for one only if there is any: it is slow
    async with ClientSession(connector=connector, trust_env=proxy) as session:
        coroutines = [show_site(url, session, semaphore) for url in urls]
        return await asyncio.gather(*coroutines)


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    options = common.parse(__doc__, arguments, limit=100)
    with common.sites(options) as urls:
        # `timed` adds the seconds to what request_all_sites returns.
        pages, seconds = asyncio.run(request_all_sites(urls, options.limit))
    return common.report(urls, pages, seconds)


if __name__ == "__main__":
    common.run(main)
