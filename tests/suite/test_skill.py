from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_upskill.errors import SuiteError
from pytest_upskill.suite.skill import Document, load_skill, split
from tests.suite.conftest import GOOD, Folder


def document(text: str) -> Document:
    return split(text, Path("SKILL.md"))


def refusal(folder: Folder) -> str:
    with pytest.raises(SuiteError) as caught:
        load_skill(folder.root)
    return str(caught.value)


def test_a_skill_is_its_frontmatter_and_its_body(folder: Folder) -> None:
    skill = load_skill(folder.root)
    assert skill.name == "demo"
    assert skill.meta == {"name": "demo", "description": "A skill for tests."}
    assert skill.body == "\nAlways say yes.\n"
    assert skill.body_line == 5
    assert skill.files == ()


def test_byte_order_mark_and_windows_line_ends_make_no_difference(folder: Folder) -> None:
    plain = load_skill(folder.root)
    folder.write("SKILL.md", b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    other = load_skill(folder.root)
    assert (other.name, other.meta, other.body) == (plain.name, plain.meta, plain.body)


def test_a_folder_without_skill_md_says_what_a_skill_is(folder: Folder) -> None:
    (folder.root / "SKILL.md").unlink()
    assert refusal(folder) == "demo: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"


def test_a_folder_called_skill_md_is_no_skill(folder: Folder) -> None:
    (folder.root / "SKILL.md").unlink()
    (folder.root / "SKILL.md").mkdir()
    assert refusal(folder) == "demo: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"


def test_a_frontmatter_that_never_ends_is_an_error(folder: Folder) -> None:
    folder.write("SKILL.md", "---\nname: demo\n\nText --- and more\n")
    said = "demo/SKILL.md:1: the frontmatter never ends: close it with a line of three hyphens"
    assert refusal(folder) == said


def test_a_skill_md_that_is_not_utf8_names_the_line(folder: Folder) -> None:
    folder.write("SKILL.md", GOOD.encode() + b"caf\xe9\n")
    assert refusal(folder) == "demo/SKILL.md:7: not UTF-8 (byte 0xe9): save the file as UTF-8"


def test_rules_in_the_body_do_not_end_the_frontmatter() -> None:
    found = document("---\nname: x\n---\none\n---\ntwo\n---\n")
    assert found.meta == {"name": "x"}
    assert found.body == "one\n---\ntwo\n---\n"
    assert found.body_line == 4


@pytest.mark.parametrize(
    "text", ["# Title\n---\nname: x\n---\n", "\n---\nname: x\n---\n", "----\nname: x\n", ""]
)
def test_a_text_that_does_not_begin_with_the_rule_is_all_body(text: str) -> None:
    found = document(text)
    assert (found.meta, found.body, found.body_line, found.frontmatter) == ({}, text, 1, None)


def test_spaces_behind_the_rules_do_no_harm() -> None:
    assert document("--- \nname: x\n---\t\nbody").body == "body"


def test_an_empty_frontmatter_has_no_fields() -> None:
    found = document("---\n---\nbody")
    assert (found.meta, found.body, found.loose) == ({}, "body", None)


@pytest.mark.parametrize("name", ["name: 123\n", "name:\n", "name: [a]\n", "name: ''\n", ""])
def test_without_a_name_in_words_the_skill_has_its_folders(folder: Folder, name: str) -> None:
    folder.write("SKILL.md", f"---\n{name}description: x\n---\nbody")
    assert load_skill(folder.root).name == "demo"


def test_frontmatter_that_is_no_yaml_is_read_line_by_line() -> None:
    found = document(
        "---\n"
        "name: x\n"
        "description: Use when: the user asks: now\n"
        "# a comment\n"
        "license: 'MIT'\n"
        "compatibility: Needs: git\n"
        "  and a second line\n"
        "\n"
        "  and a third\n"
        "metadata:\n"
        "  author: me\n"
        '  version: "1.0"\n'
        "allowed-tools:\n"
        "  - Bash\n"
        "  - Read\n"
        "long: >-\n"
        "  folded\n"
        "  text\n"
        "bad: |\n"
        "  block: x: y\n"
        'quoted: "a" and: "b"\n'
        "---\nbody"
    )
    assert found.loose == "not valid YAML: mapping values are not allowed here"
    assert found.meta == {
        "name": "x",
        "description": "Use when: the user asks: now",
        "license": "MIT",
        "compatibility": "Needs: git and a second line and a third",
        "metadata": {"author": "me", "version": "1.0"},
        "allowed-tools": ["Bash", "Read"],
        "long": "folded text",
        "bad": "block: x: y\n",
        "quoted": '"a" and: "b"',
    }


def test_a_whole_value_in_quotes_that_yaml_refuses_loses_them() -> None:
    assert document('---\nx: "a \\q b"\n---\n').meta == {"x": "a \\q b"}


def test_a_key_that_stands_twice_is_read_loosely_and_said() -> None:
    found = document("---\nname: a\nname: b\n---\n")
    assert found.meta == {"name": "b"}
    assert found.loose == "the key 'name' stands twice: only the last would count"


def test_a_frontmatter_that_is_a_list_is_read_loosely_and_said() -> None:
    found = document("---\n- a\n- b\n---\n")
    assert (found.meta, found.loose) == ({}, "it is not made of `key: value` lines")


def test_a_frontmatter_nested_five_thousand_deep_is_read_loosely() -> None:
    found = document(f"---\nname: x\ndeep: {'[' * 5000}\n---\n")
    assert found.meta["name"] == "x"
    assert found.loose == "not readable: it is nested too deeply"


def test_the_other_files_are_listed_but_for_what_belongs_to_tests(folder: Folder) -> None:
    part = ["assets/logo.png", "references/a.md", "references/deep/b.md", "scripts/run.py", "z.txt"]
    other = [
        ".hidden", ".git/config", "__pycache__/x.pyc", "scripts/__pycache__/x.pyc", "skill_meta.json", "evals.json",
        "evals/evals.json", "recordings/a.json", "tests/test_a.py", "conftest.py", "LICENSE", "LICENSE.txt",
        "baseline.json", "mine/cases.toml",
    ]  # fmt: skip
    for name in part + other:
        folder.write(name, "x")
    assert load_skill(folder.root, ["mine/cases.toml"]).files == tuple(part)


def test_a_file_name_with_a_line_end_is_refused(folder: Folder) -> None:
    folder.write("two\nlines.txt", "x")
    said = "demo: the file name 'two\\nlines.txt' cannot be shown to a model: rename the file"
    assert refusal(folder) == said


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_a_file_name_that_is_not_utf8_is_refused(folder: Folder) -> None:
    (folder.root / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"")
    assert refusal(folder).startswith("demo: the file name 'caf\\udce9.txt' cannot be shown to a model")
