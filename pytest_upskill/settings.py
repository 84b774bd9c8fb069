"""The settings of a run, and how the text of an option becomes one.

Each reader raises `ValueError` with the rest of a sentence that begins with the option.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pytest_upskill.suite import MOST_RUNS

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_upskill.types import CacheMode, GateConfig, GateMode

_MODES = ("judge", "strict", "off")
_CACHES = ("auto", "replay", "refresh", "off")


@dataclass(frozen=True, slots=True)
class AutoRuns:
    """As many whole rounds as a gate needs to be decided, and at most `most`."""

    most: int = 5

    def __str__(self) -> str:
        return f"auto:{self.most}"


@dataclass(frozen=True, slots=True)
class GateFlags:
    """What the command line says of all gates: how they judge, and rules that come before all others."""

    mode: GateMode = "judge"
    rules: GateConfig | None = None

    def __str__(self) -> str:
        rules = (
            ()
            if self.rules is None
            else ((key.name, getattr(self.rules, key.name)) for key in fields(self.rules))
        )
        return ",".join([self.mode, *(f"{name}={value}" for name, value in rules if value is not None)])


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line and the ini file say. A None in `models` or `runs` leaves it to the files."""

    rootdir: Path
    models: tuple[str, ...] | None
    runs: int | AutoRuns | None
    cache: CacheMode
    cache_dir: Path
    gate: GateFlags
    base_url: str | None
    timeout: float | None
    report: Path | None
    record: bool = False
    budget: float | None = None
    max_calls: int | None = None
    plan: bool = False
    changed: bool = False
    base: str | None = None
    batch: bool = False
    extra: bool = True
    save_baseline: bool = False
    strict_cases: bool = False
    aa: bool = False
    unsafe: bool = False
    seed: bytes | None = None
    executor: str = "local"


def _words(text: str) -> list[str]:
    return [word for part in text.split(",") for word in part.split()]


def parse_models(text: str) -> list[str]:
    """Split `haiku,glm`; an empty list is a mistake."""
    names = _words(text)
    if not names:
        raise ValueError("name at least one model, such as reader")
    return names


def parse_runs(text: str) -> int | AutoRuns:
    """Return a number of runs, or `auto`; the bound keeps a slip of the finger from filling the memory."""
    word, colon, most = text.strip().partition(":")
    if word == "auto" and not colon:
        return AutoRuns()
    digits = most if word == "auto" else text.strip()
    if not digits.isdecimal() or len(digits) > len(str(MOST_RUNS)) or not 1 <= int(digits) <= MOST_RUNS:
        raise ValueError(
            f"{text!r} is not a number of runs: give a whole number from 1 to {MOST_RUNS}, auto, or auto:MAX"
        )
    return AutoRuns(int(digits)) if word == "auto" else int(digits)


def parse_timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is not a time: give seconds above 0")
    return seconds


def parse_url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or any(letter.isspace() for letter in text):
        raise ValueError(f"{text!r} is not the address of a server: give http://... or https://...")
    return text


def parse_dollars(text: str) -> float:
    try:
        dollars = float(text.strip().removeprefix("$"))
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars < float("inf"):
        raise ValueError(f"{text!r} is not an amount: give US dollars, such as 2.50")
    return dollars


def parse_calls(text: str) -> int:
    digits = text.strip()
    if not digits.isdecimal() or len(digits) > 12:
        raise ValueError(f"{text!r} is not a number of calls: give a whole number, 0 for none")
    return int(digits)


def parse_ref(text: str) -> str:
    # What begins with a dash would be an option to git.
    if not text.strip() or text.startswith("-") or any(not letter.isprintable() for letter in text):
        raise ValueError(f"{text!r} is not a git ref: give a branch, a tag or a commit")
    return text.strip()


def parse_switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ValueError(f"{text!r} is neither true nor false")
    return word in ("true", "1", "yes", "on")


def parse_seed(text: str) -> bytes:
    try:
        seed = bytes.fromhex(text.strip())
    except ValueError:
        seed = b""
    if len(seed) < 16:
        raise ValueError(f"{text!r} is no seed: give the 32 hexadecimal digits that a run has printed")
    return seed


def parse_executor(text: str) -> str:
    if not text.strip():
        raise ValueError("give the name of an executor that pytest_upskill_kernel_executors registers")
    return text.strip()


def parse_folder(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("give the name of a folder")
    return text


def parse_cache(text: str) -> str:
    if text not in _CACHES:
        raise ValueError(f"{text!r} is not one of {', '.join(_CACHES)}")
    return text


def parse_gate(text: str) -> GateFlags:
    """Return what stands in `strict`, `min_pass_rate=0.9` or `off,min_lift=0.1`."""
    words = [word.strip() for word in text.split(",")]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    modes = [word for word in words if "=" not in word]
    wrong = next((word for word in modes if word not in _MODES), None)
    if wrong is not None or len(modes) > 1:
        several = f"{text!r} names several modes" if wrong is None else f"{wrong!r} is not one of"
        raise ValueError(
            f"{several}{':' if wrong is None else ''} {', '.join(_MODES)}, with rules such as min_pass_rate=0.9"
        )
    mode: Any = modes[0] if modes else "judge"
    return GateFlags(mode, _gate_rules(given) if given else None)


def _gate_rules(given: dict[str, str]) -> GateConfig:
    # Imported where there are rules to read: it takes pydantic.
    from pydantic import ValidationError

    from pytest_upskill.suite.schema import GateModel, explain

    values = {key.strip(): _number(value.strip()) for key, value in given.items()}
    try:
        return GateModel.model_validate(values).config()
    except ValidationError as error:
        keys, words = explain(error, GateModel)
        raise ValueError(f"{'.'.join(map(str, keys))}: {words}") from None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
