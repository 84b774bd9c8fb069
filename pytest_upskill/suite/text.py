"""Reading the text files of a skill, and the line at which a key of a JSON or YAML file stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_upskill.errors import SuiteError, at


def shown(path: Path) -> str:
    """Return the path as a person would type it: relative to the current folder when it lies below."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file without byte order mark and with `\\n` line ends.

    Raises:
        SuiteError: the file is not there, cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SuiteError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = at(shown(path), line)
        raise SuiteError(
            f"{where}: not UTF-8 (byte 0x{data[error.start]:02x}): save the file as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def line_of(text: str, keys: Sequence[str | int]) -> int | None:
    """Return the 1-based line of the deepest of `keys` that stands in a JSON or YAML text.

    Only asked for when there is something to complain of: it parses the text once more, with PyYAML, whose
    nodes know their lines.
    """
    import yaml

    try:
        # Tabs between JSON tokens are legal; PyYAML takes them for indentation.
        node: object = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    line: int | None = None
    for key in keys:
        found = _child(node, key)
        if found is None:
            break
        line, node = found
    return line


def _child(node: object, key: str | int) -> tuple[int, object] | None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(key):
                return name.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    return None
