"""Matrix multiplication: the ladder from a thread an element to the tensor cores.

Each kernel has a function of its name, ``sgemm_shared_tile(device, a, b, c)``, which launches it on
either device; :func:`profile`, :func:`time` and :func:`launch_of` take that function in place of
calling it.

============================ ===================== ===============================================
file                         kernel                what changes
============================ ===================== ===============================================
``sgemm.cu``                 sgemm_naive           a thread an element, lanes along a column of C
``sgemm.cu``                 sgemm_coalesced       lanes along a row of C
``sgemm.cu``                 sgemm_shared_tile     tiles of 32 x 32 in shared memory
``sgemm_register_tile.cu``   sgemm_register_tile   8 x 8 sums a thread
``sgemm_vectorised.cu``      sgemm_vectorised      16 bytes an access
``sgemm_vectorised.cu``      sgemm_warp_tile       a warp's threads in a square
``sgemm_double_buffered.cu`` sgemm_double_buffered a ring of stages filled by ``cp.async``
``hgemm_mma.cu``             hgemm_mma             tensor cores, by ``mma.sync``
``hgemm_multistage.cu``      hgemm_multistage      a ring of stages, and an epilogue of whole rows
``hgemm_wgmma.cu``           hgemm_wgmma           Hopper: TMA fills the ring, ``wgmma`` empties it
``hgemm_wgmma.cu``           hgemm_persistent      a block an SM that takes tile after tile
``hgemm_wgmma.cu``           hgemm_cluster         pairs of blocks share columns of B by multicast
============================ ===================== ===============================================

SGEMM computes ``C = alpha A B + beta C`` in float32; HGEMM ``D = gelu(A B + bias) + residual``, of
float16 or bfloat16 with sums in float32, each part of the epilogue where it is asked for.

Source: the talk's chapter "GEMM": prologue, main loop, epilogue.
"""

from kernels.gemm.catalogue import BY_NAME, ENTRIES, Entry, place
from kernels.gemm.hgemm import EPILOGUES, Epilogue, HgemmTile, hgemm_mma, hgemm_multistage
from kernels.gemm.hopper import HopperTile, hgemm_cluster, hgemm_persistent, hgemm_wgmma
from kernels.gemm.launches import Launch, Sizes, launch_of, profile, program, time
from kernels.gemm.sgemm import (
    SgemmTile,
    sgemm_coalesced,
    sgemm_double_buffered,
    sgemm_naive,
    sgemm_register_tile,
    sgemm_shared_tile,
    sgemm_vectorised,
    sgemm_warp_tile,
)

__all__ = [
    "BY_NAME",
    "ENTRIES",
    "EPILOGUES",
    "Entry",
    "Epilogue",
    "HgemmTile",
    "HopperTile",
    "Launch",
    "SgemmTile",
    "Sizes",
    "hgemm_cluster",
    "hgemm_mma",
    "hgemm_multistage",
    "hgemm_persistent",
    "hgemm_wgmma",
    "launch_of",
    "place",
    "profile",
    "program",
    "sgemm_coalesced",
    "sgemm_double_buffered",
    "sgemm_naive",
    "sgemm_register_tile",
    "sgemm_shared_tile",
    "sgemm_vectorised",
    "sgemm_warp_tile",
    "time",
]
