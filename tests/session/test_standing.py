"""What is said of a run while it goes on is read where it belongs, and what ends late is told all the same."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_upskill.calls.attempts import Traffic
from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.engine import Engine
from pytest_upskill.session import finish as module
from pytest_upskill.session.controller import Controller
from pytest_upskill.session.standing import Standing
from tests.calls.fakes import Fake, measurer, samples


def test_the_limits_are_asked_on_the_thread_to_which_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(lambda: measurer(Fake()))
    asked: list[int] = []

    def waiting() -> tuple[float, str]:
        asked.append(threading.get_ident())
        return 3.0, "m is rate limited"

    try:
        engine.outcome(samples(1)[0])
        thread = engine.quiet.thread
        assert engine.measurer is not None
        monkeypatch.setattr(engine.measurer.means.limits, "waiting", waiting)
        status = Standing().status(engine, Traffic(), Budget())
    finally:
        engine.stop()
    assert (status.waiting, status.cause) == (3.0, "m is rate limited")
    assert asked == [thread]


def test_a_sample_that_finishes_as_the_engine_is_stopped_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = ["first"]
    told: list[str] = []
    controller = SimpleNamespace(
        tell_finished=lambda: told.extend(done[len(told) :]),
        stop=lambda: done.append("last"),
        results=list,
        config=None,
        outcomes={},
        recording=SimpleNamespace(finish=lambda *_: None, failures=[]),
        library=SimpleNamespace(settings=SimpleNamespace(report=None)),
    )
    monkeypatch.setattr("pytest_upskill.reports.junit.add_suite_properties", lambda *_: None)
    module.finish(cast("Controller", cast("Any", controller)))
    assert told == ["first", "last"]
