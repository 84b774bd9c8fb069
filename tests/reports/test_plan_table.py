"""The table of --upskill-plan: by skill and model, with a sum, and no figure without its basis."""

from __future__ import annotations

from pytest_upskill.calls.estimate import Estimate
from pytest_upskill.reports.plan import Load, Plan
from pytest_upskill.reports.plan_table import plan_table

BASIS = (
    "Tokens, dollars and time are estimates: 4 characters of a prompt are a token, and a reply is as long as the mean "
    "of those in the store of the same model, or 500 tokens (max_tokens, where that is less) where there are none."
)
HAIKU = Load("demo", "haiku", 40, 0, 22, Estimate(18, 18_000, 9_000, 0.31, 40.0))
GLM = Load("demo", "glm", 40, 0, 0, Estimate(40, 40_000, 20_000, None, None))
READER = Load("demo", "reader", 40, 0, 30, Estimate(10, 1_000, 500, 0.0, 0.01))
DONE = Load("other", "haiku", 20, 0, 20, Estimate())


def shown(*loads: Load, width: int = 120, seconds: float | None = None, calls: bool = True) -> list[str]:
    samples = sum(load.samples for load in loads)
    plan = Plan(1, 10, 1, 2, 1, samples, loads, (), seconds, calls)
    return [line.text for line in plan_table(plan, width)]


def test_each_skill_and_model_has_a_row_and_all_have_a_sum() -> None:
    *table, _, _ = shown(HAIKU, READER, DONE, seconds=41.0)
    assert table == [
        "skill  model   samples  stored  calls  tokens in  tokens out   cost   time",
        "demo   haiku        40      22     18      18000        9000  $0.31   40 s",
        "demo   reader       40      30     10       1000         500      0  < 1 s",
        "other  haiku        20      20      0",
        "all                100      72     28      19000        9500  $0.31   41 s",
    ]


def test_what_the_estimates_rest_on_is_said_where_something_is_called() -> None:
    assert " ".join(shown(HAIKU)[2:]) == BASIS
    assert shown(DONE) == ["skill  model  samples  stored  calls", "other  haiku       20      20      0"]


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    *table, _, _ = shown(HAIKU, GLM)
    assert table == [
        "skill  model  samples  stored  calls  tokens in  tokens out     cost  time",
        "demo   haiku       40      22     18      18000        9000    $0.31  40 s",
        "demo   glm         40       0     40      40000       20000  unknown",
        "all                80      22     58      58000       29000  unknown",
    ]


def test_recorded_replies_have_a_column_where_there_are_some() -> None:
    assert shown(Load("demo", "haiku", 40, 30, 10, Estimate())) == [
        "skill  model  samples  recorded  stored  calls",
        "demo   haiku       40        30      10      0",
    ]


def test_a_store_that_is_not_read_has_no_column() -> None:
    plan = Plan(1, 10, 1, 2, 1, 40, (Load("demo", "glm", 40, 0, 0, GLM.rest),), reads=False)
    assert next(plan_table(plan, 120)).text == "skill  model  samples  calls  tokens in  tokens out     cost"


def test_requests_in_batches_that_go_on_have_a_column() -> None:
    assert shown(Load("demo", "haiku", 40, 0, 10, Estimate(), 30)) == [
        "skill  model  samples  stored  batched  calls",
        "demo   haiku       40      10       30      0",
    ]


def test_where_no_call_is_made_the_rest_is_missing() -> None:
    assert shown(HAIKU, calls=False) == [
        "skill  model  samples  stored  missing",
        "demo   haiku       40      22       18",
    ]


def test_a_narrow_terminal_names_each_skill_once_and_keeps_calls_and_cost() -> None:
    found = shown(HAIKU, READER, DONE, width=50)
    assert max(map(len, found)) <= 50
    assert found[:5] == [
        "  model   samples  stored  calls   cost   time",
        "demo",
        "  haiku        40      22     18  $0.31   40 s",
        "  reader       40      30     10      0  < 1 s",
        "other",
    ]
