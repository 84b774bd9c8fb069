"""Starting our part of a test run, in the role that this process has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_upskill.errors import ConfigError, UpskillError
from pytest_upskill.session.collect import LIBRARY, NOTICES, SOURCE, collect_file
from pytest_upskill.session.library import Library

if TYPE_CHECKING:
    from pytest_upskill.session.broker import Broker
    from pytest_upskill.session.controller import Controller

CONTROLLER: pytest.StashKey[Controller] = pytest.StashKey()
_OURS = re.compile(r"::(gate\[[^\]]+\]|.*-(with_skill|without_skill|old_skill)-run\d+\])$")
_COLLECTED_TIMEOUT = 60.0  # seconds; the message is on its way when it is waited for


def library(config: pytest.Config) -> Library:
    found = config.stash.get(LIBRARY, None)
    if found is None:
        found = config.stash[LIBRARY] = Library(config)
    return found


def check_settings(config: pytest.Config) -> None:
    """Find mistakes on the command line before anything is collected.

    Raises:
        pytest.UsageError: with the whole sentence.
    """
    try:
        found = library(config)
        _refuse_file(found.settings.report)
        if found.settings.models:
            found.models  # noqa: B018
        if found.settings.changed:
            found.changed.check()
        elif found.settings.base:
            from pytest_upskill.session.changed import ask

            ask(config, found.revisions)
    except UpskillError as error:
        raise pytest.UsageError(str(error)) from None


def _refuse_file(report: Path | None) -> None:
    # Found before anything is paid for; what can only be found at the end is said there.
    if report is None:
        return
    taken = next((path for path in (report, *report.parents) if path.exists()), report)
    if not taken.is_dir():
        raise ConfigError(
            f"{report}: cannot be written: {taken} is a file: name a folder with --upskill-report"
        )


def collect(path: Path, parent: pytest.Collector) -> pytest.File | None:
    """Return the node for a file of a skill; the first one starts our part of the run."""
    node = collect_file(path, parent, library(parent.config))
    if node is not None:
        _take_part(parent.config)
    return node


def _take_part(config: pytest.Config) -> None:
    # The engine and all that comes with it is imported here, at the first skill.
    from pytest_upskill.session import hooks

    if config.pluginmanager.has_plugin(hooks.NAME):
        return
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        controller = _controller(config)
        kind: type[hooks.ControllerHooks] = hooks.ControllerHooks
        if controller.library.settings.plan:
            from pytest_upskill.session.plan_only import PlanHooks

            kind = PlanHooks
        config.pluginmanager.register(kind(controller), hooks.NAME)
        return
    from pytest_upskill.session.broker import INPUT_KEY
    from pytest_upskill.session.worker import BrokerSource

    source = BrokerSource(worker_input[INPUT_KEY], str(worker_input["workerid"]))
    config.stash[SOURCE] = source
    config.pluginmanager.register(hooks.WorkerHooks(source), hooks.NAME)


def _controller(config: pytest.Config) -> Controller:
    from pytest_upskill.session.controller import Controller

    controller = Controller(config, library(config))
    config.stash[CONTROLLER] = controller
    config.stash[SOURCE] = controller
    return controller


def serve_worker(config: pytest.Config, node: Any, ids: list[str], broker: Broker) -> None:  # noqa: ANN401 - xdist's
    """Serve a worker that has collected samples or gates; called in xdist's controller.

    Raises:
        pytest.UsageError: the worker is on another machine, which the loopback socket does not reach.
    """
    if any(nodeid.endswith(NOTICES) for nodeid in ids):
        _take_part(config)  # to repeat at the end what the notices say
    if not any(_OURS.search(nodeid) for nodeid in ids):
        return
    spec = node.gateway.spec
    if getattr(spec, "ssh", None) or getattr(spec, "socket", None):
        raise pytest.UsageError(
            f"skills cannot be measured on the remote worker {spec}: run them with local workers (-n), "
            "or deselect them there"
        )
    _take_part(config)
    broker.serve(config.stash[CONTROLLER])
    if not broker.wait_collected(str(node.workerinput["workerid"]), _COLLECTED_TIMEOUT):
        raise pytest.UsageError(f"worker {node.gateway.id} did not say which samples it collected")
    if broker.failure is not None:
        raise pytest.UsageError(broker.failure)
    try:
        # All workers collect the same, and none has begun.
        config.stash[CONTROLLER].refuse()
    except UpskillError as error:
        raise pytest.UsageError(str(error)) from None
