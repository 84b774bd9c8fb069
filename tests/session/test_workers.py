"""xdist's workers and the broker between them and the controller."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_upskill.session.answers import Answer, from_dict
from pytest_upskill.session.broker import Broker
from pytest_upskill.session.controller import Controller
from pytest_upskill.session.start import serve_worker
from pytest_upskill.session.worker import BrokerSource

SAMPLE = "skills/demo/skill_meta.json::case-1[haiku-with_skill-run1]"


class Fake:
    """Answers like a controller, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def select(self, places: object) -> None:
        self.asked.append(list(cast("list[object]", places)))

    def sample(self, place: tuple[str, str]) -> Answer:
        self.asked.append(place)
        if place[1] == "broken":
            raise KeyError(place[1])
        return Answer(word="HIT", properties=(("upskill.model", "haiku"),), log=("WARNING x",), seconds=0.5)

    def gate(self, place: tuple[str, str]) -> Answer:
        self.asked.append(place)
        return Answer(word="failed", failure="two\nlines")


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.close()


def node(spec: object, config: object = None) -> SimpleNamespace:
    return SimpleNamespace(
        gateway=SimpleNamespace(spec=spec, id="gw0"), workerinput={"workerid": "gw0"}, config=config
    )


class Spec(SimpleNamespace):
    def __str__(self) -> str:
        return "ssh=elsewhere"


def test_a_worker_gets_its_answers_whole(broker: Broker) -> None:
    fake = Fake()
    source = BrokerSource(broker.worker_input, "gw0")
    source.collected([("/skills/demo", "case-1")])
    broker.serve(cast("Controller", fake))
    assert broker.wait_collected("gw0", 10)
    assert source.sample(("/skills/demo", "case-1")) == fake.sample(("", ""))
    assert source.gate(("/skills/demo", "gate[haiku]")).failure == "two\nlines"
    assert fake.asked[0] == [("/skills/demo", "case-1")]
    broker.close()


def test_a_failure_of_the_controller_is_an_answer(broker: Broker) -> None:
    source = BrokerSource(broker.worker_input, "gw0")
    broker.serve(cast("Controller", Fake()))
    assert source.sample(("/x", "broken")).error == "the controller failed: KeyError: 'broken'"
    assert source.sample(("/x", "fine")).word == "HIT"
    broker.close()


def test_a_controller_that_is_gone_is_an_error_in_words(broker: Broker) -> None:
    source = BrokerSource(broker.worker_input, "gw0")
    broker.close()
    assert source.sample(("/x", "y")).error == "the controller does not answer: ConnectionRefusedError"


def test_a_stranger_is_not_served(broker: Broker) -> None:
    broker.serve(cast("Controller", Fake()))
    port = int(broker.worker_input["port"])
    with pytest.raises((AuthenticationError, EOFError, OSError)):
        Client(("127.0.0.1", port), family="AF_INET", authkey=b"guess")
    source = BrokerSource(broker.worker_input, "gw0")
    assert source.sample(("/x", "y")).word == "HIT"
    broker.close()


def test_an_answer_survives_the_way_through_json() -> None:
    answer = Answer("MISS", error="e", skip=None, seconds=0.25, properties=(("a", "b"),), log=("c",))
    assert from_dict(answer.as_dict()) == answer


@pytest.mark.parametrize("kind", ["ssh", "socket"])
def test_remote_workers_are_refused_once_they_have_skills(broker: Broker, kind: str) -> None:
    spec = Spec(**{"ssh": None, "socket": None, kind: "elsewhere"})
    with pytest.raises(pytest.UsageError) as caught:
        serve_worker(cast("pytest.Config", None), node(spec), [SAMPLE], broker)
    assert str(caught.value) == (
        "skills cannot be measured on the remote worker ssh=elsewhere: run them with local workers (-n), "
        "or deselect them there"
    )


def test_workers_without_skills_are_left_alone(broker: Broker) -> None:
    spec = Spec(ssh="elsewhere", socket=None)
    ids = ["tests/test_skill.py::test_gate[x]", "tests/test_a.py::test[with_skill]"]
    serve_worker(cast("pytest.Config", None), node(spec), ids, broker)
