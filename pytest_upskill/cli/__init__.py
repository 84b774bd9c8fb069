"""`pytest-upskill`: what is not a test run."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from pytest_upskill.cli import cache, doctor, kernel, lint
from pytest_upskill.errors import UpskillError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 fine, 1 something was found wrong, 2 wrong use."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not know all letters
    parser = argparse.ArgumentParser(prog="pytest-upskill", description="Skill regression testing for pytest")
    commands = parser.add_subparsers(dest="command", required=True)
    lint.add(commands)
    cache.add(commands)
    doctor.add(commands)
    kernel.add(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except UpskillError as error:
        print(f"pytest-upskill: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever reads has had enough, as `head` does; the interpreter would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
