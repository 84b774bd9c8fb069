"""One table of options: each command-line flag with its ini twin, and the settings they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_upskill.errors import one_line

if TYPE_CHECKING:
    from pytest_upskill.settings import Settings


class Option(NamedTuple):
    """A flag `--upskill-<name>` and its ini twin `upskill_<name>`; `many` ini values are a list.

    One without a `metavar` is a bare flag: a value of its own would swallow the path that follows.
    `parse` names the function in `settings` that reads its text; it is imported where there is something to read, and
    raises `ValueError` with the rest of a sentence that begins with the flag or the ini key.
    """

    name: str
    metavar: str
    parse: str
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
        from pytest_upskill import settings

        try:
            return getattr(settings, self.parse)(text)
        except ValueError as error:
            raise pytest.UsageError(one_line(f"{place}: {error}")) from None


OPTIONS = (
    Option("models", "NAMES", "parse_models", "Models to measure, separated by commas: names of upskill.yaml, "
           "built-in names (reader, haiku, ...) or provider:model-id[@base_url]", many=True),
    Option("runs", "N", "parse_runs", "Runs of each case, model and arm (default: the case file's, else 1); auto or "
           "auto:MAX makes whole rounds until each gate is decided"),
    Option("cache", "MODE", "parse_cache",
           "Replies on disk: auto uses and adds, replay makes no call, refresh asks again, off ignores them",
           "auto"),
    Option("cache-dir", "DIR", "parse_folder", "Folder of the store (default: .upskill in the rootdir)",
           ".upskill"),
    Option("gate", "MODE", "parse_gate", "judge decides on intervals, strict fails on any miss with the skill, off "
           "never fails; also rules for all gates, such as min_pass_rate=0.9,min_lift=0.1", "judge"),
    Option("base-url", "URL", "parse_url", "Address of the server for models of the openai or anthropic "
           "provider that name none"),
    Option("timeout", "SECONDS", "parse_timeout", "Time limit of one call (default: upskill.yaml's, else 120)"),
    Option("report", "DIR", "parse_folder", "Write results.json into this folder"),
    Option("record", "", "parse_switch", "Write the replies that the run used to recordings/ beside each skill"),
    Option("budget", "USD", "parse_dollars", "Make no call beyond this many US dollars; a plan above it is refused"),
    Option("max-calls", "N", "parse_calls", "Make no call beyond this many; a plan above it is refused"),
    Option("plan", "", "parse_switch", "Say what would be called and what it would cost, and call nothing"),
    Option("changed", "", "parse_switch", "Collect only skills that differ from --upskill-base"),
    Option("base", "REF", "parse_ref", "A git ref: measures each skill as it stood there, too, and what "
           "--upskill-changed compares with (by default in a pull request on GitHub its base branch, else HEAD)"),
    Option("batch", "", "parse_switch", "Send what is not in the store through the provider's batch API: for half "
           "the price, within 24 hours"),
    Option("no-extra", "", "parse_switch", "Make no further calls to confirm or to settle what a gate suspects"),
    Option("save-baseline", "", "parse_switch", "Write the counts of each skill to baseline.json beside it"),
    Option("strict-cases", "", "parse_switch", "Fail the gates of a skill with cases that nothing ever hits"),
    Option("aa", "", "parse_switch", "Run the same skill in both arms and say how often the gates raise false alarms"),
    Option("unsafe", "", "parse_switch", "Compile and run kernels also where no sandbox works"),
    Option("kernel-seed", "HEX", "parse_seed", "Draw the shapes and the inputs of kernels as the run did that printed "
           "this seed (default: a new secret)"),
    Option("kernel-executor", "NAME", "parse_executor", "Where kernels are executed: local, or a name that "
           "pytest_upskill_kernel_executors registers", "local"),
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
    from pytest_upskill.settings import AutoRuns, Settings

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
        unsafe=bool(values["upskill_unsafe"]),
        seed=values["upskill_kernel_seed"],
        executor=values["upskill_kernel_executor"],
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
    return option.read(option.default, option.flag) if option.default else None
