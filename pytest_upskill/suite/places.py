"""The line at which a key of a JSON or YAML file stands: asked for only when there is something to say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Key = str | int
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++')


@dataclass(slots=True)
class _Node:
    line: int
    children: dict[Key, _Node] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """An object or array that is not closed yet; `key` is that of the value to come, an object's last one."""

    node: _Node
    is_list: bool
    key: Key | None = None


class JsonPlaces:
    """The lines of all keys and items of a valid JSON text; `twice` is the first key that recurs."""

    def __init__(self, text: str) -> None:
        self.twice: tuple[str, int] | None = None
        self._root = _Node(1)
        self._read(text)

    def line(self, keys: Sequence[Key]) -> int | None:
        """Return the 1-based line of the deepest of `keys` that is there."""
        found = self._path(keys)
        return found[-1].line if found else None

    def exactly(self, keys: Sequence[Key]) -> int | None:
        """Return the 1-based line of the last of `keys`, if all are there."""
        found = self._path(keys)
        return found[-1].line if found and len(found) == len(keys) else None

    def _path(self, keys: Sequence[Key]) -> list[_Node]:
        node, found = self._root, list[_Node]()
        for key in keys:
            if key not in node.children:
                break
            node = node.children[key]
            found.append(node)
        return found

    def _read(self, text: str) -> None:
        around = [_Open(self._root, is_list=False, key="")]
        for word, line in _tokens(text):
            inner = around[-1]
            if word in "}]":
                around.pop()
            elif word in ",:":
                if word == "," and not inner.is_list:
                    inner.key = None
            elif word.startswith('"') and not inner.is_list and inner.key is None:
                self._key(inner, word, line)
            else:
                node = self._value(inner, line)
                if word in "{[":
                    around.append(_Open(node, is_list=word == "["))
        self._root = self._root.children.get("", self._root)

    def _key(self, inner: _Open, token: str, line: int) -> None:
        import json

        key = inner.key = str(json.loads(token, strict=False))
        if key in inner.node.children and self.twice is None:
            self.twice = key, line
        inner.node.children[key] = _Node(line)

    def _value(self, inner: _Open, line: int) -> _Node:
        if not inner.is_list and inner.key in inner.node.children:
            return inner.node.children[inner.key]
        key = len(inner.node.children) if inner.is_list else inner.key or ""
        node = inner.node.children[key] = _Node(line)
        return node


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line, last = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", last, match.start())
        last = match.start()
        yield match[0], line


def yaml_line(text: str, keys: Sequence[Key]) -> int | None:
    """Return the 1-based line of the deepest of `keys` that stands in a valid YAML text."""
    import yaml

    node: object = yaml.compose(text, Loader=yaml.SafeLoader)
    line: int | None = None
    for key in keys:
        found = _child(node, key)
        if found is None:
            break
        line, node = found
    return line


def _child(node: object, key: Key) -> tuple[int, object] | None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(key):
                return name.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    return None


def dotted(keys: Sequence[Key]) -> str:
    """Return `cases[0].expected.contains`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
