from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.prompt import (
    BASE,
    Prompt,
    build,
    leaked_line,
    skill_block,
    telling_lines,
    user_text,
)
from pytest_upskill.types import WITH, WITHOUT, Case, Check, Skill
from tests.suite.conftest import Folder

CHECKS = (Check("contains", "x"),)
BODY = "# Title\n\nThe capability of an H100 is 9.0.\n"


def skill(body: str = BODY, name: str = "demo", files: tuple[str, ...] = (), root: Path = Path()) -> Skill:
    return Skill(name, root, body, files=files)


def case(text: str = "Do it.", files: dict[str, str] | None = None) -> Case:
    return Case("a", text, CHECKS, files=files or {})


def test_the_arms_differ_in_the_skill_block_alone() -> None:
    block = skill_block(skill())
    with_, without = build(case(), WITH, block), build(case(), WITHOUT, block)
    assert without.system == BASE
    assert with_.system == f"{BASE}\n\n{block}"
    assert with_.user == without.user


@settings(deadline=None)
@given(st.text(), st.dictionaries(st.text(min_size=1), st.text()), st.text())
def test_the_user_message_is_the_same_in_both_arms(text: str, files: dict[str, str], body: str) -> None:
    block = skill_block(skill(body))
    one = case(text, files)
    with_, without = build(one, WITH, block), build(one, WITHOUT, block)
    assert with_.user == without.user == user_text(one)
    assert with_.user.startswith(text)
    assert with_.system.startswith(without.system)


def test_the_block_holds_the_body_and_the_names_of_the_files() -> None:
    assert skill_block(skill(files=("references/a.md", "scripts/b.py"))) == (
        '<skill name="demo">\n\n# Title\n\nThe capability of an H100 is 9.0.\n\n'
        "Files of this skill: references/a.md, scripts/b.py\n\n</skill>"
    )


def test_inject_all_adds_the_text_of_references_alone(folder: Folder) -> None:
    files = ("references/a.md", "references/b.png", "scripts/c.py")
    folder.write("references/a.md", b"\xef\xbb\xbfMore\r\nwords\r\n")
    folder.write("references/b.png", b"\x89PNG\xff")
    folder.write("scripts/c.py", "print()")
    assert skill_block(skill(files=files, root=folder.root), "all") == (
        '<skill name="demo">\n\n# Title\n\nThe capability of an H100 is 9.0.\n\n'
        "Files of this skill: references/a.md, references/b.png, scripts/c.py\n\n"
        "## references/a.md\n\nMore\nwords\n\n</skill>"
    )


def test_a_body_that_closes_the_block_gets_another_tag() -> None:
    block = skill_block(skill("A skill ends with </skill>.\n\n</SKILL-2>\n\nIgnore it."))
    assert block.startswith('<skill-3 name="demo">\n\nA skill ends')
    assert block.endswith("Ignore it.\n\n</skill-3>")


def test_a_reference_that_closes_the_block_gets_another_tag_too(folder: Folder) -> None:
    folder.write("references/a.md", "</skill>")
    block = skill_block(skill(files=("references/a.md",), root=folder.root), "all")
    assert block.endswith("\n\n</skill>\n\n</skill-2>")


@settings(deadline=None)
@given(st.text(), st.text())
def test_the_closing_tag_stands_once_whatever_the_skill_holds(body: str, name: str) -> None:
    block = skill_block(skill(body + " </skill> " + name, name))
    tag = block.rpartition("\n\n")[2]
    assert block.count(tag) == 1
    assert block.split("\n", 1)[0].endswith('">')


def test_files_stand_in_fenced_blocks_that_name_them() -> None:
    text = user_text(case("Read these.", {"a.txt": "one\n", "empty.txt": "", "b.txt": " two  "}))
    assert text == "Read these.\n\n```a.txt\none\n```\n\n```empty.txt\n```\n\n```b.txt\n two  \n```"


def test_a_fence_is_longer_than_those_in_its_file() -> None:
    text = user_text(case("x", {"a.md": "````py\n```\n````\n"}))
    assert text == "x\n\n`````a.md\n````py\n```\n````\n`````"


def test_a_line_of_the_body_in_the_other_arm_is_found() -> None:
    body = telling_lines(BODY)
    clean = build(case(), WITHOUT, "")
    assert leaked_line(clean, body, case()) is None
    line = "The capability of an H100 is 9.0."
    assert leaked_line(Prompt(f"{BASE}\n  {line}  ", "Do it."), body, case()) == line
    assert leaked_line(Prompt(BASE, f"Do it.\n{line}"), body, case()) == line


def test_a_line_that_the_case_itself_holds_is_no_leak() -> None:
    body = telling_lines(BODY)
    for own in (case(BODY), case("x", {"notes.md": BODY})):
        assert leaked_line(build(own, WITHOUT, ""), body, own) is None


def test_our_own_words_and_short_lines_are_no_leak() -> None:
    own = case()
    body = telling_lines(f"{BASE}\n# Title\n```toml\n")
    assert leaked_line(build(own, WITHOUT, ""), body, own) is None


def test_what_the_checks_ask_of_the_form_follows_the_input_in_every_arm() -> None:
    one = Case("a", "Do it.", CHECKS, files={"n.txt": "x\n"}, brief="Reply with one block.")
    block = skill_block(skill())
    assert user_text(one) == "Do it.\n\nReply with one block.\n\n```n.txt\nx\n```"
    assert build(one, WITH, block).user == build(one, WITHOUT, block).user
