"""The pytest nodes: a case file, its samples, its gates. Thin: they wait, and show what they are told."""

from __future__ import annotations

import gc
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_upskill.config import config_path
from pytest_upskill.errors import UpskillError, listing
from pytest_upskill.session.answers import Answer, Place, Source
from pytest_upskill.session.library import CHOOSE, Library
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.matrix import Gate, Sample

if TYPE_CHECKING:
    from _pytest._code.code import ExceptionInfo, TerminalRepr

SOURCE = pytest.StashKey[Source]()
NOTICES = ("::no-model", "::no-case", "::no-cases")
LIBRARY = pytest.StashKey[Library]()


class GateFailed(Exception):
    """A gate did not pass; its text is all that is shown."""


class SkillItem(pytest.Item):
    """What samples and gates share: they wait in `setup`, and nothing starts when only a plan is wanted."""

    answer: Answer | None = None

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name

    def setup(self) -> None:
        option = self.config.option
        if getattr(option, "setupplan", False) or getattr(option, "setuponly", False):
            return
        answer = self.answer = self.ask(self.config.stash[SOURCE])
        self.user_properties.extend(answer.properties)
        if answer.error is not None:
            pytest.fail(answer.error, pytrace=False)
        if answer.skip is not None:
            pytest.skip(answer.skip)

    def runtest(self) -> None:
        if self.answer is not None and self.answer.failure is not None:
            raise GateFailed(self.answer.failure)

    @property
    @abstractmethod
    def place(self) -> Place:
        """Where the item stands in the matrix of its skill."""

    @abstractmethod
    def ask(self, source: Source) -> Answer:
        """Wait for the answer."""

    def repr_failure(self, excinfo: ExceptionInfo[BaseException], style: Any = None) -> str | TerminalRepr:  # noqa: ANN401
        if isinstance(excinfo.value, GateFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


class SampleItem(SkillItem):
    """One sample. Made by `CaseFileNode`, which sets `sample`: at 100,000 items a constructor counts."""

    sample: Sample

    @property
    def place(self) -> Place:
        return str(self.sample.suite.skill.root), self.name

    def ask(self, source: Source) -> Answer:
        return source.sample(self.place)


class GateItem(SkillItem):
    """One gate."""

    def __init__(self, *, gate: Gate, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.gate = gate

    @property
    def place(self) -> Place:
        return str(self.gate.suite.skill.root), self.name

    def ask(self, source: Source) -> Answer:
        return source.gate(self.place)


class Notice(pytest.Item):
    """An item that only says why nothing is measured here."""

    def __init__(self, *, reason: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.reason = reason

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name

    def setup(self) -> None:
        pytest.skip(self.reason)

    def runtest(self) -> None:
        """Nothing: `setup` has skipped."""


@contextmanager
def _no_garbage() -> Iterator[None]:
    # What a skill is read into lives as long as the run: looking for garbage among 100,000 items again and
    # again costs as much as a third of the time to make them.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _ids_are_given(config: pytest.Config) -> bool:
    # What an id names must be collected, or pytest says that there is no such test.
    return any("::" in argument for argument in config.args)


class CaseFileNode(pytest.File):
    """A file with cases."""

    def __init__(self, *, root: Path, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.root = root
        self.add_marker("upskill")

    def collect(self) -> Iterator[pytest.Item]:
        library = self.config.stash[LIBRARY]
        try:
            if not library.first_seen(self.root):
                return
            if library.left_out(self.root) and not _ids_are_given(self.config):
                return
            if not library.models:
                library.suite(self.root)
                yield Notice.from_parent(
                    self, name="no-model", nodeid=f"{self.nodeid}::no-model", reason=CHOOSE
                )
                return
            with _no_garbage():
                matrix = library.matrix(self.root)
        except (UpskillError, pytest.UsageError) as error:  # a wrong ini value is of the second kind
            raise self.CollectError(str(error)) from None
        if not matrix.samples and self.path == matrix.suite.first.path:
            chosen = listing(model.name for model in library.models)
            reason = f"no case runs on the chosen models ({chosen}): each names others in its 'models'"
            yield Notice.from_parent(self, name="no-case", nodeid=f"{self.nodeid}::no-case", reason=reason)
        with _no_garbage():
            items: list[SkillItem] = list(self._samples(matrix.samples))
        yield from items
        if self.path == matrix.suite.first.path:
            yield from self._gates(matrix.gates)

    def _samples(self, samples: tuple[Sample, ...]) -> Iterator[SampleItem]:
        case, own, keywords = None, False, set[str]()
        for sample in samples:
            if sample.case is not case:
                case = sample.case
                own = any(file.path == self.path and case in file.cases for file in sample.suite.files)
                keywords = {*case.tags, case.id, sample.suite.skill.name}
            if own:
                name = sample.id
                item = SampleItem.from_parent(self, name=name, nodeid=f"{self.nodeid}::{name}")
                item.sample = sample
                # One set for all samples of a case: a set for each would cost more than the rest of it.
                item.extra_keyword_matches = keywords
                for mark in case.marks:
                    item.add_marker(mark)
                yield item

    def _gates(self, gates: tuple[Gate, ...]) -> Iterator[GateItem]:
        for gate in gates:
            yield GateItem.from_parent(self, name=gate.id, nodeid=f"{self.nodeid}::{gate.id}", gate=gate)


class SkillFileNode(pytest.File):
    """SKILL.md, named on the command line, or found where no case file lies beside it."""

    def __init__(self, *, asked: bool, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.asked = asked

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        library = self.config.stash[LIBRARY]
        root = self.path.parent
        found = [
            path for dialect in library.registry.dialects.values() if (path := root / dialect.file).is_file()
        ]
        for path in found:
            yield CaseFileNode.from_parent(self, path=path, root=root)
        if not found:
            if self.asked:
                raise self.CollectError(library.no_cases(root))
            if library.left_out(root):
                return
            yield Notice.from_parent(
                self, name="no-cases", nodeid=f"{self.nodeid}::no-cases", reason=library.no_cases(root)
            )


def collect_file(path: Path, parent: pytest.Collector, library: Library) -> pytest.File | None:
    """Return the node for a file that belongs to a skill, or None for any other."""
    from pytest_upskill.suite.loading import skill_root

    dialects = library.registry.dialects
    if path.name == SKILL_FILE:
        return _skill_file(path, parent, library)
    root = skill_root(path, dialects.values())
    return None if root is None else CaseFileNode.from_parent(parent, path=path, root=root)


def _skill_file(path: Path, parent: pytest.Collector, library: Library) -> pytest.File | None:
    session = parent.session
    if session.isinitpath(path):
        return SkillFileNode.from_parent(parent, path=path, asked=True)
    if any((path.parent / dialect.file).is_file() for dialect in library.registry.dialects.values()):
        return None  # found by its case files
    asked = session.isinitpath(path.parent)
    # A suite that has skills but never tests them is not to be told so on every run.
    chosen = library.settings.models or config_path(library.settings.rootdir)
    return SkillFileNode.from_parent(parent, path=path, asked=asked) if asked or chosen else None
