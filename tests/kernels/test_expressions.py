from __future__ import annotations

import ast
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.expressions import FUNCTIONS, check_names, parse

NAMES = {"rows": 7, "cols": 1000, "k": 1}


def mistake(text: str, names: Mapping[str, int] = NAMES) -> str:
    with pytest.raises(ValueError) as caught:
        parse(text).value(names)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("007", 7),
        ("rows", 7),
        ("rows*cols + 1", 7001),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 3 - 2", 5),
        ("100 / 8 / 3", 4),
        ("100 // 8", 12),
        ("7 - 5 % 3", 5),
        ("-rows + 8", 1),
        ("--3", 3),
        ("2 * -3", -6),
        ("(cols + 255) / 256", 4),
        ("ceil_div(cols, 256)", 4),
        ("ceil_div(1024, 256)", 4),
        ("round_up(cols, 128)", 1024),
        ("round_up(1024, 128)", 1024),
        ("min(rows, cols, 3)", 3),
        ("max(rows, ceil_div(cols, 10))", 100),
        ("max(-1, -2)", -1),
    ],
)
def test_an_expression_comes_to_its_value(text: str, value: int) -> None:
    assert parse(text).value(NAMES) == value


def test_names_are_told_once_and_in_order() -> None:
    assert parse("cols * rows + min(cols, k)").names == ("cols", "rows", "k")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an expression is empty"),
        ("  ", "an expression is empty"),
        ("rows *", "'rows *' ends too early"),
        ("(rows", "'(rows' ends too early; ')' is missing"),
        ("rows cols", "'rows cols' cannot be read at 'cols'"),
        ("rows)", "'rows)' cannot be read at ')'"),
        ("* 3", "'* 3' cannot be read at '*'"),
        ("1, 2", "'1, 2' cannot be read at ','"),
        ("rows ** 2", "'rows ** 2' cannot be read at '*'"),
        ("rows << 1", "'rows << 1' holds '<'; an expression knows + - * // % and ( )"),
        ("1.5", "'1.5' holds '.'; an expression knows + - * // % and ( )"),
        ("rows.real", "'rows.real' holds '.'; an expression knows + - * // % and ( )"),
        ("\u0663", "'\u0663' holds '\u0663'; an expression knows + - * // % and ( )"),
        ("a\n\x1b", r"'a\n\x1b' holds '\x1b'; an expression knows + - * // % and ( )"),
        ("ceil_dv(1, 2)", "'ceil_dv(1, 2)' calls ceil_dv, which is no function (did you mean 'ceil_div'?)"),
        (
            "open(1)",
            "'open(1)' calls open, which is no function; known are ceil_div, max, min, round_up",
        ),
        ("ceil_div(1)", "'ceil_div(1)' gives ceil_div 1 of its arguments; it takes 2"),
        ("ceil_div(1, 2, 3)", "'ceil_div(1, 2, 3)' gives ceil_div 3 of its arguments; it takes 2"),
        ("min(1)", "'min(1)' gives min 1 of its arguments; it takes 2 or more"),
        ("min()", "'min()' cannot be read at ')'"),
        ("max + 1", "'max + 1' has max without its parentheses, as in max(a, b)"),
        ("row", "'row' needs row, which has no value (did you mean 'rows'?)"),
        ("q", "'q' needs q, which has no value; known are cols, k, rows"),
        ("rows / (k - 1)", "'rows / (k - 1)' divides by zero at rows=7 k=1"),
        ("5 % 0", "'5 % 0' divides by zero"),
        ("ceil_div(rows, 0)", "'ceil_div(rows, 0)' divides by zero at rows=7"),
        ("9223372036854775808", "'9223372036854775808' holds a number of 2^63 or more"),
        (
            "rows * 9223372036854775807 - rows",
            "'rows * 9223372036854775807 - rows' comes to 2^63 or more at rows=7",
        ),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(text: str, sentence: str) -> None:
    assert mistake(text) == sentence


def test_a_value_of_a_name_is_bounded_too() -> None:
    assert parse("k").value({"k": 2**63 - 1}) == 2**63 - 1
    assert mistake("k", {"k": 2**63}) == f"'k' comes to 2^63 or more at k={2**63}"


def test_long_and_deep_texts_are_refused() -> None:
    assert mistake("1+" * 250 + "1") == "an expression has at most 500 letters, not 501"
    assert mistake("(" * 33 + "1" + ")" * 33).endswith("is nested more than 32 deep")
    assert mistake("-" * 400 + "1").endswith("is nested more than 32 deep")
    assert mistake("min(1," * 60 + "1" + ")" * 60).endswith("is nested more than 32 deep")


def test_an_expression_of_the_longest_text_is_worked_out() -> None:
    assert parse("1+" * 249 + "1").value({}) == 250
    assert parse("(" * 32 + "1" + ")" * 32).value({}) == 1
    assert mistake("9" * 500).endswith("holds a number of 2^63 or more")


def test_unknown_names_are_found_before_there_are_values() -> None:
    check_names(parse("rows + cols"), NAMES)
    with pytest.raises(
        ValueError, match=r"^'rows \+ cls' uses cls, which is unknown \(did you mean 'cols'\?\)$"
    ):
        check_names(parse("rows + cls"), NAMES)


def _oracle(node: ast.expr, names: Mapping[str, int]) -> int:
    """Work out the same text as Python reads it, with Python's own numbers."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(operand=operand):
            return -_oracle(operand, names)
        case ast.Call(func=ast.Name(id=name), args=parts):
            values = [_oracle(part, names) for part in parts]
            if name in ("min", "max"):
                return min(values) if name == "min" else max(values)
            up = -(-values[0] // values[1])
            return up if name == "ceil_div" else up * values[1]
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _oracle(left, names), _oracle(right, names)
            match op:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
                case ast.Mod():
                    return one % other
                case _:
                    return one // other
        case _:
            raise AssertionError(ast.dump(node))


_leaves = st.integers(0, 4096).map(str) | st.sampled_from(sorted(NAMES))


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "/"]), inner).map(" ".join)
    call = st.tuples(st.sampled_from(FUNCTIONS), inner, inner).map(
        lambda each: f"{each[0]}({each[1]},{each[2]})"
    )
    return binary | call | inner.map(lambda each: f"({each})") | inner.map(lambda each: f"-{each}")


@settings(max_examples=300, deadline=None)
@given(st.recursive(_leaves, _wider, max_leaves=12))
def test_values_are_those_of_python(text: str) -> None:
    tree = ast.parse(text, mode="eval").body
    try:
        wanted = _oracle(tree, NAMES)
    except ZeroDivisionError:
        assert "divides by zero" in mistake(text)
        return
    try:
        found = parse(text).value(NAMES)
    except ValueError as error:
        assert "comes to 2^63 or more" in str(error) or "is nested more than 32 deep" in str(error)
    else:
        assert found == wanted


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text("rowsminax()+-*/%,0123456789 ", max_size=40))
def test_any_text_is_read_or_refused_on_one_line(text: str) -> None:
    try:
        value = parse(text).value(NAMES)
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert abs(value) < 2**63
