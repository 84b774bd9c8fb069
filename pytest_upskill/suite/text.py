"""Reading the text files that people write, and naming them."""

from __future__ import annotations

from pathlib import Path

from pytest_upskill.errors import SuiteError, at


def shown(path: Path) -> str:
    """Return the path as a person would type it: relative to the current folder when it lies below."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file without byte order mark, its line ends as Unix has them.

    Raises:
        SuiteError: the file is not there, cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SuiteError(f"{shown(path)}: cannot be read: {error.strerror or error}") from None
    return text_of(data, shown(path))


def text_of(data: bytes, place: str) -> str:
    """Return the text of UTF-8 bytes as `decoded` does.

    Raises:
        SuiteError: they are not UTF-8; `place` names the file.
    """
    try:
        return decoded(data)
    except UnicodeDecodeError as error:
        read = bytes(error.object)  # without the byte order mark, from which the codec does not count
        where = at(place, read.count(b"\n", 0, error.start) + 1)
        raise SuiteError(
            f"{where}: not UTF-8 (byte 0x{read[error.start]:02x}): save the file as UTF-8"
        ) from None


def decoded(data: bytes) -> str:
    """Return UTF-8 bytes as text without byte order mark, its line ends as Unix has them."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
