"""How the tests run a lesson: in their own process, or as a program."""

import contextlib
import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import types
import unittest
from importlib import import_module
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")

DOWNLOADING = ["01_sync", "02_threads", "03_processes", "05_aiohttp"]
SLEEPING = "04_asyncio_sleep"
# The option of a lesson that limits its pages in flight.
OPTION = {"02_threads": "--workers", "03_processes": "--workers",
          "05_aiohttp": "--limit"}

# The environment, without what would change how a lesson runs.
ENVIRONMENT = {"PYTHONIOENCODING": "utf-8"} | {
    name: value for name, value in os.environ.items()
    if not name.upper().startswith("PYTHON")
    and not name.upper().endswith(
        ("_PROXY", "_BUNDLE", "_CERT_FILE", "FORCE_COLOR"))
}

posix_only = unittest.skipUnless(os.name == "posix", "not on Windows")


@contextlib.contextmanager
def processes_not_forked():
    """Start processes by forkserver or spawn: this process has threads."""
    before = multiprocessing.get_start_method(allow_none=True)
    method = "forkserver" if os.name == "posix" else "spawn"
    multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_forkserver_preload(["03_processes"])
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)


def run(lesson, *arguments, env=ENVIRONMENT):
    """Run `main` of *lesson*, a name or a module; return status and output."""
    module = import_module(lesson) if isinstance(lesson, str) else lesson
    output = io.StringIO()
    with (
        processes_not_forked(),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        mock.patch.dict(os.environ, env, clear=True),
    ):
        try:
            status = module.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
    return status, output.getvalue()


def start(lesson, *arguments, flags=(), env=ENVIRONMENT):
    """Start *lesson*, a name or a path, as if in a terminal of its own.

    After a minute, it is killed: no test waits forever.
    """
    program = subprocess.Popen(
        [sys.executable, *flags, ROOT / f"{lesson}.py", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8", env=env,
        start_new_session=True,
    )
    timer = threading.Timer(60, kill, [program])
    timer.daemon = True
    timer.start()
    return program


def kill(program):
    """Kill *program* and all its processes, unless it has ended."""
    if program.returncode is None:
        if os.name == "posix":
            os.killpg(program.pid, signal.SIGKILL)
        program.kill()


def read_until(program, text):
    """Read the output of *program* up to a line with *text*; return it."""
    for line in program.stdout:
        if text in line:
            return line
    raise AssertionError(f"{text!r} was never printed: {finish(program)}")


def finish(program):
    """Return the status of *program*, its output and its errors.

    This returns when all its processes are gone, except for the practice site:
    until then, they hold its pipes open.
    """
    with program:
        try:
            output, errors = program.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            kill(program)
            raise
    return program.returncode, output, errors


def finish_well(program):
    """Return the output of *program*, which must end well and silently."""
    status, output, errors = finish(program)
    if status or errors:
        raise AssertionError(f"status {status}: {errors}")
    return output


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
    """Return *lesson* as a module, with *changes*.

    Lesson 3 gets threads in place of its processes: new processes would
    import the unchanged file, and no mock would reach them.
    """
    if lesson == "03_processes":
        changes += (("ProcessPoolExecutor", "ThreadPoolExecutor"),
                    ("common.prepare_worker()", "pass"))
    module = types.ModuleType(lesson)
    exec(compile(changed(lesson, *changes), lesson, "exec"), vars(module))
    return module


@contextlib.contextmanager
def edited_copy(lesson, *changes):
    """Yield the path, without .py, of a copy of *lesson* with *changes*.

    The name of its folder has spaces and Hangul in it, as a user's might.
    """
    with tempfile.TemporaryDirectory(prefix="my \ud55c\uae00 ") as folder:
        copy = Path(folder, "edited.py")
        copy.write_text(changed(lesson, *changes), "utf-8")
        shutil.copy(ROOT / "common.py", folder)
        yield copy.with_suffix("")
