"""What the parts of the kernel runner hand to one another: frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["in", "out", "out zero", "inout", "workspace", "scalar"]
Require: TypeAlias = Literal["compile", "correct", "fast"]
Dims: TypeAlias = tuple[int, int, int]
STAGES = ("extract", "compile", "facts", "load", "correct", "robust", "fast")
# Bytes of a value and its name in CUDA C++, by the name that a signature has for it.
SIZES: Mapping[str, int] = {
    "f64": 8, "f32": 4, "f16": 2, "bf16": 2,
    "i64": 8, "i32": 4, "i16": 2, "i8": 1,
    "u64": 8, "u32": 4, "u16": 2, "u8": 1,
}  # fmt: skip
C_TYPES: Mapping[str, str] = {
    "f64": "double", "f32": "float", "f16": "__half", "bf16": "__nv_bfloat16",
    "i64": "long long", "i32": "int", "i16": "short", "i8": "signed char",
    "u64": "unsigned long long", "u32": "unsigned int", "u16": "unsigned short", "u8": "unsigned char",
}  # fmt: skip
ELEMENT = "T"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the compiled code says of itself, from the ELF and from ptxas alone.

    `parameters` are (offset, size) in bytes of each parameter of the entry, in order. `registers` a thread; `stack`,
    `spill_stores` and `spill_loads` in bytes a thread; `shared` static bytes a block; `constant` and `globals_` bytes
    of module-scope `__constant__` and `__device__` variables; `externs` are functions that the code calls and does
    not hold (`vprintf`, `malloc`), `managed` are variables that the host shares, `textures` references to textures
    and surfaces. With `dynamic_stack` it takes stack beyond that while it runs.
    """

    arch: str
    entries: tuple[str, ...]
    parameters: tuple[tuple[int, int], ...]
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int
    constant: int
    globals_: int
    externs: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()
    textures: tuple[str, ...] = ()
    dynamic_stack: bool = False


@dataclass(frozen=True, slots=True)
class Artefact:
    """A kernel that was compiled for one element type: the cubin, what it says of itself, the compiler's version."""

    cubin: bytes = field(repr=False)
    facts: Facts
    compiler: str
    digest: str
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """How a kernel is started: blocks, threads a block, bytes of dynamic shared memory."""

    grid: Dims
    block: Dims
    shared: int = 0


@dataclass(frozen=True, slots=True)
class Workload:
    """One problem: its sizes by name, the element type (empty where the signature has no `T`), a label for people.

    With `misaligned` each buffer begins one element past a 16-byte boundary. `drawn` tells that its sizes came from
    the secret seed.
    """

    sizes: Mapping[str, int]
    dtype: str
    label: str
    misaligned: bool = False
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class Tensor:
    """A buffer of a call: its role, the type of an element, and its shape. A workspace is a row of `u8`."""

    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def nbytes(self) -> int:
        return self.elements * SIZES[self.dtype]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number that is passed by value."""

    name: str
    dtype: str
    value: int | float


Argument: TypeAlias = Tensor | Scalar


@dataclass(frozen=True, slots=True)
class Job:
    """All that a machine with a device needs to execute a kernel: plain data, so that it can travel.

    Attributes:
        case: the id of the case, for messages.
        entry: the name of the kernel.
        require: how far it goes.
        cubins: by element type.
        problems: each workload with its arguments in the order of the signature and how it is started.
        reference: the text of the trusted Python file, and its name for messages.
        seed: secret; the judge's process draws the inputs from it. The launcher never gets it.
        tolerance: the largest ||out - ref|| / ||ref|| by element type.
        moved, flops: by the label of the workload: bytes that a kernel must move, and operations (0 where unknown).
        min_speedup, min_roofline: what `fast` asks, None where nothing.
        unsafe: the user allows to do without a sandbox.
        arch: what the code is compiled for, such as `sm_90a`.
        hidden: environment variables that no process which is started for it may see.
        probe: the cubin of `ceilings.PROBE`, our own kernel by which a device is tried and measured.
        compiler: the version of what compiled it all: part of what a time holds for.
    """

    case: str
    entry: str
    require: Require
    cubins: Mapping[str, bytes] = field(repr=False)
    problems: tuple[Problem, ...]
    reference: str = field(repr=False)
    reference_name: str
    seed: bytes = field(repr=False)
    tolerance: Mapping[str, float]
    moved: Mapping[str, int]
    flops: Mapping[str, int]
    min_speedup: float | None = None
    min_roofline: float | None = None
    unsafe: bool = False
    arch: str = "sm_90a"
    hidden: frozenset[str] = frozenset()
    probe: bytes = field(default=b"", repr=False)
    compiler: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A workload with its arguments in the order of the signature, and how the kernel is started on it."""

    workload: Workload
    arguments: tuple[Argument, ...]
    launch: Launch


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU. `capability` is (9, 0); memory and L2 in bytes. `emulated` marks a pretended one: it proves nothing."""

    index: int
    name: str
    uuid: str
    capability: tuple[int, int]
    memory: int
    l2: int
    driver: str
    emulated: bool = False


class Miss(Exception):
    """The reply failed at a stage; `evidence` is what a person needs to see of it, on one line or a few."""

    def __init__(self, stage: str, evidence: str) -> None:
        super().__init__(evidence)
        self.stage = stage
        self.evidence = evidence
