"""One table of options: each command-line flag with its ini twin, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_upskill.errors import one_line
from pytest_upskill.suite import MOST_RUNS

if TYPE_CHECKING:
    from pytest_upskill.types import CacheMode, GateConfig, GateMode

_MODES = ("judge", "strict", "off")


@dataclass(frozen=True, slots=True)
class AutoRuns:
    """As many whole rounds as a gate needs to be decided, and at most `most`."""

    most: int = 5

    def __str__(self) -> str:
        return f"auto:{self.most}"


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


def parse_folder(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("give the name of a folder")
    return text


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return parse


@dataclass(frozen=True, slots=True)
class GateFlags:
    """What the command line says of all gates: how they judge, and rules that come before all others."""

    mode: GateMode = "judge"
    rules: GateConfig | None = None


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


class Option(NamedTuple):
    """A flag `--upskill-<name>` and its ini twin `upskill_<name>`; `many` ini values are a list.

    One without a `metavar` is a bare flag: a value of its own would swallow the path that follows.
    `parse` raises `ValueError` with the rest of a sentence that begins with the flag or the ini key.
    """

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

    def from_flag(self, text: str) -> Any:  # noqa: ANN401 - each option has a type of its own
        return self.read(text, self.flag)

    def read(self, text: str, place: str) -> Any:  # noqa: ANN401
        """Return the value that a text stands for.

        Raises:
            pytest.UsageError: it stands for none; `place` says where it was written.
        """
        try:
            return self.parse(text)
        except ValueError as error:
            raise pytest.UsageError(one_line(f"{place}: {error}")) from None


OPTIONS = (
    Option("models", "NAMES", parse_models, "Models to measure, separated by commas: names of upskill.yaml, "
           "built-in names (reader, haiku, ...) or provider:model-id[@base_url]", many=True),
    Option("runs", "N", parse_runs, "Runs of each case, model and arm (default: the case file's, else 1); auto or "
           "auto:MAX makes whole rounds until each gate is decided"),
    Option("cache", "MODE", _choice("auto", "replay", "refresh", "off"),
           "Replies on disk: auto uses and adds, replay makes no call, refresh asks again, off ignores them",
           "auto"),
    Option("cache-dir", "DIR", parse_folder, "Folder of the store (default: .upskill in the rootdir)",
           ".upskill"),
    Option("gate", "MODE", parse_gate, "judge decides on intervals, strict fails on any miss with the skill, off "
           "never fails; also rules for all gates, such as min_pass_rate=0.9,min_lift=0.1", "judge"),
    Option("base-url", "URL", parse_url, "Address of the server for models of the openai or anthropic "
           "provider that name none"),
    Option("timeout", "SECONDS", parse_timeout, "Time limit of one call (default: upskill.yaml's, else 120)"),
    Option("report", "DIR", parse_folder, "Write results.json into this folder"),
    Option("record", "", parse_switch, "Write the replies that the run used to recordings/ beside each skill"),
    Option("budget", "USD", parse_dollars, "Make no call beyond this many US dollars; a plan above it is refused"),
    Option("max-calls", "N", parse_calls, "Make no call beyond this many; a plan above it is refused"),
    Option("plan", "", parse_switch, "Say what would be called and what it would cost, and call nothing"),
    Option("changed", "", parse_switch, "Collect only skills that differ from --upskill-base"),
    Option("base", "REF", parse_ref, "A git ref: measures each skill as it stood there, too, and what "
           "--upskill-changed compares with (by default in a pull request on GitHub its base branch, else HEAD)"),
    Option("batch", "", parse_switch, "Send what is not in the store through the provider's batch API: for half "
           "the price, within 24 hours"),
    Option("no-extra", "", parse_switch, "Make no further calls to confirm or to settle what a gate suspects"),
    Option("save-baseline", "", parse_switch, "Write the counts of each skill to baseline.json beside it"),
    Option("strict-cases", "", parse_switch, "Fail the gates of a skill with cases that nothing ever hits"),
    Option("aa", "", parse_switch, "Run the same skill in both arms and say how often the gates raise false alarms"),
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("upskill", "skill regression testing")
    for option in OPTIONS:
        _add_flag(group, option)
        text = f"{option.help} (ini twin of {option.flag})"
        if option.many:
            # A list as `args`: the only type that both pytest.ini and [tool.pytest] can spell.
            parser.addini(option.dest, text, type="args", default=[])
        else:
            parser.addini(option.dest, text, type="string", default="")


def _add_flag(group: pytest.OptionGroup, option: Option) -> None:
    if option.metavar:
        group.addoption(
            option.flag,
            dest=option.dest,
            metavar=option.metavar,
            type=option.from_flag,
            default=None,
            help=option.help,
        )
    else:
        group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=option.help)


def used(config: pytest.Config) -> bool:
    """Tell whether any flag of ours stands on the command line, or one in the ini file that concerns all skills."""
    # xdist's controller collects nothing, and is to say all the same what was left out.
    flags = any(config.getoption(option.dest) is not None for option in OPTIONS)
    return flags or bool(config.getini("upskill_changed"))


def settings(config: pytest.Config) -> Settings:
    """Return the settings: the command line, else the ini file, else the default.

    Raises:
        pytest.UsageError: an ini value is wrong, or two options go ill together.
    """
    values = {option.dest: _value(config, option) for option in OPTIONS}
    if values["upskill_batch"] and isinstance(values["upskill_runs"], AutoRuns):
        raise pytest.UsageError(
            "--upskill-batch needs a fixed number of runs: with --upskill-runs=auto one batch would wait for the "
            "other, each for up to 24 hours: give a number, such as --upskill-runs=3"
        )
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
        record=bool(values["upskill_record"]),
        budget=values["upskill_budget"],
        max_calls=values["upskill_max_calls"],
        plan=bool(values["upskill_plan"]),
        changed=bool(values["upskill_changed"]),
        base=values["upskill_base"],
        batch=bool(values["upskill_batch"]),
        extra=not values["upskill_no_extra"],
        save_baseline=bool(values["upskill_save_baseline"]),
        strict_cases=bool(values["upskill_strict_cases"]),
        aa=bool(values["upskill_aa"]),
    )


def _value(config: pytest.Config, option: Option) -> Any:  # noqa: ANN401 - each option has a type of its own
    given = config.getoption(option.dest)
    if given is not None:
        return given
    try:
        ini = config.getini(option.dest)
    except (TypeError, ValueError, pytest.UsageError) as error:  # a value of another type in [tool.pytest]
        mend = "give a list of texts" if option.many else "put it in quotes"
        raise pytest.UsageError(one_line(f"{error}: {mend}")) from None
    text = ",".join(map(str, ini)) if option.many else str(ini or "")
    if text.strip():
        place = f"{config.inipath.name}: {option.dest}" if config.inipath else option.dest
        return option.read(text, place)
    return option.parse(option.default) if option.default else None
