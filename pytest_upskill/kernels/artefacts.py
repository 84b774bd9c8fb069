"""Compiled kernels on disk, by what they were made from. A verdict is never kept, nor that a compiler refused."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pytest_upskill.calls.locks import alone
from pytest_upskill.kernels.data import Artefact, Facts

# Goes up when what is kept, or how it is made, changes.
_FORMAT = 2
_HEAD = b"pytest-upskill kernel\n"
_DIGEST = 64


class Artefacts:
    """A folder with compiled kernels. Several threads and processes may use it; a damaged entry is as if not there.

    Where the folder cannot be written nothing is kept, and all goes on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Artefact | None:
        """Return what is kept under a key, marked `cached`."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        head, digest, rest = (
            content[: len(_HEAD)],
            content[len(_HEAD) :][:_DIGEST],
            content[len(_HEAD) + _DIGEST :],
        )
        if head != _HEAD or digest != _digest(rest):
            return None
        line, _, cubin = rest.partition(b"\n")
        said = json.loads(line)
        if said["digest"].encode() != _digest(cubin):
            return None
        return Artefact(cubin, _facts(said["facts"]), said["compiler"], said["digest"], cached=True)

    def put(self, key: str, artefact: Artefact) -> None:
        """Keep an artefact. Whoever reads at the same time finds all of it or nothing."""
        said = {"compiler": artefact.compiler, "digest": artefact.digest, "facts": asdict(artefact.facts)}
        rest = json.dumps(said).encode() + b"\n" + artefact.cubin
        path = self._path(key)
        unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._hide()
            try:
                unfinished.write_bytes(_HEAD + _digest(rest) + rest)
                unfinished.replace(path)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise

    def _hide(self) -> None:
        """Let git take no notice of the folder, also where there is no store around it."""
        ignore = self._folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="ascii")

    @contextmanager
    def making(self, key: str) -> Iterator[None]:
        """Hold a key while its artefact is made: whoever wants the same waits."""
        # Few lock files for many keys: they are never removed.
        path = self._folder / "locks" / key[:3]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:
            yield
            return
        with alone(path):
            yield

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


def key_of(*parts: str) -> str:
    """Return the key of what was made from these texts, in this order."""
    known = [each.name for each in fields(Facts)]
    return hashlib.sha256(json.dumps([_FORMAT, known, *parts]).encode()).hexdigest()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _facts(said: dict[str, Any]) -> Facts:
    # JSON has no tuples.
    return Facts(**{name: _frozen(value) for name, value in said.items()})


def _frozen(value: Any) -> Any:  # noqa: ANN401 - any JSON
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
