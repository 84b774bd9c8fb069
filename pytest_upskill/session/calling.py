"""What a test run makes its calls with: the store, the recordings, the budget, and what its options say of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial

from pytest_upskill.calls.batch import Wanted
from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.claims import Claims
from pytest_upskill.calls.means import Means, Setting
from pytest_upskill.calls.measure import Requests
from pytest_upskill.calls.prices import Prices
from pytest_upskill.calls.recordings import Recordings
from pytest_upskill.calls.store import Store
from pytest_upskill.errors import CallError, UpskillError
from pytest_upskill.session.library import Library
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Model


class Calling:
    """Each part is made when it is first asked for, and once.

    Args:
        library: settings and models.
        requests: returns what samples send; asked when there are samples.
        wanted: the samples of the run.
    """

    def __init__(
        self, library: Library, requests: Callable[[], Requests], wanted: Callable[[], Sequence[Sample]]
    ) -> None:
        self._library = library
        self._requests = requests
        self._wanted = wanted
        # Whole sentences for the end of the run, in the order in which they came, each once.
        self.notices: dict[str, None] = {}

    @cached_property
    def store(self) -> Store | None:
        settings = self._library.settings
        return None if settings.cache == "off" else Store(settings.cache_dir, self.notice)

    @cached_property
    def claims(self) -> Claims | None:
        settings = self._library.settings
        return Claims(settings.cache_dir) if settings.cache == "auto" else None

    @cached_property
    def budget(self) -> Budget:
        settings = self._library.settings
        return Budget(settings.budget, settings.max_calls)

    @cached_property
    def prices(self) -> Prices:
        return Prices()

    @cached_property
    def recordings(self) -> Recordings:
        return Recordings()

    def notice(self, sentence: str) -> None:
        """Keep a sentence for the end of the run. Any thread."""
        self.notices[sentence] = None

    def means(self, unrecorded: Callable[[Sample], CallError]) -> Means:
        """Put the parts together, on the engine's loop.

        Args:
            unrecorded: makes the error of a sample whose reply is nowhere, where no call may be made.
        """
        settings = self._library.settings
        setting = Setting(
            mode=settings.cache,
            accounts=self._library.file.accounts,
            batch=self._for_batch if settings.batch else None,
            unrecorded=unrecorded,
            notice=self.notice,
        )
        return Means(
            self._library.providers,
            setting,
            self.store,
            self.claims,
            budget=self.budget,
            prices=self.prices,
            recordings=self.recordings,
        )

    def there(self, asked: Mapping[bytes, Sample]) -> tuple[set[bytes], set[bytes]]:
        """Return those keys of samples that need no call: the recorded ones, and those that are only stored."""
        if self._library.settings.cache not in ("auto", "replay"):
            return set(), set()
        recorded = {
            key
            for key, sample in asked.items()
            if self.recordings.get(sample.suite.skill.root, sample.model.name, key) is not None
        }
        missing = [key for key in asked if key not in recorded]
        return recorded, self.store.present(missing) if self.store is not None else set()

    def _for_batch(self, model: Model) -> list[Wanted]:
        """Return the requests of a model that nothing has answered yet. Engine's thread."""
        requests = self._requests()
        asked: dict[bytes, Sample] = {}
        for sample in self._wanted():
            if sample.model.name != model.name or sample.case.skip:
                continue
            # What cannot be asked says so when its turn comes.
            with contextlib.suppress(UpskillError):
                if requests.contamination(sample) is None:
                    asked.setdefault(requests.key(sample), sample)
        there = set().union(*self.there(asked))
        return [
            Wanted(key, partial(requests.request, sample))
            for key, sample in asked.items()
            if key not in there
        ]
