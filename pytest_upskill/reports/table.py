"""The table of the lift summary: a row for each skill and model, as wide as the terminal allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_upskill.errors import one_line
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.wording import percents, points

_COLUMNS = ("skill", "model", "without", "with", "lift", "95% interval", "tokens/call", "$/hit", "verdict")
_GAP = "  "
_COLOURS = {"helps": {"green": True}, "hurts": {"red": True}}


@dataclass(frozen=True, slots=True)
class Line:
    """One line and how it is marked up."""

    text: str
    markup: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table is laid out: its columns, of which the first is for skills.

    Columns in `left` are aligned to the left. Those in `dispensable` are left out, in that order, where the terminal
    is too narrow. The cell in `coloured` decides how a row is marked up.
    """

    columns: Sequence[str]
    left: Sequence[str]
    dispensable: Sequence[str] = ()
    coloured: str = ""


_LIFT = Shape(_COLUMNS, ("skill", "model", "verdict"), ("$/hit", "tokens/call", "95% interval"), "verdict")


def table(results: Sequence[GateResult], width: int) -> Iterator[Line]:
    """Yield the table; what does not fit into `width` columns is left out, down to the lift and the verdict."""
    rows = [_cells(result) for result in results]
    if not any(result.tally.counted_cost for result in results):
        # Where nothing has a price that is more than none there is nothing to weigh.
        rows = [{**row, "$/hit": ""} for row in rows]
    return laid_out(rows, _LIFT, width)


def laid_out(rows: Sequence[Mapping[str, str]], shape: Shape, width: int) -> Iterator[Line]:
    """Yield the lines of a table in at most `width` columns as far as that can be; empty columns are left out."""
    columns = [name for name in shape.columns if name in shape.left or any(row[name] for row in rows)]
    widths = {name: max([len(name), *(len(row[name]) for row in rows)]) for name in columns}
    if _breadth(columns, widths) <= width:
        yield Line(_row({name: name for name in columns}, columns, widths, shape), {"bold": True})
        for row in rows:
            yield Line(_row(row, columns, widths, shape), _COLOURS.get(row.get(shape.coloured, ""), {}))
        return
    # Too narrow for a column of skills: each name gets a line of its own.
    del columns[0]
    for name in shape.dispensable:
        if name in columns and len(_GAP) + _breadth(columns, widths) > width:
            columns.remove(name)
    yield from _grouped(rows, columns, widths, shape)


def _breadth(columns: Sequence[str], widths: Mapping[str, int]) -> int:
    return sum(widths[name] for name in columns) + len(_GAP) * (len(columns) - 1)


def _grouped(
    rows: Sequence[Mapping[str, str]], columns: Sequence[str], widths: Mapping[str, int], shape: Shape
) -> Iterator[Line]:
    yield Line(_GAP + _row({name: name for name in columns}, columns, widths, shape), {"bold": True})
    last = None
    for row in rows:
        skill = row[shape.columns[0]]
        if skill != last:
            last = skill
            yield Line(last)
        yield Line(_GAP + _row(row, columns, widths, shape), _COLOURS.get(row.get(shape.coloured, ""), {}))


def _row(cells: Mapping[str, str], columns: Sequence[str], widths: Mapping[str, int], shape: Shape) -> str:
    parts = (
        cells[name].ljust(widths[name]) if name in shape.left else cells[name].rjust(widths[name])
        for name in columns
    )
    return _GAP.join(parts).rstrip()


def _cells(result: GateResult) -> dict[str, str]:
    lift, counted_ = result.lift, result.tally
    without, with_ = _rates(result)
    interval = lift.interval
    return {
        "skill": one_line(result.gate.suite.skill.name),
        "model": one_line(result.gate.model.name),
        "without": without,
        "with": with_,
        "lift": points(lift.lift) if lift.lift is not None else "-",
        "95% interval": f"{points(interval[0])} .. {points(interval[1])}" if interval else "",
        "tokens/call": _change(counted_.without_tokens, counted_.with_tokens),
        "$/hit": _per_hit(result),
        "verdict": _word(result),
    }


def _rates(result: GateResult) -> tuple[str, str]:
    lift, target = result.lift, result.rules.min_pass_rate
    if lift.without_rate is None or lift.with_rate is None:
        return "-", "-"
    # With the target, so that a rate that is below it is not rounded up to it.
    shown = percents(lift.without_rate, lift.with_rate, *(() if target is None else (target,)))
    return shown[0].replace(" ", ""), shown[1].replace(" ", "")


def _word(result: GateResult) -> str:
    if result.verdict is None:
        return "partial"
    if result.decision is not None and result.decision.word == "incomplete":
        return "incomplete"
    return "not settled" if result.verdict.word == "inconclusive" else result.verdict.word


def _change(without: float | None, with_: float | None) -> str:
    return "" if without is None or with_ is None else f"{without:.0f} -> {with_:.0f}"


def _per_hit(result: GateResult) -> str:
    cost, hits = result.tally.counted_cost, result.lift.with_hits
    if cost is None:
        return ""
    if not hits:
        return "no hit"
    if cost == 0:
        return "0"
    return f"{cost / hits:.4f}" if cost / hits >= 0.0001 else "<0.0001"
