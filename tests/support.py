"""How the tests run a lesson: as a person does, or as an import."""

import ast
import asyncio
import concurrent.futures
import contextlib
import importlib
import inspect
import io
import os
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LESSONS = [
    "01_sync",
    "02_threads",
    "03_processes",
    "04_asyncio_sleep",
    "05_aiohttp",
]
DOWNLOADING = [name for name in LESSONS if not name.startswith("04")]

#: Names that would send a lesson elsewhere; the tests set their own.
MEDDLING = ("_PROXY", "_CA_BUNDLE", "SSL_CERT_FILE", "PYTHONPATH", "LESSON_")


def environment(**changes):
    """Return this environment without what meddles, and with *changes*."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not any(part in name.upper() for part in MEDDLING)
    }
    return {**kept, "PYTHONIOENCODING": "utf-8", **changes}


def command(lesson, *arguments, flags=()):
    """Return the command line that runs *lesson*."""
    path = str(ROOT / f"{lesson}.py")
    return [sys.executable, *flags, path, *map(str, arguments)]


def run(lesson, *arguments, flags=(), env=None, timeout=60, **options):
    """Run *lesson* as a person does; return a CompletedProcess with text."""
    return subprocess.run(
        command(lesson, *arguments, flags=flags),
        env=env or environment(),
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        **{"encoding": "utf-8", "capture_output": True, **options},
    )


def module(lesson):
    """Import *lesson*."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(lesson)


@contextlib.contextmanager
def printed():
    """Yield a StringIO that gets what is printed meanwhile."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        yield output


def code_lines(path):
    """Return the lines of code in *path*: no docstring, comment or blank."""
    source = Path(path).read_text(encoding="utf-8")
    doc = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(
            node.value, ast.Constant
        ):
            doc |= set(range(node.lineno, node.end_lineno + 1))
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    numbered = enumerate(lines, start=1)
    return [line for i, line in numbered if line.strip() and i not in doc]


def complete(result):
    """Return *result*, of a main; if it is a coroutine, run it first."""
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    return result


@contextlib.contextmanager
def complained():
    """Yield a StringIO that gets what goes to standard error meanwhile."""
    with contextlib.redirect_stderr(io.StringIO()) as output:
        yield output


@contextlib.contextmanager
def customized(code, method=None, **changes):
    """Yield an environment in which each Python first runs *code*.

    With *method*, processes of multiprocessing start in that way.
    """
    if method:
        code += f"""
import multiprocessing
multiprocessing.set_start_method({method!r}, force=True)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(code, encoding="utf-8")
        yield environment(PYTHONPATH=folder, **changes)


def started_by(method):
    """Return a context with an environment where processes start so."""
    return customized("", method)


def each(test, check, cases, at_once=8):
    """Call *check* with each of *cases*, tuples, several *at_once*.

    What it raises is raised again, one by one, in a subtest of *test*.
    Returns a list of what it returned.
    """
    cases = list(cases)
    with concurrent.futures.ThreadPoolExecutor(at_once) as executor:
        futures = [executor.submit(check, *case) for case in cases]
    results = []
    for case, future in zip(cases, futures, strict=True):
        with test.subTest(case=case):
            results.append(future.result())
    return results
