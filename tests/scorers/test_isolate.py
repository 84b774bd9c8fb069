from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import pytest

from pytest_upskill.protocols import Scorer
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.scorers.isolate import Judges
from pytest_upskill.types import Case, Check, Reply, Score, ScoringContext, Usage
from tests.scorers.pool import EVIL, Scoring, error_of, run, write_checks


class _Local:
    """A scorer that no other process can import by this name once it is within a function."""

    isolated = True

    def validate(self, check: Check, context: ScoringContext) -> None: ...

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        return []


def test_scores_come_back_as_the_scorer_made_them(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        assert await scoring(judges, "regex", ["^b", "c$"], "a\u00e4\nb") == [
            Score(True, "a\u00e4 b", "regex /^b/", "regex"),
            Score(False, "no match; nothing like it in the reply", "regex /c$/", "regex"),
        ]

    run(work)


def test_reply_and_case_cross_the_border_whole(context: ScoringContext) -> None:
    write_checks(
        context,
        "def f(reply, case):\n"
        "    return (reply.text == 'a\\ud800\\n' and reply.usage.output_tokens == 3 and reply.truncated\n"
        "        and case.files['x'] == 'y' and case.tags == ('t',)\n"
        "        and case.checks[0].options['case_sensitive'])\n",
    )
    check = Check("python", "checks:f", {"case_sensitive": True})
    case = Case("one", "Do it", (check,), files={"x": "y"}, tags=("t",), models=("m",))
    reply = Reply("a\ud800\n", "m", Usage(None, 3), "length", 1.5)

    async def work(judges: Judges) -> None:
        (score,) = await judges.score(
            builtin_scorers()["python"], reply, check, ScoringContext(context.root, case)
        )
        assert score.hit

    run(work)


def test_a_catastrophic_pattern_is_an_error_and_the_next_job_works(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        assert await error_of(scoring(judges, "regex", "(a+)+$", EVIL)) == (
            "regex /(a+)+$/ took longer than 0.5 s on this reply; simplify the pattern"
        )
        assert (await scoring(judges, "regex", "(a+)+$", "aaa"))[0].hit

    run(work, limit=0.5)


def test_a_catastrophic_pattern_in_a_schema_is_an_error(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        assert await error_of(scoring(judges, "json_schema", {"pattern": "(a+)+$"}, f'"{EVIL}"')) == (
            "json_schema took longer than 1.5 s on this reply; simplify its patterns"
        )
        assert (await scoring(judges, "json_schema", {"type": "string"}, '"a"'))[0].hit

    run(work, limit=1.5)


def test_a_yaml_alias_bomb_does_not_hang(scoring: Scoring) -> None:
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    bomb = "\n".join(["```yaml", "a0: &a0 x", *levels, "```"])

    async def work(judges: Judges) -> None:
        first, second = await scoring(judges, "data", {"paths": {"a29[0][0]": "x", "a0": "x"}}, bomb)
        assert not first.hit
        assert second.hit

    run(work, limit=5.0)


def test_what_a_scorer_prints_does_not_disturb(context: ScoringContext, scoring: Scoring) -> None:
    write_checks(
        context,
        "import os, subprocess, sys\n"
        "def f(reply):\n"
        "    print('{\"scores\": []}', flush=True)\n"
        "    sys.__stdout__.write('x\\n')\n"
        "    os.write(1, b'{\"error\": 1}\\n')\n"
        "    assert subprocess.run(['cat'], capture_output=True).stdout == b''\n"
        "    print('x' * 200_000)\n"
        "    return True\n",
    )

    async def work(judges: Judges) -> None:
        for _ in range(2):
            assert [score.hit for score in await scoring(judges, "python", "checks:f", "")] == [True]

    run(work)


def test_an_error_of_a_scorer_arrives_with_its_sentence(context: ScoringContext, scoring: Scoring) -> None:
    write_checks(context, "def f(reply):\n    return 1 / 0\n")

    async def work(judges: Judges) -> None:
        assert await error_of(scoring(judges, "python", "checks:f", "")) == (
            'python "checks:f" raised ZeroDivisionError: division by zero (checks.py:2)'
        )

    run(work)


def test_a_schema_that_never_ends_is_an_error(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        assert await error_of(scoring(judges, "json_schema", {"$ref": "#"}, "1")) == (
            "json_schema: the schema refers to itself without end, or the reply is nested too deeply"
        )

    run(work)


def test_a_scorer_that_cannot_be_imported_is_an_error(context: ScoringContext) -> None:
    class Inner(_Local): ...

    async def work(judges: Judges) -> None:
        sentence = await error_of(judges.score(Inner(), Reply(""), Check("mine", 1), context))
        assert sentence.startswith(
            f"the scorer {__name__}:{Inner.__qualname__} cannot be made in a process of its own: "
        )
        assert sentence.endswith("; an isolated scorer's class must be importable and take no arguments")

    run(work)


def test_a_scorer_of_the_suite_is_found_on_the_given_path(
    context: ScoringContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_scorers.py").write_text(
        "from pytest_upskill import Score\n"
        "class Mine:\n    isolated = True\n    def validate(self, check, context): ...\n"
        "    def score(self, reply, check, context): return [Score(True, 'mine')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine: Scorer = importlib.import_module("my_scorers").Mine()
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])

    async def main() -> None:
        judges = Judges(1, python_path=[str(tmp_path)])
        try:
            assert await judges.score(mine, Reply(""), Check("mine", 1), context) == [Score(True, "mine")]
        finally:
            await judges.close()

    asyncio.run(main())


def test_the_folder_of_a_skill_gets_no_bytecode(context: ScoringContext, scoring: Scoring) -> None:
    write_checks(context, "import helpers\ndef f(reply): return helpers.X\n")
    (context.root / "helpers.py").write_text("X = True\n")

    async def work(judges: Judges) -> None:
        assert (await scoring(judges, "python", "checks:f", ""))[0].hit

    run(work)
    assert sorted(path.name for path in context.root.iterdir()) == ["checks.py", "helpers.py"]


def test_a_large_reply_is_scored(scoring: Scoring) -> None:
    async def work(judges: Judges) -> None:
        assert (await scoring(judges, "regex", "b$", "a\u20ac" * 1_000_000 + "b"))[0].hit

    run(work)
