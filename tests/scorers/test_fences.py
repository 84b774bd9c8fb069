from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.scorers.fences import Block, fenced_blocks, named_block, suffix_of
from pytest_upskill.suite.prompt import user_text
from pytest_upskill.types import Case


def test_a_block_has_its_info_language_text_and_line() -> None:
    (block,) = fenced_blocks("Here:\n\n```Python numbered\nx = 1\n\ny = 2\n```\nDone.\n")
    assert block == Block("Python numbered", "python", "", "x = 1\n\ny = 2\n", 3)


def test_a_longer_fence_holds_shorter_ones() -> None:
    (block,) = fenced_blocks("````md\n```toml\na = 1\n```\n````\n")
    assert block.text == "```toml\na = 1\n```\n"


def test_tildes_hold_backticks_and_are_closed_by_tildes_alone() -> None:
    (block,) = fenced_blocks("~~~\n```\n~~~~ \nafter")
    assert block.text == "```\n"


def test_a_block_that_is_not_closed_ends_with_the_text() -> None:
    (block,) = fenced_blocks("```json\n{}\n")
    assert block.text == "{}\n"


def test_an_empty_block_has_no_text() -> None:
    assert [block.text for block in fenced_blocks("```\n```\n~~~")] == ["", ""]


def test_the_indentation_of_the_fence_is_taken_from_each_line() -> None:
    (block,) = fenced_blocks("  ```\n    deep\n  a\n b\n  ```")
    assert block.text == "  deep\na\nb\n"


def test_four_spaces_are_no_fence_outside_of_a_list() -> None:
    assert fenced_blocks("text\n\n    ```toml\n    a = 1\n    ```\n") == []


@pytest.mark.parametrize("lead", ["10. Write it:", "- outer\n  - inner:", "* a\n\n  text\n  - b"])
def test_a_fence_in_a_list_item_may_be_indented_as_the_item_is(lead: str) -> None:
    (block,) = fenced_blocks(f"{lead}\n\n    ```toml\n    a = 1\n    ```\n")
    assert block.text == "a = 1\n"


def test_a_paragraph_ends_the_list() -> None:
    assert fenced_blocks("10. Write it:\n\nOr not.\n\n    ```toml\n    ```\n") == []


def test_backticks_in_the_info_string_are_no_fence() -> None:
    assert fenced_blocks("``` a`b\nx\n") == []


def test_windows_line_ends_are_not_part_of_the_text() -> None:
    (block,) = fenced_blocks("```toml build.toml\r\na = 1\r\n```\r\n")
    assert (block.name, block.text) == ("build.toml", "a = 1\n")


@pytest.mark.parametrize(
    ("info", "language", "name"),
    [
        ("toml build.toml", "toml", "build.toml"),
        ("build.toml", "toml", "build.toml"),
        ("toml:build.toml", "toml", "build.toml"),
        ('toml title="build.toml"', "toml", "build.toml"),
        ("toml {file='a dir/build.toml'}", "toml", "a dir/build.toml"),
        ("cuda ./src/x.cu", "cuda", "src/x.cu"),
        ("text bin/run", "text", "bin/run"),
        ("dockerfile Dockerfile", "dockerfile", "Dockerfile"),
        ("12:15:src/app.ts", "ts", "src/app.ts"),
        (r"c src\x.c", "c", "src/x.c"),
        ("{.python}", "python", ""),
        ("python 3.11", "python", ""),
        ("c++", "c++", ""),
        ("", "", ""),
    ],
)
def test_the_info_string_names_the_file(info: str, language: str, name: str) -> None:
    (block,) = fenced_blocks(f"```{info}\nx\n```")
    assert (block.language, block.name) == (language, name)


@pytest.mark.parametrize(
    "line",
    [
        "`build.toml`:",
        "**build.toml**",
        "### build.toml",
        "### 1. `build.toml`",
        "**`build.toml`:**",
        "build.toml:",
        "File: build.toml",
        "**File:** `build.toml`",
        "- `build.toml`\n",
    ],
)
def test_the_line_before_names_the_file(line: str) -> None:
    (block,) = fenced_blocks(f"Text.\n{line}\n```toml\na = 1\n```")
    assert block.name == "build.toml"


@pytest.mark.parametrize("line", ["Run `setup.py`:", "see build.toml for more", "Input/Output:", "x" * 500])
def test_a_sentence_before_names_no_file(line: str) -> None:
    (block,) = fenced_blocks(f"{line}\n```\nx\n```")
    assert block.name == ""


def test_the_name_of_one_block_is_not_the_next_ones() -> None:
    first, second = fenced_blocks("`a.txt`\n```\nx\n```\n```\ny\n```")
    assert (first.name, second.name) == ("a.txt", "")


def test_underscores_of_a_file_name_are_no_emphasis() -> None:
    (block,) = fenced_blocks("__init__.py\n```\nx\n```")
    assert block.name == "__init__.py"


@pytest.mark.parametrize(
    "line", ["# build.toml", "// build.toml", "<!-- build.toml -->", "/* build.toml */", "# File: build.toml"]
)
def test_a_first_comment_that_is_only_a_path_names_the_file(line: str) -> None:
    (block,) = fenced_blocks(f"```\n{line}\nx\n```")
    assert (block.name, block.language) == ("build.toml", "toml")


@pytest.mark.parametrize("line", ["  //   build.toml   ", "/*   build.toml   */  ", "#\tbuild.toml\t"])
def test_spaces_around_a_first_comment_are_no_part_of_the_name(line: str) -> None:
    (block,) = fenced_blocks(f"```\n{line}\nx\n```")
    assert block.name == "build.toml"


MANY = """
from pytest_upskill.scorers.fences import fenced_blocks
text = "```\\n# a" + " " * 296 + "b\\n```\\n"
print(len(fenced_blocks(text * 2000)))
"""


def test_first_comments_of_many_spaces_do_not_take_time_without_end() -> None:
    # It takes a second, or with a pattern that goes back and forth a minute.
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, timeout=30, check=True)
    assert done.stdout.strip() == b"2000"


def test_a_first_comment_with_more_words_names_no_file() -> None:
    (block,) = fenced_blocks("```\n# the build.toml file\nx\n```")
    assert block.name == ""


def _named(*names: str) -> list[Block]:
    return [Block("", "", name, f"{place}\n", place) for place, name in enumerate(names)]


def test_a_file_is_found_by_its_whole_path_first() -> None:
    found = named_block(_named("a/x.py", "x.py", "b/x.py"), "b/x.py")
    assert found is not None
    assert found.start_line == 2


@pytest.mark.parametrize(
    ("name", "wanted"), [("src/x.py", "x.py"), ("x.py", "./src/x.py"), ("/w/x.py", "w/x.py")]
)
def test_a_file_is_found_by_its_base_name_when_only_one_has_it(name: str, wanted: str) -> None:
    found = named_block(_named("", "y.py", name), wanted)
    assert found is not None
    assert found.name == name


def test_a_base_name_that_two_files_have_finds_none() -> None:
    assert named_block(_named("a/x.py", "b/x.py"), "x.py") is None


def test_files_of_one_name_in_different_folders_are_different() -> None:
    assert named_block(_named("a/x.py"), "b/x.py") is None


def test_of_a_file_that_is_given_twice_the_last_one_counts() -> None:
    found = named_block(_named("x.py", "x.py"), "x.py")
    assert found is not None
    assert found.text == "1\n"


def test_a_suffix_is_lower_case_and_begins_with_a_letter() -> None:
    assert [suffix_of(name) for name in ("a/B.YML", "v1.2", "Makefile")] == ["yml", "", ""]


@settings(deadline=None)
@given(st.text(alphabet="`~ ab\n#*.:/-1=\"'\r\t", max_size=300))
def test_any_text_has_blocks_whose_lines_are_lines_of_it(text: str) -> None:
    lines = {line.strip() for line in text.replace("\r", "").split("\n")}
    for block in fenced_blocks(text.replace("\r", "")):
        assert {line.strip() for line in block.text.split("\n")} <= lines | {""}


@settings(deadline=None)
@given(st.text(alphabet="`~ ab\n#*.", max_size=200))
def test_a_file_that_the_prompt_fences_comes_out_as_it_went_in(text: str) -> None:
    prompt = user_text(Case("one", "Do it", (), files={"notes.md": text}))
    found = named_block(fenced_blocks(prompt), "notes.md")
    assert found is not None
    assert found.text.rstrip() == text.rstrip()
