"""What crosses rooms: frozen data and the Protocols that plugins implement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

CacheMode: TypeAlias = Literal["auto", "replay", "refresh", "off"]
GateMode: TypeAlias = Literal["judge", "strict", "off"]
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Arm: TypeAlias = Literal["with_skill", "without_skill", "old_skill"]
WITH: Arm = "with_skill"
WITHOUT: Arm = "without_skill"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class Model:
    """A configured name and what it resolves to.

    `parameters` goes to the provider as it is and is part of the store key; `timeout` (seconds) and
    `concurrency` (calls in flight) are not.
    """

    name: str
    provider: str
    model: str
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    base_url: str | None = None
    api_key_env: str | None = None
    concurrency: int = 16
    timeout: float = 120.0
    price: Price | None = None


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
class Reply:
    """What came back from a model.

    `stop_reason` is `stop` (finished), `length` (cut off at max_tokens) or the provider's own word;
    `latency` is in seconds; `model` is the id that the server reported.
    """

    text: str
    model: str | None = None
    usage: Usage = Usage()
    stop_reason: str | None = None
    latency: float = 0.0

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
    """

    id: str
    input: str
    checks: tuple[Check, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    skip: str | None = None


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
class Score:
    """What one scorer says of one reply: `expected` in words, and the evidence for hit or miss."""

    hit: bool
    evidence: str = ""
    expected: str = ""
    scorer: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a sample: `error` or `skip` is set, or else `reply` and `scores` are.

    `cached` tells that the reply came from the store; `log` holds what the SDK logged or warned of.
    """

    reply: Reply | None = None
    scores: tuple[Score, ...] = ()
    error: str | None = None
    skip: str | None = None
    cached: bool = False
    log: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        return self.error is None and self.skip is None

    @property
    def hit(self) -> bool:
        return self.measured and all(score.hit for score in self.scores)


@dataclass(frozen=True, slots=True)
class ScoringContext:
    """Where a scorer is: the skill's folder and the case (its id, input and files)."""

    root: Path
    case: Case


class Provider(Protocol):
    """One way to reach a model. Built without importing an SDK; `open` is the first to import it.

    `version` names the shape of the request that is sent and is part of the store key; `deterministic`
    says that the same request always gets the same reply (one run is then enough).
    """

    version: str
    deterministic: bool

    async def open(self) -> None:
        """Make the client, on the engine's loop. Raises `CallError` when it cannot be made."""

    async def complete(self, request: Request, timeout: float) -> Reply:
        """Make one call; `timeout` is in seconds. Raises `CallError`."""

    async def close(self) -> None:
        """Close the client, on the engine's loop."""


ProviderFactory: TypeAlias = Callable[[Model], Provider]


class Dialect(Protocol):
    """One format of case files.

    `file` is where it lies in a skill's folder (`skill_meta.json`, `evals/evals.json`).
    """

    file: str

    def read(self, path: Path, scorers: Mapping[str, Scorer]) -> CaseFile:
        """Return the cases of a file. Raises `SuiteError` with file, line and key."""


class Scorer(Protocol):
    """One kind of check. `isolated` scorers run in a child process with a time limit.

    An isolated scorer's class must be importable and take no arguments.
    """

    isolated: bool

    def validate(self, check: Check, context: ScoringContext) -> None:
        """Raise `ValueError` with a sentence when the case asks for something that cannot be checked."""

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        """Judge one reply. Raises `ScorerError` when it cannot be judged: an error, not a miss."""
