"""git, as a reader: lists of arguments, no shell, no prompt, a time limit; nothing is written, no lock is taken."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_upskill.errors import ConfigError

# git sets them where it starts something itself, as a hook: they would lead it to another repository than that of
# the folder that is asked about. The last three make patterns of paths.
_ELSEWHERE = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
)
_SAID = re.compile(r"^(?:fatal|error): (.*)$", re.MULTILINE)
_OBJECT = re.compile(r"[0-9a-f]{40,64}")
_GITLINK = "160000"


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs, relative to the repository. `status` is git's letter, `?` for an untracked file.

    `origin` is the path from which a renamed file (`R`) came.
    """

    status: str
    path: str
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a commit holds under a path."""

    mode: str
    id: str

    @property
    def submodule(self) -> bool:
        return self.mode == _GITLINK


def top_of(path: Path) -> Path | None:
    """Return the top folder of the repository, worktree or submodule that holds a path, or None."""
    real = path.resolve()
    return next((folder for folder in (real, *real.parents) if _is_top(folder / ".git")), None)


def _is_top(mark: Path) -> bool:
    # In a worktree and in a submodule it is a file; an empty folder of this name is nothing to git.
    return mark.is_file() or (mark / "HEAD").is_file()


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository by its top folder. All methods raise `ConfigError` where git cannot be asked.

    Args:
        top: its folder, as `top_of` returns it.
        limit: seconds that one question may take.
    """

    top: Path
    limit: float = 60.0

    def commit(self, ref: str) -> str | None:
        """Return the id of the commit that a ref names here, or None."""
        found = self._asked("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", may_fail=True).strip()
        # `^main` is a range to git, and no commit.
        return found if _OBJECT.fullmatch(found) else None

    def merge_base(self, commit: str) -> str | None:
        """Return the newest common ancestor of a commit and HEAD, or None where none is here."""
        return self._asked("merge-base", commit, "HEAD", may_fail=True).strip() or None

    def shallow(self) -> bool:
        return self._asked("rev-parse", "--is-shallow-repository").strip() == "true"

    def refs(self) -> list[str]:
        """Return the short names of all branches and tags."""
        return self._asked("for-each-ref", "--format=%(refname:short)").split()

    def remotes(self) -> list[str]:
        return self._asked("remote").splitlines()

    def changes(self, commit: str) -> list[Change]:
        """Return what differs between a commit and the working tree: staged, unstaged and untracked."""
        # In two steps, by way of the index: a `git diff` of the working tree takes the index's lock to refresh it.
        # What is checked out of a submodule is asked of the submodule itself.
        own = ("-z", "--ignore-submodules=dirty")
        staged = self._asked(
            "diff", "--cached", "--name-status", "-M", "--no-relative", "--no-ext-diff", *own, commit, "--"
        )
        status = self._asked("status", "--porcelain=v2", "--untracked-files=all", "--no-renames", *own)
        return [*_differing(staged), *_not_staged(status)]

    def entries(self, commit: str, paths: Collection[str]) -> dict[str, Entry]:
        """Return what a commit holds of some paths: files and submodules."""
        if not paths:
            return {}  # and not all that there is
        lines = self._asked("ls-tree", "-z", "--full-tree", commit, "--", *paths).split("\0")
        found = {}
        for line in lines[:-1]:
            kind, _, path = line.partition("\t")
            mode, _, name = kind.split(" ")
            found[path] = Entry(mode, name)
        return found

    def read(self, commit: str, paths: Collection[str]) -> dict[str, bytes]:
        """Return the contents of files as they are in a commit, those left out that it does not hold."""
        held = {path: entry for path, entry in self.entries(commit, paths).items() if not entry.submodule}
        given = "".join(f"{entry.id}\n" for entry in held.values())
        return (
            dict(zip(held, _objects(self._run(["cat-file", "--batch"], given)), strict=True)) if held else {}
        )

    def _asked(self, *arguments: str, may_fail: bool = False) -> str:
        return os.fsdecode(self._run(arguments, may_fail=may_fail))

    def _run(self, arguments: Collection[str], given: str = "", *, may_fail: bool = False) -> bytes:
        try:
            done = subprocess.run(
                # A monitor of the file system would be one more process, and one that stays.
                ["git", "-c", "core.fsmonitor=false", *arguments],
                cwd=self.top,
                env=_environment(os.environ),
                input=given.encode(),
                capture_output=True,
                timeout=self.limit,
                check=False,
            )
        except FileNotFoundError:
            raise ConfigError(
                "git was not found on PATH, and --upskill-changed asks it what differs: install git, or run without "
                "the flag"
            ) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"git {_first(arguments)} failed in {self.top}: {_why(error)}") from None
        said = done.stderr.decode(errors="replace")
        # Where a command may fail, it says nothing or one line; a repository that git refuses is another matter.
        if done.returncode == 0 or (may_fail and (done.returncode == 1 or "Not a valid object name" in said)):
            return done.stdout if done.returncode == 0 else b""
        raise ConfigError(_refusal(self.top, _first(arguments), said))


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in own.items() if name not in _ELSEWHERE}
    return kept | {
        "LC_ALL": "C",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _first(arguments: Collection[str]) -> str:
    return next(iter(arguments))


def _why(error: OSError | subprocess.TimeoutExpired) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it did not finish within {error.timeout:g} s"
    return error.strerror or str(error)


def _refusal(top: Path, command: str, said: str) -> str:
    if "dubious ownership" in said:
        return (
            f"git refuses to read the repository {top}, as it belongs to another user: if you trust it, run "
            f"'git config --global --add safe.directory {top}'"
        )
    words = _SAID.findall(said) or said.strip().splitlines() or ["it gave no reason"]
    return f"git {command} failed in {top}: {words[0]}"


def _differing(printed: str) -> Iterator[Change]:
    """Yield what `git diff --name-status -z` printed."""
    parts = iter(printed.split("\0")[:-1])
    for status in parts:
        first = next(parts)
        if status[0] in "RC":
            yield Change(status[0], next(parts), first)
        else:
            yield Change(status[0], first)


def _not_staged(printed: str) -> Iterator[Change]:
    """Yield what `git status --porcelain=v2 -z` printed of the working tree."""
    for line in printed.split("\0")[:-1]:
        kind, _, rest = line.partition(" ")
        if kind == "?":
            yield Change("?", rest)
        elif kind == "u":
            yield Change("U", rest.split(" ", 9)[9])
        elif kind == "1" and rest[1] != ".":
            yield Change(rest[1], rest.split(" ", 7)[7])


def _objects(answer: bytes) -> Iterator[bytes]:
    """Yield the contents that `git cat-file --batch` printed: a line with the size, the content, a line end."""
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        size = int(answer[at:end].rsplit(b" ", 1)[1])
        yield answer[end + 1 : end + 1 + size]
        at = end + size + 2
