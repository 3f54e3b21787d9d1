"""One thread, one session, and a task for each page.

This lesson uses the *event loop* of lesson 4 for the network. The loop runs
all tasks in one thread, and goes from task to task. A *task* runs a
*coroutine*, which is what you get when you call an `async def` function. When
a task comes to an `await` and must wait for the result, the loop turns to
another task. A call to `requests` would *block* the loop: during the call, no
other task could run. So this lesson uses aiohttp, whose calls can be awaited.

All tasks run in one thread, and take turns only at an `await`. An aiohttp
*session* (an object that keeps its connections open, and reuses them) is
designed for that. So all tasks can share one.

What to look for
    All nine bars begin together, so the run takes 0.4 seconds, as long as the
    slowest page. (Task-1, not in the chart, is `request_all_sites` itself.)
    If each download blocked the loop (with `requests`, say), only one page
    would be in flight at a time: one staircase, as in lesson 1, 2.7 seconds.

Traps
    - `gather` makes a task for each coroutine, and waits for all tasks. If
      one raises an exception, so does `gather`, immediately. The other tasks
      run on, but then the session is closed, so their pages are lost. (A
      TaskGroup, as in lesson 4, would cancel the other tasks.)
    - `gather(..., return_exceptions=True)` returns exceptions as if they were
      results. Then a bug looks like a quick success. A learner who passed
      two arguments in the wrong order saw "Downloaded 9 sites in 0.003
      seconds", but nothing had been downloaded.
    - When the status and the headers of a response have arrived, its body may
      still be on its way. `await response.read()` waits for it.
    - If a library has only blocking functions, `await asyncio.to_thread(...)`
      calls such a function in another thread, and the loop keeps running.
    - `asyncio.run` starts an event loop, runs a coroutine in it, and returns
      the result. In a notebook or in Spyder, a loop is already running: use
      `await` there instead, as the README shows.

Try
    python 05_aiohttp.py --limit 4
        Four pages at a time: 0.9 seconds, as with four threads.
    python 05_aiohttp.py --repeat 10
        90 pages, all at once: still in less than a second.
    Change `await asyncio.gather(*coroutines)` to
    `[await coroutine for coroutine in coroutines]`
        `await` alone makes nothing concurrent. A coroutine is not yet a task:
        Task-1 runs them one after another. The run takes 2.7 seconds.
    Above `page.arrived(response.status, body)`, add the line
    `sum(range(20_000_000))`
        Each page now needs some computing. All requests are sent before the
        first task computes, so all bars still begin together. But while one
        task computes, all others have to wait. So most pages take longer.
    Change `await request_site(url, session)` to
    `await request_site(session, url)`
        The learner's mistake. Here, the program ends with an AttributeError:
        a URL, which is a str, has no `get`.
"""

import asyncio

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

import common

# Limits in seconds: `sock_connect` is for one attempt to connect, `sock_read`
# for one wait for data, `connect` for looking up the host and all attempts.
TIMEOUT = ClientTimeout(sock_connect=common.TIMEOUT, sock_read=common.TIMEOUT,
                        connect=6 * common.TIMEOUT)


async def request_site(url, session):
    """Download *url* over *session*; return its Page, arrived or failed."""
    # The timing of this page starts here. The chart shows the task's name.
    page = common.Page(url, session, task=asyncio.current_task().get_name())
    try:
        # `async with` is a `with` that may wait, here for the headers.
        async with session.get(url, timeout=TIMEOUT) as response:
            response.raise_for_status()  # raises an error for a 404
            body = await response.read()
    except (ClientError, OSError, ValueError) as error:
        # The download failed. (Some bad URLs raise a ValueError.) Any other
        # error is a bug, and not caught.
        page.failed(error)
    else:
        page.arrived(response.status, body)
    return page


async def show_site(url, session, semaphore):
    """Download *url* when *semaphore* allows it; show and return its Page."""
    # A semaphore is a counter: it lets at most `--limit` tasks be in this
    # block at the same time. The others wait before their timing starts.
    async with semaphore:
        page = await request_site(url, session)
    common.show(page)
    return page


@common.timed  # The caller gets a pair: the Pages and the seconds.
async def request_all_sites(urls, limit):
    """Download *urls*, a list; show and return their Pages."""
    semaphore = asyncio.Semaphore(max(limit, 1))  # 0 lets no task in.
    # The connector opens the connections. By default, it allows 100 at once.
    # With more tasks, some would wait inside it, and their bars would include
    # that waiting. For a connector, `limit=0` means no limit.
    connector = TCPConnector(limit=0)
    # With trust_env, aiohttp uses a proxy, but takes more time for each page.
    proxy = common.proxy_is_set()
    async with ClientSession(connector=connector, trust_env=proxy) as session:
        coroutines = [show_site(url, session, semaphore) for url in urls]
        return await asyncio.gather(*coroutines)


def main(arguments=()):
    """Run the lesson with *arguments*, a list of str; return its status."""
    # Read the command line. (`--help` shows the first line of this file.)
    options = common.parse(__doc__, arguments, limit=100)
    # The practice site runs inside this `with`, unless you gave other URLs.
    with common.sites(options) as urls:
        pages, seconds = asyncio.run(request_all_sites(urls, options.limit))
    # Print the summary and the chart.
    return common.report(urls, pages, seconds)


if __name__ == "__main__":
    common.run(main)  # with the arguments of the command line
