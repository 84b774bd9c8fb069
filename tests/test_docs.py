"""The commands of the pages run, and print what is shown below them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.kernels.devices import devices
from pytest_upskill.kernels.sandbox import sandboxes
from pytest_upskill.providers.reader import Reader
from pytest_upskill.types import Message, Model, Reply, Request
from tests.documents import PAGES, ROOT, Block, Step, blocks, first_difference, steps
from tests.kernels.compiling import needs_compiler

EVERY_PAGE = pytest.mark.parametrize("name", PAGES)
SETTING_UP = re.compile(r"python3? -m (pip|venv) |pip install ")
LOCAL_SERVER = "localhost:8080"
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT", "CUDA_HOME", "CUDA_PATH", "NVCC_CCBIN")
# They show what kernels come to on a machine that has a compiler, a sandbox, and no GPU.
COMPILING = ("docs/kernels.md",)


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


def skip_where_it_cannot_be_true() -> None:
    """Skip where no kernel can be compiled or no answer judged, and where there is a GPU."""
    if find_spec("torch") is None:
        pytest.skip("wrong answers are judged with PyTorch, which is not installed")
    needs_compiler()
    with sandboxes(unsafe=False)[0] as sandbox:
        if devices(sandbox):
            pytest.skip("the page shows what is printed on a machine without a GPU")


@EVERY_PAGE
def test_every_command_of_a_page_runs_and_prints_what_is_shown(name: str, tmp_path: Path) -> None:
    if name in COMPILING:
        skip_where_it_cannot_be_true()
    elif name == "README.md" and sys.platform == "linux":
        needs_compiler()  # it measures the skills that we ship, of which one has kernels; elsewhere these are skipped
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
