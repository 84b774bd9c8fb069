from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_upskill.errors import SuiteError
from pytest_upskill.protocols import Dialect, Scorer
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.loading import load_suite, no_cases, skill_root
from pytest_upskill.types import Case, CaseFile, Check
from tests.suite.conftest import Folder


class Lines:
    """A foreign dialect: whatever cases it is given."""

    file = "evals/lines.txt"

    def __init__(self, *cases: Case) -> None:
        self.cases = cases

    def read(self, path: Path, scorers: Mapping[str, Scorer]) -> CaseFile:
        return CaseFile(path, self.cases)


ID_RULE = "an id must be made of a-z, 0-9 and '-', at most 64 characters, and 'gate' is kept for the gates"
CHECKS = (Check("contains", "x"),)


def refusal(folder: Folder, *cases: Case) -> str:
    folder.write("evals/lines.txt", "")
    with pytest.raises(SuiteError) as caught:
        load_suite(folder.root, [Native(), Lines(*cases)], builtin_scorers())
    return str(caught.value)


def test_a_skill_has_the_cases_of_all_its_files_in_the_order_of_the_dialects(folder: Folder) -> None:
    folder.meta([{"id": "native", "input": "x", "expected": {"contains": "y"}}])
    folder.write("evals/lines.txt", "")
    suite = load_suite(folder.root, [Native(), Lines(Case("other", "x", CHECKS))], builtin_scorers())
    assert [case.id for file in suite.files for case in file.cases] == ["native", "other"]
    assert suite.first.path == folder.root / "skill_meta.json"


def test_no_case_file_of_any_dialect_is_part_of_the_skill(folder: Folder) -> None:
    class Top(Lines):
        file = "lines.txt"

    folder.write("lines.txt", "x")
    suite = load_suite(folder.root, [Top(Case("a", "x", CHECKS))], builtin_scorers())
    assert suite.skill.files == ()


def test_without_cases_the_message_names_what_was_looked_for(folder: Folder) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(folder.root, [Native(), Lines()], {})
    said = "demo: no cases: looked for skill_meta.json, evals/lines.txt beside SKILL.md"
    assert str(caught.value) == said == no_cases(folder.root, [Native(), Lines()])


def test_cases_without_a_skill_are_refused(folder: Folder) -> None:
    folder.meta([{"input": "x", "expected": {"contains": "y"}}])
    (folder.root / "SKILL.md").unlink()
    with pytest.raises(SuiteError, match=r"^demo: no SKILL\.md: a skill is a folder with SKILL\.md"):
        folder.suite()


def test_one_id_in_two_files_is_refused(folder: Folder) -> None:
    folder.meta([{"id": "same", "input": "x", "expected": {"contains": "y"}}])
    assert refusal(folder, Case("same", "x", CHECKS)) == (
        "demo/evals/lines.txt: case 'same': the id is used by this file and demo/skill_meta.json: make it unique"
    )


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ([Case("a", "x", ())], "case 'a' has nothing to check: give 'expected' at least one of contains"),
        (
            [Case("a", "x", (Check("contians", 1),))],
            "case 'a': no scorer is called 'contians' (did you mean 'contains'?)",
        ),
        (
            [Case("A b", "x", CHECKS)],
            f"case 'A b': {ID_RULE}",
        ),
        (
            [Case("gate", "x", CHECKS)],
            f"case 'gate': {ID_RULE}",
        ),
        (
            [Case("a", "x", CHECKS), Case("a", "y", CHECKS)],
            "case 'a': the id is used by two cases: make it unique",
        ),
    ],
)
def test_what_holds_for_our_format_holds_for_any_dialect(
    folder: Folder, cases: list[Case], said: str
) -> None:
    assert refusal(folder, *cases).startswith(f"demo/evals/lines.txt: {said}")


def test_a_case_that_cannot_be_measured_needs_no_checks(folder: Folder) -> None:
    folder.write("evals/lines.txt", "")
    suite = load_suite(folder.root, [Lines(Case("a", "x", (), skip="needs a judge"))], {})
    assert suite.first.cases[0].skip == "needs a judge"


def test_a_reference_that_cannot_be_read_is_found_when_the_skill_is_loaded(folder: Folder) -> None:
    folder.meta({"inject": "all", "cases": [{"input": "x", "expected": {"contains": "y"}}]})
    path = folder.write("references/a.md", "text")
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        with pytest.raises(SuiteError, match=r"^demo/references/a\.md: cannot be read: Permission denied$"):
            folder.suite()
    else:
        pytest.skip("this user reads everything")


def test_the_skill_of_a_case_file_is_the_folder_of_its_dialect() -> None:
    dialects: list[Dialect] = [Native(), Lines()]
    assert skill_root(Path("/a/b/skill_meta.json"), dialects) == Path("/a/b")
    assert skill_root(Path("/a/b/evals/lines.txt"), dialects) == Path("/a/b")
    assert skill_root(Path("/a/b/lines.txt"), dialects) is None
    assert skill_root(Path("/a/b/other.json"), dialects) is None
