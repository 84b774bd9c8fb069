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
_GITLINK, _LINK = "160000", "120000"


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

    @property
    def link(self) -> bool:
        return self.mode == _LINK


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
        return dict(_entries(self._asked("ls-tree", "-z", "--full-tree", commit, "--", *paths)))

    def below(self, commit: str, folder: str) -> dict[str, Entry]:
        """Return all files, links and submodules that a commit holds in a folder, by their paths within it."""
        within = () if folder == "." else ("--", folder)
        found = _entries(self._asked("ls-tree", "-r", "-z", "--full-tree", commit, *within))
        cut = 0 if folder == "." else len(folder) + 1
        return {path[cut:]: entry for path, entry in found if len(path) > cut}

    def followed(self, commit: str, links: Collection[str]) -> dict[str, str | Path]:
        """Return the ids of the files that links in a commit lead to, and the paths of those that it does not hold.

        Left out are links to a folder and to nothing.
        """
        asked = [link for link in links if "\n" not in link]  # which is where git takes the next to begin
        given = "".join(f"{commit}:{link}\n" for link in asked)
        answer = self._run(["cat-file", "--batch-check", "--follow-symlinks"], given) if asked else b""
        found = zip(asked, _where(answer), strict=True)
        return {link: self.top / to if outside else to for link, (to, outside) in found if to}

    def ignored(self, folder: str) -> list[str]:
        """Return the files of a folder that git ignores."""
        own = ("--others", "--ignored", "--exclude-standard")
        return self._asked("ls-files", "-z", *own, "--", folder).split("\0")[:-1]

    def contents(self, ids: Collection[str]) -> list[bytes]:
        """Return what objects hold, in their order."""
        if not ids:
            return []
        given = "".join(f"{name}\n" for name in ids)
        return list(_objects(self._run(["cat-file", "--batch"], given)))

    def read(self, commit: str, paths: Collection[str]) -> dict[str, bytes]:
        """Return the contents of files as they are in a commit, those left out that it does not hold."""
        held = {path: entry.id for path, entry in self.entries(commit, paths).items() if not entry.submodule}
        return dict(zip(held, self.contents(held.values()), strict=True))

    def _asked(self, *arguments: str, may_fail: bool = False) -> str:
        return os.fsdecode(self._run(arguments, may_fail=may_fail))

    def _run(self, arguments: Collection[str], given: str = "", *, may_fail: bool = False) -> bytes:
        try:
            done = subprocess.run(
                # A monitor of the file system would be one more process, and one that stays.
                ["git", "-c", "core.fsmonitor=false", *arguments],
                cwd=self.top,
                env=_environment(os.environ),
                input=os.fsencode(given),
                capture_output=True,
                timeout=self.limit,
                check=False,
            )
        except FileNotFoundError:
            raise ConfigError(
                "git was not found on PATH, and is asked what differs from the base: install git, or run without "
                "--upskill-changed and --upskill-base"
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


def _entries(printed: str) -> Iterator[tuple[str, Entry]]:
    """Yield what `git ls-tree -z` printed: the path and what is there."""
    for line in printed.split("\0")[:-1]:
        kind, _, path = line.partition("\t")
        mode, _, name = kind.split(" ")
        yield path, Entry(mode, name)


def _where(answer: bytes) -> Iterator[tuple[str, bool]]:
    """Yield what `git cat-file --batch-check --follow-symlinks` printed: the id of a file, or a path outside."""
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        first, *rest = os.fsdecode(answer[at:end]).split(" ")
        at = end + 1
        if first in ("symlink", "dangling", "loop", "notdir"):
            size = int(rest[0])
            yield os.fsdecode(answer[at : at + size]) if first == "symlink" else "", True
            at += size + 1
        else:
            yield first if rest[0] == "blob" else "", False


def _objects(answer: bytes) -> Iterator[bytes]:
    """Yield the contents that `git cat-file --batch` printed: a line with the size, the content, a line end."""
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        size = int(answer[at:end].rsplit(b" ", 1)[1])
        yield answer[end + 1 : end + 1 + size]
        at = end + size + 2
