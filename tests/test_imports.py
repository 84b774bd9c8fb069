"""A suite without skills pays nothing: what the plugin makes a run import, against a run without it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

HEAVY = {
    "openai",
    "anthropic",
    "httpx",
    "httpx2",
    "aiohttp",
    "pydantic",
    "yaml",
    "sqlite3",
    "asyncio",
    "torch",
    "jsonschema",
    "multiprocessing.connection",
}
# Each process of the run writes what it has imported by its end.
CONFTEST = """
import json, os, sys

def pytest_unconfigure(config):
    worker = getattr(config, "workerinput", {}).get("workerid", "controller")
    with open(os.path.join(os.environ["MODULES"], worker + ".json"), "w") as file:
        json.dump(sorted(sys.modules), file)
"""
Modules = dict[str, set[str]]
Run = Callable[..., Modules]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the project and return what each of its processes imported."""
    # Peers import some of these themselves; here only xdist and we are installed.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("MODULES", str(pytester.path))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_one(): pass\ndef test_two(): pass\n")

    def run_it(*arguments: str) -> Modules:
        for path in pytester.path.glob("*.json"):
            if path.stem in ("controller", "gw0", "gw1"):
                path.unlink()
        result = pytester.runpytest_subprocess("-p", "xdist.plugin", *arguments)
        result.assert_outcomes(passed=2)
        names = ["controller", *(["gw0", "gw1"] if "-n2" in arguments else [])]
        return {name: set(json.loads((pytester.path / f"{name}.json").read_text())) for name in names}

    return run_it


OURS = ("-p", "pytest_upskill.plugin")


def heavy(modules: Modules, without: Modules) -> dict[str, set[str]]:
    return {name: (found - without[name]) & HEAVY for name, found in modules.items()}


@pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])
def test_a_project_without_skills_imports_nothing_heavy(run: Run, mode: list[str]) -> None:
    without = run(*mode)
    assert heavy(run(*OURS, *mode), without) == {name: set() for name in without}


@pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])
def test_files_that_look_like_ours_make_no_difference(
    run: Run, pytester: pytest.Pytester, mode: list[str]
) -> None:
    (pytester.path / "README.md").write_text("# A project\n")
    (pytester.path / "data.json").write_text('{"cases": []}')
    (pytester.path / "config.yaml").write_text("models: {}\n")
    (pytester.path / "notes.txt").write_text("x")
    (pytester.path / "docs").mkdir()
    (pytester.path / "docs" / "index.md").write_text("---\nname: x\n---\n")
    without = run(*mode)
    assert heavy(run(*OURS, *mode), without) == {name: set() for name in without}


def test_only_a_handful_of_our_own_modules_is_imported(run: Run) -> None:
    ours = {name for name in run(*OURS)["controller"] if name.startswith("pytest_upskill")}
    assert "pytest_upskill.plugin" in ours
    assert not {
        name for name in ours if name.split(".")[1:2] in (["calls"], ["verdicts"], ["providers"], ["reports"])
    }


def test_a_project_with_a_skill_does_import_them(run: Run, pytester: pytest.Pytester) -> None:
    """The proof that the other tests can fail."""
    folder = pytester.path / "demo"
    folder.mkdir()
    (folder / "SKILL.md").write_text("---\nname: demo\ndescription: x\n---\nbody\n")
    (folder / "skill_meta.json").write_text('[{"input": "x", "expected": {"contains": "y"}}]')
    modules = run(*OURS, "--upskill-models=reader", "--deselect=demo")["controller"]
    assert {"pydantic", "yaml", "asyncio"} <= modules
