"""A terminal to look at: what a program in it wrote, as it stands on the screen and above it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PIECE = re.compile(
    r"\x1b\[(?P<numbers>[0-9;?]*)(?P<csi>[@-~])|\x1b\](?:[^\x07\x1b]*)(?:\x07|\x1b\\)|\x1b(?P<escape>[78DM])"
    r"|(?P<control>[\r\n\b])|(?P<letter>[^\x00-\x1f\x7f])",
    re.DOTALL,
)


# So that ^C in the terminal reaches the command.
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass
class Screen:
    """As much of a VT100 as pytest and we need; anything else is an error.

    A letter in the last column leaves the cursor there until the next letter comes, which wraps.
    """

    columns: int = 80
    rows: int = 24
    above: list[str] = field(default_factory=list)
    lines: list[list[str]] = field(default_factory=list)
    row: int = 0
    column: int = 0
    hanging: bool = False
    saved: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.lines = [self._blank() for _ in range(self.rows)]

    @property
    def text(self) -> list[str]:
        """All that can be read, scrolled out or not, without blank ends."""
        shown = self.above + ["".join(line).rstrip() for line in self.lines]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def feed(self, text: str) -> Screen:
        position = 0
        while position < len(text):
            found = _PIECE.match(text, position)
            if found is None:
                raise ValueError(f"this terminal does not know {text[position : position + 10]!r}")
            position = found.end()
            self._obey(found)
        return self

    def _blank(self) -> list[str]:
        return [" "] * self.columns

    def _obey(self, found: re.Match[str]) -> None:
        if found["letter"]:
            self._letter(found["letter"])
        elif found["csi"]:
            self._sequence(found["csi"], found["numbers"])
        elif found["escape"] or found["control"]:
            self._control(found["escape"] or found["control"])

    def _letter(self, letter: str) -> None:
        if self.hanging:
            self.column = 0
            self._index()
        self.lines[self.row][self.column] = letter
        self.hanging = self.column == self.columns - 1
        self.column = min(self.column + 1, self.columns - 1)

    def _control(self, control: str) -> None:
        self.hanging = False
        if control in "\nD":
            self._index()
        elif control == "\r":
            self.column = 0
        elif control == "\b":
            self.column = max(self.column - 1, 0)
        elif control == "7":
            self.saved = self.row, self.column
        elif control == "8":
            self.row, self.column = self.saved
        else:
            raise ValueError(f"this terminal does not know ESC {control}")

    def _index(self) -> None:
        if self.row < self.rows - 1:
            self.row += 1
        else:
            self.above.append("".join(self.lines.pop(0)).rstrip())
            self.lines.append(self._blank())

    def _sequence(self, final: str, numbers: str) -> None:
        if final == "m" or numbers.startswith("?"):
            return
        count = int(numbers or 0)
        self.hanging = False
        if final in "KJ" and count == 0:
            line = self.lines[self.row]
            line[self.column :] = [" "] * (self.columns - self.column)
            if final == "J":
                self.lines[self.row + 1 :] = [self._blank() for _ in range(self.rows - self.row - 1)]
        elif final == "A":
            self.row = max(self.row - max(count, 1), 0)
        else:
            raise ValueError(f"this terminal does not know CSI {numbers}{final}")


@dataclass
class Shown:
    """What a program wrote to its terminal, in the pieces in which it came, and how it ended."""

    pieces: list[str]
    code: int
    columns: int
    rows: int

    @property
    def raw(self) -> str:
        return "".join(self.pieces)

    @property
    def screen(self) -> Screen:
        return Screen(self.columns, self.rows).feed(self.raw)

    @property
    def text(self) -> list[str]:
        return self.screen.text

    @property
    def moments(self) -> list[list[str]]:
        """What could be read after each piece."""
        screen = Screen(self.columns, self.rows)
        return [screen.feed(piece).text for piece in self._whole()]

    def _whole(self) -> Sequence[str]:
        # A piece may end inside an escape sequence, but never inside one of ours: those come in one write.
        return re.split(r"(?<=\x1b8)|(?=\x1b\[J)", self.raw)


def in_terminal(
    command: Sequence[str],
    folder: Path,
    *,
    columns: int = 80,
    rows: int = 24,
    environment: Mapping[str, str | None] | None = None,
    watch: Callable[[str, subprocess.Popen[bytes], int], None] | None = None,
    timeout: float = 60,
) -> Shown:
    """Run a command in a terminal of its own.

    Args:
        command: and its arguments.
        folder: to run in.
        columns: of the terminal.
        rows: of the terminal.
        environment: on top of this process's; None takes a variable away.
        watch: told all that came so far, the process, and the terminal, whenever more came.
        timeout: seconds for all of it.
    """
    given = {"TERM": "xterm-256color", "COLUMNS": None, "LINES": None, "CI": None, "BUILD_NUMBER": None}
    merged: dict[str, str | None] = {**os.environ, **given, **(environment or {})}
    ours, theirs = pty.openpty()
    resize(ours, columns, rows)
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *command],
        cwd=folder,
        env={name: value for name, value in merged.items() if value is not None},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    pieces: list[str] = []
    deadline = time.monotonic() + timeout
    try:
        while piece := _read(ours, deadline):
            pieces.append(piece.decode("utf-8", "replace"))
            if watch is not None:
                watch("".join(pieces), process, ours)
        code = process.wait(timeout=max(deadline - time.monotonic(), 1))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
    return Shown(pieces, code, columns, rows)


def resize(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _read(terminal: int, deadline: float) -> bytes:
    ready, _, _ = select.select([terminal], [], [], max(deadline - time.monotonic(), 0))
    if not ready:
        raise TimeoutError("the program in the terminal did not end in time")
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when nobody has it open any more
        return b""
