"""The hooks of every pytest run: they do nothing until a skill is found. Nothing of ours is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_upskill.session.broker import Broker

_BROKER: pytest.StashKey[Broker] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    from pytest_upskill import options

    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_upskill import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "upskill: samples and gates of skills (pytest-upskill)")
    config.addinivalue_line("markers", "gpu: needs a GPU")
    if not hasattr(config, "workerinput"):
        from pytest_upskill import options

        if options.used(config):
            from pytest_upskill.session import start

            start.check_settings(config)
        if _may_only_plan(config):
            from pytest_upskill.session import plan_only

            plan_only.turn_on(config)


def _may_only_plan(config: pytest.Config) -> bool:
    try:
        return bool(config.getoption("upskill_plan") or config.getini("upskill_plan"))
    except (TypeError, ValueError):
        return True  # a value of the wrong type; said in words where the settings are read


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    name = getattr(plugin, "__file__", None)
    if (
        name
        and Path(name).name == "conftest.py"
        and any(key.startswith("pytest_upskill_") for key in vars(plugin))
    ):
        from pytest_upskill.session import conftests

        conftests.refuse_deep(Path(name), vars(plugin), manager)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    if file_path.suffix == ".py":
        return None
    from pytest_upskill.session.registry import registry

    if file_path.name not in registry(parent.config).file_names:
        return None
    from pytest_upskill.session import start

    return start.collect(file_path, parent)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist's WorkerController
    from pytest_upskill.session.broker import INPUT_KEY, Broker

    config = node.config
    if _BROKER not in config.stash:
        config.stash[_BROKER] = Broker()
    node.workerinput[INPUT_KEY] = config.stash[_BROKER].worker_input


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:  # noqa: ANN401
    if any("skill" in nodeid or "::gate[" in nodeid for nodeid in ids):
        from pytest_upskill.session import start

        start.serve_worker(node.config, node, ids, node.config.stash[_BROKER])


def pytest_unconfigure(config: pytest.Config) -> None:
    broker = config.stash.get(_BROKER, None)
    if broker is not None:
        broker.close()
