"""What is left of a compiler's words: the first error, the line of code beside it, nothing of other files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.diagnostics import shortened

FOLDER = Path("/tmp/upskill-abc")
TRUSTED = (Path("/usr/local/cuda-13.0"), Path("/usr/include"))
SOURCE = 'extern "C" __global__ void k(T* y) {\n\t\ty[0] = foo;\n    y[1] = bar(3);\n}\n'


def shown(printed: str, source: str = SOURCE) -> str:
    return shortened(printed, source, FOLDER, TRUSTED)


def test_the_first_error_has_its_line_and_its_code_and_the_count_of_the_others() -> None:
    printed = """\
kernel.cu(2): error: identifier "foo" is undefined
    y[0] = foo;
           ^

kernel.cu(3): error: identifier "bar" is undefined
    y[1] = bar(3);
           ^

2 errors detected in the compilation of "kernel.cu".
"""
    assert shown(printed) == 'line 2: identifier "foo" is undefined\n    | y[0] = foo;\nand 1 more error'
    assert shown(printed + "kernel.cu(9): error: a third\n").endswith("and 2 more errors")


def test_what_the_compiler_adds_to_an_error_stands_below_it() -> None:
    printed = """\
kernel.cu(3): error: no instance of overloaded function "bar" matches the argument list
            argument types are: (const char [2])
            object type is: Box
  y[1] = bar(3);
         ^
/usr/include/box.h(1293): note #3326-D: function "bar" does not match
        bar(value_type&& __x)
        ^
"""
    assert shown(printed) == (
        'line 3: no instance of overloaded function "bar" matches the argument list\n'
        "    argument types are: (const char [2])\n    object type is: Box\n    | y[1] = bar(3);"
    )


def test_a_long_backtrace_of_templates_is_cut() -> None:
    steps = "".join(f'            instantiation of class "F<{n}>" at line 1\n' for n in range(200))
    printed = (
        "kernel.cu(2): error #456: excessive recursion\n  y[0] = foo;\n         ^\n          detected during:\n"
        + steps
    )
    assert shown(printed) == "line 2: excessive recursion\n    | y[0] = foo;"


def test_the_preprocessor_s_words_are_read_too() -> None:
    printed = """\
In file included from kernel.cu:2:
kernel.cu:2:10: fatal error: nope.h: No such file or directory
    2 | #include <nope.h>
      |          ^~~~~~~~
compilation terminated.
"""
    assert shown(printed) == "line 2: nope.h: No such file or directory\n    | y[0] = foo;"


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (
            "ptxas kernel.ptx, line 26; error   : Instruction 'wgmma.fence' not supported on .target 'sm_90'\n"
            "ptxas fatal   : Ptx assembly aborted due to errors\n",
            "ptxas: Instruction 'wgmma.fence' not supported on .target 'sm_90'",
        ),
        (
            "ptxas error   : Entry function 'k' uses too much shared data (0x40000 bytes, 0x38c00 max)\n",
            "ptxas: Entry function 'k' uses too much shared data (0x40000 bytes, 0x38c00 max)",
        ),
        (
            "nvcc fatal   : Unsupported gpu architecture 'compute_20'\n",
            "nvcc: Unsupported gpu architecture 'compute_20'",
        ),
        (
            "cc1plus: fatal error: /tmp/there.h: Permission denied\ncompilation terminated.\n",
            "cc1plus: /tmp/there.h: Permission denied",
        ),
        ('At end of source: error: expected a "}"\n', 'at end of source: expected a "}"'),
    ],
)
def test_words_that_belong_to_no_line_of_the_code_are_shown_alone(printed: str, words: str) -> None:
    assert shown(printed) == words


def test_nothing_of_a_file_from_elsewhere_is_shown_but_its_name() -> None:
    printed = """\
/etc/shadow(1): error: identifier "root" is undefined
            hint: root:$6$secret
  root:$6$secret:19000:0:99999:7:::
  ^
/usr/local/cuda-13.0/../../../etc/shadow(2): error: identifier "secret" is undefined
"""
    assert shown(printed) == "an error in the included file /etc/shadow, line 1\nand 1 more error"
    assert "secret" not in shown(printed.split("\n", 4)[4])


def test_an_error_in_the_compiler_s_own_header_is_shown_without_its_code() -> None:
    header = "/usr/local/cuda-13.0/bin/../targets/x86_64-linux/include/cuda_bf16.hpp"
    printed = f'{header}(77): error: static assertion failed with "no"\n  static_assert(a, "no");\n  ^\n'
    assert shown(printed) == 'cuda_bf16.hpp:77: static assertion failed with "no"'


def test_the_line_of_code_is_ours_whatever_the_compiler_shows() -> None:
    assert (
        shown("kernel.cu(2): error: no\n  something else entirely\n  ^\n") == "line 2: no\n    | y[0] = foo;"
    )
    assert shown("kernel.cu(999): error: no\n") == "line 999: no"


def test_code_that_looks_like_an_error_is_none() -> None:
    printed = """\
kernel.cu(2): error: identifier "foo" is undefined
  y[0] = foo; // kernel.cu(9): error: made up
         ^
    3 | kernel.cu:9:1: error: made up
"""
    assert "more error" not in shown(printed)


def test_the_scratch_folder_escapes_and_control_letters_are_taken_out() -> None:
    printed = f"{FOLDER}/kernel.cu(2): error: \x1b[31mred\x1b[0m \x07bell \u202eturned {FOLDER}/x\n"
    assert shown(printed, "\n\x1b[2Jy\x9b;\n") == "line 2: red ?bell ?turned x\n    | ?[2Jy?;"


def test_a_long_line_is_cut() -> None:
    words = shown(f"kernel.cu(1): error: {'x' * 5000}\n", "y" * 5000)
    assert [len(line) for line in words.split("\n")] == [300, 300]


def test_where_there_is_no_error_nothing_is_said() -> None:
    assert shown("") == ""
    assert shown("kernel.cu(2): warning #177-D: variable was declared but never referenced\n") == ""


HEADS = [
    "kernel.cu(1): error: ", "/etc/shadow(2): error: ", "kernel.cu:1:1: error: ", "ptxas fatal   : ",
    "ptxas kernel.ptx, line 3; error   : ", "  ^", "          detected during:", "            detail ",
]  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["", *HEADS]), st.text(max_size=400)), max_size=30), st.text())
def test_whatever_is_printed_is_short_and_can_be_shown(lines: list[tuple[str, str]], source: str) -> None:
    words = shortened("\n".join(head + rest for head, rest in lines), source, FOLDER, TRUSTED)
    assert len(words) <= 1000
    assert len(words.split("\n")) <= 8
    assert all(line.isprintable() for line in words.split("\n"))
