"""What the pages say is so: their commands run, print what is shown, and their examples can be read."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_upskill import hookspecs
from pytest_upskill.config import load_config
from pytest_upskill.options import OPTIONS
from pytest_upskill.providers.reader import Reader
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.types import Message, Model, Reply, Request
from tests.documents import PAGES, ROOT, Block, Step, blocks, first_difference, links, page, steps

EVERY_PAGE = pytest.mark.parametrize("name", PAGES)
SETTING_UP = re.compile(r"python3? -m (pip|venv) |pip install ")
LOCAL_SERVER = "localhost:8080"
CASE_KEYS = {"input", "expected", "id", "tags", "models", "context", "output_file"}
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT")


def working_folder(name: str, folder: Path) -> Path:
    """Return a folder in which the commands of a page run: the project, the example, or an empty one."""
    if name == "README.md":
        shutil.copytree(ROOT / "skills", folder / "skills")
        for file in ("upskill.yaml", "pyproject.toml"):
            shutil.copy(ROOT / file, folder)
    elif name.startswith("example_project/"):
        ignore = shutil.ignore_patterns(".upskill", "__pycache__", ".pytest_cache")
        shutil.copytree(ROOT / "example_project", folder, dirs_exist_ok=True, ignore=ignore)
    elif not any(block.file for block in blocks(name)):
        skill = folder / "skills" / "release-notes"
        shutil.copytree(ROOT / "example_project" / "skills" / "release-notes", skill)
        (folder / "pytest.ini").write_text("[pytest]\n")
    if name == "docs/in-ci.md":
        shutil.copytree(ROOT / "example_project" / "skills", folder / "skills")
        (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def environment(url: str | None) -> dict[str, str]:
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    # The order of items is shown on the pages; other plugins of this environment would shuffle it.
    more = {"COLUMNS": "80", "PYTEST_ADDOPTS": "-p no:randomly", "PYTHONDONTWRITEBYTECODE": "1"}
    if url is not None:
        more |= {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{url}/v1"}
        more |= {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": url}
    return kept | more


def answered(call: Coroutine[None, None, Reply]) -> Reply:
    """Return the result of a call that never waits; the server's own loop is running here."""
    try:
        call.send(None)
    except StopIteration as done:
        reply: Reply = done.value
        return reply
    raise RuntimeError("the reader waited")


@contextmanager
def reading_server() -> Iterator[str]:
    """Serve a model that reads as well as the reader does, and words each reply differently."""
    from tests.loopback import Server

    number = count(1)

    def reply(body: dict[str, Any]) -> str:
        turns = [turn for turn in body["messages"] if turn["role"] == "user"]
        systems = [turn["content"] for turn in body["messages"] if turn["role"] == "system"]
        system = str(body.get("system") or "".join(systems))
        request = Request("reader", system, (Message("user", turns[-1]["content"]),))
        return f"{answered(reader.complete(request, 1.0)).text}\n\n({next(number)})"

    reader = Reader(Model("reader", "reader", "reader"))
    with Server(reply) as server:
        yield server.url


def run(commands: list[Step], folder: Path, url: str | None) -> None:
    """Run the commands of a block in one shell and compare what they print with what is shown."""
    script = "\n".join(
        f"(exit $rc); {step.command}\nrc=$?; printf '\\n\\036%s\\036' $rc" for step in commands
    )
    if url is not None:
        script = script.replace(LOCAL_SERVER, url.removeprefix("http://"))
    done = subprocess.run(
        ["bash", "-c", f"rc=0\n{script}"],
        cwd=folder,
        env=environment(url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    parts = done.stdout.split("\036")
    for step, printed, code, following in zip(
        commands, parts[::2], parts[1::2], [*commands[1:], None], strict=False
    ):
        asked = following is not None and following.command == "echo $?"
        assert code == "0" or asked, f"{step.command} ends with {code}:\n{printed[-3000:]}"
        if step.shown:
            missing = first_difference(step.shown, printed)
            assert missing is None, (
                f"{step.command} does not print:\n{missing}\n\nIt prints:\n{printed[-3000:]}"
            )


@EVERY_PAGE
def test_every_command_of_a_page_runs_and_prints_what_is_shown(name: str, tmp_path: Path) -> None:
    folder = working_folder(name, tmp_path)
    for block in blocks(name):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.language == "console":
            run_block(block, folder)


def run_block(block: Block, folder: Path) -> None:
    commands = [step for step in steps(block) if not SETTING_UP.match(step.command)]
    if not commands:
        return
    if not block.needs:
        run(commands, folder, None)
        return
    config = folder / "upskill.yaml"
    with reading_server() as url:
        before = config.read_text() if config.exists() else None
        if before is not None:
            config.write_text(before.replace(LOCAL_SERVER, url.removeprefix("http://")))
        run(commands, folder, url)
        if before is not None:
            config.write_text(before)


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
    assert tests.endswith(" .venv-test/bin/pytest")
    first = next(block for block in blocks("README.md") if block.language == "console")
    assert job.endswith(steps(first)[0].command)


def test_ci_runs_the_readmes_test_command() -> None:
    command = [block.text.strip() for block in blocks("README.md") if block.language == "sh"][1]
    here = command.replace(".venv-test", '"$venv"')
    assert f"\n{here}\n" in page(".ci/run")


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
        (folder / "skill_meta.json").write_text(json.dumps(as_cases(json.loads(block.text))))
        assert Native().read(folder / "skill_meta.json", builtin_scorers()).cases, f"line {block.line}"


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
    for key in builtin_scorers():
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


@pytest.mark.parametrize("path", [".github/workflows/ci.yml", "example_project/.github/workflows/skills.yml"])
def test_a_workflow_trusts_nothing_by_default(path: str) -> None:
    text = page(path)
    data = yaml.safe_load(text)
    assert data["permissions"] == {}
    assert data["concurrency"]["group"]
    for job in data["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 30
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses)
