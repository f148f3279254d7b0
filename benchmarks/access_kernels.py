"""Small kernels, one for each way of touching memory: a warp, one access, offsets from a table.

Every kernel has the signature ``(const int* offsets, unsigned char* data, unsigned int* out)``. A
thread's entry of ``offsets`` is the byte offset at which it touches ``data`` (global) or an array
of its block (shared) or of its own (local); a negative one keeps the thread out. What is stored
depends on the offset alone, so lanes that meet write the same value and results are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

GLOBAL_BYTES = 1 << 16
SHARED_BYTES = 1 << 13
LOCAL_BYTES = 1 << 9


@dataclass(frozen=True)
class Access:
    """One kernel: a state space, what it does there, and bytes a lane."""

    name: str
    space: str  # "global", "shared", "local", "generic" (to shared)
    operation: str  # "ld", "st", "atom", "red", "ldmatrix", "stmatrix", "cp"
    form: str  # the instruction behind "ld.space."
    nbytes: int
    exact_output: bool = True  # False where the order of lanes decides what a lane gets back

    @property
    def extent(self) -> int:
        """Bytes of the array that offsets go into."""
        sizes = {"global": GLOBAL_BYTES, "local": LOCAL_BYTES}
        return sizes.get(self.space, SHARED_BYTES)


WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "v2.u32": 8, "v4.u32": 16, "v2.u64": 16}
GLOBAL_ATOMS = {"add.u32": 4, "add.u64": 8, "add.f32": 4, "add.f64": 8, "add.noftz.f16x2": 4,
                "min.s32": 4, "max.u64": 8, "and.b32": 4, "exch.b32": 4, "exch.b64": 8,
                "cas.b32": 4, "cas.b64": 8, "inc.u32": 4}  # fmt: skip
GLOBAL_REDUCTIONS = {"add.u32": 4, "add.u64": 8, "add.f32": 4, "add.f64": 8, "add.noftz.f16x2": 4,
                     "min.s32": 4, "or.b32": 4}  # fmt: skip
SHARED_ATOMS = {"add.u32": 4, "min.s32": 4, "exch.b32": 4, "cas.b32": 4, "cas.b64": 8, "inc.u32": 4}
SHARED_REDUCTIONS = {"add.u32": 4, "max.u32": 4}


def accesses() -> tuple[Access, ...]:
    """Every kernel."""
    found = []
    for space in ("global", "shared", "local"):
        for operation in ("ld", "st"):
            for form, nbytes in WIDTHS.items():
                found.append(_access(space, operation, form, nbytes))
    for operation in ("ld", "st"):
        found += [_access("generic", operation, f, n) for f, n in (("u32", 4), ("v4.u32", 16))]
    found += [_access("global", "ld", f"nc.{f}", WIDTHS[f]) for f in ("u8", "u32", "v4.u32")]
    for form, nbytes in GLOBAL_ATOMS.items():
        found.append(_access("global", "atom", form, nbytes))
    for form, nbytes in GLOBAL_REDUCTIONS.items():
        found.append(_access("global", "red", form, nbytes))
    for form, nbytes in SHARED_ATOMS.items():
        found.append(_access("shared", "atom", form, nbytes))
    for form, nbytes in SHARED_REDUCTIONS.items():
        found.append(_access("shared", "red", form, nbytes))
    for form in ("x1", "x2", "x4", "x4.trans"):
        found.append(_access("shared", "ldmatrix", form, 16))
    for form in ("x1", "x4"):
        found.append(_access("shared", "stmatrix", form, 16))
    for form, nbytes in (("ca.4", 4), ("ca.8", 8), ("ca.16", 16), ("cg.16", 16)):
        found.append(_access("global", "cp", form, nbytes))
    return tuple(found)


def _access(space: str, operation: str, form: str, nbytes: int) -> Access:
    name = f"{space}_{operation}_{form.replace('.', '_')}"
    return Access(name, space, operation, form, nbytes, operation != "atom")


def source() -> str:
    """CUDA C++ of all kernels."""
    return PRELUDE + "\n".join(_kernel(access) for access in accesses())


PRELUDE = """
typedef unsigned char byte;
typedef unsigned int word;
typedef unsigned long long wide;

__device__ word shuffled(word x) { x *= 0x9E3779B1u; return x ^ (x >> 15); }

template <int BYTES> __device__ void fill(volatile word* tile) {
    for (int i = threadIdx.x; i < BYTES / 4; i += blockDim.x) tile[i] = shuffled(i);
    __syncthreads();
}

template <int BYTES> __device__ void drain(volatile word* tile, word* out) {
    __syncthreads();
    for (int i = threadIdx.x; i < BYTES / 4; i += blockDim.x)
        out[blockIdx.x * (BYTES / 4) + i] = tile[i];
}
"""


def _kernel(access: Access) -> str:
    before, address, after = _place(access)
    return f"""
extern "C" __global__ void {access.name}(const int* offsets, byte* data, word* out) {{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    int offset = offsets[thread];
    word r0 = 0, r1 = 0, r2 = 0, r3 = 0;
    wide w0 = 0, w1 = 0;
    word v = shuffled(offset);
    {before}
    if (offset >= 0) {{
        {address}
        {_instruction(access)}
    }}
    {after}
}}
"""


def _place(access: Access) -> tuple[str, str, str]:
    """Set-up, the address of the access, what to do with what came of it."""
    keep = (
        "out += 8 * thread; out[0] = r0; out[1] = r1; out[2] = r2; out[3] = r3; "
        "out[4] = (word)w0; out[5] = (word)(w0 >> 32); out[6] = (word)w1; "
        "out[7] = (word)(w1 >> 32);"
    )
    writes = access.operation in ("st", "red", "stmatrix")
    if access.operation == "cp":
        before = f"extern __shared__ word tile[]; fill<{SHARED_BYTES}>(tile);"
        address = (
            f"word to = (word)__cvta_generic_to_shared(tile) + {access.nbytes} * threadIdx.x;"
            " wide at = (wide)__cvta_generic_to_global(data + offset);"
        )
        after = 'asm volatile("cp.async.wait_all;" ::: "memory");'
        return before, address, f"{after} drain<{SHARED_BYTES}>(tile, out);"
    if access.space == "global":
        return (
            "",
            "wide at = (wide)__cvta_generic_to_global(data + offset);",
            "" if writes else keep,
        )
    if access.space == "local":
        count = LOCAL_BYTES // 4
        before = (
            f"word array[{count}]; volatile word* mine = array; "
            f"for (int i = 0; i < {count}; i++) mine[i] = i * v;"
        )
        address = "wide at = (wide)__cvta_generic_to_local((byte*)array + offset);"
        total = f"for (int i = 0; i < {count}; i++) r0 = r0 * 31 + mine[i];"
        return before, address, (total if writes else "") + keep
    before = f"extern __shared__ word tile[]; fill<{SHARED_BYTES}>(tile);"
    if access.space == "generic":
        address = "wide at = (wide)((byte*)tile + offset);"
    else:
        address = "word at = (word)__cvta_generic_to_shared(tile) + offset;"
    after = f"drain<{SHARED_BYTES}>(tile, out);" if writes else keep
    return before, address, after


def _instruction(access: Access) -> str:
    space = "" if access.space == "generic" else f".{access.space}"
    at = '"r"(at)' if access.space == "shared" else '"l"(at)'
    form = access.form
    if access.operation == "cp":
        cache, size = form.split(".")
        return (
            f'asm volatile("cp.async.{cache}.shared.global [%0], [%1], {size};"'
            ' :: "r"(to), "l"(at) : "memory");'
        )
    if access.operation in ("ldmatrix", "stmatrix"):
        return _matrix(access, at)
    if access.operation == "ld":
        outputs, braces = _registers(form, "=")
        return (
            f'asm volatile("ld{space}.{form} {braces}, [%{len(outputs)}];" '
            f': {", ".join(outputs)} : {at} : "memory");'
        )
    if access.operation == "st":
        inputs, braces = _registers(form, "", first=1)
        values = {"r": ("v", "v + 1", "v + 2", "v + 3"), "l": ("0x100000001ull * v", "~(wide)v")}
        kind = inputs[0][1]
        given = [f'"{kind}"({value})' for value in values[kind][: len(inputs)]]
        text = f"st{space}.{form} [%0], {braces};"
        return f'asm volatile("{text}" :: {at}, {", ".join(given)} : "memory");'
    return _atomic(access, space, at)


def _registers(form: str, prefix: str, first: int = 0) -> tuple[list[str], str]:
    """Operands of ``asm`` for a load's or store's registers, and how the text names them."""
    count = int(form[form.index("v") + 1]) if "v" in form else 1
    wide = form.endswith("u64")
    names = ["w0", "w1"] if wide else ["r0", "r1", "r2", "r3"]
    kind = "l" if wide else "r"
    operands = [f'"{prefix}{kind}"({name})' for name in names[:count]]
    numbers = ", ".join(f"%{first + i}" for i in range(count))
    return operands, numbers if count == 1 else f"{{{numbers}}}"


def _matrix(access: Access, at: str) -> str:
    count = int(access.form[1])
    names = [f"r{i}" for i in range(count)]
    rest = access.form[2:]
    numbers = [f"%{i}" for i in range(count)]
    head = f"{access.operation}.sync.aligned.m8n8.x{count}{rest}.shared.b16"
    if access.operation == "ldmatrix":
        outputs = ", ".join(f'"=r"({name})' for name in names)
        text = f"{head} {{{', '.join(numbers)}}}, [%{count}];"
        return f'asm volatile("{text}" : {outputs} : {at} : "memory");'
    inputs = ", ".join(f'"r"(shuffled(thread + {i}))' for i in range(count))
    numbers = [f"%{i + 1}" for i in range(count)]
    return f'asm volatile("{head} [%0], {{{", ".join(numbers)}}};" :: {at}, {inputs} : "memory");'


def _atomic(access: Access, space: str, at: str) -> str:
    operation, kind = access.form.split(".")[0], access.form.split(".")[-1]
    letter, value = {
        "u32": ("r", "v"), "s32": ("r", "v"), "b32": ("r", "v"), "f16x2": ("r", "0x3C003C00u"),
        "u64": ("l", "(wide)v"), "b64": ("l", "(wide)v"), "f32": ("f", "1.0f"), "f64": ("d", "1.0"),
    }[kind]  # fmt: skip
    result = {"r": "r0", "l": "w0", "f": "*(float*)&r0", "d": "*(double*)&w0"}[letter]
    given = f'"{letter}"({value})'
    if operation == "cas":
        given = f'"{letter}"(({"wide" if letter == "l" else "word"})0), {given}'
    count = 2 if operation == "cas" else 1
    if access.operation == "red":
        numbers = ", ".join(f"%{i + 1}" for i in range(count))
        text = f"red{space}.{access.form} [%0], {numbers};"
        return f'asm volatile("{text}" :: {at}, {given} : "memory");'
    numbers = ", ".join(f"%{i + 2}" for i in range(count))
    return (
        f'asm volatile("atom{space}.{access.form} %0, [%1], {numbers};" '
        f': "={letter}"({result}) : {at}, {given} : "memory");'
    )
