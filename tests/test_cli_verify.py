"""`pytest-upskill cache verify`, wrong use of all of them, and their use beside a test run."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_upskill.calls import store_file
from pytest_upskill.calls.store import Store
from pytest_upskill.cli import main
from tests.stored import GLM, STORE, add_batch, age, cache, fill, key, raw, reply


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


# verify


def test_verify_of_a_sound_store_exits_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "store.sqlite3").read_bytes()
    assert cache(capsys, "verify") == (0, [f"{STORE}: 30 replies intact, 0 faults"], "")
    assert (folder / "store.sqlite3").read_bytes() == before


def test_verify_names_what_does_not_match_its_checksum(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_batch(folder)
    raw(folder, "UPDATE replies SET reply = '{}' WHERE key = ?", key(3))
    raw(folder, "UPDATE replies SET key = ? WHERE key = ?", b"\0" * 32, key(25))
    raw(folder, "UPDATE batches SET id = 'other'")
    assert cache(capsys, "verify") == (
        1,
        [
            f"{STORE}: the reply {key(3).hex()[:16]} of {GLM} does not match its checksum",
            f"{STORE}: the reply 0000000000000000 of reader:reader does not match its checksum",
            f"{STORE}: an open batch does not match its checksum",
            f"{STORE}: 28 replies intact, 3 faults",
        ],
        "",
    )


def test_verify_names_replies_that_cannot_be_understood(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / ".upskill").mkdir()
    raw(root / ".upskill", "CREATE TABLE replies (key BLOB PRIMARY KEY, reply BLOB NOT NULL) WITHOUT ROWID")
    raw(root / ".upskill", "PRAGMA user_version=1")
    raw(root / ".upskill", "INSERT INTO replies VALUES (?, ?)", key(0), b"{}")
    said = [
        f"{STORE}: the reply {key(0).hex()[:16]} cannot be understood",
        f"{STORE}: 0 replies intact, 1 fault",
    ]
    assert cache(capsys, "verify") == (1, said, "")


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4 * 4096)
        file.write(bytes(4096))


def test_verify_says_what_sqlite_finds_and_reads_around_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder / "store.sqlite3")
    code, lines, error = cache(capsys, "verify")
    assert (code, error) == (1, "")
    assert lines[0].startswith(f"{STORE}: SQLite finds damage: ")
    match = re.fullmatch(rf"{re.escape(STORE)}: (\d+) replies intact, {len(lines) - 1} faults?", lines[-1])
    assert match
    assert 15 < int(match[1]) <= 30


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no database" * 100, "cannot be read at all: file is not a database"),
        (b"", "not a store: it has no table of replies"),
    ],
    ids=["garbage", "empty"],
)
def test_verify_looks_into_any_file(
    root: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (root / "store.sqlite3.corrupt-20260101T000000").write_bytes(content)
    name = "store.sqlite3.corrupt-20260101T000000"
    lines = [f"{name}: {said}", f"{name}: 0 replies intact, 1 fault"]
    assert cache(capsys, "verify", name) == (1, lines, "")
    assert [path.name for path in root.iterdir()] == [name]


def test_verify_refuses_what_a_newer_version_wrote(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw(folder, "PRAGMA user_version=3")
    said = f"pytest-upskill: {STORE}: written by another version of pytest-upskill (schema 3, this one reads 2)\n"
    assert cache(capsys, "verify") == (2, [], said)


def test_mend_moves_the_store_aside_and_keeps_what_is_intact(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw(folder, "UPDATE replies SET checksum = 1 WHERE key = ?", key(3))
    code, lines, error = cache(capsys, "verify", "--mend")
    (moved,) = folder.glob("*.corrupt-*")
    path = folder / "store.sqlite3"
    assert code == 1
    assert lines[-1] == f"{STORE}: 29 replies intact, 1 fault"
    assert error == (
        f"pytest-upskill: {path}: damaged (found by verify), and moved to {moved.name}; a new store was begun with 29 "
        "replies that could still be read, and what else it held is asked for again; `pytest-upskill cache verify "
        f"{moved}` says what is wrong with it\n"
    )
    assert cache(capsys, "verify", "--mend") == (0, [f"{STORE}: 29 replies intact, 0 faults"], "")
    assert cache(capsys, "verify", str(moved))[0] == 1


@pytest.mark.parametrize("content", [b"no database" * 100, b""], ids=["garbage", "empty"])
def test_mend_begins_anew_where_nothing_can_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (folder / "store.sqlite3").write_bytes(content)
    code, _, error = cache(capsys, "verify", "--mend")
    assert code == 1
    assert "a new store was begun with no replies that could still be read" in error
    assert cache(capsys, "info")[1][1] == "0 replies, schema 2"


@pytest.mark.parametrize(
    "words", [["info"], ["prune", "--older-than=1d"], ["export", "out.jsonl"]], ids=lambda w: w[0]
)
def test_the_others_leave_a_damaged_store_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    path = folder / "store.sqlite3"
    path.write_bytes(b"no database" * 100)
    said = (
        f"pytest-upskill: {path}: damaged (file is not a database): `pytest-upskill cache verify --mend` keeps what "
        "can be read\n"
    )
    assert cache(capsys, *words) == (2, [], said)
    assert path.read_bytes() == b"no database" * 100


# Wrong use, and use beside a test run.


COMMANDS = [["info"], ["prune", "--older-than=1d"], ["export", "-"], ["verify"]]
EVERY_COMMAND = pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])


@EVERY_COMMAND
def test_without_a_store_it_is_said_where_it_was_looked_for(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (root / "file").write_text("")
    assert cache(capsys, *words) == (
        2,
        [],
        f"pytest-upskill: no store: neither {root} nor a folder above it has {STORE}: a test run makes it, or name its "
        "folder with --cache-dir\n",
    )
    assert cache(capsys, *words, "--cache-dir=nowhere") == (
        2,
        [],
        "pytest-upskill: nowhere: no store.sqlite3 in it: --cache-dir names the folder of a store\n",
    )
    assert cache(capsys, *words, "--cache-dir=file") == (
        2,
        [],
        "pytest-upskill: file: not a folder: --cache-dir names the folder that holds store.sqlite3\n",
    )
    assert [path.name for path in root.iterdir()] == ["file"]


@EVERY_COMMAND
def test_a_store_that_is_a_folder_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    path = root / ".upskill" / "store.sqlite3"
    path.mkdir(parents=True)
    code, lines, error = cache(capsys, *words)
    assert (code, lines) == (2, [])
    assert error in (
        f"pytest-upskill: {path}: cannot be used as a store: unable to open database file; move it away, or name "
        "another folder with --upskill-cache-dir\n",
        f"pytest-upskill: {STORE}: not a file\n",
    )


def test_verify_of_no_file_and_of_two_stores_is_wrong_use(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cache(capsys, "verify", "nowhere") == (2, [], "pytest-upskill: nowhere: no such file\n")
    said = (
        "pytest-upskill: x: verify looks into this file or into a store: leave --mend and --cache-dir out\n"
    )
    assert cache(capsys, "verify", "x", "--mend") == (2, [], said)
    assert cache(capsys, "verify", "x", "--cache-dir=y") == (2, [], said)


def test_without_an_action_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["cache"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "usage: pytest-upskill cache [-h] {info,prune,export,verify} ...\n"
        "pytest-upskill cache: error: the following arguments are required: action\n"
    )


@pytest.fixture
def running(folder: Path) -> Iterator[tuple[asyncio.AbstractEventLoop, Store]]:
    """The store as a test run has it open, which reads and writes."""
    loop = asyncio.new_event_loop()
    store = Store(folder)
    assert store.get(key(0)) == reply(0)
    loop.run_until_complete(store.put(key(30), reply(30), GLM))
    yield loop, store
    loop.run_until_complete(store.close())
    loop.close()


def test_a_store_that_a_test_run_has_open_can_be_looked_into_and_pruned(
    folder: Path, capsys: pytest.CaptureFixture[str], running: tuple[asyncio.AbstractEventLoop, Store]
) -> None:
    loop, store = running
    assert cache(capsys, "info")[1][1] == "31 replies, schema 2"
    assert cache(capsys, "verify")[0] == 0
    age(folder, range(10), 40)
    assert cache(capsys, "prune", "--older-than=30d")[1][0] == "removed 10 of 31 replies"
    assert store.get(key(0)) is None
    assert store.get(key(30)) == reply(30)
    loop.run_until_complete(store.put(key(0), reply(0)))
    assert store.get(key(0)) == reply(0)


def test_mending_under_a_test_run_loses_nothing_of_it(
    folder: Path, capsys: pytest.CaptureFixture[str], running: tuple[asyncio.AbstractEventLoop, Store]
) -> None:
    loop, store = running
    raw(folder, "UPDATE replies SET checksum = 1 WHERE key = ?", key(3))
    assert cache(capsys, "verify", "--mend")[0] == 1
    loop.run_until_complete(store.put(key(31), reply(31)))
    assert Store(folder).present([key(30), key(31)]) == {key(30), key(31)}


def test_prune_gives_up_in_words_when_another_process_writes_for_too_long(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "_PATIENCE", 0.1)
    other = sqlite3.connect(folder / "store.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert cache(capsys, "prune", "--older-than=1d") == (
        2,
        [],
        f"pytest-upskill: {folder / 'store.sqlite3'}: cannot be used as a store: database is locked; another process "
        "keeps it locked: try again when that has ended\n",
    )
    other.execute("ROLLBACK")
    other.close()


def test_the_command_needs_no_pytest(folder: Path) -> None:
    code = "import sys; from pytest_upskill.cli import main; main(['cache', 'info']); sys.exit('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=folder.parent, env={**os.environ})
    assert done.returncode == 0
