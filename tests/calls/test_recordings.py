"""Recordings: what is written is read again, diffs are small, and rubbish is refused with file and line."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.recording_lines import Recorded
from pytest_upskill.calls.recordings import (
    RecordingError,
    Recordings,
    mend_command,
    path_of,
    read,
    unrecorded,
    write,
)
from pytest_upskill.types import Arm, RateLimits, Reply, Usage

REPLY = Reply("yes", "m-1", Usage(10, None), "stop", 0.25)
ONE = Recorded("case-1", "with_skill", 1, b"1" * 32, REPLY)
TWO = Recorded("case-1", "without_skill", 1, b"2" * 32, replace(REPLY, text="no"))
THREE = Recorded("case-2", "with_skill", 1, b"3" * 32, REPLY)
AGAIN = "restore the file as it was committed, or delete it and record it again with --upskill-record"
HEADER = '{"format": "pytest-upskill recordings", "version": 1}'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "skills" / "demo"
    folder.mkdir(parents=True)
    return folder


def lines(root: Path, *entries: Recorded) -> list[str]:
    path = write(root, "m", entries)
    assert path is not None
    return path.read_text(encoding="utf-8").splitlines()


def damaged(root: Path, text: str | bytes) -> str:
    """Return what is said of a file with this text."""
    path = path_of(root, "m")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RecordingError) as caught:
        Recordings().get(root, "m", ONE.key)
    return str(caught.value)


def test_a_file_reads_as_it_is_documented(root: Path) -> None:
    assert lines(root, ONE) == [
        HEADER,
        '{"case": "case-1", "arm": "with_skill", "run": 1, "key": "'
        + "31" * 32
        + '", "reply": {"text": "yes", '
        '"model": "m-1", "usage": {"input_tokens": 10, "output_tokens": null}, "stop_reason": "stop", '
        '"latency": 0.25}}',
    ]
    assert path_of(root, "m") == root / "recordings" / "m.jsonl"


def test_what_is_recorded_is_found_by_skill_model_and_key(root: Path) -> None:
    write(root, "m", [ONE, TWO])
    recordings = Recordings()
    assert recordings.get(root, "m", ONE.key) == ONE.reply
    assert recordings.get(root, "m", THREE.key) is None
    assert recordings.get(root, "other", ONE.key) is None
    assert recordings.get(root.parent, "m", ONE.key) is None
    assert recordings.any(root, "m")
    assert recordings.entries(root, "m") == [ONE, TWO]


def test_the_order_in_which_replies_came_does_not_show(root: Path) -> None:
    ten = [Recorded("case-1", "with_skill", run, bytes([run]) * 32, REPLY) for run in range(1, 11)]
    written = lines(root, *ten, ONE, TWO, THREE)
    assert lines(root, THREE, TWO, ONE, *reversed(ten)) == written
    rows = [json.loads(line) for line in written[1:]]
    assert [row["run"] for row in rows[:11]] == [1, 1, *range(2, 11)]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.none() | st.integers(0, 10**12)
replies = st.builds(
    Reply, texts, st.none() | texts, st.builds(Usage, counts, counts), st.none() | texts, st.floats(0, 1e6)
)
entries = st.builds(
    Recorded,
    st.from_regex(r"[a-z0-9-]{1,10}", fullmatch=True),
    st.sampled_from(get_args(Arm)),
    st.integers(1, 1000),
    st.binary(min_size=32, max_size=32),
    replies,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("skill")


@settings(deadline=None, max_examples=100)
@given(st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.key))
def test_whatever_is_written_is_read_again_and_holds_one_reply_a_line(
    folder: Path, written: list[Recorded]
) -> None:
    path = write(folder, "m", written)
    assert path is not None
    text = path.read_bytes().decode()
    assert len(text.splitlines()) == len(written) + 1
    assert text.replace("\n", "").isprintable()
    assert {entry.key: entry for entry in read(folder, "m")} == {entry.key: entry for entry in written}


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_damage_to_a_file_is_more_than_a_sentence(folder: Path, data: st.DataObject) -> None:
    path = write(folder, "m", [ONE, TWO])
    assert path is not None
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    path.write_bytes(
        whole[:start] + data.draw(st.binary(max_size=5)) + whole[data.draw(st.integers(start, len(whole))) :]
    )
    try:
        read(folder, "m")
    except RecordingError as error:
        assert str(error).endswith(AGAIN)
        assert str(error).isprintable()


def test_what_would_end_a_line_or_hide_in_a_diff_is_spelled_out(root: Path) -> None:
    text = "a\x85b\u2028c\u202ed\x7fe\n\tf\U000e0041 é 漢 \U0001f600"
    line = lines(root, replace(ONE, reply=replace(REPLY, text=text)))[1]
    spelled = r"a\u0085b\u2028c\u202ed\u007fe\n\tf\udb40\udc41 é 漢 " + "\U0001f600"
    assert f'"text": "{spelled}"' in line
    assert Recordings().get(root, "m", ONE.key) == replace(REPLY, text=text)


def test_half_a_surrogate_pair_does_not_spoil_the_file(root: Path) -> None:
    write(root, "m", [replace(ONE, reply=replace(REPLY, text="a\ud800b")), TWO])
    assert [entry.reply.text for entry in read(root, "m")] == ["a?b", "no"]


def test_numbers_that_json_does_not_have_do_not_spoil_the_file(root: Path) -> None:
    odd = replace(REPLY, latency=float("nan"), usage=Usage(-1, 2.5))  # type: ignore[arg-type]
    write(root, "m", [replace(ONE, reply=odd)])
    assert read(root, "m") == [replace(ONE, reply=replace(REPLY, latency=0.0, usage=Usage()))]


def test_what_a_server_said_of_its_limits_is_not_recorded(root: Path) -> None:
    assert "limits" not in lines(root, replace(ONE, reply=replace(REPLY, limits=RateLimits())))[1]


def test_the_same_content_leaves_the_file_untouched(root: Path) -> None:
    path = write(root, "m", [ONE, TWO])
    assert path is not None
    os.utime(path, ns=(1, 1))
    write(root, "m", [TWO, ONE])
    assert path.stat().st_mtime_ns == 1
    write(root, "m", [ONE])
    assert path.stat().st_mtime_ns != 1


def test_without_replies_there_is_no_file(root: Path) -> None:
    assert write(root, "m", []) is None
    assert not path_of(root, "m").exists()
    write(root, "m", [ONE])
    assert write(root, "m", []) is None
    assert not path_of(root, "m").exists()


def test_a_file_is_as_readable_for_others_as_any_and_leaves_nothing_beside_it(root: Path) -> None:
    before = os.umask(0o022)
    try:
        path = write(root, "m", [ONE])
    finally:
        os.umask(before)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_is_cut_short_leaves_the_file_as_it_was(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write(root, "m", [ONE])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordingError) as caught:
        write(root, "m", [ONE, TWO])
    assert str(caught.value) == "skills/demo/recordings/m.jsonl: cannot be written: No space left on device"
    assert read(root, "m") == [ONE]
    assert list((root / "recordings").iterdir()) == [path_of(root, "m")]


def test_a_skill_that_is_gone_is_said_in_words(root: Path) -> None:
    with pytest.raises(RecordingError) as caught:
        write(root.parent / "gone", "m", [ONE])
    assert str(caught.value) == "skills/gone/recordings/m.jsonl: cannot be written: No such file or directory"


def test_lines_ended_as_on_windows_are_read(root: Path) -> None:
    write(root, "m", [ONE, TWO])
    path = path_of(root, "m")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(root, "m") == [ONE, TWO]


def changed(**fields: Any) -> str:
    """Return a line with other fields; `gone` takes one out."""
    row = {
        "case": "a",
        "arm": "with_skill",
        "run": 1,
        "key": "0" * 64,
        "reply": {
            "text": "t",
            "model": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
            "stop_reason": None,
            "latency": 0,
        },
    }
    return json.dumps({key: value for key, value in {**row, **fields}.items() if value != "gone"})


def reply(**fields: Any) -> str:
    whole: dict[str, Any] = {**json.loads(changed())["reply"], **fields}
    return changed(reply={key: value for key, value in whole.items() if value != "gone"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<<<<<<< HEAD", "3: a merge conflict was not resolved"),
        ("=======", "3: a merge conflict was not resolved"),
        (">>>>>>> branch", "3: a merge conflict was not resolved"),
        ("||||||| base", "3: a merge conflict was not resolved"),
        ("{", "3:2: not valid JSON: expecting property name enclosed in double quotes"),
        ("", "3:1: not valid JSON: expecting value"),
        ("[]", "3: the line must be an object of JSON"),
        (
            '{"case": "a", "case": "b"}',
            "3: the key 'case' stands twice in one object: only the last would count",
        ),
        (changed(case=1), "3: 'case' must be a text"),
        (changed(case="gone"), "3: 'case' is missing"),
        (changed(arm="sideways"), "3: 'arm' must be one of with_skill, without_skill, old_skill"),
        (changed(arm=[]), "3: 'arm' must be one of with_skill, without_skill, old_skill"),
        (changed(run=0), "3: 'run' must be a whole number from 1 to 1000"),
        (changed(run=True), "3: 'run' must be a whole number from 1 to 1000"),
        (changed(run=10**9), "3: 'run' must be a whole number from 1 to 1000"),
        (changed(key="0" * 63), "3: 'key' must be 64 hexadecimal digits in small letters"),
        (changed(key="A" * 64), "3: 'key' must be 64 hexadecimal digits in small letters"),
        (changed(key=7), "3: 'key' must be 64 hexadecimal digits in small letters"),
        (changed(key="31" * 32), "3: the key stands in line 2 as well"),
        (changed(extra=1), "3: 'extra' is unknown"),
        (changed(reply="yes"), "3: 'reply' must be an object of JSON"),
        (reply(text=None), "3: 'reply.text' must be a text"),
        (reply(text="gone"), "3: 'reply.text' is missing"),
        (reply(model=1), "3: 'reply.model' must be a text or null"),
        (reply(stop_reason=1), "3: 'reply.stop_reason' must be a text or null"),
        (reply(latency="soon"), "3: 'reply.latency' must be a number of seconds"),
        (reply(latency=-1), "3: 'reply.latency' must be a number of seconds"),
        (reply(latency=10**400), "3: 'reply.latency' must be a number of seconds"),
        (reply(usage=None), "3: 'reply.usage' must be an object of JSON"),
        (reply(usage={"input_tokens": 1}), "3: 'reply.usage.output_tokens' is missing"),
        (
            reply(usage={"input_tokens": 1, "output_tokens": "2"}),
            "3: 'reply.usage.output_tokens' must be a whole number or null",
        ),
        (
            reply(text="\ud800"),
            "3: not readable: it holds half of a surrogate pair (\\ud800 to \\udfff), which is no character",
        ),
        (reply(latency=float("nan")), "3: not valid JSON: NaN is no number of JSON"),
    ],
)
def test_a_line_that_is_no_recorded_reply_is_refused_with_its_place(root: Path, line: str, said: str) -> None:
    text = "\n".join([*lines(root, ONE), line, ""])
    assert damaged(root, text) == f"skills/demo/recordings/m.jsonl:{said}: {AGAIN}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1:1: not valid JSON: expecting value"),
        (changed() + "\n", f":1: the first line must be {HEADER}"),
        ("7\n", f":1: the first line must be {HEADER}"),
        (
            HEADER.replace("1", "2") + "\nwhatever",
            ":1: written by another version of pytest-upskill (format 2, this one reads 1)",
        ),
        (b"\xff\n", ":1: not UTF-8 (byte 0xff): save the file as UTF-8; or " + AGAIN),
    ],
)
def test_a_file_that_holds_no_recordings_is_refused(root: Path, text: str | bytes, said: str) -> None:
    end = "" if isinstance(text, bytes) else f": {AGAIN}"
    assert damaged(root, text) == f"skills/demo/recordings/m.jsonl{said}{end}"


def test_a_folder_or_a_broken_link_in_its_place_is_refused(root: Path) -> None:
    path_of(root, "m").mkdir(parents=True)
    path_of(root, "n").symlink_to("nowhere")
    for name, cause in (("m", "Is a directory"), ("n", "No such file or directory")):
        with pytest.raises(RecordingError) as caught:
            Recordings().any(root, name)
        assert (
            str(caught.value) == f"skills/demo/recordings/{name}.jsonl: cannot be read: {cause}; or {AGAIN}"
        )


def test_a_file_is_read_once_whoever_asks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "m", [ONE])
    times: list[str] = []
    whole = Path.read_bytes

    def counting(path: Path) -> bytes:
        times.append(path.name)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    recordings = Recordings()
    found: list[Reply | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(recordings.get(root, "m", ONE.key))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [REPLY] * 8
    assert times == ["m.jsonl"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("haiku", "haiku.jsonl"),
        ("gpt-5.4-mini", "gpt-5.4-mini.jsonl"),
        ("Haiku", "haiku-15e21d2a.jsonl"),
        ("con", "con-{}.jsonl"),
        ("lpt1.x", "lpt1-x-{}.jsonl"),
        ("../../etc/passwd", "etc-passwd-{}.jsonl"),
        ("a/b", "a-b-{}.jsonl"),
        ("..", "{}.jsonl"),
        ("", "{}.jsonl"),
        ("m.", "m-{}.jsonl"),
        ("\0\n\ud800", "{}.jsonl"),
        ("x" * 500, "x" * 60 + "-{}.jsonl"),
    ],
)
def test_every_model_has_a_file_of_its_own_on_every_file_system(model: str, name: str, root: Path) -> None:
    path = path_of(root, model)
    assert path.parent == root / "recordings"
    digest = path.stem.rpartition("-")[2]
    assert path.name == name.format(digest)
    write(root, model, [ONE])
    assert Recordings().get(root, model, ONE.key) == REPLY


def test_names_that_differ_in_their_capitals_alone_have_files_that_do_not(root: Path) -> None:
    names = [path_of(root, model).name.lower() for model in ("haiku", "Haiku", "HAIKU", "a-b", "a/b", "a.b")]
    assert len(set(names)) == len(names)


def test_the_command_that_mends_can_be_pasted_where_one_stands(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rootdir = root.parents[1]
    assert (
        mend_command(root, rootdir, "haiku") == "pytest --upskill-models=haiku --upskill-record skills/demo"
    )
    monkeypatch.chdir(root.parent)
    assert mend_command(root, rootdir, "haiku").endswith(" --upskill-record demo")
    (rootdir / "docs").mkdir()
    monkeypatch.chdir(rootdir / "docs")
    assert mend_command(root, rootdir, "haiku").endswith(" --upskill-record ../skills/demo")
    assert mend_command(root, rootdir / "docs", "haiku").endswith(f" --upskill-record {root}")


def test_the_command_that_mends_is_quoted_for_a_shell(root: Path) -> None:
    odd = root.parent / "my skill"
    assert mend_command(odd, root.parents[1], "openai:a b", ["--upskill-runs=3"]) == (
        "pytest '--upskill-models=openai:a b' --upskill-runs=3 --upskill-record 'skills/my skill'"
    )


@pytest.mark.parametrize(
    ("recorded", "whole", "short"),
    [
        (
            True,
            "haiku: no recorded reply: the skill, the case or the model's settings changed since it was recorded; "
            "record it again: COMMAND",
            "haiku: no recorded reply",
        ),
        (
            False,
            "haiku: no stored reply, and --upskill-cache=replay makes no call; record it: COMMAND",
            "haiku: no stored reply",
        ),
    ],
)
def test_a_reply_that_is_nowhere_is_said_with_the_command(recorded: bool, whole: str, short: str) -> None:
    error = unrecorded("haiku", "COMMAND", recorded=recorded)
    assert (str(error), error.short, error.fatal, error.fault) == (whole, short, False, "final")


def test_a_broken_file_is_refused_by_all_that_read_it(root: Path) -> None:
    path = path_of(root, "m")
    path.parent.mkdir()
    path.write_text("rubbish\n")
    recordings = Recordings()
    asks: list[Callable[[], object]] = [
        lambda: recordings.get(root, "m", ONE.key),
        lambda: recordings.any(root, "m"),
        lambda: recordings.entries(root, "m"),
    ]
    for ask in asks * 2:
        with pytest.raises(RecordingError, match=r"m.jsonl:1:1: not valid JSON"):
            ask()
