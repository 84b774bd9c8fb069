"""`pytest-upskill cache`: what the store holds, and what is to become of it."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pytest_upskill.calls.store_file import StoreFile
from pytest_upskill.calls.store_tools import Endpoint, exported, find_store, mend, prune, summary, verify
from pytest_upskill.errors import UpskillError
from pytest_upskill.suite.text import shown

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(\d{1,5})([hdw])")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    group = commands.add_parser("cache", help="look into the store of replies, make it smaller, check it")
    actions = group.add_subparsers(dest="action", required=True)
    _action(actions, "info", "what it holds, by endpoint").set_defaults(run=_info)
    parser = _action(actions, "prune", "remove old replies")
    parser.add_argument(
        "--older-than", metavar="AGE", type=_age, required=True, help="hours, days or weeks: 12h, 30d or 2w"
    )
    parser.set_defaults(run=_prune)
    parser = _action(actions, "export", "write its replies as lines of JSON")
    parser.add_argument("target", metavar="FILE", help="a file to write, or - for standard output")
    parser.set_defaults(run=_export)
    parser = _action(actions, "verify", "check the file and every reply in it")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="another file, such as one moved aside"
    )
    parser.add_argument(
        "--mend", action="store_true", help="move a damaged store aside and keep what is intact"
    )
    parser.set_defaults(run=_verify)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=words)
    parser.add_argument(
        "--cache-dir", metavar="DIR", type=Path, help="folder of the store (default: .upskill here or above)"
    )
    return parser


def _age(text: str) -> float:
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an age: give hours, days or weeks, such as 12h, 30d or 2w"
        )
    return int(match[1]) * _SECONDS[match[2]]


def _store(options: argparse.Namespace) -> StoreFile:
    return StoreFile(find_store(options.cache_dir, Path.cwd()), _say)


def _say(sentence: str) -> None:
    print(f"pytest-upskill: {sentence}", file=sys.stderr)


def _info(options: argparse.Namespace) -> int:
    file = _store(options)
    found = summary(file)
    waiting = f", {_counted(found.batches, 'open batch', 'open batches')}" if found.batches else ""
    print(shown(file.path))
    print(f"{_counted(found.replies, 'reply', 'replies')}{waiting}, schema {found.schema}")
    print(_sized(found.size))
    for endpoint in found.endpoints:
        print()
        for line in _lines(endpoint):
            print(line)
    return 0


def _lines(endpoint: Endpoint) -> list[str]:
    tokens = (
        f"{count or 0} tokens {way}"
        for count, way in ((endpoint.input_tokens, "in"), (endpoint.output_tokens, "out"))
    )
    return [
        endpoint.name or "(from a version that did not write down who answered)",
        f"  {_counted(endpoint.replies, 'reply', 'replies')}, {', '.join(tokens)}",
        f"  made from {_day(endpoint.oldest)} to {_day(endpoint.newest)}",
    ]


def _prune(options: argparse.Namespace) -> int:
    done = prune(_store(options), time.time() - options.older_than)
    waiting = f" and {_counted(done.batches, 'open batch', 'open batches')}" if done.batches else ""
    print(f"removed {done.removed} of {_counted(done.replies, 'reply', 'replies')}{waiting}")
    print(f"{_sized(done.freed)} given back")
    return 0


def _export(options: argparse.Namespace) -> int:
    file = _store(options)
    written = left_out = 0
    with _target(options.target) as target:
        for line in exported(file):
            if line is None:
                left_out += 1
            else:
                written += 1
                target.write(f"{line}\n".encode())
    if options.target != "-":
        print(f"{_counted(written, 'reply', 'replies')} written to {options.target}")
    if left_out:
        what = _counted(left_out, "damaged reply was", "damaged replies were")
        _say(f"{what} left out: `pytest-upskill cache verify` says more")
    return 1 if left_out else 0


@contextmanager
def _target(name: str) -> Iterator[BinaryIO]:
    """Open what is exported to. A file gets its name when it is whole."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(name)
    except OSError as error:
        raise UpskillError(f"{name}: cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def _verify(options: argparse.Namespace) -> int:
    if options.file is not None and (options.mend or options.cache_dir is not None):
        raise UpskillError(
            f"{options.file}: verify looks into this file or into a store: leave --mend and --cache-dir out"
        )
    path = options.file if options.file is not None else find_store(options.cache_dir, Path.cwd())
    found = verify(path)
    for sentence in found.wrong:
        print(sentence)
    faults = _counted(len(found.wrong), "fault", "faults")
    print(f"{shown(path)}: {_counted(found.intact, 'reply', 'replies')} intact, {faults}")
    if found.wrong and options.mend:
        mend(StoreFile(path, _say))
    return 1 if found.wrong else 0


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _sized(size: int) -> str:
    number = float(size)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))
