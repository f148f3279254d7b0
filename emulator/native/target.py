"""The processor that code is made for: this one."""

from __future__ import annotations

import llvmlite.binding as llvm


def target_machine(opt: int = 2) -> llvm.TargetMachine:
    """Code generation for this CPU."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=opt,
        reloc="pic",
        codemodel="jitdefault",
    )
