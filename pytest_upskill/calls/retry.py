"""When a call is tried again, after how long, and when an endpoint is given up.

No retry library: what decides here is the fault, the limiter's pause, the sample's deadline and what other calls to
the same endpoint met, which leaves a library nothing but the loop. The jitter comes from a generator of its own,
since plugins reseed the global one before each test.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from pytest_upskill.errors import CallError

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a run is. Times are in seconds.

    Attributes:
        attempts: at most so many for one sample; refusals for a limit do not count.
        first_attempts: the same while the endpoint cannot be reached and never answered in this run: then nobody
            is there, which is best said soon.
        base: the first wait is drawn from 0 to this, each later one from twice as much (full jitter).
        cap: no wait is drawn from more than this.
        longest_wait: a server that asks for a longer wait is not waited for.
        outage: an endpoint at which all calls have failed for so long is given up.
        most_lost: so is one at which more samples than that were given up, one after the other.
    """

    attempts: int = 7
    first_attempts: int = 3
    base: float = 0.5
    cap: float = 30.0
    longest_wait: float = 120.0
    outage: float = 30.0
    most_lost: int = 6


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows a failed attempt: `wait` seconds and try again, or give up (`wait` is None) because of `why`."""

    wait: float | None
    why: str = ""

    @property
    def again(self) -> bool:
        return self.wait is not None


class Endpoint:
    """What the calls to one model met so far in this run, and whether it still makes sense to call it."""

    def __init__(self, concurrency: int, policy: Policy, clock: Clock = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._most_failures = max(10, 2 * concurrency)
        self._failures = 0
        self._failing: set[Hashable] = set()
        self._lost = 0
        self._since: float | None = None
        self.successes = 0
        self.answered = False

    def succeeded(self) -> None:
        """Note a reply."""
        self.successes += 1
        self._lost = 0
        self.alive()

    def alive(self) -> None:
        """Note that somebody is there: a refusal is an answer too."""
        self.answered = True
        self._failures = 0
        self._failing.clear()
        self._since = None

    def failed(self, prompt: Hashable, fault: str) -> None:
        """Note an attempt that failed; `prompt` tells what was asked."""
        if fault in ("failed", "lost"):
            self.answered = True
        self._failures += 1
        self._failing.add(prompt)
        if self._since is None:
            self._since = self._clock()

    def out(self) -> bool:
        """Tell whether all calls have failed, many and for long."""
        return (
            self._since is not None
            and self._failures >= self._most_failures
            and self._several
            and self._clock() - self._since >= self._policy.outage
        )

    def dead(self, fault: str, since: int) -> bool:
        """Note a sample that was given up; tell whether it shows that there is nobody, and not what is wrong with it.

        Args:
            fault: of its last attempt.
            since: `successes` when it began.
        """
        if self.successes > since:
            return False
        self._lost += 1
        return fault == "unreachable" or self._several or self._lost > self._policy.most_lost

    @property
    def _several(self) -> bool:
        # A prompt on which a server fails, in every arm and run of its case, is no outage.
        return len(self._failing) > 1


class Course:
    """The attempts of one sample."""

    def __init__(
        self,
        endpoint: Endpoint,
        deadline: float,
        policy: Policy,
        chance: random.Random,
        clock: Clock = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._policy = policy
        self._chance = chance
        self._clock = clock
        self._deadline = deadline
        self._first: float | None = None
        self.attempts = 0
        self.failures = 0
        self.successes_before = 0

    def begin(self) -> None:
        """Note that an attempt is made; the deadline counts from the first."""
        self.attempts += 1
        if self._first is None:
            self._first = self._clock()
            # Not when the sample queued: all others of the run may have been answered since.
            self.successes_before = self._endpoint.successes

    @property
    def spent(self) -> float:
        """Seconds since the first attempt began."""
        return 0.0 if self._first is None else self._clock() - self._first

    def after(self, error: CallError) -> Verdict:
        """Say what follows an attempt that failed."""
        if error.fatal or error.fault == "final":
            return Verdict(None)
        asked = error.retry_after or 0.0
        if asked > self._policy.longest_wait:
            return Verdict(
                None,
                f"it asks to wait {asked:.0f} s, and {self._policy.longest_wait:.0f} s are waited at most",
            )
        wait = asked
        if error.fault != "limited":
            self.failures += 1
            if self.failures >= self._most(error.fault):
                return Verdict(None, f"{self.failures} attempts" if self.failures > 1 else "")
            wait = max(asked, self._drawn())
        if self.spent + wait >= self._deadline:
            return Verdict(
                None, f"its deadline of {self._deadline:g} s is over after {counted(self.attempts)}"
            )
        # The pause that a limit asks for is the limiter's, for all calls of the model.
        return Verdict(0.0 if error.fault == "limited" else wait)

    def _most(self, fault: str) -> int:
        nobody = fault == "unreachable" and not self._endpoint.answered
        return self._policy.first_attempts if nobody else self._policy.attempts

    def _drawn(self) -> float:
        # The exponent is bounded before the power is: a policy may allow thousands of attempts.
        doublings = min(self.failures - 1, math.ceil(math.log2(self._policy.cap / self._policy.base)))
        return self._chance.uniform(0, min(self._policy.cap, self._policy.base * 2**doublings))


def counted(attempts: int) -> str:
    """Return `1 attempt` or `3 attempts`."""
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
