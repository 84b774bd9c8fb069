"""Which level is chosen, and the sentences where none works; the kernel itself is made to refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_upskill.kernels.sandbox import reports, sandboxes
from tests.kernels.sandbox.driver import ROOT, kind_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

# A process whose kernel answers `error` to Landlock, and that finds programs on `path`.
SCRIPT = """
import json, os, struct, sys
sys.path.insert(0, {root!r})
from pytest_upskill.kernels.sandbox import SandboxMissing, sandboxes, kernel, reports
if {error}:
    steps = (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50000 | {error}), (0x06, 0, 0, 0x7FFF0000)
    kernel.gain_no_privileges()
    kernel.filter_calls(b"".join(struct.pack("<HBBI", *step) for step in steps))
said = dict(levels=[], whys=[report.why for report in reports()])
for unsafe in (False, True):
    try:
        with sandboxes(unsafe)[0] as sandbox:
            said["levels"].append(sandbox.level)
    except SandboxMissing as missing:
        said["levels"].append(str(missing))
print(json.dumps(said))
"""


def chosen(path: str, error: int = 0) -> tuple[list[str], list[str]]:
    """Return what is chosen safely and unsafely, and why each level works or not."""
    code = SCRIPT.format(root=str(ROOT), error=error)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = json.loads(ran.stdout)
    return said["levels"], said["whys"]


@linux
def test_the_first_level_that_works_is_chosen() -> None:
    working = [report.level for report in reports() if report.works]
    if not working:
        pytest.skip("no level works here")
    for unsafe in (False, True):
        with sandboxes(unsafe)[0] as sandbox:
            assert sandbox.level == working[0]


@linux
def test_each_level_says_that_it_works_and_what_it_is() -> None:
    for report in reports():
        if not report.works:
            pytest.skip(report.why)
    first, second = (report.why for report in reports())
    assert first.startswith(f"bubblewrap: {shutil.which('bwrap')} ")
    assert second.startswith("landlock: ABI ")
    assert first.endswith(" works")
    assert second.endswith(" with a filter of system calls works")


@linux
def test_without_bwrap_landlock_is_chosen(tmp_path: Path) -> None:
    if isinstance(kind_of("landlock"), str):
        pytest.skip(str(kind_of("landlock")))
    levels, whys = chosen(str(tmp_path))
    assert levels == ["landlock", "landlock"]
    assert whys[0] == "bubblewrap: bwrap is not installed (apt, dnf and pacman know it as bubblewrap)"


@linux
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (38, f"landlock: the kernel {os.uname().release} has no Landlock"),
        (95, "landlock: it is switched off (the kernel's command line has an lsm= without landlock)"),
    ],
)
def test_without_any_level_it_is_refused_or_done_without(error: int, words: str, tmp_path: Path) -> None:
    levels, whys = chosen(str(tmp_path), error)
    assert whys[1] == words
    assert levels == [
        "no sandbox works on this machine, and code of a model is not run without one: "
        f"bubblewrap: bwrap is not installed (apt, dnf and pacman know it as bubblewrap); {words}. "
        "Install bubblewrap, or use --upskill-unsafe where the machine is yours to lose.",
        "none",
    ]


@linux
def test_a_bwrap_that_cannot_do_it_is_quoted(tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\necho 'bwrap 0.4.0'\n[ $1 = --version ] || echo 'Unknown option --size' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    _, whys = chosen(f"{tmp_path}:/usr/bin:/bin")
    assert whys[0] == (
        f"bubblewrap: {fake} 0.4.0 does not work: sh could not be run in the sandbox: "
        "bwrap did not start it: Unknown option --size"
    )


@linux
def test_a_bwrap_that_walls_off_nothing_is_found_out(tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\n[ $1 = --version ] && exec echo bwrap 9\necho '\"exit-code\"' >&$2\n"
        'while [ "$1" != -- ]; do shift; done\nwhile [ "${1##*/}" != sh ]; do shift; done\nexec "$@"\n'
    )
    fake.chmod(0o755)
    _, whys = chosen(f"{tmp_path}:/usr/bin:/bin")
    assert whys[0] == f"bubblewrap: {fake} 9 does not work: it let a program read what it was not shown"


ELSEWHERE = """
import sys
sys.path.insert(0, {root!r})
# What Windows does not have.
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
sys.platform = {platform!r}
from pytest_upskill.kernels.sandbox import sandboxes
try:
    sandboxes(True)[0]
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_refused_even_unsafely(platform: str) -> None:
    # What Python itself does by platform is done before the script changes the name.
    early = "import socket, subprocess, tempfile, selectors, shutil, platform\n"
    code = early + ELSEWHERE.format(root=str(ROOT), platform=platform)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == (
        "no sandbox works on this machine, and code of a model is not run without one: "
        "bubblewrap needs Linux; landlock needs Linux. There kernels are compiled and run in a Linux machine "
        "or container.\n"
    )
