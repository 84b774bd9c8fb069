"""What crosses rooms: frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from concurrent.futures import Executor

CacheMode: TypeAlias = Literal["auto", "replay", "refresh", "off"]
StageOutcome: TypeAlias = Literal["passed", "missed", "skipped", "error"]
GateMode: TypeAlias = Literal["judge", "strict", "off"]
Source: TypeAlias = Literal["call", "batch", "store", "recording"]
Fault: TypeAlias = Literal["final", "limited", "failed", "unreachable", "lost"]
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Arm: TypeAlias = Literal["with_skill", "without_skill", "old_skill"]
WITH: Arm = "with_skill"
WITHOUT: Arm = "without_skill"
OLD: Arm = "old_skill"
DEFAULT_CONCURRENCY = 16
# How the skip of a sample begins that a gate was decided without.
NOT_NEEDED = "not needed: "


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class Model:
    """A configured name and what it resolves to.

    `parameters` goes to the provider as it is and is part of the store key; all below it is not.
    `concurrency` is how many calls are in flight at most: None where nobody said, which begins with few and
    grows to 16. `timeout` (seconds) is for one attempt, `deadline` for all attempts of one sample, counted
    from the first. `account` names whose limits it shares with other models.
    """

    name: str
    provider: str
    model: str
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    base_url: str | None = None
    api_key_env: str | None = None
    concurrency: int | None = None
    timeout: float = 120.0
    price: Price | None = None
    deadline: float = 600.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Limits that several models share. `concurrency` is in calls in flight; None where there is no limit."""

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One call, as a provider gets it. An empty `system` means that there is no system message."""

    model: str
    system: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """One limit as a server tells it: how much there is, how much is left, seconds until it is whole again."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a server said of its limits beside a reply or a refusal."""

    requests: Window | None = None
    tokens: Window | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a model.

    `stop_reason` is `stop` (finished), `length` (cut off at max_tokens) or the provider's own word;
    `latency` is in seconds; `model` is the id that the server reported. `limits` is for the limiter alone: it
    is neither stored nor reported. `date` is when it came, in seconds since the epoch: the store says so of its
    replies, and of others it is None.
    """

    text: str
    model: str | None = None
    usage: Usage = Usage()
    stop_reason: str | None = None
    latency: float = 0.0
    limits: RateLimits | None = field(default=None, compare=False, repr=False)
    date: float | None = field(default=None, compare=False, repr=False)

    @property
    def truncated(self) -> bool:
        return self.stop_reason == "length"


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of a case's `expected`: which scorer, its value, and the keys that stand beside it.

    `options` holds `case_sensitive` (bool), and `output_file` (str) where the text to look at is a file
    that the reply writes and not the whole reply.
    """

    scorer: str
    value: JSON
    options: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One task and what is expected of the reply.

    `models` limits which models run it (`!name` excludes one); `skip` says why it cannot be measured at all.
    `brief` is what its checks ask of the form of the reply: it follows the input in every arm. `marks` are the
    markers that its samples carry.
    """

    id: str
    input: str
    checks: tuple[Check, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    skip: str | None = None
    brief: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Skill:
    """A folder with SKILL.md, as it was read. `files` are its other files, relative, sorted.

    `meta` is the frontmatter; `body_line` the 1-based line of SKILL.md at which `body` begins.
    """

    name: str
    root: Path
    body: str
    meta: Mapping[str, JSON] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    body_line: int = 1


@dataclass(frozen=True, slots=True)
class GateConfig:
    """A gate's numbers as one place gives them, fractions of 1; None where that place says nothing."""

    min_pass_rate: float | None = None
    min_lift: float | None = None
    on_inconclusive: Literal["pass", "fail"] | None = None
    equivalence: float | None = None
    min_drop: float | None = None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of one file and what it says for all of them. `warnings` are whole sentences."""

    path: Path
    cases: tuple[Case, ...]
    gate: GateConfig = GateConfig()
    runs: int | None = None
    inject: Literal["body", "all"] = "body"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a check that has several: what became of it, the evidence, seconds, and figures by their names."""

    name: str
    outcome: StageOutcome
    evidence: str = ""
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """What one scorer says of one reply: `expected` in words, and the evidence for hit or miss.

    `stages` are the steps that it took, where there were several.
    """

    hit: bool
    evidence: str = ""
    expected: str = ""
    scorer: str = ""
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a sample: `error` or `skip` is set, or else `reply` and `scores` are.

    `source` tells where the reply came from; `cost` is in US dollars at the list price, None where the price or
    the usage is unknown; `log` holds what the SDK logged or warned of; `short` is the cause of an error in a few words,
    where there are any, and all that `error` says of one that was told before.
    `stages` are the steps of its checks as far as they went, also where it was skipped or ended in an error.
    """

    reply: Reply | None = None
    scores: tuple[Score, ...] = ()
    error: str | None = None
    skip: str | None = None
    source: Source = "call"
    cost: float | None = None
    log: tuple[str, ...] = ()
    short: str | None = None
    stages: tuple[Stage, ...] = ()

    @property
    def cached(self) -> bool:
        """Tell whether the reply was there before this run."""
        return self.source in ("store", "recording")

    @property
    def measured(self) -> bool:
        return self.error is None and self.skip is None

    @property
    def hit(self) -> bool:
        return self.measured and all(score.hit for score in self.scores)


@dataclass(frozen=True, slots=True)
class ScoringContext:
    """Where a scorer is: the skill's folder, the case (its id, input and files), and the 1-based run."""

    root: Path
    case: Case
    run: int = 1


@dataclass(frozen=True, slots=True)
class ScoringRun:
    """What holds for all scoring of a test run.

    Attributes:
        folder: where artefacts may be kept between runs.
        seed: a secret from which scorers draw what replies must not know beforehand; 16 bytes or more.
        unsafe: the user allows code of a reply to run without a sandbox.
        hidden: environment variables that nothing which a scorer starts may see.
        executor: where jobs for a device go; None for this machine.
    """

    folder: Path
    seed: bytes
    unsafe: bool = False
    hidden: frozenset[str] = frozenset()
    executor: Executor | None = None
