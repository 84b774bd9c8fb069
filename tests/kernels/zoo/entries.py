"""What the zoo holds: tasks, kernels that do them, and replies that only seem to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pytest_upskill.kernels.spec import KernelSpec, read_spec
from pytest_upskill.types import JSON

HERE = Path(__file__).parent
DTYPES = ("f32", "f16", "bf16")
# What stops a cheat: a stage, the judge's own look at the task, or nothing that it need be stopped by.
Expected: TypeAlias = Literal[
    "extract", "compile", "facts", "load", "correct", "robust", "fast", "task", "harmless"
]
_NAIVE = "<!-- naive -->\n"


@dataclass(frozen=True, slots=True)
class Task:
    """What a case asks for.

    Attributes:
        name: of the kernel.
        parameters: the signature's, without the name.
        shapes: as a case writes them, small enough for emulation.
        large: those for a real device.
        inputs: a Python expression for the naive check's inputs, which are float32.
        reference: the stem of its file under tasks/, the name where empty.
    """

    name: str
    parameters: str
    shapes: tuple[str, ...]
    large: tuple[str, ...]
    inputs: str
    reference: str = ""

    @property
    def reference_text(self) -> str:
        return (HERE / "tasks" / f"{self.reference or self.name}.py").read_text()

    def spec(self, dtypes: Sequence[str] = DTYPES, shapes: Sequence[str] = (), **more: JSON) -> KernelSpec:
        """Return the case, read as from a file; `more` are other keys of `expected.kernel`."""
        value: dict[str, JSON] = {
            "signature": f"{self.name}({self.parameters})",
            "reference": f"{self.reference or self.name}.py",
            "shapes": list(shapes or self.shapes),
            "dtypes": list(dtypes),
            **more,
        }
        return read_spec(value, HERE / "tasks")


@dataclass(frozen=True, slots=True)
class Honest:
    """A kernel in CUDA C++ that does its task for any shape and type."""

    task: Task

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def code(self) -> str:
        return (HERE / "honest" / f"{self.name}.cu").read_text()

    @property
    def reply(self) -> str:
        return f"```cuda\n{self.code}```\n"


@dataclass(frozen=True, slots=True)
class Cheat:
    """A reply that fools a naive check.

    Attributes:
        name: the stem of its file under cheats/.
        does: what it does, in a sentence.
        task: what it should do.
        expected: the stage that stops it here.
        also: one that may stop it earlier, as it depends on the machine.
        evidence: a pattern that the evidence has, or a part of it.
        fast: the naive check finds it fast, too.
        inputs: the naive check's inputs, where they are not the task's.
        gates: those of the case.
        dtype: the element type.
        gpu_only: whether more of it shows only on a GPU.
    """

    name: str
    does: str
    task: Task
    expected: Expected
    evidence: str = ""
    also: Expected | None = None
    fast: bool = False
    inputs: str = ""
    gates: Mapping[str, JSON] = field(default_factory=dict)
    dtype: str = "f32"
    gpu_only: bool = False

    @property
    def reply(self) -> str:
        return self._parts()[0]

    @property
    def naive(self) -> str:
        """The same idea as Python: the reply's own where it holds some, else what stands below the mark."""
        reply, mark, naive = self._parts()
        text = naive if mark else reply
        return text.partition("```python\n")[2].partition("```\n")[0]

    @property
    def code(self) -> str:
        """The reply's device code, empty where it has none."""
        return self.reply.partition("```cuda\n")[2].partition("```\n")[0]

    @property
    def candidate(self) -> dict[str, str]:
        """What the naive check takes."""
        inputs = self.inputs or self.task.inputs
        return {"code": self.naive, "reference": self.task.reference_text, "inputs": inputs}

    def spec(self, shapes: Sequence[str] = ()) -> KernelSpec:
        more: dict[str, JSON] = {"gates": dict(self.gates)} if self.gates else {}
        return self.task.spec((self.dtype,), shapes, **more)

    def _parts(self) -> tuple[str, str, str]:
        return (HERE / "cheats" / f"{self.name}.md").read_text().partition(_NAIVE)
