"""What --upskill-changed left out of a run, and why the rest is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_upskill.errors import one_line
from pytest_upskill.reports.words import counted, wrapped
from pytest_upskill.types import JSON

_NARROWEST = 40
_MOST = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """What differs from the base, in builtins alone, as it crosses from a worker to the controller.

    `differ` pairs the name of each skill with words on how, empty where its folder just differs; `left_out` and
    `deleted` are folders, relative to the rootdir. `everything` says why all skills count as changed, if they do;
    `direct` that the base has no common ancestor with HEAD here, and was compared with itself.
    """

    ref: str
    differ: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    everything: str = ""
    direct: bool = False

    @property
    def skills(self) -> int:
        return len(self.differ) + len(self.left_out)


def selection_lines(selection: Selection, width: int) -> list[str]:
    """Return what there is to say, wrapped to `width` columns."""
    indent = " " * len("upskill: ")
    return [
        line
        for sentence in _sentences(selection)
        for line in wrapped(one_line(f"upskill: {sentence}"), max(width, _NARROWEST), "", indent)
    ]


def selection_data(selection: Selection) -> dict[str, JSON]:
    """Return what results.json says of a selection."""
    return {
        "base": selection.ref,
        "common_ancestor": not selection.direct,
        "differ": [{"skill": name, "how": how or None} for name, how in selection.differ],
        "left_out": list[JSON](selection.left_out),
        "deleted": list[JSON](selection.deleted),
        "everything": selection.everything or None,
    }


def _sentences(selection: Selection) -> Iterator[str]:
    parts = [_differing(selection)]
    if selection.left_out:
        parts.append(f"{len(selection.left_out)} left out")
    if selection.deleted:
        parts.append(f"deleted: {_some([path.rpartition('/')[2] for path in selection.deleted])}")
    yield "; ".join(parts)
    if selection.direct:
        yield f"compared with {selection.ref} itself: this clone holds no common ancestor of it and HEAD"


def _differing(selection: Selection) -> str:
    ref, differ, skills = selection.ref, selection.differ, selection.skills
    if not skills:
        return f"no skill was found that differs from {ref}"
    if selection.everything:
        return f"{counted(skills, 'skill')} {'counts' if skills == 1 else 'count'} as changed: {selection.everything}"
    names = f" ({_some([f'{name} {how}'.strip() for name, how in differ])})" if differ else ""
    verb = "differs" if 1 in (len(differ), skills) else "differ"
    return f"{len(differ)} of {counted(skills, 'skill')} {verb} from {ref}{names}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
