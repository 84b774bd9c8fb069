"""What is published holds what its users need, and nothing else."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def build(kind: str, folder: Path) -> Path:
    """Return the archive that the build backend makes of the project as it stands."""
    code = f"import sys; from hatchling.build import build_{kind}; print(build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel")))


def info(wheel: zipfile.ZipFile, name: str) -> str:
    place = next(path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(place).decode()


def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(info(wheel, "METADATA"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pytest_upskill").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == source


def test_the_wheel_holds_the_type_marker_the_schema_and_the_licence(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "pytest_upskill/py.typed" in names
    assert "pytest_upskill/reports/results.schema.json" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_entry_points_are_the_plugin_and_the_command(wheel: zipfile.ZipFile) -> None:
    points = configparser.ConfigParser()
    points.read_string(info(wheel, "entry_points.txt"))
    assert {name: dict(points[name]) for name in points.sections()} == {
        "pytest11": {"upskill": "pytest_upskill.plugin"},
        "console_scripts": {"pytest-upskill": "pytest_upskill.cli:main"},
    }


def test_no_sdk_is_needed_without_an_extra(wheel: zipfile.ZipFile) -> None:
    needs = metadata(wheel).get_all("Requires-Dist") or []
    always = {need.split(">")[0] for need in needs if "extra ==" not in need}
    assert always == {"pytest", "pyyaml", "pydantic", "jsonschema"}


def test_the_extra_all_is_every_other_extra_but_those_of_hundreds_of_megabytes() -> None:
    extras = dict(PROJECT["project"]["optional-dependencies"])
    own = extras.pop("all")
    assert {extras.pop(name)[0].partition("[")[0].partition(">")[0] for name in ("cuda", "torch")} == {
        "cuda-toolkit",
        "torch",
    }
    assert own == [f"pytest-upskill[{','.join(extras)}]"]


def test_the_source_archive_holds_what_its_own_tests_need(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (
        "tests/test_packaging.py",
        "docs/README.md",
        "skills/git-commit-messages/SKILL.md",
        "example_project/upskill.yaml",
        "example_project/.github/workflows/skills.yml",
        ".ci/run",
        ".github/workflows/ci.yml",
        ".pre-commit-config.yaml",
        "upskill.yaml",
        "CHANGELOG.md",
    ):
        assert needed in names
    assert not any(".upskill/" in name or "__pycache__" in name for name in names)


def test_the_version_is_read_when_somebody_asks() -> None:
    code = (
        "import sys; before = set(sys.modules); import pytest_upskill\n"
        "assert 'importlib.metadata' not in set(sys.modules) - before\n"
        "print(pytest_upskill.__version__)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == PROJECT["project"]["version"]


def test_the_hooks_run_the_ruff_that_the_lint_group_pins() -> None:
    pins = [need for need in PROJECT["dependency-groups"]["lint"] if need.startswith("ruff==")]
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert pins
    assert text.count(f'["{pins[0]}"]') == text.count("additional_dependencies")


def test_every_fragment_of_the_changelog_has_a_type_that_towncrier_knows() -> None:
    types = {"feature", "bugfix", "doc", "removal", "misc"}
    for path in (ROOT / "changelog.d").glob("*.md"):
        assert path.name.split(".")[1] in types, path.name
    start = PROJECT["tool"]["towncrier"]["start_string"]
    assert start in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
