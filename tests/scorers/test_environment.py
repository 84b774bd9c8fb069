from __future__ import annotations

import pytest

from pytest_upskill.scorers.children import public_environment
from pytest_upskill.scorers.isolate import Judges
from pytest_upskill.types import ScoringContext
from tests.scorers.pool import Scoring, run, write_checks


def test_secrets_are_not_in_the_environment_of_a_scorer(
    context: ScoringContext, scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSKILL_TEST_API_KEY", "s3cret")
    monkeypatch.setenv("UPSKILL_TEST_URL", "https://me:s3cret@127.0.0.1/")
    monkeypatch.setenv("UPSKILL_TEST_PLAIN", "seen")
    write_checks(
        context,
        "import os\n"
        "def f(reply):\n"
        "    assert not [name for name, value in os.environ.items() if 's3cret' in value]\n"
        "    return os.environ['UPSKILL_TEST_PLAIN'] == 'seen'\n",
    )

    async def work(judges: Judges) -> None:
        assert (await scoring(judges, "python", "checks:f", ""))[0].hit

    run(work)


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "MY_SECRET",
        "DB_PASSWORD",
        "db_pass",
        "AWS_CREDENTIALS",
        "GH_PAT",
        "SSH_AUTH_SOCK",
    ],
)
def test_a_name_that_may_stand_for_a_secret_is_left_out(name: str) -> None:
    assert public_environment({name: "x", "PATH": "/bin", "HOME": "/h", "PYTHONPATH": "p", "LANG": "C"}) == {
        "PATH": "/bin",
        "HOME": "/h",
        "PYTHONPATH": "p",
        "LANG": "C",
    }


@pytest.mark.parametrize(
    ("value", "kept"),
    [("postgres://u:p@h/db", False), ("https://host:80/x@y", True), ("http://u@h", True)],
)
def test_a_url_with_a_password_is_left_out(value: str, kept: bool) -> None:
    assert ("X" in public_environment({"X": value})) is kept
