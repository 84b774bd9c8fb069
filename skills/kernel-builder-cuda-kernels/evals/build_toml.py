"""The check of a build.toml: Hugging Face's own parser, and what that parser leaves open."""

from __future__ import annotations

import importlib
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_upskill import Case, Reply, Score
from pytest_upskill.scorers.fences import Block, fenced_blocks, named_block

PARSER = "kernels==0.17.2"
PARSED = "build.toml is read by Hugging Face's parser"
EDITION = 5
# What a compiler of CUDA 12 or 13 knows, and the suffixes that it takes: 10.1 was CUDA 12's name of 11.0.
SUFFIXES: Mapping[str, str] = {
    **dict.fromkeys(("7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.8", "8.9"), ""),
    "9.0": "a",
    **dict.fromkeys(("10.0", "10.1", "10.3", "11.0", "12.0", "12.1"), "af"),
}
_CAPABILITY = re.compile(r"(\d+\.\d)([a-z]?)(\+PTX)?")
_SECTION = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PATH = re.compile(r"[\w./+-]*\w\.\w+")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HOPPER_ONLY = re.compile(r"\b(wgmma|setmaxnreg)\.[a-z]")
_GUARD = "__CUDA_ARCH_FEAT_SM90_ALL"


def check(reply: Reply, case: Case) -> list[Score]:
    """Judge the build.toml in a reply: its form, its names, its capabilities and its sources.

    A source must be a file that the reply gives too, or that the case has or names.

    Raises:
        RuntimeError: Hugging Face's parser is not installed.
    """
    blocks = fenced_blocks(reply.text)
    block = _build_toml(blocks)
    if block is None:
        had = ", ".join(each.name or "an unnamed block" for each in blocks) or "no fenced block"
        return [Score(False, f"no fenced block is build.toml; the reply has: {had}", PARSED)]
    refusal = _refusal(block.text)
    if refusal:
        return [Score(False, refusal, PARSED)]
    build, files = tomllib.loads(block.text), _files(blocks, case)
    names = ", ".join(name for name, _ in _kernels(build)) or "no kernel section"
    return [
        Score(True, f"edition {EDITION} with {names}", PARSED),
        _score("each kernel section has a name and a backend of the project", _misnamed(build), names),
        _score("each CUDA capability exists", _unknown(build), _listed(_capabilities(build))),
        _score("code of Hopper's own target is built for 9.0a", _mistargeted(build, files), "it is"),
        _score("each source is a file of the project", _absent(build, files), _listed(_sources(build))),
    ]


def _score(expected: str, wrong: Iterator[str], evidence: str) -> Score:
    found = "; ".join(wrong)
    return Score(not found, found or evidence, expected)


def _listed(pairs: Iterator[tuple[str, str]]) -> str:
    return ", ".join(dict.fromkeys(value for _, value in pairs)) or "none is named"


def _build_toml(blocks: list[Block]) -> Block | None:
    named = named_block(blocks, "build.toml")
    bare = [block for block in blocks if block.language == "toml" and not block.name]
    return named or (bare[0] if len(bare) == 1 else None)


def _refusal(text: str) -> str:
    """Return why a text is no build.toml of the current edition, or nothing."""
    open_build = _parser()
    if _without_edition(text):
        return f"[general] has no edition: the parser takes that for a legacy file; write edition = {EDITION}"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "build.toml").write_text(text, encoding="utf-8")
        try:
            open_build(folder)
        except ValueError as error:
            # Before its own words stands the folder, which differs from time to time.
            return str(error).rpartition("build.toml: ")[2]
    return ""


def _parser() -> Callable[[str], object]:
    try:
        # It is a private module: another version may not have it.
        opens: Callable[[str], object] = importlib.import_module("kernels._rust").Build.open
    except (ImportError, AttributeError) as error:
        raise RuntimeError(
            f"Hugging Face's parser of build.toml is missing ({error}): python -m pip install '{PARSER}'"
        ) from None
    return opens


def _without_edition(text: str) -> bool:
    try:
        general = tomllib.loads(text).get("general")
    # The parser refuses it in words of its own.
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return isinstance(general, dict) and "edition" not in general


def _files(blocks: list[Block], case: Case) -> dict[str, str]:
    """Return the files of the project by their names, with their texts as far as they are known."""
    named = dict.fromkeys(map(_plain, _PATH.findall(case.input)), "")
    given = {_plain(block.name): block.text for block in blocks if block.name}
    return named | {_plain(name): text for name, text in case.files.items()} | given


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part != ".")


def _kernels(build: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from build.get("kernel", {}).items()


def _misnamed(build: Mapping[str, Any]) -> Iterator[str]:
    backends = build["general"]["backends"]
    for name, section in _kernels(build):
        if not _SECTION.fullmatch(name):
            yield f"kernel.{name!r} is no name for a section: letters, digits, dashes and underscores"
        if section["backend"] not in backends:
            yield f"kernel.{name} is for {section['backend']}, which is not in general.backends"


def _capabilities(build: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, section in [*_kernels(build), ("torch-noarch", build.get("torch-noarch", {}))]:
        # The pinned parser spells it with an underscore in torch-noarch.
        for key in ("cuda-capabilities", "cuda_capabilities"):
            yield from ((name, capability) for capability in section.get(key, ()))


def _sources(build: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    frameworks = [(name, build[name]) for name in ("torch", "tvm-ffi") if name in build]
    for name, section in [*frameworks, *((f"kernel.{name}", each) for name, each in _kernels(build))]:
        yield from ((name, source) for source in section.get("src", ()))


def _unknown(build: Mapping[str, Any]) -> Iterator[str]:
    for name, capability in _capabilities(build):
        if not _exists(capability):
            yield f'{name} asks for the capability "{capability}", which does not exist'


def _exists(capability: str) -> bool:
    match = _CAPABILITY.fullmatch(capability)
    return match is not None and match[1] in SUFFIXES and match[2] in ("", *SUFFIXES[match[1]])


def _mistargeted(build: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[str]:
    for name, section in _kernels(build):
        texts = [_COMMENT.sub("", files.get(_plain(source), "")) for source in section["src"]]
        used = next((match[1] for text in texts if (match := _HOPPER_ONLY.search(text))), None)
        capabilities = section.get("cuda-capabilities", [])
        if used and "9.0a" not in capabilities:
            yield f'kernel.{name} uses {used} and its cuda-capabilities have no "9.0a"'
        elif used and len(set(capabilities)) > 1 and not any(_GUARD in text for text in texts):
            yield f"kernel.{name} uses {used} without {_GUARD} and is built for more than 9.0a"


def _absent(build: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[str]:
    for name, source in _sources(build):
        if _plain(source) not in files:
            yield f"{name} names {source}, which neither the reply gives nor the case has"
