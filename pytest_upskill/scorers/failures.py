"""An exception of somebody else's code in one sentence, without a traceback."""

from __future__ import annotations

import traceback
from pathlib import Path

from pytest_upskill.scorers.evidence import fold

_OURS = Path(__file__).parent.parent


def failure(error: BaseException, root: Path) -> str:
    """Return type, message and place of an exception: `KeyError: 'x' (checks.py:7)`."""
    message = fold(str(error))
    place = last_line(error, root)
    words = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{words} ({place[0]})" if place else words


def last_line(error: BaseException, root: Path) -> tuple[str, str] | None:
    """Return `file:line` and the text of the line of the user's own code that the exception left.

    That is the last line under `root`, else the last one that is not ours.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        frames.append(
            traceback.FrameSummary(error.filename, error.lineno, "", lookup_line=False, line=error.text)
        )
    others = [frame for frame in frames if _is_file(frame.filename)]
    own = [frame for frame in others if _is_own(Path(frame.filename), root)]
    if not others:
        return None
    frame = (own or others)[-1]
    path = Path(frame.filename)
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return f"{shown}:{frame.lineno}", (frame.line or "").strip()


def _is_own(path: Path, root: Path) -> bool:
    return path.is_relative_to(root) and "site-packages" not in path.parts


def _is_file(name: str) -> bool:
    return not name.startswith("<") and not Path(name).is_relative_to(_OURS)
