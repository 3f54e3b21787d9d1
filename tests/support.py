"""How the tests run a lesson: as a module, or as a program."""

import contextlib
import importlib
import io
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
DOWNLOADING = ["01_sync", "02_threads", "03_processes", "05_aiohttp"]
LESSONS = [*DOWNLOADING, "04_asyncio_sleep"]
README = (ROOT / "README.md").read_text("utf-8")
#: The option of a lesson that limits its pages in flight.
OPTION = {"02_threads": "--workers", "03_processes": "--workers",
          "05_aiohttp": "--limit"}
STRICT = ["-X", "dev", "-W", "error"]
POSIX = unittest.skipUnless(os.name == "posix", "not on Windows")

#: The environment, without what would change what a lesson does.
ENVIRONMENT = {"PYTHONIOENCODING": "utf-8"} | {
    name: value for name, value in os.environ.items()
    if not name.upper().endswith(("_PROXY", "_BUNDLE", "_CERT_FILE"))
    and not name.upper().startswith("PYTHON")
}

SHORT = 0.1  # Seconds to wait for a server that never answers.

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def load(lesson):
    """Import *lesson*, whose name begins with a digit."""
    return importlib.import_module(lesson)


def start_impatient_worker():
    """Start a worker of lesson 3 that waits for only SHORT seconds."""
    load("common").TIMEOUT = SHORT
    load("03_processes").start_worker()


@contextlib.contextmanager
def short_timeouts(seconds=SHORT):
    """Let the lessons wait *seconds* for a silent server, not ten."""
    common, processes = load("common"), load("03_processes")
    lesson = load("05_aiohttp")  # It reads TIMEOUT when it is imported.
    worker = start_impatient_worker
    with (
        mock.patch.object(common, "TIMEOUT", seconds),
        mock.patch.object(processes, "start_worker", worker),
    ):
        importlib.reload(lesson)
        yield
    importlib.reload(lesson)


@contextlib.contextmanager
def processes_not_forked():
    """Start processes by forkserver or spawn: this process has threads."""
    before = multiprocessing.get_start_method(allow_none=True)
    methods = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in methods else "spawn"
    multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_forkserver_preload(["03_processes"])
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)


def run(lesson, *arguments):
    """Run `main` of *lesson*, a name or a module; return status and output."""
    module = load(lesson) if isinstance(lesson, str) else lesson
    output = io.StringIO()
    with (
        processes_not_forked(),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        mock.patch.dict(os.environ, ENVIRONMENT, clear=True),
    ):
        try:
            status = module.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
    return status, output.getvalue()


def start(lesson, *arguments, flags=(), **options):
    """Start *lesson* as a program, as if in a terminal of its own."""
    options = {"env": ENVIRONMENT, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        [sys.executable, *flags, ROOT / f"{lesson}.py", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8",
        start_new_session=True, **options,
    )


def finish(program, timeout=120):
    """Return the status of *program*, its output and its errors.

    This returns when all processes of the program are gone: until then, they
    hold its pipes open.
    """
    with program:
        output, errors = program.communicate(timeout=timeout)
    return program.returncode, output, errors


def changed(lesson, *changes):
    """Return the source of *lesson*, its code changed as an editor would.

    *changes* are pairs: the old text and the new text.
    """
    source = (ROOT / f"{lesson}.py").read_text("utf-8")
    text, code = source.split('"""\n\n', 1)
    for old, new in changes:
        if old not in code:
            raise AssertionError(f"{lesson} has no {old!r} to change")
        code = code.replace(old, new)
    return f'{text}"""\n\n{code}'


def edited(lesson, *changes):
    """Return *lesson* as a module, with *changes*."""
    module = types.ModuleType(lesson)
    exec(compile(changed(lesson, *changes), lesson, "exec"), vars(module))
    return module


@contextlib.contextmanager
def edited_copy(lesson, *changes):
    """Yield the path, without .py, of a copy of *lesson* with *changes*."""
    with tempfile.TemporaryDirectory() as folder:
        source = changed(lesson, *changes)
        Path(folder, "edited.py").write_text(source, "utf-8")
        shutil.copy(ROOT / "common.py", folder)
        yield Path(folder, "edited")
