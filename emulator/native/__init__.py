"""The native side of the software GPU: data layout, memory access, block scheduler, JIT."""
