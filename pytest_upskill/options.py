"""One table of options: each command-line flag with its ini twin, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.types import CacheMode, GateMode

CONFIG_FILE = "upskill.yaml"


def config_path(rootdir: Path) -> Path | None:
    """Return the upskill.yaml of the rootdir or of the nearest folder above it."""
    return next(
        (path for folder in (rootdir, *rootdir.parents) if (path := folder / CONFIG_FILE).is_file()), None
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line and the ini file say. A None in `models` or `runs` leaves it to the files."""

    rootdir: Path
    models: tuple[str, ...] | None
    runs: int | None
    cache: CacheMode
    cache_dir: Path
    gate: GateMode
    base_url: str | None
    timeout: float | None
    report: Path | None


def _words(text: str) -> list[str]:
    return [word for part in text.split(",") for word in part.split()]


def parse_models(text: str) -> list[str]:
    """Split `haiku,glm`; an empty list is a mistake."""
    names = _words(text)
    if not names:
        raise pytest.UsageError("--upskill-models: name at least one model, such as --upskill-models=reader")
    return names


def parse_runs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise pytest.UsageError(
            f"--upskill-runs: {text!r} is not a number of runs: give a whole number of at least 1"
        )
    return int(text)


def parse_timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"--upskill-timeout: {text!r} is not a time: give seconds above 0")
    return seconds


def _choice(flag: str, choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise pytest.UsageError(f"{flag}: {text!r} is not one of {', '.join(choices)}")
        return text

    return parse


@dataclass(frozen=True, slots=True)
class Option:
    """A flag `--upskill-<name>` and its ini twin `upskill_<name>`; `many` ini values are a list."""

    name: str
    metavar: str
    parse: Callable[[str], Any]
    help: str
    default: str = ""
    many: bool = False

    @property
    def flag(self) -> str:
        return f"--upskill-{self.name}"

    @property
    def dest(self) -> str:
        return f"upskill_{self.name.replace('-', '_')}"


OPTIONS = (
    Option("models", "NAMES", parse_models, "Models to measure, separated by commas: names of upskill.yaml, "
           "built-in names (reader, haiku, ...) or provider:model-id[@base_url]", many=True),
    Option("runs", "N", parse_runs, "Runs of each case, model and arm (default: the case file's, else 1)"),
    Option("cache", "MODE", _choice("--upskill-cache", ("auto", "replay", "refresh", "off")),
           "Replies on disk: auto uses and adds, replay makes no call, refresh asks again, off ignores them", "auto"),
    Option("cache-dir", "DIR", str, "Folder of the store (default: .upskill in the rootdir)", ".upskill"),
    Option("gate", "MODE", _choice("--upskill-gate", ("judge", "strict", "off")),
           "judge decides on intervals, strict fails on any miss with the skill, off never fails", "judge"),
    Option("base-url", "URL", str, "Address of the server for models of the openai or anthropic provider "
           "that name none"),
    Option("timeout", "SECONDS", parse_timeout, "Time limit of one call (default: upskill.yaml's, else 120)"),
    Option("report", "DIR", str, "Write results.json into this folder"),
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("upskill", "skill regression testing")
    for option in OPTIONS:
        group.addoption(
            option.flag,
            dest=option.dest,
            metavar=option.metavar,
            type=option.parse,
            default=None,
            help=option.help,
        )
        text = f"{option.help} (ini twin of {option.flag})"
        if option.many:
            # A list as `args`: the only type that both pytest.ini and [tool.pytest] can spell.
            parser.addini(option.dest, text, type="args", default=[])
        else:
            parser.addini(option.dest, text, type="string", default="")


def used(config: pytest.Config) -> bool:
    """Tell whether any flag of ours stands on the command line."""
    return any(config.getoption(option.dest) is not None for option in OPTIONS)


def settings(config: pytest.Config) -> Settings:
    """Return the settings: the command line, else the ini file, else the default.

    Raises:
        pytest.UsageError: an ini value is wrong.
    """
    values = {option.dest: _value(config, option) for option in OPTIONS}
    root = config.rootpath
    report = values["upskill_report"]
    models = values["upskill_models"]
    return Settings(
        rootdir=root,
        models=tuple(dict.fromkeys(models)) if models else None,
        runs=values["upskill_runs"],
        cache=values["upskill_cache"],
        cache_dir=root / values["upskill_cache_dir"],
        gate=values["upskill_gate"],
        base_url=values["upskill_base_url"],
        timeout=values["upskill_timeout"],
        report=config.invocation_params.dir / report if report else None,
    )


def _value(config: pytest.Config, option: Option) -> Any:  # noqa: ANN401 - each option has a type of its own
    given = config.getoption(option.dest)
    if given is not None:
        return given
    ini = config.getini(option.dest)
    text = ",".join(map(str, ini)) if option.many else str(ini or "")
    if not text:
        return option.parse(option.default) if option.default else None
    return option.parse(text)
