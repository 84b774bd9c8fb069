from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.data import Launch, Miss
from pytest_upskill.kernels.launch_line import FORM, read_launch
from pytest_upskill.kernels.lexing import lexed

SIZES = {"rows": 7, "cols": 1000}


def miss(source: str) -> str:
    with pytest.raises(Miss) as caught:
        read_launch(source).launch(SIZES, "bf16")
    assert caught.value.stage == "extract"
    return caught.value.evidence


@pytest.mark.parametrize(
    ("line", "launch"),
    [
        (
            "// launch: grid=(rows, 1, 1) block=(256) smem=cols * sizeof_T",
            Launch((7, 1, 1), (256, 1, 1), 2000),
        ),
        ("// launch: grid=(rows, 1, 1) block=(256)", Launch((7, 1, 1), (256, 1, 1))),
        ("//launch:grid=rows block=32", Launch((7, 1, 1), (32, 1, 1))),
        ("/// Launch : grid = (rows), block = (32, 4);", Launch((7, 1, 1), (32, 4, 1))),
        ("/* launch: grid=(1,2,3) block=(1,2,3) smem=0 */", Launch((1, 2, 3), (1, 2, 3))),
        ("/**\n * Normalises rows.\n * launch: grid=(rows) block=(64)\n */", Launch((7, 1, 1), (64, 1, 1))),
        (
            "// launch: block=(256, 1, 1) smem=(cols + 31) / 32 * 4 grid=((rows + 3) / 4 * 2, ceil_div(cols, 256))",
            Launch((4, 4, 1), (256, 1, 1), 128),
        ),
        ("// launch: grid=(rows + 1) * 2 block=(min(cols, 1024))", Launch((16, 1, 1), (1000, 1, 1))),
        (
            "// launch: grid=(rows) block=(8) smem=sizeof(T) + sizeof( float ) * 2",
            Launch((7, 1, 1), (8, 1, 1), 10),
        ),
        (
            "// launch: grid=(2147483647, 65535, 65535) block=(4, 4, 64) smem=227*1024",
            Launch((2147483647, 65535, 65535), (4, 4, 64), 232448),
        ),
        ("// launch: grid=(rows) block=(8)\r", Launch((7, 1, 1), (8, 1, 1))),
    ],
)
def test_a_comment_says_how_a_kernel_is_launched(line: str, launch: Launch) -> None:
    for source in (f"{line}\nint x;", f"int x;\n{line}", f"int x; {line}"):
        assert read_launch(source).launch(SIZES, "bf16") == launch


def test_the_size_of_the_element_is_that_of_the_type() -> None:
    declaration = read_launch("// launch: grid=(1) block=(1) smem=sizeof_T")
    assert [declaration.launch(SIZES, dtype).shared for dtype in ("f64", "f32", "bf16", "u8")] == [8, 4, 2, 1]
    assert declaration.names == ("sizeof_T",)


def test_the_same_comment_twice_is_one() -> None:
    line = "// launch: grid=(rows) block=(8)"
    assert read_launch(f"{line}\nint x;\n{line};").launch(SIZES, "") == Launch((7, 1, 1), (8, 1, 1))


def test_prose_on_the_launch_is_no_declaration() -> None:
    source = "// Launch: one block per row\n// launch: grid=(rows) block=(8)\n"
    assert read_launch(source).launch(SIZES, "").grid == (7, 1, 1)


MISSING = "no comment in the code says how it is launched"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "int x;",
        'const char* s = "// launch: grid=(1) block=(1)";',
        'const char* s = "\\"// launch: grid=(1) block=(1)";',
        'const char* s = R"x(\n// launch: grid=(1) block=(1)\n)" )x";',
        "char c = '\"'; // no\nlaunch: grid=(1) block=(1)",
        "# launch: grid=(1) block=(1)",
        "// the launch: grid=(1) block=(1)",
    ],
)
def test_what_stands_in_a_string_or_in_code_declares_nothing(source: str) -> None:
    assert miss(source) == f"{MISSING}; write {FORM}"


@pytest.mark.parametrize(
    "source",
    [
        "char q = '\"'; // launch: grid=(1) block=(1)",
        'auto s = "\\\\"; // launch: grid=(1) block=(1)',
        'auto s = R"(")"; // launch: grid=(1) block=(1)',
        "int n = 1'000'000; // launch: grid=(1) block=(1)",
        "#error don't\n// launch: grid=(1) block=(1)\n\"",
        'auto s = "/*"; // launch: grid=(1) block=(1)',
        "/* // */ // launch: grid=(1) block=(1)",
        "// launch: grid=(1) \\\n block=(1)".replace("\\\n", ""),
    ],
)
def test_strings_and_letters_before_it_do_not_hide_a_comment(source: str) -> None:
    assert read_launch(source).launch(SIZES, "").grid == (1, 1, 1)


@pytest.mark.parametrize(
    ("line", "evidence"),
    [
        ("one block per row", f"{MISSING}; 'launch: one block per row' is not of the form; write {FORM}"),
        ("block=(1)", f"the launch comment 'block=(1)' has no grid; write {FORM}"),
        ("grid=(1)", f"the launch comment 'grid=(1)' has no block; write {FORM}"),
        (
            "with grid=(1) block=(1)",
            f"the launch comment 'with grid=(1) block=(1)' does not begin with grid=; write {FORM}",
        ),
        ("grid=(1) grid=(2) block=(1)", "the launch comment 'grid=(1) grid=(2) block=(1)' gives grid twice"),
        (
            "grid=(1) blocks=(1)",
            "the launch comment 'grid=(1) blocks=(1)' has no key blocks (did you mean 'block'?)",
        ),
        (
            "grid=(1) block=(1) cluster=2",
            "the launch comment 'grid=(1) block=(1) cluster=2' has no key cluster; it has: block, grid, smem",
        ),
        (
            "grid=(1,2,3,4) block=(1)",
            "the launch comment 'grid=(1,2,3,4) block=(1)' gives grid 4 dimensions; at most 3",
        ),
        (
            "grid=(1) block=(1) smem=(1,2)",
            "the launch comment 'grid=(1) block=(1) smem=(1,2)' has more than one number for smem",
        ),
        (
            "grid=(rows block=(1)",
            "the launch comment 'grid=(rows block=(1)' cannot be read at grid: '(rows' ends too early; ')' is missing",
        ),
        (
            "grid=() block=(1)",
            "the launch comment 'grid=() block=(1)' cannot be read at grid: an expression is empty",
        ),
        (
            "grid=(1) block=(1) smem=0 (none)",
            "the launch comment 'grid=(1) block=(1) smem=0 (none)' cannot be read at smem: "
            "'0 (none)' cannot be read at '('",
        ),
        (
            "grid=(rows/0) block=(1)",
            "the launch comment cannot be worked out: 'rows/0' divides by zero at rows=7",
        ),
        (
            "grid=(row) block=(1)",
            "the launch comment cannot be worked out: 'row' needs row, which has no value (did you mean 'rows'?)",
        ),
        (
            "grid=(rows-7) block=(1)",
            "the launch comment gives at rows=7 grid.x 0; it goes from 1 to 2147483647",
        ),
        ("grid=(1,65536) block=(1)", "the launch comment gives grid.y 65536; it goes from 1 to 65535"),
        ("grid=(1,1,65536) block=(1)", "the launch comment gives grid.z 65536; it goes from 1 to 65535"),
        (
            "grid=(2147483648) block=(1)",
            "the launch comment gives grid.x 2147483648; it goes from 1 to 2147483647",
        ),
        ("grid=(1) block=(1025)", "the launch comment gives block.x 1025; it goes from 1 to 1024"),
        ("grid=(1) block=(1,1,65)", "the launch comment gives block.z 65; it goes from 1 to 64"),
        (
            "grid=(1) block=(32,rows*5)",
            "the launch comment gives at rows=7 a block of 1120 threads; it has at most 1024",
        ),
        (
            "grid=(1) block=(1) smem=cols*cols",
            "the launch comment gives at cols=1000 smem 1000000; it goes from 0 to 232448 bytes",
        ),
        ("grid=(1) block=(1) smem=-1", "the launch comment gives smem -1; it goes from 0 to 232448 bytes"),
    ],
)
def test_a_launch_that_cannot_be_is_told_in_a_sentence(line: str, evidence: str) -> None:
    assert miss(f"// launch: {line}\n") == evidence


def test_two_different_launches_are_refused() -> None:
    source = "// launch: grid=(1) block=(1)\n// launch: grid=(2) block=(1)\n"
    assert miss(source) == (
        "the code has 2 launch comments: 'grid=(1) block=(1)' and 'grid=(2) block=(1)'; one was asked for"
    )


def test_long_and_unprintable_comments_are_told_shortly() -> None:
    assert miss(f"// launch: grid={'(' * 3000}").endswith("is longer than 2000 letters")
    evidence = miss("// launch: grid=\x1b[31m block=(1)")
    assert evidence.isprintable()
    assert len(miss(f"// launch: grid={'x' * 1900}+ block=1")) < 2000


@pytest.mark.parametrize(
    "piece",
    [
        "launch: ;",
        ";",
        'R"a(',
        '"',
        "'",
        "/*",
        "//\\\n",
        "// launch: a ",
        "sizeof( ",
        "a = ",
        "x" * 50,
        " ",
        "(",
    ],
)
def test_a_source_of_the_longest_kind_is_read_in_one_pass(piece: str) -> None:
    # What grows with the square of the length would take minutes here.
    with pytest.raises(Miss):
        read_launch("// launch: " + piece * (256_000 // len(piece)))


@settings(max_examples=300, deadline=None)
@given(st.text("/*\"'\\\n R(x)uC{}1. launch:grid=", max_size=60))
def test_code_keeps_its_length_and_lines(code: str) -> None:
    found = lexed(code)
    for text in (found.bare, found.plain):
        assert len(text) == len(code)
        assert [at for at, letter in enumerate(text) if letter == "\n"] == [
            at for at, letter in enumerate(code) if letter == "\n"
        ]


@settings(max_examples=200, deadline=None)
@given(st.text("grid=block smem()+-*/%,0123456789rowsc;:\x1b", max_size=60))
def test_any_comment_is_read_or_refused(text: str) -> None:
    try:
        read_launch(f"// launch: {text}").launch(SIZES, "f32")
    except Miss as missed:
        assert missed.evidence.isprintable()
