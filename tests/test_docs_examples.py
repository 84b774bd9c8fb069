"""What the pages name exists, and their examples are read by the loaders of the plugin."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill import hookspecs
from pytest_upskill.config import load_config
from pytest_upskill.options import OPTIONS
from pytest_upskill.shipped import shipped_scorers
from pytest_upskill.suite.dialects.native import Native
from tests.documents import PAGES, ROOT, blocks, links, page, steps

EVERY_PAGE = pytest.mark.parametrize("name", PAGES)


@EVERY_PAGE
def test_every_set_up_line_names_extras_and_groups_that_exist(name: str) -> None:
    project = tomllib.loads(page("pyproject.toml"))
    text = "\n".join(block.text for block in blocks(name) if block.language in ("sh", "console"))
    for line in text.splitlines():
        if "pip install" in line:
            extras = {extra for found in re.findall(r"\[([a-z,]+)\]", line) for extra in found.split(",")}
            assert extras <= project["project"]["optional-dependencies"].keys()
            assert set(re.findall(r"--group (\S+)", line)) <= project["dependency-groups"].keys()


def test_the_readme_begins_with_one_line_for_the_main_job_and_one_for_the_tests() -> None:
    shells = [block for block in blocks("README.md") if block.language == "sh"]
    assert [block.text.count("\n") for block in shells] == [1, 1]
    job, tests = (block.text.strip() for block in shells)
    assert job.startswith("python3 -m venv .venv && ")
    assert job.endswith(" .venv/bin/pytest skills/")
    assert tests.startswith("python3 -m venv .venv-test && ")
    assert tests.endswith(" .venv-test/bin/pytest -n 2 --dist worksteal")
    first = next(block for block in blocks("README.md") if block.language == "console")
    assert job.endswith(steps(first)[0].command)


@EVERY_PAGE
def test_every_relative_link_of_a_page_leads_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    for target in links(name):
        if not target.startswith(("http://", "https://")):
            assert (folder / target.partition("#")[0]).exists(), target


@EVERY_PAGE
def test_every_json_example_is_read_by_the_loader(name: str, tmp_path: Path) -> None:
    for number, block in enumerate(block for block in blocks(name) if block.language == "json"):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "SKILL.md").write_text("---\nname: s\ndescription: d\n---\nText\n")
        (folder / "checks.py").write_text("def greets(reply, case): return True\n")
        (folder / "rmsnorm.py").write_text("def reference(x, w, eps): return x\n")
        (folder / "skill_meta.json").write_text(json.dumps(as_cases(json.loads(block.text))))
        assert Native().read(folder / "skill_meta.json", shipped_scorers()).cases, f"line {block.line}"


def as_cases(data: Any) -> Any:
    """Return an example as a case file: it may be one, or only the `expected` of a case."""
    if isinstance(data, list) or data.keys() & {"cases", "tests"}:
        return data
    return {"cases": [data if data.keys() & {"input"} else {"input": "question", "expected": data}]}


@EVERY_PAGE
def test_every_yaml_example_is_read_by_the_loader(name: str, tmp_path: Path) -> None:
    for block in blocks(name):
        if block.language == "yaml":
            (tmp_path / "upskill.yaml").write_text(block.text)
            config = load_config(tmp_path)
            assert config.gates or config.models, f"line {block.line}"


@EVERY_PAGE
def test_every_ini_option_of_a_page_exists(name: str) -> None:
    known = {option.dest for option in OPTIONS}
    assert set(re.findall(r"\bupskill_[a-z_]+\b", page(name))) <= known
    for block in blocks(name):
        if block.language == "toml":
            assert tomllib.loads(block.text)["tool"]["pytest"]["ini_options"]


@EVERY_PAGE
def test_every_flag_of_a_page_exists(name: str) -> None:
    known = {option.flag for option in OPTIONS}
    assert set(re.findall(r"--upskill-[a-z-]+[a-z]", page(name))) <= known


def test_every_check_is_described() -> None:
    for key in shipped_scorers():
        assert f"| `{key}` |" in page("docs/writing-cases.md")


def test_every_hook_is_described_with_the_example_of_its_docstring() -> None:
    text = page("docs/extending.md")
    for name in (name for name in dir(hookspecs) if name.startswith("pytest_upskill_")):
        found = re.search(r"```python\n(.*?)```", inspect.getdoc(getattr(hookspecs, name)) or "", re.DOTALL)
        assert found, name
        assert inspect.cleandoc("\n" + found[1]) in text
        assert f"`{name}(" in text


def test_every_built_in_model_is_named() -> None:
    from pytest_upskill.config import ALIASES

    for name in ALIASES:
        assert f"`{name}`" in page("docs/models.md")


def test_the_index_lists_every_page() -> None:
    listed = {target for target in links("docs/README.md") if "/" not in target}
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
