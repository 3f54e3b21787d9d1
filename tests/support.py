"""How the tests run a lesson: as an import, or as a program."""

import asyncio
import contextlib
import functools
import importlib
import inspect
import io
import multiprocessing
import os
import subprocess
import sys
import types
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
DOWNLOADING = ["01_sync", "02_threads", "03_processes", "05_aiohttp"]
LESSONS = [*DOWNLOADING, "04_asyncio_sleep"]
STRICT = ["-X", "dev", "-W", "error"]
POSIX = unittest.skipUnless(os.name == "posix", "Windows has no such thing")

#: This environment, without what leads a lesson elsewhere.
ENVIRONMENT = {"PYTHONIOENCODING": "utf-8"} | {
    name: value for name, value in os.environ.items()
    if not name.upper().endswith(("_PROXY", "_BUNDLE", "_CERT_FILE"))
}

SHORT = 0.1  # Seconds to wait for a server that never answers.

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def load(lesson):
    """Import *lesson*."""
    return importlib.import_module(lesson)


def set_session():
    """Be the initializer of a pool of lesson 3 that waits for SHORT only."""
    load("common").TIMEOUT = SHORT
    load("03_processes").set_session()


@contextlib.contextmanager
def short_timeouts(seconds=SHORT):
    """Let the lessons wait *seconds* for a silent server, not ten."""
    lesson = load("05_aiohttp")  # It reads the number when it is imported.
    with (
        mock.patch.object(load("common"), "TIMEOUT", seconds),
        mock.patch.object(load("03_processes"), "set_session", set_session),
    ):
        importlib.reload(lesson)
        yield
    importlib.reload(lesson)


def run(lesson, *arguments):
    """Run `main` of *lesson*, a name or a module; return status and output.

    Its processes are not forked: this one has threads.
    """
    module = load(lesson) if isinstance(lesson, str) else lesson
    methods = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in methods else "spawn"
    multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_forkserver_preload(["03_processes"])
    output = io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        mock.patch.dict(os.environ, ENVIRONMENT, clear=True),
    ):
        try:
            status = module.main([str(argument) for argument in arguments])
            if inspect.iscoroutine(status):
                status = asyncio.run(status)
        except SystemExit as end:
            status = end.code
    return status, output.getvalue()


def start(lesson, *arguments, flags=(), **options):
    """Start *lesson* as a program that a terminal of its own would run."""
    options = {"env": ENVIRONMENT, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        [sys.executable, *flags, ROOT / f"{lesson}.py", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8",
        start_new_session=True, **options,
    )


def finish(program, timeout=120):
    """Return the status of *program*, its output and its errors."""
    with program:
        output, errors = program.communicate(timeout=timeout)
    return program.returncode, output, errors


@functools.cache
def defaults():
    """Start each lesson with its defaults; return the programs by lesson.

    Whatever Python warns of is an error there.
    """
    return {name: start(name, flags=STRICT) for name in LESSONS}


@functools.cache
def default(lesson):
    """Return the status, output and errors of *lesson* with its defaults."""
    return finish(defaults()[lesson])


def edited(lesson, *changes):
    """Return *lesson* as a module, its code changed as an editor would.

    *changes* are pairs of what is there and of what takes its place.
    """
    source = (ROOT / f"{lesson}.py").read_text("utf-8")
    text, code = source.split('"""\n\n', 1)
    for old, new in changes:
        if old not in code:
            raise unittest.SkipTest(f"{lesson} has no {old!r} to be edited")
        code = code.replace(old, new)
    module = types.ModuleType(lesson)
    exec(compile(f'{text}"""\n\n{code}', lesson, "exec"), vars(module))
    return module
