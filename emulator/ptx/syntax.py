"""PTX as data: modules, functions, instructions, operands."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Location:
    """A place in the source the PTX was compiled from (a ``.loc``)."""

    file: int
    line: int
    inlined_at: Location | None = None  # where the call stood, for code that was inlined


@dataclass(frozen=True)
class Register:
    """A register operand; ``_`` takes a result nobody wants."""

    name: str  # unique within its function; special registers keep their PTX name
    negated: bool = False  # "!%p1" as an operand, "-%r1" of vmad
    part: str = ""  # "h0", "b3210": what a video instruction takes of it


@dataclass(frozen=True)
class Immediate:
    """A constant operand."""

    value: int | float
    bits: int | None = None  # 32 for 0f..., 64 for 0d...: value holds the bit pattern


@dataclass(frozen=True)
class Symbol:
    """A name: a variable, label or function."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Address:
    """``[base+offset]``."""

    base: Register | Symbol | Immediate
    offset: int = 0


@dataclass(frozen=True)
class Vector:
    """``{a, b}``."""

    items: tuple[Operand, ...]


@dataclass(frozen=True)
class TensorPlace:
    """``[map, {x, y}]``: a place in the array of a tensor map."""

    map: Address
    coordinates: Vector


@dataclass(frozen=True)
class Pair:
    """Two destinations, ``%r1|%p1``."""

    first: Operand
    second: Operand


@dataclass(frozen=True)
class Raw:
    """An operand form this reader has no use for, kept as it stands."""

    text: str


Operand = Register | Immediate | Symbol | Address | Vector | TensorPlace | Pair | Raw


@dataclass(frozen=True)
class Predicate:
    """``@p`` or ``@!p`` in front of an instruction."""

    register: str
    negated: bool


@dataclass(frozen=True)
class Instruction:
    """One instruction. ``call`` keeps its three parts in ``returns``, ``target``, ``arguments``."""

    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    predicate: Predicate | None
    ptx_line: int
    location: Location | None
    text: str
    returns: tuple[str, ...] = ()
    arguments: tuple[Operand, ...] = ()

    @property
    def type(self) -> str:
        """The last type among the modifiers (``f32`` of ``add.rn.f32``), or ``""``."""
        return next((m for m in reversed(self.modifiers) if m in TYPE_BITS), "")

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(m for m in self.modifiers if m in TYPE_BITS)

    def has(self, modifier: str) -> bool:
        return modifier in self.modifiers


@dataclass(frozen=True)
class Variable:
    """A declared variable or parameter."""

    name: str
    space: str  # "param", "global", "const", "shared", "local"
    type: str
    count: int | None  # elements; 1 for a scalar, None for "[]" (dynamic shared memory)
    align: int
    initial: tuple[int | float | Symbol, ...] | None = None
    external: bool = False

    @property
    def nbytes(self) -> int:
        return (self.count or 0) * max(TYPE_BITS[self.type] // 8, 1)


@dataclass
class Function:
    """A kernel or a device function."""

    name: str
    is_entry: bool
    parameters: tuple[Variable, ...]
    returns: tuple[Variable, ...]
    ptx_line: int
    registers: dict[str, str] = field(default_factory=dict)  # name to type
    variables: dict[str, Variable] = field(default_factory=dict)  # local, shared, param in a body
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)  # label to instruction index
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)  # .branchtargets: labels
    max_threads: int | None = None  # .maxntid or .reqntid
    required_block: tuple[int, ...] | None = None
    required_cluster: tuple[int, ...] | None = None  # .reqnctapercluster
    explicit_cluster: bool = False  # .explicitcluster
    max_cluster_rank: int | None = None
    fixes_registers: bool = False  # .minnctapersm or .maxnreg: they are known at the launch
    counts_clusters: bool = False  # .blocksareclusters: a launch's grid is one of clusters
    has_body: bool = True


@dataclass
class PtxModule:
    """A whole PTX file."""

    version: tuple[int, int]
    target: str
    files: dict[int, str]
    functions: dict[str, Function]
    variables: dict[str, Variable]
    checksum: int = 0  # of the text

    def function_addresses(self) -> dict[str, int]:
        """What a pointer to each function holds: no memory lies there, nor other modules'."""
        base = self.function_base
        names = (name for name, function in self.functions.items() if not function.is_entry)
        return {name: base + FUNCTION_BYTES * index for index, name in enumerate(names)}

    @property
    def function_base(self) -> int:
        return 1 << 62 | self.checksum << 24


FUNCTION_BYTES = 16  # between the addresses of two functions
TYPE_BITS = {
    "pred": 1,
    "b8": 8, "u8": 8, "s8": 8,
    "b16": 16, "u16": 16, "s16": 16, "f16": 16, "bf16": 16, "e4m3x2": 16, "e5m2x2": 16,
    "b32": 32, "u32": 32, "s32": 32, "f32": 32, "f16x2": 32, "bf16x2": 32, "tf32": 32,
    "u16x2": 32, "s16x2": 32,
    "b64": 64, "u64": 64, "s64": 64, "f64": 64, "f32x2": 64,
    "b128": 128,
}  # fmt: skip
