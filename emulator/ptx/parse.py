"""The PTX reader: tokens, then statements.

It reads the grammar, not the instruction set: an opcode it has never seen is kept as it stands, so
that a kernel is refused only when such an instruction is executed.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace

from emulator.errors import PtxError
from emulator.ptx.syntax import (
    TYPE_BITS,
    Address,
    Function,
    Immediate,
    Instruction,
    Location,
    Operand,
    Pair,
    Predicate,
    PtxModule,
    Raw,
    Register,
    Symbol,
    TensorPlace,
    Variable,
    Vector,
)
from emulator.ptx.tokens import Token, shortened, tokens

MAX_PTX_BYTES = 64 << 20
MAX_ARRAY_BYTES = 1 << 31
MAX_REGISTERS = 1 << 20
MAX_PARAMETER_BYTES = 32764  # of a kernel, since PTX 8.1
MAX_ALIGN = 1 << 16
MAX_NESTING = 256
MAX_DIGITS = 100
WARP_SIZE = 32  # what the constant WARP_SZ stands for
NEWEST_MAJOR = 9

_LINKAGE = {".visible", ".extern", ".weak", ".common"}
_SPACES = {".global": "global", ".const": "const", ".shared": "shared", ".local": "local"}
_ENTRY_LIMITS = {
    ".maxntid", ".reqntid", ".minnctapersm", ".maxnreg", ".maxnctapersm", ".reqnctapercluster",
    ".explicitcluster", ".maxclusterrank", ".noreturn", ".blocksareclusters",
}  # fmt: skip


def parse(ptx: str) -> PtxModule:
    """Read PTX text.

    Raises :class:`PtxError`, which names the line, for text that is not PTX.
    """
    if len(ptx) > MAX_PTX_BYTES:
        raise PtxError(f"PTX of {len(ptx)} bytes; this reader takes {MAX_PTX_BYTES} at most")
    module = _Reader(ptx).module()
    module.checksum = zlib.crc32(ptx.encode())
    return module


class _Reader:
    """Recursive descent over one token list. ``.loc`` and its like end at a line's end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.last_line = text.count("\n") + 1
        self.position = 0
        self.location: Location | None = None
        self.scopes: list[dict[str, str]] = []
        self.aliases: dict[str, str] = {}
        self.scope_count = 0

    # --- tokens -------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> Token:
        at = self.position + ahead
        if at >= len(self.tokens):
            return Token("end", "end of the file", self.last_line, len(self.text))
        return self.tokens[at]

    def take(self) -> Token:
        token = self.peek()
        if token.kind == "end":
            raise PtxError(f"PTX line {token.line}: the text ends in the middle of a statement")
        self.position += 1
        return token

    def accept(self, text: str) -> bool:
        if self.peek().text == text and self.peek().kind != "string":
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> Token:
        token = self.take()
        if token.text != text:
            raise self.error(token, f"expected {text!r}")
        return token

    def error(self, token: Token, what: str) -> PtxError:
        first = self.text.rfind("\n", 0, token.start) + 1
        last = self.text.find("\n", token.start)
        source = shortened(self.text[first : last if last >= 0 else None].strip())
        return PtxError(
            f"PTX line {token.line}: {what}, found {shortened(token.text)!r} in: {source}"
        )

    def skip_line(self) -> list[Token]:
        line = self.peek().line
        taken = []
        while self.peek().kind != "end" and self.peek().line == line:
            taken.append(self.take())
        return taken

    def skip_past(self, text: str) -> None:
        while self.take().text != text:
            pass

    def skip_braces(self) -> None:
        self.skip_past("{")
        depth = 1
        while depth:
            token = self.take()
            depth += (token.text == "{") - (token.text == "}")

    def number(self) -> Immediate:
        """The number that the next token is."""
        token = self.take()
        if token.kind != "number":
            raise self.error(token, "expected a number")
        value = _number(token.text)
        if value is None:
            raise self.error(token, "expected a number of at most 64 bits")
        return value

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        token = self.peek()
        if token.kind != "number":
            raise self.error(token, "expected a whole number")
        value = self.number()
        if not isinstance(value.value, int) or value.bits:
            raise self.error(token, "expected a whole number")
        return sign * value.value

    def alignment(self) -> int:
        token = self.peek()
        align = self.integer()
        if not 1 <= align <= MAX_ALIGN or align & (align - 1):
            raise self.error(token, f"expected an alignment: a power of two up to {MAX_ALIGN}")
        return align

    # --- module -------------------------------------------------------------------------------

    def module(self) -> PtxModule:
        module = PtxModule((0, 0), "", {}, {}, {})
        while self.peek().kind != "end":
            token = self.peek()
            if token.text == ".version":
                self.take()
                version = self.take()
                if not re.fullmatch(r"\d{1,3}\.\d{1,3}", version.text):
                    raise self.error(version, "expected a version such as 8.0")
                major, minor = version.text.split(".")
                module.version = (int(major), int(minor))
                if module.version[0] > NEWEST_MAJOR:
                    raise self.error(version, f"this reader knows PTX up to {NEWEST_MAJOR}.x")
            elif token.text == ".target":
                module.target = ", ".join(t.text for t in self.skip_line()[1:])
            elif token.text == ".address_size":
                self.take()
                size = self.take()
                if size.text != "64":
                    raise self.error(size, "only 64-bit addresses exist on the chips we model")
            elif token.text == ".file":
                self.file_directive(module)
            elif token.text == ".loc":
                self.skip_line()
            elif token.text == ".section":
                self.skip_braces()
            elif token.text == ".pragma":
                self.skip_past(";")
            elif token.text == ".alias":
                self.alias(module)
            elif token.text in _LINKAGE or token.text in _SPACES:
                self.declaration(module)
            elif token.text in (".entry", ".func"):
                self.function(module)
            else:
                raise self.error(token, "expected a directive such as .version or .entry")
        for name, target in self.aliases.items():
            module.functions[name] = replace(module.functions[target], name=name)
        if module.version == (0, 0):
            raise PtxError("PTX line 1: no .version directive; is this PTX?")
        return module

    def alias(self, module: PtxModule) -> None:
        """``.alias a, b;``: another name for a function."""
        self.take()
        name = self.take()
        self.expect(",")
        target = self.take()
        self.expect(";")
        if target.text not in module.functions:
            raise self.error(target, "expected a function that was declared before")
        self.aliases[name.text] = target.text

    def file_directive(self, module: PtxModule) -> None:
        words = self.skip_line()
        if len(words) < 3 or not _is_small(words[1]) or words[2].kind != "string":
            raise self.error(words[0], 'expected .file NUMBER "NAME"')
        module.files[int(words[1].text)] = words[2].text.strip('"')

    def declaration(self, module: PtxModule) -> None:
        at = self.position
        external = False
        while self.peek().text in _LINKAGE:
            external |= self.take().text == ".extern"
        if self.peek().text in (".entry", ".func"):
            self.function(module)
            return
        if self.peek().text not in _SPACES:
            raise self.error(self.tokens[at], "expected a variable or a function")
        for variable in self.variable_list(external):
            module.variables[variable.name] = variable

    def variable_list(self, external: bool = False) -> list[Variable]:
        """``.space .align N .type name[count] = {...}, name2;``"""
        space = _SPACES.get(self.peek().text, "param")
        self.take()
        align, kind = 0, ""
        while self.peek().text.startswith("."):
            word = self.take()
            if word.text == ".align":
                align = self.alignment()
            elif word.text[1:] in TYPE_BITS:
                kind = word.text[1:]
            elif word.text == ".ptr":
                self.pointer_attributes()
            elif word.text != ".managed":
                raise self.error(word, "expected a type, an alignment or a name")
        if not kind:
            raise self.error(self.peek(), "expected a type such as .b8")
        found = []
        while True:
            found.append(self.variable(space, kind, align, external))
            if not self.accept(","):
                break
        self.expect(";")
        return found

    def pointer_attributes(self) -> None:
        while self.peek().text in (".global", ".const", ".shared", ".local", ".align"):
            if self.take().text == ".align":
                self.integer()

    def variable(self, space: str, kind: str, align: int, external: bool) -> Variable:
        name = self.take()
        if name.kind != "word":
            raise self.error(name, "expected a name")
        size = max(TYPE_BITS[kind] // 8, 1)
        count: int | None = 1
        while self.accept("["):
            if self.accept("]"):
                count = None
                continue
            extent = self.integer()
            if extent < 0 or (count or 1) * extent * size > MAX_ARRAY_BYTES:
                raise self.error(name, f"an array of {extent} elements is not possible")
            count = (count or 1) * extent
            self.expect("]")
        initial = self.initializer() if self.accept("=") else None
        return Variable(name.text, space, kind, count, max(align, size), initial, external)

    def initializer(self, depth: int = 0) -> tuple[int | float | Symbol, ...]:
        if self.accept("{"):
            if depth == MAX_NESTING:
                raise self.error(self.peek(), "initial values are nested too deeply")
            values: list[int | float | Symbol] = []
            while not self.accept("}"):
                values.extend(self.initializer(depth + 1))
                self.accept(",")
            return tuple(values)
        token = self.peek()
        if token.kind == "word":
            self.take()
            name = token.text
            if name == "generic":
                self.expect("(")
                name = self.take().text
                self.expect(")")
            return (Symbol(name, self.integer() if self.accept("+") else 0),)
        sign = -1 if self.accept("-") else 1
        number = self.number()
        if number.bits == 32:
            return (sign * struct.unpack("<f", struct.pack("<I", int(number.value)))[0],)
        if number.bits == 64:
            return (sign * struct.unpack("<d", struct.pack("<Q", int(number.value)))[0],)
        return (sign * number.value,)

    # --- functions ----------------------------------------------------------------------------

    def function(self, module: PtxModule) -> None:
        keyword = self.take()
        returns: tuple[Variable, ...] = ()
        if self.peek().text == "(":
            returns = self.parameters()
        name = self.take()
        if name.kind != "word":
            raise self.error(name, "expected a function's name")
        parameters = self.parameters() if self.peek().text == "(" else ()
        function = Function(name.text, keyword.text == ".entry", parameters, returns, name.line)
        while self.peek().text in _ENTRY_LIMITS:
            self.entry_limit(function)
        if self.accept(";"):
            function.has_body = False
            module.functions.setdefault(name.text, function)
            return
        known = module.functions.get(name.text)
        if known is not None and known.has_body:
            raise self.error(name, f"{shortened(name.text)!r} is defined twice")
        self.expect("{")
        self.location = None
        self.scopes = [{}]
        self.body(function)
        module.functions[name.text] = function

    def entry_limit(self, function: Function) -> None:
        word = self.take()
        values: list[int] = []
        while self.peek().kind == "number" or self.peek().text == ",":
            if not self.accept(","):
                values.append(self.integer())
        if word.text in (".maxntid", ".reqntid") and values:
            total = 1
            for value in values:
                total *= value
            function.max_threads = total
            if word.text == ".reqntid":
                function.required_block = tuple(values)
        elif word.text == ".reqnctapercluster" and values:
            function.required_cluster = (*values, 1, 1)[:3]
        elif word.text == ".maxclusterrank" and values:
            function.max_cluster_rank = values[0]
        elif word.text == ".explicitcluster":
            function.explicit_cluster = True
        elif word.text in (".minnctapersm", ".maxnreg"):
            function.fixes_registers = True
        elif word.text == ".blocksareclusters":
            function.counts_clusters = True

    def parameters(self) -> tuple[Variable, ...]:
        self.expect("(")
        found: list[Variable] = []
        while not self.accept(")"):
            space = self.take()
            if space.text not in (".param", ".reg"):
                raise self.error(space, "expected .param")
            align, kind = 0, ""
            while self.peek().text.startswith("."):
                word = self.take()
                if word.text == ".align":
                    align = self.alignment()
                elif word.text == ".ptr":
                    self.pointer_attributes()
                elif word.text[1:] in TYPE_BITS:
                    kind = word.text[1:]
            if not kind:
                raise self.error(self.peek(), "expected a parameter's type")
            found.append(self.variable("param", kind, align, external=False))
            if sum(p.nbytes for p in found) > MAX_PARAMETER_BYTES:
                raise self.error(space, f"parameters take at most {MAX_PARAMETER_BYTES} bytes")
            self.accept(",")
        return tuple(found)

    def body(self, function: Function) -> None:
        """Statements up to the closing brace. Nested braces open scopes: names are made unique."""
        while True:
            token = self.peek()
            if token.text == "}":
                self.take()
                self.scopes.pop()
                if not self.scopes:
                    return
            elif token.text == "{":
                if len(self.scopes) > MAX_NESTING:
                    raise self.error(token, "scopes are nested too deeply")
                self.take()
                self.scopes.append({})
                self.scope_count += 1
                self.declare_labels()
            elif token.text == ".loc":
                self.loc_directive()
            elif token.text == ".reg":
                self.register_declaration(function)
            elif token.text in (".local", ".shared", ".param", ".const", ".global"):
                for variable in self.variable_list():
                    unique = self.declare(variable.name)
                    function.variables[unique] = _renamed(variable, unique)
            elif token.text in (".pragma", ".callprototype", ".branchtargets", ".calltargets"):
                self.skip_past(";")
            elif token.kind == "word" and self.peek(1).text == ":":
                self.label(function, token)
            elif token.kind == "end":
                raise PtxError(
                    f"PTX line {token.line}: the text ends inside function {function.name!r}"
                )
            else:
                function.instructions.append(self.instruction(function))

    def label(self, function: Function, token: Token) -> None:
        self.position += 2
        if self.peek().text in (".callprototype", ".calltargets"):
            return
        if self.accept(".branchtargets"):
            name = self.scopes[-1].get(token.text) or self.declare(token.text)
            function.tables[name] = self.branch_targets()
            return
        name = self.scopes[-1].get(token.text) or self.declare(token.text)
        if name in function.labels:
            raise self.error(token, "a label stands twice")
        function.labels[name] = len(function.instructions)

    def declare_labels(self) -> None:
        """Labels of a nested scope, which a branch may name before they stand there."""
        at, depth = self.position, 1
        while depth and at < len(self.tokens):
            token = self.tokens[at]
            depth += (token.text == "{") - (token.text == "}")
            following = self.tokens[at + 1 : at + 2]
            if depth == 1 and token.kind == "word" and following and following[0].text == ":":
                self.declare(token.text)
            at += 1

    def branch_targets(self) -> tuple[str, ...]:
        names = [self.resolve(self.take().text)]
        while self.accept(","):
            names.append(self.resolve(self.take().text))
        self.expect(";")
        return tuple(names)

    def declare(self, name: str) -> str:
        """A name unique within the function for one declared in the innermost scope."""
        unique = name if len(self.scopes) == 1 else f"{name}@{self.scope_count}"
        self.scopes[-1][name] = unique
        return unique

    def resolve(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name

    def loc_directive(self) -> None:
        words = self.skip_line()
        if len(words) < 3 or not (_is_small(words[1]) and _is_small(words[2])):
            raise self.error(words[0], "expected .loc FILE LINE COLUMN")
        line = int(words[2].text)
        texts = [word.text for word in words]
        inlined_at = None
        if "inlined_at" in texts:
            after = [int(w.text) for w in words[texts.index("inlined_at") + 1 :] if _is_small(w)]
            if len(after) >= 2:
                inlined_at = Location(after[0], after[1])
        if line:  # line 0 is code without a line of its own: it stays with its neighbour's
            self.location = Location(int(words[1].text), line, inlined_at)

    def register_declaration(self, function: Function) -> None:
        self.take()
        kind = self.take()
        if kind.text[1:] not in TYPE_BITS:
            raise self.error(kind, "expected a register type")
        while True:
            name = self.take()
            match = re.fullmatch(r"([%$_A-Za-z][\w$%]*)(?:<(\d{1,9})>)?", name.text)
            if match is None:
                raise self.error(name, "expected a register's name")
            stem, count = match.group(1), match.group(2)
            if count is not None and len(function.registers) + int(count) > MAX_REGISTERS:
                raise self.error(name, f"more than {MAX_REGISTERS} registers")
            names = [stem] if count is None else [f"{stem}{i}" for i in range(int(count))]
            for register in names:
                function.registers[self.declare(register)] = kind.text[1:]
            if not self.accept(","):
                break
        self.expect(";")

    # --- instructions -------------------------------------------------------------------------

    def instruction(self, function: Function) -> Instruction:
        start = self.peek()
        predicate = None
        if self.accept("@"):
            negated = self.accept("!")
            register = self.take()
            predicate = Predicate(self.resolve(register.text), negated)
            if function.registers.get(predicate.register) != "pred":
                raise self.error(register, "expected a predicate register")
        word = self.take()
        if word.kind != "word" or word.text.startswith((".", "%")):
            raise self.error(word, "expected an instruction")
        opcode, *modifiers = word.text.split(".")
        if opcode == "call":
            return self.call(function, predicate, tuple(modifiers), start)
        operands: list[Operand] = []
        if not self.accept(";"):
            while True:
                operands.append(self.operand(function))
                if self.accept(","):
                    continue
                self.expect(";")
                break
        return Instruction(
            opcode, tuple(modifiers), tuple(operands), predicate,
            start.line, self.location, self.statement(start),
        )  # fmt: skip

    def statement(self, start: Token) -> str:
        """The text from a token to the last one taken, for messages."""
        end = self.tokens[self.position - 1]
        return shortened(" ".join(self.text[start.start : end.start + len(end.text)].split()))

    def call(
        self,
        function: Function,
        predicate: Predicate | None,
        modifiers: tuple[str, ...],
        start: Token,
    ) -> Instruction:
        returns: list[str] = []
        if self.accept("("):
            while not self.accept(")"):
                returns.append(self.resolve(self.take().text))
                self.accept(",")
            self.expect(",")
        target = self.operand(function)
        arguments: list[Operand] = []
        while self.accept(","):
            if self.accept("("):
                while not self.accept(")"):
                    arguments.append(self.operand(function))
                    self.accept(",")
            else:
                self.take()  # the prototype's label of an indirect call
        self.expect(";")
        return Instruction(
            "call", modifiers, (target,), predicate, start.line, self.location,
            self.statement(start), tuple(returns), tuple(arguments),
        )  # fmt: skip

    def operand(self, function: Function) -> Operand:
        first = self.simple_operand(function)
        if self.accept("|"):
            return Pair(first, self.simple_operand(function))
        return first

    def simple_operand(self, function: Function) -> Operand:
        token = self.peek()
        if token.text == "{":
            self.take()
            items: list[Operand] = []
            while not self.accept("}"):
                if self.peek().text == "{":
                    raise self.error(self.peek(), "expected a register: vectors do not nest")
                items.append(self.operand(function))
                self.accept(",")
            return Vector(tuple(items))
        if token.text == "[":
            return self.address(function)
        if self.accept("!"):
            name = self.take()
            return Register(self.resolve(name.text), negated=True)
        if token.text == "-" and self.peek(1).kind == "word":
            self.take()
            register = self.named(function, self.take().text)
            if not isinstance(register, Register):
                raise self.error(token, "expected a number or a register after '-'")
            return replace(register, negated=True)
        if token.text == "-" or token.kind == "number":
            sign = -1 if self.accept("-") else 1
            value = self.number()
            return Immediate(sign * value.value, value.bits)
        if token.kind != "word":
            raise self.error(token, "expected an operand")
        self.take()
        if token.text == "WARP_SZ":
            return Immediate(WARP_SIZE)
        return self.named(function, token.text)

    def named(self, function: Function, text: str) -> Register | Symbol:
        name = self.resolve(text)
        stem, _, part = text.rpartition(".")
        if stem and self.resolve(stem) in function.registers:
            return Register(self.resolve(stem), part=part)
        if name in function.registers or (
            text.startswith("%") and name not in function.variables and text not in self.scopes[0]
        ):
            return Register(name)
        if text == "_":
            return Register("_")
        offset = 0
        if self.peek().text in ("+", "-") and self.peek(1).kind == "number":
            sign = -1 if self.take().text == "-" else 1
            offset = sign * self.integer()
        return Symbol(name, offset)

    def address(self, function: Function) -> Operand:
        """``[base]``, ``[base+offset]``; anything else (textures, tensor maps) is kept raw."""
        self.expect("[")
        start = self.position
        base: Operand | None = None
        offset = 0
        token = self.peek()
        if token.kind == "number":
            base = Immediate(self.integer())
        elif token.kind == "word":
            self.take()
            base = self.named(function, token.text)
            if isinstance(base, Symbol):
                base, offset = Symbol(base.name), base.offset
        while base is not None and self.peek().text in ("+", "-"):
            sign = -1 if self.take().text == "-" else 1
            if self.peek().kind != "number" and self.peek().text != "-":
                break
            offset += sign * self.integer()
        if base is not None and self.accept("]"):
            assert isinstance(base, Register | Symbol | Immediate)
            return Address(base, offset)
        if base is not None and self.peek().text == "," and self.peek(1).text == "{":
            assert isinstance(base, Register | Symbol | Immediate)
            self.take()
            coordinates = self.simple_operand(function)
            assert isinstance(coordinates, Vector)
            self.expect("]")
            return TensorPlace(Address(base, offset), coordinates)
        self.position = start
        depth, words = 1, []
        while depth:
            word = self.take()
            if word.text == ";":
                raise self.error(word, "expected ']'")
            depth += (word.text == "[") - (word.text == "]")
            words.append(word.text)
        return Raw("[" + " ".join(words))


def _renamed(variable: Variable, name: str) -> Variable:
    return Variable(
        name, variable.space, variable.type, variable.count, variable.align, variable.initial
    )


def _number(text: str) -> Immediate | None:
    """A literal's value; None for what is no number, or one of more than 64 bits."""
    lower = text.lower().rstrip("u") if not text.lower().startswith(("0f", "0d")) else text.lower()
    if len(lower) > MAX_DIGITS:
        return None
    try:
        if lower.startswith("0f"):
            return Immediate(int(lower[2:], 16), 32)
        if lower.startswith("0d"):
            return Immediate(int(lower[2:], 16), 64)
        if not lower.startswith("0x") and any(c in lower for c in ".e"):
            return Immediate(float(lower))
        base = 8 if re.fullmatch(r"0\d+", lower) else 0
        value = int(lower, base)
    except ValueError:
        return None
    return Immediate(value) if value < 1 << 64 else None


def _is_small(token: Token) -> bool:
    """A whole number that fits a line or file number."""
    return token.text.isdecimal() and len(token.text) <= 9
