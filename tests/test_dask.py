"""Beyond one machine: lesson 2 on a cluster of Dask, where it is installed."""

import importlib.util
import os
import unittest
from unittest import mock

from tests import servers, support

DISTRIBUTED = importlib.util.find_spec("distributed")


@unittest.skipUnless(DISTRIBUTED, "distributed is not installed")
class Dask(unittest.TestCase):
    """A real cluster of two processes, with two threads each."""

    @classmethod
    def setUpClass(cls):
        from distributed import Client, LocalCluster

        # The processes of the cluster find the lesson where we do.
        path = {"PYTHONPATH": str(support.ROOT)}
        with mock.patch.dict(os.environ, path):
            cls.cluster = LocalCluster(
                n_workers=2, threads_per_worker=2, processes=True,
                dashboard_address=None,
            )
            cls.client = Client(cls.cluster)
        cls.addClassCleanup(cls.cluster.close)
        cls.addClassCleanup(cls.client.close)
        cls.lesson = support.module("02_threads")

    def test_map(self):
        """client.map(lesson.request_site, urls)"""
        with servers.CountingServer(gate=4) as server:
            urls = [f"{url}?{i}" for i, url in enumerate(server.urls)]
            futures = self.client.map(self.lesson.request_site, urls)
            pages = self.client.gather(futures)
            self.assertEqual(server.requests, 9)
        self.assertEqual([page.url for page in pages], urls)
        self.assertEqual({page.size for page in pages}, {10_782, 1, 56_718})
        processes = {page.session.partition("-")[0] for page in pages}
        self.assertEqual(len(processes), 2)
        self.assertEqual(len({page.session for page in pages}), 4)

    def test_executor(self):
        """client.get_executor() in place of the pool of threads"""
        with (
            servers.CountingServer(gate=4) as server,
            self.client.get_executor(pure=False) as executor,
        ):
            pages = list(executor.map(self.lesson.request_site, server.urls))
            self.assertEqual(server.requests, 9)
        self.assertEqual([page.url for page in pages], server.urls)
        self.assertEqual({page.status for page in pages}, {200})

    def test_readme(self):
        """The README's lines, with our cluster and URLs."""
        readme = (support.ROOT / "README.md").read_text("utf-8")
        section = readme.partition("## Beyond one machine")[2]
        block = section.partition("```python\n")[2].partition("```")[0]
        self.assertLess(block.count("\n"), 10)
        address = "tcp://scheduler:8786"
        self.assertIn(address, block)
        block = block.replace(address, self.cluster.scheduler_address)
        with (
            servers.CountingServer() as server,
            support.printed() as output,
        ):
            exec(block, {"urls": server.urls})
            self.assertEqual(server.requests, 9)
        self.assertEqual(output.getvalue().count(" bytes\n"), 9)
