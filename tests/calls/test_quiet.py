"""What the engine's thread logs and warns of goes to its notes; the main thread notices nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from pytest_upskill.calls.quiet import Quiet, notes

LOG = logging.getLogger("some.sdk")


class Kept(logging.Handler):
    """A handler as pytest adds them to the root logger."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def handlers() -> Iterator[list[Kept]]:
    found = [Kept(), Kept()]
    for handler in found:
        logging.root.addHandler(handler)
    yield found
    for handler in found:
        logging.root.removeHandler(handler)


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    quiet = Quiet()
    yield quiet
    quiet.restore()


def on_engine_thread(quiet: Quiet, work: Callable[[], object]) -> list[str]:
    """Do the work on a thread that is quiet's, as a sample would, and return the notes."""
    collected: list[str] = []
    failed: list[BaseException] = []

    def run() -> None:
        quiet.thread = threading.get_ident()
        try:
            with notes() as noted:
                work()
                collected.extend(noted)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []
    return collected


def warn(text: str = "old", category: type[Warning] = DeprecationWarning) -> None:
    warnings.warn(text, category, stacklevel=2)


def test_records_of_the_engine_go_to_the_notes_once_and_to_no_handler(
    quiet: Quiet, handlers: list[Kept]
) -> None:
    quiet.hush_logging()
    assert on_engine_thread(quiet, lambda: LOG.warning("slow %s", "down")) == ["WARNING some.sdk: slow down"]
    assert [handler.messages for handler in handlers] == [[], []]


def test_records_below_a_warning_are_dropped(quiet: Quiet, handlers: list[Kept]) -> None:
    quiet.hush_logging()
    LOG.setLevel(logging.DEBUG)
    try:
        assert on_engine_thread(quiet, lambda: LOG.debug("POST /v1 with a key")) == []
    finally:
        LOG.setLevel(logging.NOTSET)
    assert [handler.messages for handler in handlers] == [[], []]


def test_a_record_whose_arguments_do_not_fit_is_noted_as_it_is(quiet: Quiet, handlers: list[Kept]) -> None:
    quiet.hush_logging()
    assert on_engine_thread(quiet, lambda: LOG.error("%d left", "none")) == ["ERROR some.sdk: %d left"]


def test_records_of_the_main_thread_are_left_alone(quiet: Quiet, handlers: list[Kept]) -> None:
    quiet.hush_logging()
    on_engine_thread(quiet, lambda: None)
    LOG.warning("mine")
    assert [handler.messages for handler in handlers] == [["mine"], ["mine"]]


def test_without_a_handler_nothing_of_the_engine_reaches_standard_error(
    quiet: Quiet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    quiet.hush_logging()
    assert on_engine_thread(quiet, lambda: LOG.warning("slow")) == ["WARNING some.sdk: slow"]
    assert capsys.readouterr().err == ""
    LOG.warning("mine")
    assert capsys.readouterr().err == "mine\n"


@pytest.mark.parametrize("action", ["error", "always", "default", "ignore"])
def test_warnings_of_the_engine_are_noted_and_raise_nothing(quiet: Quiet, action: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter(action)  # type: ignore[arg-type]  # the parameters are its literals
        quiet.hush_warnings()
        assert on_engine_thread(quiet, warn) == ["WARNING old"]
        assert on_engine_thread(quiet, lambda: warn("new", ResourceWarning)) == ["WARNING new"]
    assert seen == []


def test_warnings_of_the_main_thread_are_errors_where_they_were(quiet: Quiet) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.hush_warnings()
        on_engine_thread(quiet, warn)
        with pytest.raises(DeprecationWarning, match="old"):
            warn()


def test_warnings_of_the_main_thread_are_seen_by_who_expects_them(quiet: Quiet) -> None:
    quiet.hush_warnings()

    def warned_of_on_both_threads() -> None:
        quiet.hush_warnings()
        on_engine_thread(quiet, lambda: warn("of the engine"))
        warn()

    with pytest.warns(DeprecationWarning, match="old") as seen:
        warned_of_on_both_threads()
    assert [str(one.message) for one in seen] == ["old"]


def test_filters_of_the_main_thread_keep_their_order(quiet: Quiet) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        quiet.hush_warnings()
        warnings.filterwarnings("ignore", message="old")
        quiet.hush_warnings()
        warn("old")
        warn("new")
    assert [str(one.message) for one in seen] == ["new"]


def test_work_that_a_sample_hands_to_a_thread_is_the_samples(quiet: Quiet, handlers: list[Kept]) -> None:
    quiet.hush_logging()

    def noisy() -> None:
        LOG.warning("from a thread")
        warn("of a thread")

    async def sample() -> list[str]:
        with notes() as noted:
            await asyncio.to_thread(noisy)
            await asyncio.ensure_future(asyncio.to_thread(noisy))
            return noted

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.hush_warnings()
        noted = asyncio.run(sample())
    assert noted == ["WARNING some.sdk: from a thread", "WARNING of a thread"] * 2
    assert [handler.messages for handler in handlers] == [[], []]


def test_samples_at_one_time_keep_their_notes_apart(quiet: Quiet, handlers: list[Kept]) -> None:
    quiet.hush_logging()
    found: dict[int, list[str]] = {}

    async def sample(number: int) -> None:
        with notes() as noted:
            for _ in range(3):
                LOG.warning("sample %d", number)
                await asyncio.sleep(0)
        found[number] = noted

    async def both() -> None:
        await asyncio.gather(sample(1), sample(2))

    on_engine_thread(quiet, lambda: asyncio.run(both()))
    assert found == {number: [f"WARNING some.sdk: sample {number}"] * 3 for number in (1, 2)}


def test_notes_do_not_grow_without_end(quiet: Quiet, handlers: list[Kept]) -> None:
    quiet.hush_logging()

    def talkative() -> None:
        for _ in range(1000):
            LOG.warning("again")

    assert len(on_engine_thread(quiet, talkative)) == 50


def test_restore_leaves_logging_and_warnings_exactly_as_they_were(handlers: list[Kept]) -> None:
    handlers[0].addFilter(own := logging.Filter("some"))
    warned, filtered = list(warnings.filters), [list(handler.filters) for handler in logging.root.handlers]
    last = list(logging.lastResort.filters) if logging.lastResort else []
    quiet = Quiet()
    for _ in range(3):
        quiet.hush_logging()
        quiet.hush_warnings()
    on_engine_thread(quiet, lambda: LOG.warning("slow"))
    quiet.restore()
    assert list(warnings.filters) == warned
    assert [list(handler.filters) for handler in logging.root.handlers] == filtered
    assert logging.lastResort is not None
    assert logging.lastResort.filters == last
    assert handlers[0].filters == [own]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_restore_inside_a_catch_warnings_mends_what_comes_back_at_its_end(depth: int) -> None:
    before = list(warnings.filters)
    quiet = Quiet()
    quiet.hush_warnings()
    with contextlib.ExitStack() as stack:
        for _ in range(depth):
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("error")
        quiet.hush_warnings()
        quiet.restore()
        assert all(entry[1] is not quiet for entry in quiet._filters() if isinstance(entry, tuple))
    left = [entry for entry in warnings.filters if entry not in before]
    assert left == []


def test_a_thread_that_gets_the_number_of_one_that_ended_is_not_taken_for_it(quiet: Quiet) -> None:
    quiet.thread = threading.get_ident()
    quiet.restore()
    assert quiet.thread is None
    assert quiet.filter(logging.makeLogRecord({"msg": "mine", "levelno": logging.ERROR}))
