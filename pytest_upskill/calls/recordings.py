"""Recordings: replies beside the skill, in a file that is committed and read in a diff, one reply a line."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pytest_upskill.calls.recording_lines import Recorded, check_header, encoded, entry_of, header
from pytest_upskill.errors import CallError, FileMistake, SuiteError, at
from pytest_upskill.suite.documents import Mistake
from pytest_upskill.suite.text import read_text, shown
from pytest_upskill.suite.writing import write_whole
from pytest_upskill.types import Reply

FOLDER = "recordings"
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(?<!\.)")
# Names that Windows keeps for devices, with any ending.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_AGAIN = "restore the file as it was committed, or delete it and record it again with --upskill-record"


class RecordingError(FileMistake):
    """A file of recordings cannot be read or written."""


class Recordings:
    """The recordings that a run reads, each file once, when it is first asked for. Any thread."""

    def __init__(self) -> None:
        self._files: dict[tuple[Path, str], dict[bytes, Recorded]] = {}
        self._lock = threading.Lock()

    def get(self, root: Path, model: str, key: bytes) -> Reply | None:
        """Return the reply that is recorded for a skill's folder and a model under a key of the store.

        Raises:
            RecordingError: the file cannot be read; with file and line.
        """
        found = self._file(root, model).get(key)
        return None if found is None else found.reply

    def any(self, root: Path, model: str) -> bool:
        """Tell whether anything is recorded for a skill's folder and a model. Raises as `get` does."""
        return bool(self._file(root, model))

    def entries(self, root: Path, model: str) -> list[Recorded]:
        """Return all that is recorded for a skill's folder and a model. Raises as `get` does."""
        return list(self._file(root, model).values())

    def _file(self, root: Path, model: str) -> Mapping[bytes, Recorded]:
        place = (root, model)
        found = self._files.get(place)
        if found is None:
            with self._lock:
                found = self._files.get(place)
                if found is None:
                    found = self._files[place] = {entry.key: entry for entry in read(root, model)}
        return found


def path_of(root: Path, model: str) -> Path:
    """Return the file for a model: its name where that is one for every file system, else one made of it."""
    name = model
    if not _PLAIN_NAME.fullmatch(model) or _DEVICE.fullmatch(model):
        # Capital letters alone do not tell two files apart everywhere.
        digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{re.sub(r'[^a-z0-9]+', '-', model.lower()).strip('-')[:60]}-{digest}".lstrip("-")
    return root / FOLDER / f"{name}.jsonl"


def mend_command(root: Path, rootdir: Path, model: str, flags: Sequence[str] = ()) -> str:
    """Return the command that records a skill again.

    Args:
        root: the skill's folder.
        rootdir: pytest's; below it a path is relative to the current folder, so that the command can be pasted.
        model: as it was given.
        flags: what else the run was given that decides what is asked.
    """
    path = Path(os.path.relpath(root)).as_posix() if root.is_relative_to(rootdir) else str(root)
    words = ["pytest", f"--upskill-models={model}", *flags, "--upskill-record", path]
    return " ".join(shlex.quote(word) for word in words)


def unrecorded(model: str, command: str, *, recorded: bool) -> CallError:
    """Return the error of a sample whose reply is neither recorded nor stored, where no call is made.

    Args:
        model: its name.
        command: what mends it.
        recorded: whether anything is recorded for the skill and the model.
    """
    if recorded:
        short = f"{model}: no recorded reply"
        cause = f"{short}: the skill, the case or the model's settings changed since it was recorded; record it again"
    else:
        short = f"{model}: no stored reply"
        cause = f"{short}, and --upskill-cache=replay makes no call; record it"
    return CallError(f"{cause}: {command}", short=short)


def read(root: Path, model: str) -> list[Recorded]:
    """Return what is recorded for a skill's folder and a model; nothing where there is no file.

    Raises:
        RecordingError: the file cannot be read; with file and line.
    """
    path = path_of(root, model)
    if not os.path.lexists(path):
        return []
    found: dict[bytes, tuple[int, Recorded]] = {}
    for number, entry in _entries(_text(path), path):
        first, _ = found.setdefault(entry.key, (number, entry))
        if first != number:
            words = f"the key stands in line {first} as well"
            raise RecordingError(f"{at(shown(path), number)}: {words}: {_AGAIN}")
    return [entry for _, entry in found.values()]


def write(root: Path, model: str, entries: Iterable[Recorded]) -> Path | None:
    """Write what is recorded for a skill's folder and a model, and return the file; without entries there is none.

    A file that says so already is left untouched, and nobody ever sees half of one.

    Raises:
        RecordingError: it cannot be written.
    """
    path = path_of(root, model)
    rows = sorted(entries, key=lambda entry: (entry.case, entry.arm, entry.run, entry.key))
    try:
        if not rows:
            path.unlink(missing_ok=True)
            return None
        data = "".join(f"{line}\n" for line in (header(), *map(encoded, rows))).encode()
        path.parent.mkdir(exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise RecordingError(f"{shown(path)}: cannot be written: {error.strerror or error}") from None
    return path


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except SuiteError as error:
        raise RecordingError(f"{error}; or {_AGAIN}") from None


def _entries(text: str, path: Path) -> Iterator[tuple[int, Recorded]]:
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        try:
            if number == 1:
                check_header(line)
            else:
                yield number, entry_of(line)
        except Mistake as error:
            where = at(shown(path), number, error.column)
            raise RecordingError(f"{where}: {error.words}: {_AGAIN}") from None
