"""The places people run the lessons from: proxies, consoles, folders."""

import importlib.util
import itertools
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import unittest.mock
from pathlib import Path

from tests import servers, support

#: Resolves every name to this machine, and the ports of the web to ours.
RESOLVER = """
import os, socket
real = socket.getaddrinfo
ports = {{80: {plain}, 443: {tls}}}
def getaddrinfo(host, port, *args, **kwargs):
    if host.endswith(".org") or host.endswith("realpython.com"):
        return real("127.0.0.1", ports[port], *args, **kwargs)
    return real(host, port, *args, **kwargs)
socket.getaddrinfo = getaddrinfo
"""

LIVE = (
    "https://www.jython.org",
    "http://olympus.realpython.org/dice",
    "https://realpython.com",
)


#: Lesson 4, without its nine seconds.
NO_SLEEP = ("04_asyncio_sleep", "--step", "0")

#: Closes standard input, then runs the program that its arguments name.
WITHOUT_INPUT = (
    "import os, subprocess, sys; os.close(0); "
    "sys.exit(subprocess.call(sys.argv[1:], close_fds=False))"
)


class Pages(servers.RawServer):
    """Has a page at / and at /dice."""

    def __init__(self, tls=False):
        page = (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
            b"Content-Length: 4\r\n\r\nlive"
        )
        super().__init__({"/": page, "/dice": page}, tls)


class Live(unittest.TestCase):
    """`--live`, as far as it goes on a machine without a network."""

    def check_live(self, result):
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("Downloaded 9 sites in ", result.stdout)
        lines = result.stdout.splitlines()
        for url in LIVE:
            ends = [line for line in lines if line.endswith(f" 200  {url}")]
            self.assertEqual(len(ends), 3, result.stdout)

    def test_by_name(self):
        with Pages() as plain, Pages(tls=True) as tls:
            code = RESOLVER.format(
                plain=plain.server_address[1], tls=tls.server_address[1]
            )
            trust = {"REQUESTS_CA_BUNDLE": str(servers.CERTIFICATE)}

            def check(lesson, trusted):
                with support.customized(code, **trusted) as env:
                    result = support.run(lesson, "--live", env=env)
                if trusted:
                    self.check_live(result)
                else:
                    told = "Downloaded 3 of 9 sites in "
                    self.assertIn(told, result.stdout)
                    self.assertEqual(result.returncode, 1)

            cases = itertools.product(support.DOWNLOADING, [trust, {}])
            support.each(self, check, cases)

    def test_through_a_proxy(self):
        def check(lesson, *names):
            with (
                Pages() as plain,
                Pages(tls=True) as tls,
                servers.Proxy(plain, tls) as proxy,
            ):
                env = support.environment(
                    REQUESTS_CA_BUNDLE=str(servers.CERTIFICATE),
                    **dict.fromkeys(names, proxy.address),
                )
                self.check_live(support.run(lesson, "--live", env=env))
                asked = {line.split()[1] for line in proxy.asked}
                tunnels = {"www.jython.org:443", "realpython.com:443"}
                self.assertEqual(asked, {*tunnels, LIVE[1]})

        names = "HTTP_PROXY", "HTTPS_PROXY"
        cases = [(lesson, *names) for lesson in support.DOWNLOADING]
        cases += [("05_aiohttp", *map(str.lower, names))]
        cases += [("02_threads", "all_proxy"), ("05_aiohttp", "ALL_PROXY")]
        support.each(self, check, cases)


class Proxy(unittest.TestCase):
    """URLs go through the proxy of the environment; practice does not."""

    def test_url(self):
        def check(lesson):
            with (
                servers.CountingServer() as server,
                servers.Proxy(server) as proxy,
            ):
                env = support.environment(HTTP_PROXY=proxy.address)
                url = "http://name.invalid/jython"
                result = support.run(lesson, url, env=env)
                self.assertIn(" 10782 ", result.stdout)
                self.assertEqual(len(proxy.asked), 1)
                env["NO_PROXY"] = "127.0.0.1"
                result = support.run(lesson, server.urls[0], env=env)
                self.assertIn(" 10782 ", result.stdout)
                self.assertEqual(len(proxy.asked), 1)

        support.each(self, check, zip(support.DOWNLOADING))

    def test_without_a_scheme(self):
        def check(lesson):
            with (
                servers.CountingServer() as server,
                servers.Proxy(server) as proxy,
            ):
                address = proxy.address.removeprefix("http://")
                env = support.environment(http_proxy=address)
                result = support.run(lesson, server.urls[0], env=env)
                self.assertIn("Downloaded 1 sites", result.stdout)
                self.assertEqual(len(proxy.asked), 1)

        support.each(self, check, [("01_sync",), ("05_aiohttp",)])

    def test_environment_is_left_alone(self):
        common = support.module("common")
        before = dict(os.environ)
        with common.practice_site():
            self.assertEqual(os.environ["no_proxy"], "127.0.0.1")
        self.assertEqual(dict(os.environ), before)

    def test_nobody_else_pays(self):
        """Without a proxy, aiohttp is not told to look for one."""
        common = support.module("common")
        for env, wanted in (
            ({}, False),
            ({"NO_PROXY": "example.org"}, False),
            ({"HTTPS_PROXY": "http://127.0.0.1:1"}, True),
        ):
            with (
                self.subTest(env=env),
                unittest.mock.patch.dict(
                    os.environ, support.environment(**env), clear=True
                ),
            ):
                self.assertIs(common.proxied(), wanted)


class Console(unittest.TestCase):
    """Consoles that cannot show everything."""

    def test_encodings(self):
        def check(lesson, encoding):
            url = f"{server.address}/jython?\ud55c\uae00"
            env = support.environment(PYTHONIOENCODING=encoding)
            result = support.run(lesson, url, env=env, encoding=encoding)
            self.assertEqual(result.stderr, "")
            self.assertIn("Downloaded 1 sites", result.stdout)
            can = encoding in ("cp949", "utf-8")
            shown = "\ud55c\uae00" if can else r"\ud55c\uae00"
            self.assertIn(shown, result.stdout)
            block = "\u2588" if encoding == "utf-8" else "#"
            self.assertIn(f" {block}", result.stdout)

        encodings = ("ascii", "cp1252", "cp949", "utf-8")
        with servers.CountingServer() as server:
            cases = [("02_threads", encoding) for encoding in encodings]
            cases += [("03_processes", "cp949"), ("05_aiohttp", "ascii")]
            support.each(self, check, cases)

    def test_empty_environment(self):
        # Windows starts no Python without this one.
        env = {k: v for k, v in os.environ.items() if k == "SYSTEMROOT"}
        env = env or {"_": ""}

        def check(lesson):
            with servers.CountingServer() as server:
                result = support.run(lesson, *server.urls, env=env)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn("Downloaded 9 sites", result.stdout)

        support.each(self, check, zip(support.DOWNLOADING))

    @unittest.skipUnless(os.name == "posix", "closes a file as `>&-` does")
    def test_standard_output_closed(self):
        def check(lesson):
            with servers.CountingServer() as server:
                result = support.run(
                    lesson, *server.urls, capture_output=False,
                    stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1),
                )
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertEqual(server.requests, 9)

        support.each(self, check, zip(support.DOWNLOADING))

    def test_wrong_timeout(self):
        for text in ("soon", "-1", "nan", "0"):
            with self.subTest(text=text):
                env = support.environment(LESSON_TIMEOUT=text)
                result = support.run("02_threads", env=env)
                self.assertEqual(result.returncode, 2)
                self.assertEqual(result.stderr.count("\n"), 1)
                self.assertIn(f"LESSON_TIMEOUT: {text!r}", result.stderr)


class Practice(unittest.TestCase):
    """The practice site, in places that could get in its way."""

    def test_practice_site(self):
        with (
            servers.RawServer({}) as plain,
            servers.Proxy(plain) as proxy,
            tempfile.TemporaryDirectory() as elsewhere,
        ):
            names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
            proxied = dict.fromkeys(names, proxy.address)
            development = "-X dev -W error"
            places = {
                "a proxy": {"env": support.environment(**proxied)},
                development: {"flags": ["-X", "dev", "-W", "error"]},
                "another folder": {"cwd": elsewhere},
                "no standard input": {
                    "flags": ["-c", WITHOUT_INPUT, sys.executable]
                },
            }

            def check(place, lesson, *arguments):
                result = support.run(lesson, *arguments, **places[place])
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                if not arguments:
                    self.assertIn("Downloaded 9 sites", result.stdout)

            lessons = [(lesson,) for lesson in support.DOWNLOADING]
            cases = [(development, *case) for case in [*lessons, NO_SLEEP]]
            cases += [("a proxy", *case) for case in lessons[1:]]
            cases += [("another folder", *lessons[1])]
            cases += [("no standard input", *lessons[2])]
            support.each(self, check, cases, at_once=20)
            self.assertEqual(proxy.asked, [])


class Folder(unittest.TestCase):
    """Any working directory, any name of the folder."""

    def test_spaces_and_hangul(self):
        with tempfile.TemporaryDirectory() as elsewhere:
            folder = Path(elsewhere, "my lessons \ud55c\uae00")
            folder.mkdir()
            for path in support.ROOT.glob("*.py"):
                shutil.copy(path, folder)

            def check(lesson, method):
                with (
                    support.started_by(method) as env,
                    servers.CountingServer(gate=4) as server,
                ):
                    command = sys.executable, folder / f"{lesson}.py"
                    result = subprocess.run(
                        [*command, *server.urls], env=env, cwd=elsewhere,
                        capture_output=True, encoding="utf-8", timeout=60,
                    )
                    self.assertEqual(result.stderr, "")
                    self.assertIn("Downloaded 9 sites", result.stdout)

            cases = [("03_processes", "spawn"), ("05_aiohttp", "spawn")]
            support.each(self, check, cases)


class Queue(unittest.TestCase):
    """A page that waits for its turn does not time out."""

    def test_queue(self):
        seconds = threading.Event()  # never set: a wait that takes its time

        def slow(client, _):
            seconds.wait(0.1)
            client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")

        def check(lesson, option):
            env = support.environment(LESSON_TIMEOUT="0.5")
            options = "--repeat", 120, option, 8
            result = support.run(lesson, server.address, *options, env=env)
            self.assertIn("Downloaded 120 sites in ", result.stdout)
            self.assertIn("at most 8 pages", result.stdout)

        with servers.RawServer({"/": slow}) as server:
            cases = [("02_threads", "--workers"), ("05_aiohttp", "--limit")]
            support.each(self, check, [*cases, ("03_processes", "--workers")])


NOTEBOOK = all(map(importlib.util.find_spec, ["nbclient", "ipykernel"]))


@unittest.skipUnless(NOTEBOOK, "nbclient and ipykernel are not installed")
class Notebook(unittest.TestCase):
    """A real kernel shows every line, however processes start."""

    def run_cells(self, *cells, env, folder=support.ROOT):
        import nbclient
        import nbformat

        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
        )
        client = nbclient.NotebookClient(
            notebook, timeout=60, kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=env)
        outputs = [cell.outputs for cell in notebook.cells]
        return [
            "".join(part.get("text", "") for part in parts)
            for parts in outputs
        ]

    def test_lessons(self):
        there = multiprocessing.get_all_start_methods()
        for method in {"fork", "spawn"} & {*there}:
            with (
                support.started_by(method) as env,
                servers.CountingServer() as server,
            ):
                cells = ["import importlib"]
                for lesson in support.DOWNLOADING:
                    cell = (
                        f"importlib.import_module({lesson!r})"
                        f".main({server.urls!r});"
                    )
                    await_ = "await " if lesson == "05_aiohttp" else ""
                    cells.append(await_ + cell)
                cells.append(textwrap.dedent("""\
                    lesson = importlib.import_module("04_asyncio_sleep")
                    lesson.main(["--step", "0.01"]);
                    await lesson.process_async(0.01, []);"""))
                _, *told, sleep = self.run_cells(*cells, env=env)
                pairs = zip(support.DOWNLOADING, told, strict=True)
                for lesson, text in pairs:
                    with self.subTest(lesson=lesson, method=method):
                        self.assertIn("\nDownloaded 9 sites in ", text)
                        self.assertEqual(text.count(" 200  http://"), 9)
                        if lesson == "01_sync":
                            self.assertIn("\n1 thread over 1 session", text)
                self.assertEqual(sleep.count("One - 3 works are done!"), 3)
                self.assertEqual(sleep.count(">>> total seconds:"), 2)

    def test_readme(self):
        """The README's four lines, as they stand but for the folder."""
        readme = (support.ROOT / "README.md").read_text("utf-8")
        section = readme.partition("## In a notebook")[2]
        block = section.partition("```python\n")[2].partition("```")[0]
        self.assertEqual(block.count("\n"), 4)
        with tempfile.TemporaryDirectory() as elsewhere:
            cell = block.replace("path/to/this/folder", str(support.ROOT))
            env = support.environment()
            (text,) = self.run_cells(cell, env=env, folder=elsewhere)
        self.assertEqual(text.count("Downloaded 9 sites in "), 2)
        self.assertIn("4 processes over 4 sessions", text)
