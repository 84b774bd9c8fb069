from __future__ import annotations

from pathlib import Path

import pytest

from pytest_upskill.errors import SuiteError, one_line
from pytest_upskill.suite.text import read_text, shown
from tests.suite.conftest import Folder


def message(path: Path) -> str:
    with pytest.raises(SuiteError) as caught:
        read_text(path)
    return str(caught.value)


def test_the_byte_order_mark_and_windows_line_ends_are_taken_off(folder: Folder) -> None:
    assert read_text(folder.write("a.txt", b"\xef\xbb\xbfone\r\ntwo\rthree\n")) == "one\ntwo\nthree\n"


def test_a_file_that_is_not_utf8_names_its_line_and_byte(folder: Folder) -> None:
    said = "demo/a.txt:2: not UTF-8 (byte 0xe9): save the file as UTF-8"
    assert message(folder.write("a.txt", b"one\ntw\xe9\n")) == said


def test_the_byte_is_the_right_one_behind_a_byte_order_mark(folder: Folder) -> None:
    said = "demo/a.txt:2: not UTF-8 (byte 0xe9): save the file as UTF-8"
    assert message(folder.write("a.txt", b"\xef\xbb\xbfone\ntw\xe9\n")) == said


def test_utf16_is_named_as_not_utf8(folder: Folder) -> None:
    said = "demo/a.txt:1: not UTF-8 (byte 0xff): save the file as UTF-8"
    assert message(folder.write("a.txt", "one".encode("utf-16"))) == said


def test_a_file_that_is_not_there_says_so(folder: Folder) -> None:
    assert message(folder.root / "no.txt") == "demo/no.txt: cannot be read: No such file or directory"


def test_a_folder_in_the_place_of_a_file_says_so(folder: Folder) -> None:
    assert message(folder.root) == "demo: cannot be read: Is a directory"


def test_paths_elsewhere_are_shown_whole(folder: Folder) -> None:
    assert shown(Path("/elsewhere/x")) == "/elsewhere/x"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("two\nlines\t", "two\\nlines\\t"),
        ("half \ud800", "half \\ud800"),
        ("separator \u2028", "separator \\u2028"),
        ("é stays", "é stays"),
        ("x" * 1000, "x" * 1000),
        ("x" * 1001, "x" * 997 + "..."),
    ],
)
def test_a_message_is_one_printable_line(text: str, line: str) -> None:
    assert one_line(text) == line
    assert str(SuiteError(text)) == line
