"""Every way to fail, and the odd ways to succeed, in each lesson."""

import re
import socket
import unittest
from unittest import mock

from tests.answers import FAULTS, ODD
from tests.server import Server
from tests.support import (
    DOWNLOADING, ENVIRONMENT, OPTION, SLEEPING, edited, run,
)


class Answers(unittest.TestCase):
    def test_whole_catalogue(self):
        """One run downloads all that is wrong, and all that is only odd."""
        with Server() as server, Server(tls=True) as tls:
            causes = {
                server.address + path: cause
                for path, (_, cause) in FAULTS.items()
            } | {
                "HTTP://127.0.0.1:1/": ": .*(refused|cannot connect)",
                f"{tls.address}/untrusted": "certificate",
                "http://a..b/": "label",
                "http://[::1/": r"\[::1",
                "http://a:99999/": "99999",
            }
            sizes = {server.address + path: size
                     for path, (_, size) in ODD.items()}
            for lesson in DOWNLOADING:
                status, output = run(lesson, *causes, *sizes)
                lines = [rf"(?i) FAILED  {re.escape(url)}  .*({cause})"
                         for url, cause in causes.items()]
                lines += [rf" {size} +20[04]  {re.escape(url)}\n"
                          for url, size in sizes.items()]
                lines += [f"Downloaded {len(sizes)} of {len(lines)} sites in "]
                for line in lines:
                    with self.subTest(lesson, line=line):
                        self.assertRegex(output, line)
                self.assertEqual(status, 1)
                self.assertTrue(output.replace("\n", " ").isprintable())
                self.assertLess(max(map(len, output.splitlines())), 400)

    def test_unknown_host(self):
        unknown = socket.gaierror(socket.EAI_NONAME, "name not known")
        for lesson in DOWNLOADING:
            with (
                self.subTest(lesson),
                mock.patch("socket.getaddrinfo", side_effect=unknown),
            ):
                _, output = run(edited(lesson), "http://unknown.invalid/")
                self.assertRegex(output, "FAILED.*name not known")

    def test_silence(self):
        """Neither a server nor a proxy keeps a lesson waiting forever."""
        impatient = "common.TIMEOUT", "0.1"
        for lesson in DOWNLOADING:
            with self.subTest(lesson), Server() as server:
                urls = [f"{server.address}/silent",
                        f"{server.address}/stalled", "https://silent.invalid/"]
                env = ENVIRONMENT | {"https_proxy": server.address}
                status, output = run(edited(lesson, impatient), *urls, env=env)
                self.assertEqual(status, 1)
                failed = re.findall(r"FAILED  (\S+) .*[Tt]ime", output)
                self.assertEqual(sorted(failed), sorted(urls))

    def test_slow_body(self):
        """aiohttp's timeout is for each pause, not for the whole page."""
        impatient = edited("05_aiohttp", ("common.TIMEOUT", "0.6"))
        with Server() as server:
            status, output = run(impatient, f"{server.address}/drip")
            self.assertEqual(status, 0, output)


class OwnMistakes(unittest.TestCase):
    def test_are_raised(self):
        """A mistake in a lesson is raised, not shown as a failed page.

        This is so even for a ValueError, if the library does not raise it.
        """
        for lesson in DOWNLOADING:
            library = "requests.Session.get"
            if lesson == "05_aiohttp":
                library = "aiohttp.ClientSession.get"
            for place, error in (
                (library, TypeError), ("common.Page.arrived", ValueError),
            ):
                with (
                    self.subTest(lesson, place=place),
                    Server() as server,
                    mock.patch(place, side_effect=error("our own")),
                    self.assertRaisesRegex(error, "our own"),
                ):
                    run(edited(lesson), *server.urls)


class CommandLine(unittest.TestCase):
    def check(self, named, lesson, *arguments):
        with self.subTest(lesson, arguments=arguments):
            status, output = run(lesson, *arguments)
            self.assertEqual(status, 2)
            self.assertRegex(output, rf"(?s)\Ausage: .*error: .*{named}")

    def test_wrong_arguments(self):
        for lesson in DOWNLOADING:
            self.check("--nonsense", lesson, "--nonsense")
            for url in ("//a/", "host/page", "httpx://a/", ""):
                self.check(f"https:// URL: '{url}'", lesson, "http://a/", url)
            self.check("--live", lesson, "--live", "http://a/")
            options = ["--repeat"]
            if lesson in OPTION:
                options.append(OPTION[lesson])
            for option in options:
                for number in ("0", "-1", "1.5", "x", "10001"):
                    self.check(f"{option}: .*{number}", lesson, option, number)
        for number in ("-1", "nan", "inf", "x"):
            self.check(f"--step: .*{number}", SLEEPING, "--step", number)
