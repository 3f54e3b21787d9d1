"""A notebook kernel and a Dask cluster, where these are installed."""

import importlib.util
import multiprocessing
import os
import re
import unittest
from unittest import mock

from tests.server import Server
from tests.support import ENVIRONMENT, README, ROOT

_, CELL, AWAITING_CELL = re.findall(r"```python\n(.*?)```", README, re.S)
DASK_CALL = re.search(r"`(client\.map\(.*?\))`", README)[1]
NOTEBOOK = all(map(importlib.util.find_spec, ("nbclient", "ipykernel")))
DASK = importlib.util.find_spec("distributed")


@unittest.skipUnless(NOTEBOOK, "nbclient and ipykernel are not installed")
class Notebook(unittest.TestCase):
    """A real kernel shows every line."""

    first = CELL.replace("path/to/this/folder", ROOT.as_posix())

    def run_cells(self, *cells):
        """Return what the last of *cells* prints, in a kernel elsewhere."""
        import nbclient
        import nbformat

        made = [nbformat.v4.new_code_cell(cell) for cell in cells]
        notebook = nbformat.v4.new_notebook(cells=made)
        client = nbclient.NotebookClient(notebook, timeout=60)
        client.execute(env=ENVIRONMENT, cwd=os.path.abspath(os.sep))
        parts = notebook.cells[-1].outputs
        return "".join(part.get("text", "") for part in parts)

    def test_readme(self):
        """The cells of the README work, by each start method."""
        sleep = ("lesson = importlib.import_module('04_asyncio_sleep')\n"
                 "await lesson.process_async(0.01)")
        runs = [(self.first, sleep, AWAITING_CELL)]
        for method in multiprocessing.get_all_start_methods():
            choose = ("import multiprocessing\n"
                      f"multiprocessing.set_start_method('{method}')")
            runs.append((choose, self.first, self.first))
        for cells in runs:
            output = self.run_cells(*cells)
            self.assertIn("\nDownloaded 9 sites in ", output)
            self.assertEqual(output.count(" 200  http://"), 9)

    def test_interrupt(self):
        """It is a KeyboardInterrupt, and the kernel keeps running."""
        press = ("import _thread\n"
                 "lesson.common.show = lambda page: _thread.interrupt_main()\n"
                 "sys.argv[1:] = []\n"
                 "for main in (lesson.main,\n"
                 "             lambda: lesson.common.run(lesson.main)):\n"
                 "    try: main()\n"
                 "    except KeyboardInterrupt: print('heard')")
        output = self.run_cells(self.first, press)
        self.assertEqual(output.count("heard"), 2)


@unittest.skipUnless(DASK, "distributed is not installed")
class Dask(unittest.TestCase):
    """Lesson 2 on a cluster of two processes, with two threads each."""

    def test_readme(self):
        from distributed import Client, LocalCluster

        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
        with mock.patch.dict(os.environ, environment, clear=True):
            cluster = LocalCluster(n_workers=2, threads_per_worker=2,
                                   dashboard_address=None)
        with cluster, Client(cluster) as client, Server(gate=4) as server:
            names = {"client": client, "urls": server.urls,
                     "lesson": importlib.import_module("02_threads")}
            pages = client.gather(eval(DASK_CALL, names))
            self.assertEqual((len(server.seen), server.most), (9, 4))
        sizes = [page.size for page in pages if not page.error]
        self.assertEqual(sizes, [10_782, 1, 56_718] * 3)
