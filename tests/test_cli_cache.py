"""`pytest-upskill cache info`, `prune` and `export`: the whole of what they print, and their exit codes."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_upskill.calls.store import Store
from pytest_upskill.cli import main
from pytest_upskill.types import Reply
from tests.stored import GLM, STORE, TODAY, add_batch, age, cache, fill, key, raw, reply


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(root: Path) -> Path:
    """The folder of a store with 30 replies of two endpoints."""
    fill(root / ".upskill", 0, 20)
    fill(root / ".upskill", 20, 30, "reader:reader")
    return root / ".upskill"


def test_info_says_what_the_store_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, error = cache(capsys, "info")
    assert (code, error) == (0, "")
    assert re.fullmatch(r"\d+\.\d kB", lines.pop(2))
    assert lines == [
        STORE,
        "30 replies, schema 2",
        "",
        GLM,
        "  20 replies, 200 tokens in, 100 tokens out",
        f"  made from {TODAY} to {TODAY}",
        "",
        "reader:reader",
        "  10 replies, 100 tokens in, 50 tokens out",
        f"  made from {TODAY} to {TODAY}",
    ]
    assert max(len(line) for line in lines) <= 80


def test_info_counts_open_batches_and_names_replies_without_an_endpoint(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(root / ".upskill", 0, 1, "")
    add_batch(root / ".upskill")
    _, lines, _ = cache(capsys, "info")
    assert lines[1] == "1 reply, 1 open batch, schema 2"
    assert lines[4:6] == [
        "(from a version that did not write down who answered)",
        "  1 reply, 10 tokens in, 5 tokens out",
    ]


def test_info_of_a_store_of_version_1_brings_it_to_this_version(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / ".upskill").mkdir()
    raw(root / ".upskill", "CREATE TABLE replies (key BLOB PRIMARY KEY, reply BLOB NOT NULL) WITHOUT ROWID")
    raw(root / ".upskill", "PRAGMA user_version=1")
    code, lines, _ = cache(capsys, "info")
    assert (code, lines[1]) == (0, "0 replies, schema 2")


@pytest.mark.parametrize("words", [["--cache-dir", ".upskill"], []], ids=["named", "found"])
def test_the_store_is_found_here_and_from_a_folder_below(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    assert cache(capsys, "info", *words)[1][0] == STORE
    below = folder.parent / "a" / "b"
    below.mkdir(parents=True)
    (below / ".upskill").mkdir()  # without a store
    monkeypatch.chdir(below)
    if words:
        words = ["--cache-dir", "../../.upskill"]
    assert cache(capsys, "info", *words)[1][1] == "30 replies, schema 2"


# prune


@pytest.mark.parametrize(
    ("word", "removed"), [("2w", 5), ("13d", 10), ("12h", 10), ("0h", 30), ("20d", 0), (" 2w ", 5)]
)
def test_prune_removes_what_is_older(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str, removed: int
) -> None:
    age(folder, range(5), 15)
    age(folder, range(5, 10), 13.5)
    code, lines, error = cache(capsys, "prune", "--older-than", word)
    assert (code, lines[0], error) == (0, f"removed {removed} of 30 replies", "")
    left = Store(folder).present([key(number) for number in range(30)])
    assert left == {key(number) for number in range(removed, 30)}


def test_prune_gives_the_space_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / ".upskill"
    fill(folder, 0, 500)
    before = (folder / "store.sqlite3").stat().st_size
    age(folder, range(490), 40)
    _, lines, _ = cache(capsys, "prune", "--older-than", "30d")
    after = (folder / "store.sqlite3").stat().st_size
    assert after < before / 10
    assert lines == ["removed 490 of 500 replies", f"{(before - after) / 1000:.1f} kB given back"]


def test_prune_removes_old_open_batches_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_batch(folder)
    raw(folder, "UPDATE batches SET created = created - 86400 * 40.0")
    _, lines, _ = cache(capsys, "prune", "--older-than", "30d")
    assert lines[0] == "removed 0 of 30 replies and 1 open batch"
    assert Store(folder).open_batches(GLM) == []


@pytest.mark.parametrize("word", ["", "30", "d", "1.5d", "-1d", "30m", "30 d", "999999d", "x"])
def test_an_age_that_is_none_is_said(folder: Path, capsys: pytest.CaptureFixture[str], word: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["cache", "prune", f"--older-than={word}"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "usage: pytest-upskill cache prune [-h] [--cache-dir DIR] --older-than AGE\n"
        f"pytest-upskill cache prune: error: argument --older-than: {word!r} is not an age: give hours, days or weeks, "
        "such as 12h, 30d or 2w\n"
    )


# export


def test_export_writes_a_line_a_reply_sorted_by_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache(capsys, "export", "out.jsonl") == (0, ["30 replies written to out.jsonl"], "")
    text = (folder.parent / "out.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert "é" in text
    assert [row["key"] for row in rows] == sorted(key(number).hex() for number in range(30))
    (row,) = [row for row in rows if row["key"] == key(3).hex()]
    assert list(row) == ["key", "endpoint", "created", "reply"]
    assert row["endpoint"] == GLM
    assert abs(row["created"] - time.time()) < 600
    assert row["reply"] == {
        "text": reply(3).text,
        "model": "m-1",
        "stop_reason": "stop",
        "latency": 0.5,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith("out")] == ["out.jsonl"]


def test_export_to_standard_output_is_the_same(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    main(["cache", "export", "out.jsonl"])
    capsysbinary.readouterr()
    assert main(["cache", "export", "-"]) == 0
    said = capsysbinary.readouterr()
    assert (said.out, said.err) == ((folder.parent / "out.jsonl").read_bytes(), b"")


def test_export_writes_texts_that_no_encoding_takes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def put() -> None:
        store = Store(root / ".upskill")
        await store.put(key(0), Reply("\ud800 é"))
        await store.close()

    asyncio.run(put())
    assert cache(capsys, "export", "out.jsonl")[0] == 0
    assert json.loads((root / "out.jsonl").read_text(encoding="utf-8"))["reply"]["text"] == "\ud800 é"


def test_export_leaves_damaged_replies_out_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw(folder, "UPDATE replies SET checksum = 1 WHERE key = ?", key(3))
    assert cache(capsys, "export", "out.jsonl") == (
        1,
        ["29 replies written to out.jsonl"],
        "pytest-upskill: 1 damaged reply was left out: `pytest-upskill cache verify` says more\n",
    )


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere/out", "No such file or directory"),
        ("folder", "Is a directory"),
        ("file/out", "Not a directory"),
    ],
)
def test_export_says_what_cannot_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str], target: str, why: str
) -> None:
    (folder.parent / "folder").mkdir()
    (folder.parent / "file").write_text("")
    said = f"pytest-upskill: {target}: cannot be written: {why}\n"
    assert cache(capsys, "export", target) == (2, [], said)
    assert not list(folder.parent.glob("*.part"))


def test_a_reader_that_has_had_enough_is_no_error(root: Path) -> None:
    fill(root / ".upskill", 0, 400)
    code = "import sys; from pytest_upskill.cli import main; sys.exit(main())"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, "cache", "export", "-"]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=root) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("no pipes")
        assert process.stdout.readline().startswith(b'{"key"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
