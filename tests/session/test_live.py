"""Progress comes and goes on a terminal without a trace; in a log it is a whole line now and then."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from _pytest._io import TerminalWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.status import Status
from pytest_upskill.session import live, screen
from pytest_upskill.session.live import Lines, LiveLine, Progress
from tests.session.conftest import CONFTEST, QUIET, Project
from tests.terminal import Screen, Shown, in_terminal, resize

FAST = """
import pytest_upskill.session.live as live

live.APPEARS = 0.2
live.EVERY = 0.1
live.LINES = float(os.environ.get("TEST_LINES", "0.5"))
"""
MODELS = """
models:
  slow: {provider: script, model: slow, concurrency: 2}
  hang: {provider: script, model: hang}
"""
OURS = re.compile(r"upskill: \d+( of |/)\d+")
DRAWN = re.compile(r"\x1b7\r+\n(.*?)\x1b\[J\x1b8")


@pytest.fixture
def slow(project: Project) -> Project:
    """A project whose two calls at a time take 0.3 s each: three rounds of them."""
    (project.path / "conftest.py").write_text(CONFTEST + FAST)
    (project.path / "upskill.yaml").write_text(MODELS)
    project.skill()
    return project


def play(
    project: Project,
    *arguments: str,
    models: str = "slow",
    columns: int = 80,
    watch: Callable[[str, subprocess.Popen[bytes], int], None] | None = None,
    **environment: str,
) -> Shown:
    """Run pytest in a terminal of so few rows that it scrolls."""
    command = [sys.executable, "-m", "pytest", *QUIET, "--upskill-cache=off", f"--upskill-models={models}"]
    return in_terminal(
        [*command, *arguments], project.path, columns=columns, rows=12, environment=environment, watch=watch
    )


def steady(lines: Sequence[str], *, shuffled: bool) -> list[str]:
    """Take out what differs from run to run: times, and under xdist who was first."""
    found = [re.sub(r"in \d+\.\d+s", "in a while", line) for line in lines]
    if not shuffled:
        return found
    found = [re.sub(r"\[gw\d\]( \[ *\d+%\])?", "[gw]", line) for line in found]
    return sorted("".join(sorted(line)) if re.match(r"[-+.F]+ +\[", line) else line for line in found)


@pytest.mark.parametrize(
    "arguments",
    [[], ["-v", "-s", "--color=no"], ["-n2", "-q", "-o", "console_output_style=count"], ["-n2", "-v"]],
    ids=" ".join,
)
def test_the_screen_is_in_the_end_that_of_a_run_without_the_line(slow: Project, arguments: list[str]) -> None:
    rows = [
        {"input": f"Question {n}?", "expected": {"contains": word}}
        for n, word in enumerate(("yes", "never", "yes"))
    ]
    (slow.path / "skills/demo/skill_meta.json").write_text(json.dumps({"cases": rows}))
    slow.pytester.makepyfile(test_plain="def test_words():\n    print('words without an end', end='')\n")
    arguments = [*arguments, "--upskill-gate=strict", "--tb=short"]
    shown = play(slow, *arguments)
    without = play(slow, *arguments, TERM="dumb", TEST_LINES="60")
    at_once = [sum(bool(OURS.search(line)) for line in moment) for moment in shown.moments]
    assert at_once.count(1) >= 3
    assert max(at_once) == 1
    shuffled = "-n2" in arguments
    assert steady(shown.text, shuffled=shuffled) == steady(without.text, shuffled=shuffled)
    assert any("gate[slow]" in line for line in shown.text)
    assert shown.code == without.code == 1
    if "-s" in arguments:
        assert not DRAWN.search(shown.raw.partition("words without an end")[0])


@pytest.mark.parametrize("arguments", [[], ["-n2"]], ids=" ".join)
def test_an_interrupt_leaves_only_the_words_of_pytest(slow: Project, arguments: list[str]) -> None:
    pressed: list[int] = []

    def press(seen: str, process: subprocess.Popen[bytes], terminal: int) -> None:
        if DRAWN.search(seen) and not pressed:
            pressed.append(os.write(terminal, b"\x03"))

    shown = play(slow, *arguments, models="hang", watch=press)
    assert pressed
    assert not any(OURS.search(line) for line in shown.text)
    assert sum("KeyboardInterrupt" in line for line in shown.text) >= 1
    assert any(re.fullmatch(r"=+ no tests ran in .* =+", line) for line in shown.text)
    assert shown.code == 2


def test_a_worker_that_crashes_is_reported_on_lines_of_its_own(slow: Project) -> None:
    slow.pytester.makepyfile(
        test_crash="import os, time\ndef test_crash():\n    time.sleep(0.8)\n    os._exit(1)\n"
    )
    shown = play(slow, "-n2", "--dist=loadfile", "--max-worker-restart=1")
    assert DRAWN.search(shown.raw)
    assert not any(OURS.search(line) for line in shown.text)
    assert "replacing crashed worker gw0" in shown.text or "replacing crashed worker gw1" in shown.text
    assert any(
        re.fullmatch(r"worker 'gw[01]' crashed while running 'test_crash.py::test_crash'", line)
        for line in shown.text
    )


def test_a_terminal_that_gets_narrower_gets_a_shorter_line(slow: Project) -> None:
    def narrow(seen: str, process: subprocess.Popen[bytes], terminal: int) -> None:
        if DRAWN.search(seen):
            resize(terminal, 22, 12)

    shown = play(slow, watch=narrow)
    lines = DRAWN.findall(shown.raw)
    assert lines[0].startswith("upskill: 0 of 6 samples")
    assert lines[-1].startswith("upskill: 4/6")
    assert max(len(line) for line in lines[2:]) < 22


def test_no_line_is_drawn_where_the_cursor_hangs_at_the_edge(slow: Project) -> None:
    rows = [
        {"id": f"case-{10**n}", "input": f"Question {n}?", "expected": {"contains": "yes"}} for n in range(3)
    ]
    (slow.path / "skills/demo/skill_meta.json").write_text(json.dumps({"cases": rows}))
    name = "skills/demo/skill_meta.json::case-10[slow-with_skill-run1] "
    shown = play(slow, "-v", columns=len(name))
    without = play(slow, "-v", columns=len(name), TERM="dumb", TEST_LINES="60")
    assert DRAWN.search(shown.raw)
    assert steady(shown.text, shuffled=False) == steady(without.text, shuffled=False)


@pytest.mark.parametrize("arguments", [["-q"], ["-v"], ["-n2", "-v"]], ids=" ".join)
def test_a_log_gets_whole_lines(slow: Project, arguments: list[str]) -> None:
    found = slow.run(*arguments, "--upskill-cache=off", models="slow")
    lines = [line for line in found.outlines if OURS.search(line)]
    assert 1 <= len(lines) <= 2
    assert all(re.fullmatch(r"upskill: [24] of 6 samples(, .*)?", line) for line in lines)
    assert "\x1b" not in found.stdout.str()
    found.assert_outcomes(passed=7)
    if "-v" in arguments:
        results = [line for line in found.outlines if re.search(r"\b(HIT|MISS)\b", line)]
        assert len(results) == 6
        assert all("case-" in line for line in results)


def test_a_terminal_in_ci_is_a_log(slow: Project) -> None:
    shown = play(slow, CI="true")
    assert "\x1b7" not in shown.raw
    assert any(OURS.match(line) for line in shown.text)


def test_who_wants_no_words_gets_none(slow: Project) -> None:
    assert not OURS.search(play(slow, "-qq").raw)
    slow.run("-p", "no:terminal", "--upskill-cache=off", models="slow").stdout.no_fnmatch_line("upskill: *")


# What follows asks the parts, on a clock that is turned by hand.


class Paper(io.StringIO):
    """What pytest writes to."""

    columns, rows = 20, 5

    def isatty(self) -> bool:
        return True


def shown(paper: Paper) -> list[str]:
    # A terminal's driver returns the carriage by itself.
    return Screen(paper.columns, paper.rows).feed(paper.getvalue().replace("\n", "\r\n")).text


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A run in which two of nine samples are known."""

    def __init__(self, kind: type[Progress], *, shared: bool = False) -> None:
        self.paper, self.clock = Paper(), Clock()
        self.writer = TerminalWriter(self.paper)
        self.reporter = SimpleNamespace(_tw=self.writer, currentfspath=None)
        self.status = Status(2, 9)
        manager = SimpleNamespace(has_plugin=lambda name: shared, get_plugin=lambda name: None)
        config: Any = SimpleNamespace(pluginmanager=manager)
        self.progress = kind(config, self.reporter, lambda: self.status, self.clock)

    def wait(self, *pauses: float) -> list[float]:
        """Return what is answered now and after each pause."""
        answers = [self.progress.waiting()]
        for pause in pauses:
            self.clock.now += pause
            answers.append(self.progress.waiting())
        return answers

    @property
    def drawn(self) -> list[str]:
        return DRAWN.findall(self.paper.getvalue())

    @property
    def text(self) -> list[str]:
        return shown(self.paper)


@pytest.fixture(autouse=True)
def paper_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "size", lambda file: (file.columns, file.rows))


def test_the_line_comes_after_a_second_and_changes_twice_a_second() -> None:
    run = Run(LiveLine)
    assert run.wait(0.75, 0.25, 0.25) == [1.0, 0.25, 0.5, 0.25]
    assert run.drawn == ["upskill: 2/9"]
    run.status = Status(3, 9)
    run.wait(0.25)
    assert run.drawn == ["upskill: 2/9", "upskill: 3/9"]
    assert run.text == ["", "upskill: 3/9"]
    run.progress.waited()
    assert run.text == []


def test_the_line_does_not_flicker_between_samples_that_come_fast() -> None:
    run = Run(LiveLine)
    run.wait(1.0)
    for _ in range(100):
        run.clock.now += 0.01
        run.progress.waited()
        run.wait()
    assert len(run.drawn) == 1
    run.wait(0.1)
    assert len(run.drawn) == 2


def test_the_line_is_there_at_once_between_samples_that_come_slowly() -> None:
    run = Run(LiveLine)
    run.wait(1.0)
    for _ in range(10):
        run.clock.now += 0.05
        run.progress.waited()
        run.wait()
    assert len(run.drawn) == 11


def test_who_waits_on_another_thread_of_a_single_process_is_not_shown() -> None:
    for kind in (LiveLine, Lines):
        run = Run(kind)
        run.wait(1.0)
        run.progress.waited()
        before = run.paper.getvalue()
        thread = threading.Thread(target=run.wait, args=(60.0, 60.0))
        thread.start()
        thread.join()
        assert run.paper.getvalue() == before


def test_nothing_is_drawn_on_a_tiny_terminal() -> None:
    for columns, rows in ((19, 24), (80, 2)):
        run = Run(LiveLine)
        run.paper.columns, run.paper.rows = columns, rows
        run.wait(1.0, 0.5)
        assert run.paper.getvalue() == ""


def test_the_line_comes_back_in_the_same_write_as_the_words_of_pytest() -> None:
    run = Run(LiveLine, shared=True)
    run.wait(1.0)
    run.paper.truncate(0)
    run.paper.seek(0)
    run.writer.write("+", flush=True)
    assert run.paper.getvalue() == "\x1b[J+" + live._DRAW.format("upskill: 2/9")


def test_the_writer_of_pytest_has_its_file_back_in_the_end() -> None:
    for kind in (LiveLine, Lines):
        run = Run(kind, shared=True)
        assert run.writer._file is not run.paper
        assert run.writer._file.isatty()
        run.progress.end()
        assert run.writer._file is run.paper
        run.wait(120.0)
        assert run.paper.getvalue() == ""


def test_a_terminal_that_has_gone_fails_no_sample() -> None:
    run = Run(LiveLine)
    run.paper.close()
    run.wait(1.0)
    run.progress.waited()


def test_a_line_of_a_log_waits_until_pytest_has_written_its_own() -> None:
    run = Run(Lines, shared=True)
    run.wait()
    run.clock.now += 30
    run.writer.write("[gw0] ")
    assert run.wait() == [live._SOON]
    run.writer.write("HIT", flush=True)
    run.wait(0.05)
    assert run.paper.getvalue() == "[gw0] HIT\nupskill: 2 of 9 samples, 4/min, about 2 min left\n"


def test_a_line_of_a_log_does_not_wait_for_words_that_never_end() -> None:
    run = Run(Lines, shared=True)
    run.wait()
    run.writer.line("node down")
    run.wait(30)
    assert run.paper.getvalue() == "node down\nupskill: 2 of 9 samples, 4/min, about 2 min left\n"


MOVES = st.lists(
    st.sampled_from(["+", "-" * 9, "-" * 10, "=" * 20, "word\n", "\n\n", "<wait>", "<wait>", "<waited>"]),
    max_size=30,
)


@given(moves=MOVES, shared=st.booleans())
@settings(deadline=None)
def test_no_order_of_writes_and_waits_leaves_a_trace(moves: list[str], shared: bool) -> None:
    with mock.patch.object(live, "size", lambda file: (file.columns, file.rows)):
        run, plain = Run(LiveLine, shared=shared), Paper()
        beside = TerminalWriter(plain)
        for move in moves:
            run.clock.now += 0.5
            if move == "<wait>":
                run.wait()
            elif move == "<waited>":
                run.progress.waited()
            else:
                for writer in (run.writer, beside):
                    writer.write(move, flush=True)
        run.progress.end()
    assert run.text == shown(plain)


@pytest.mark.parametrize(
    ("term", "others", "answer"),
    [
        ("xterm", {}, True),
        ("xterm", {"NO_COLOR": "1"}, True),
        ("dumb", {}, False),
        ("", {}, False),
        ("xterm", {"CI": "true"}, False),
        ("xterm", {"BUILD_NUMBER": "7"}, False),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="a console says by itself what it obeys")
def test_a_terminal_that_cannot_erase_or_that_nobody_watches_is_a_log(
    monkeypatch: pytest.MonkeyPatch, term: str, others: dict[str, str], answer: bool
) -> None:
    for name in ("CI", "BUILD_NUMBER", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": term, **others}.items():
        monkeypatch.setenv(name, value)
    assert screen.is_screen(Paper()) is answer
    assert not screen.is_screen(io.StringIO())
