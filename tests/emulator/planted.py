"""Kernels with one planted bug each, and correct ones: what the checkers must and must not say.

A plain table, so that the same kernels can run under compute-sanitizer on a GPU. A comment ``//!``
marks the lines that a finding has to name, no other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Array:
    """An argument in device memory. ``fill``: "random", "arange", "zeros", or "empty" (unset)."""

    dtype: str
    size: int
    fill: str = "random"


@dataclass(frozen=True)
class Number:
    """An argument by value."""

    dtype: str
    value: int | float


@dataclass(frozen=True)
class Case:
    """One launch. ``check`` finds something on the marked lines; "" when nothing may be found."""

    name: str
    check: str  # "racecheck", "initcheck", "memcheck" or ""
    source: str  # CUDA C++; the kernel is called "kernel"
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: tuple[Array | Number, ...]
    shared_bytes: int = 0
    sanitizer: bool = True  # whether compute-sanitizer has a check that could see it
    kind: str = ""  # part of what the finding is called
    cooperative: bool = False

    @property
    def lines(self) -> frozenset[int]:
        """The marked lines, from 1."""
        numbered = enumerate(self.source.split("\n"), 1)
        return frozenset(number for number, text in numbered if "//!" in text)


def floats(size: int, fill: str = "random") -> Array:
    """``float*``."""
    return Array("float32", size, fill)


def ints(size: int, fill: str = "zeros") -> Array:
    """``int*``."""
    return Array("int32", size, fill)


def count(value: int) -> Number:
    """``int``."""
    return Number("int32", value)


IN_OUT = (floats(1024), floats(1024, "empty"))

SHARED_RACES = (
    Case(
        "reversal without a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[256];
  int i = blockIdx.x * 256 + threadIdx.x;
  tile[threadIdx.x] = in[i];  //!
  out[i] = tile[255 - threadIdx.x];  //!
}
""",
        (4,),
        (256,),
        IN_OUT,
    ),
    Case(
        "tiled matrix product without the first barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* a, const float* b, float* c, int n) {
  __shared__ float at[16][16], bt[16][16];
  int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
  float sum = 0;
  for (int k = 0; k < n; k += 16) {
    at[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];  //!
    bt[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + col];  //!
    for (int j = 0; j < 16; ++j)
      sum += at[threadIdx.y][j] * bt[j][threadIdx.x];  //!
    __syncthreads();
  }
  c[row * n + col] = sum;
}
""",
        (2, 2),
        (16, 16),
        (floats(1024), floats(1024), floats(1024, "empty"), count(32)),
    ),
    Case(
        "tiled matrix product without the second barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* a, const float* b, float* c, int n) {
  __shared__ float at[16][16], bt[16][16];
  int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
  float sum = 0;
  for (int k = 0; k < n; k += 16) {
    at[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];  //!
    bt[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + col];  //!
    __syncthreads();
    for (int j = 0; j < 16; ++j)
      sum += at[threadIdx.y][j] * bt[j][threadIdx.x];  //!
  }
  c[row * n + col] = sum;
}
""",
        (2, 2),
        (16, 16),
        (floats(1024), floats(1024), floats(1024, "empty"), count(32)),
    ),
    Case(
        "tree reduction without the barrier in its loop",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float part[256];
  int t = threadIdx.x;
  part[t] = in[blockIdx.x * 256 + t];
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];  //!
  }
  __syncthreads();
  if (t == 0) out[blockIdx.x] = part[0];
}
""",
        (4,),
        (256,),
        IN_OUT,
    ),
    Case(
        "tree reduction read before its last step is done",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float part[256];
  int t = threadIdx.x;
  part[t] = in[blockIdx.x * 256 + t];
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) part[t] += part[t + half];  //!
  }
  out[blockIdx.x * 256 + t] = part[0];  //!
}
""",
        (4,),
        (256,),
        IN_OUT,
    ),
    Case(
        "transposition without a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[32][33];
  tile[threadIdx.y][threadIdx.x] = in[threadIdx.y * 32 + threadIdx.x];  //!
  out[threadIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];  //!
}
""",
        (1,),
        (32, 32),
        IN_OUT,
    ),
    Case(
        "histogram added to without atomics",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int bins[16];
  if (threadIdx.x < 16) bins[threadIdx.x] = 0;
  __syncthreads();
  bins[in[threadIdx.x] % 16] += 1;  //!
  __syncthreads();
  if (threadIdx.x < 16) out[threadIdx.x] = bins[threadIdx.x];
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(16, "empty")),
    ),
    Case(
        "histogram cleared without a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int bins[64];
  if (threadIdx.x < 64) bins[threadIdx.x] = 0;  //!
  atomicAdd(&bins[in[threadIdx.x] % 64], 1);  //!
  __syncthreads();
  if (threadIdx.x < 64) out[threadIdx.x] = bins[threadIdx.x];
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(64, "empty")),
    ),
    Case(
        "histogram copied out without a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int bins[64];
  if (threadIdx.x < 64) bins[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&bins[in[threadIdx.x] % 64], 1);  //!
  if (threadIdx.x < 64) out[threadIdx.x] = bins[threadIdx.x];  //!
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(64, "empty")),
    ),
    Case(
        "scan that reads and writes one buffer",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int sums[128];
  int t = threadIdx.x;
  sums[t] = in[t];
  for (int step = 1; step < 128; step *= 2) {
    __syncthreads();
    if (t >= step) sums[t] += sums[t - step];  //!
  }
  __syncthreads();
  out[t] = sums[t];
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(128, "empty")),
    ),
    Case(
        "stencil that reads its halo without a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[130];
  int t = threadIdx.x;
  tile[t + 1] = in[t];  //!
  if (t == 0) { tile[0] = 0; tile[129] = 0; }  //!
  out[t] = tile[t] + tile[t + 1] + tile[t + 2];  //!
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "warp reduction through shared memory without __syncwarp",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float part[32];
  int lane = threadIdx.x;
  part[lane] = in[lane];
  __syncwarp();
  for (int half = 16; half > 0; half /= 2) {
    if (lane < half) part[lane] += part[lane + half];  //!
  }
  __syncwarp();
  if (lane == 0) out[0] = part[0];
}
""",
        (1,),
        (32,),
        IN_OUT,
    ),
    Case(
        "warp reduction of old, with volatile for a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ volatile float part[64];
  int t = threadIdx.x;
  part[t] = in[t];
  __syncthreads();
  if (t < 32) {
    part[t] += part[t + 32];  //!
    part[t] += part[t + 16];  //!
    part[t] += part[t + 8];  //!
    part[t] += part[t + 4];  //!
    part[t] += part[t + 2];  //!
    part[t] += part[t + 1];  //!
    if (t == 0) out[0] = part[0];
  }
}
""",
        (1,),
        (64,),
        IN_OUT,
    ),
    Case(
        "warps' sums read without a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float sums[8];
  float x = in[threadIdx.x];
  for (int step = 16; step > 0; step /= 2) x += __shfl_down_sync(~0u, x, step);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;  //!
  if (threadIdx.x == 0) {
    float total = 0;
    for (int w = 0; w < 8; ++w) total += sums[w];  //!
    out[0] = total;
  }
}
""",
        (1,),
        (256,),
        IN_OUT,
    ),
    Case(
        "double buffer used again too early",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float buffer[2][128];
  int t = threadIdx.x;
  float sum = 0;
  for (int step = 0; step < 8; ++step) {
    buffer[step % 2][t] = in[step * 128 + t];  //!
    if (step % 2 == 0) __syncthreads();
    sum += buffer[step % 2][127 - t];  //!
  }
  out[t] = sum;
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "one buffer refilled while it is read",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float buffer[128];
  int t = threadIdx.x;
  float sum = 0;
  for (int step = 0; step < 8; ++step) {
    buffer[t] = in[step * 128 + t];  //!
    __syncthreads();
    sum += buffer[127 - t];  //!
  }
  out[t] = sum;
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "two threads write different values to one element",
        "racecheck",
        r"""
extern "C" __global__ void kernel(int* out) {
  __shared__ int winner;
  winner = threadIdx.x;  //!
  __syncthreads();
  if (threadIdx.x == 0) out[0] = winner;
}
""",
        (1,),
        (64,),
        (ints(1, "empty"),),
        kind="write-after-write",
    ),
    Case(
        "one barrier for the producer, another for the consumer",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float box[32];
  int lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    box[lane] = in[lane];  //!
    asm volatile("bar.sync 1, 32;" ::: "memory");
  } else {
    asm volatile("bar.sync 2, 32;" ::: "memory");
    out[lane] = box[31 - lane];  //!
  }
}
""",
        (1,),
        (64,),
        IN_OUT,
    ),
    Case(
        "half a warp synchronises, the other half is read",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float box[32];
  int lane = threadIdx.x;
  box[lane] = in[lane];  //!
  __syncwarp(lane < 16 ? 0x0000ffffu : 0xffff0000u);
  out[lane] = box[lane ^ 16];  //!
}
""",
        (1,),
        (32,),
        IN_OUT,
    ),
    Case(
        "bytes of one word, read by a neighbour",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const unsigned char* in, unsigned char* out) {
  __shared__ unsigned char text[128];
  text[threadIdx.x] = in[threadIdx.x];  //!
  out[threadIdx.x] = text[(threadIdx.x + 1) % 128];  //!
}
""",
        (1,),
        (128,),
        (Array("uint8", 128, "arange"), Array("uint8", 128, "empty")),
    ),
    Case(
        "dynamic shared memory, vectors read as scalars",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float4* in, float* out) {
  extern __shared__ float tile[];
  reinterpret_cast<float4*>(tile)[threadIdx.x] = in[threadIdx.x];  //!
  out[threadIdx.x] = tile[threadIdx.x * 4 + 4 & 255];  //!
}
""",
        (1,),
        (64,),
        (floats(256), floats(64, "empty")),
        1024,
    ),
)

# One line of the kernel's for compilers of any version: a statement of several has the line of any.
COPY_4_BYTES = r"""
#include <cuda_pipeline.h>
#define COPY_4_BYTES(to, from) asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" \
  :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory")
"""

COPIES = (
    Case(
        "copy that is not waited for",
        "racecheck",
        COPY_4_BYTES
        + r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[128];
  int t = threadIdx.x;
  COPY_4_BYTES(&tile[t], &in[t]);  //!
  __pipeline_commit();
  __syncthreads();
  out[t] = tile[127 - t];  //!
}
""",
        (1,),
        (128,),
        IN_OUT,
        kind="read-after-write",
    ),
    Case(
        "copy waited for by its own thread only",
        "racecheck",
        COPY_4_BYTES
        + r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[128];
  int t = threadIdx.x;
  COPY_4_BYTES(&tile[t], &in[t]);  //!
  __pipeline_commit();
  __pipeline_wait_prior(0);
  out[t] = tile[127 - t];  //!
}
""",
        (1,),
        (128,),
        IN_OUT,
        kind="hazard",
    ),
    Case(
        "one group waited for too few",
        "racecheck",
        COPY_4_BYTES
        + r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[2][128];
  int t = threadIdx.x;
  float sum = 0;
  COPY_4_BYTES(&tile[0][t], &in[t]);  //!
  __pipeline_commit();
  for (int step = 1; step <= 4; ++step) {
    COPY_4_BYTES(&tile[step % 2][t], &in[step * 128 + t]);  //!
    __pipeline_commit();
    __pipeline_wait_prior(2);
    __syncthreads();
    sum += tile[(step - 1) % 2][127 - t];  //!
    __syncthreads();
  }
  out[t] = sum;
}
""",
        (1,),
        (128,),
        IN_OUT,
        kind="hazard",
    ),
)

GLOBAL_RACES = (
    Case(
        "neighbour of another block, updated in place",
        "racecheck",
        r"""
extern "C" __global__ void kernel(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i + 1 < n) x[i] = x[i + 1] * 0.5f;  //!
}
""",
        (8,),
        (128,),
        (floats(1024), count(1024)),
        sanitizer=False,
    ),
    Case(
        "sum over all blocks without atomics",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* sum) {
  float x = in[blockIdx.x];
  if (threadIdx.x == 0) *sum += x;  //!
}
""",
        (8,),
        (32,),
        (floats(8), floats(1, "zeros")),
        sanitizer=False,
    ),
    Case(
        "halo off by one: blocks write one element both",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out, int n) {
  int first = blockIdx.x * 128;
  for (int i = first + threadIdx.x; i < first + 129 && i < n; i += blockDim.x)
    out[i] = in[i] + blockIdx.x;  //!
}
""",
        (8,),
        (64,),
        (floats(1024), floats(1024, "empty"), count(1024)),
        sanitizer=False,
    ),
    Case(
        "last block without __threadfence",
        "racecheck",
        r"""
__device__ unsigned int done;
extern "C" __global__ void kernel(const float* in, float* parts, float* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = in[blockIdx.x];  //!
    last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float sum = 0;
    for (int b = 0; b < gridDim.x; ++b) sum += parts[b];  //!
    out[0] = sum;
  }
}
""",
        (8,),
        (64,),
        (floats(8), floats(8, "empty"), floats(1, "empty")),
        sanitizer=False,
    ),
    Case(
        "last block whose fence comes before the write",
        "racecheck",
        r"""
__device__ unsigned int done;
extern "C" __global__ void kernel(const float* in, float* parts, float* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    __threadfence();
    parts[blockIdx.x] = in[blockIdx.x];  //!
    last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float sum = 0;
    for (int b = 0; b < gridDim.x; ++b) sum += parts[b];  //!
    out[0] = sum;
  }
}
""",
        (8,),
        (64,),
        (floats(8), floats(8, "empty"), floats(1, "empty")),
        sanitizer=False,
    ),
    Case(
        "last block that counts before all its warps are done",
        "racecheck",
        r"""
__device__ unsigned int done;
extern "C" __global__ void kernel(const float* in, float* parts, float* out) {
  __shared__ bool last;
  int i = blockIdx.x * 64 + threadIdx.x;
  parts[i] = in[i];  //!
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last) {
    float sum = 0;
    for (int b = threadIdx.x; b < gridDim.x * 64; b += 64) sum += parts[b];  //!
    out[threadIdx.x] = sum;
  }
}
""",
        (8,),
        (64,),
        (floats(512), floats(512, "empty"), floats(64, "empty")),
        sanitizer=False,
    ),
    Case(
        "flag raised without a fence",
        "racecheck",
        r"""
extern "C" __global__ void kernel(float* box, volatile int* flag, float* out) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    *box = 42;  //!
    *flag = 1;
  } else {
    while (*flag == 0) { }
    *out = *box;  //!
  }
}
""",
        (2,),
        (32,),
        (floats(1, "zeros"), ints(1), floats(1, "empty")),
        sanitizer=False,
    ),
    Case(
        "flag that is no atomic and not volatile",
        "racecheck",
        r"""
extern "C" __global__ void kernel(float* box, int* flag, float* out) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    *box = 42;
    __threadfence();
    *flag = 1;  //!
  } else {
    if (*flag) *out = 1;  //!
  }
}
""",
        (2,),
        (32,),
        (floats(1, "zeros"), ints(1), floats(1, "empty")),
        sanitizer=False,
    ),
    Case(
        "atomic of block scope between blocks",
        "racecheck",
        r"""
extern "C" __global__ void kernel(int* total) {
  atomicAdd_block(total, 1);  //!
}
""",
        (4,),
        (32,),
        (ints(1),),
        sanitizer=False,
    ),
    Case(
        "atomic here, plain access there",
        "racecheck",
        r"""
extern "C" __global__ void kernel(int* total, int* out) {
  if (blockIdx.x == 0) atomicAdd(total, 1);  //!
  else out[threadIdx.x] = *total;  //!
}
""",
        (2,),
        (32,),
        (ints(1), ints(32, "empty")),
        sanitizer=False,
    ),
    Case(
        "warps of a block meet in global memory without a barrier",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* scratch, float* out) {
  scratch[threadIdx.x] = in[threadIdx.x];  //!
  out[threadIdx.x] = scratch[127 - threadIdx.x];  //!
}
""",
        (1,),
        (128,),
        (floats(128), floats(128, "empty"), floats(128, "empty")),
        sanitizer=False,
    ),
    Case(
        "lock that is released without a fence",
        "racecheck",
        r"""
__device__ int lock;
extern "C" __global__ void kernel(int* total) {
  if (threadIdx.x == 0) {
    while (atomicCAS(&lock, 0, 1) != 0) { }
    *total += 1;  //!
    atomicExch(&lock, 0);
  }
}
""",
        (8,),
        (32,),
        (ints(1),),
        sanitizer=False,
    ),
)

UNINITIALISED = (
    Case(
        "sum into an array that nobody cleared",
        "initcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* sums) {
  sums[threadIdx.x] += in[threadIdx.x];  //!
}
""",
        (1,),
        (128,),
        (floats(128), floats(128, "empty")),
        kind="global",
    ),
    Case(
        "atomic sum into an array that nobody cleared",
        "initcheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* sums) {
  atomicAdd(&sums[in[threadIdx.x] % 8], 1);  //!
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(8, "empty")),
        kind="global",
    ),
    Case(
        "halo that nobody loads",
        "initcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[130];
  tile[threadIdx.x + 1] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x] + tile[threadIdx.x + 2];  //!
}
""",
        (1,),
        (128,),
        IN_OUT,
        kind="shared",
    ),
    Case(
        "accumulator in shared memory that nobody cleared",
        "initcheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int total;
  atomicAdd(&total, in[threadIdx.x]);  //!
  __syncthreads();
  if (threadIdx.x == 0) out[0] = total;
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(1, "empty")),
        kind="shared",
    ),
    Case(
        "padding of a tile's last row",
        "initcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out, int rows) {
  __shared__ float tile[8][32];
  if (threadIdx.y < rows) tile[threadIdx.y][threadIdx.x] = in[threadIdx.y * 32 + threadIdx.x];
  __syncthreads();
  float sum = 0;
  for (int r = 0; r < 8; ++r) sum += tile[r][threadIdx.x];  //!
  out[threadIdx.x] = sum;
}
""",
        (1,),
        (32, 8),
        (*IN_OUT, count(7)),
        kind="shared",
    ),
    Case(
        "local array read before it is written",
        "initcheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  int kept[16];
  for (int i = 0; i < 15; ++i) kept[in[i] % 15] = i;
  out[threadIdx.x] = kept[in[threadIdx.x] % 16];  //!
}
""",
        (1,),
        (32,),
        (ints(32, "arange"), ints(32, "empty")),
        sanitizer=False,
        kind="local",
    ),
    Case(
        "half of an array written, all of it read",
        "initcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* scratch, float* out) {
  int t = threadIdx.x;
  if (t % 2 == 0) scratch[t] = in[t];
  __syncthreads();
  out[t] = scratch[t];  //!
}
""",
        (1,),
        (128,),
        (floats(128), floats(128, "empty"), floats(128, "empty")),
        kind="global",
    ),
    Case(
        "vector read of which one component was never written",
        "initcheck",
        r"""
extern "C" __global__ void kernel(float* scratch, float* out) {
  int t = threadIdx.x;
  for (int k = 0; k < 3; ++k) scratch[4 * t + k] = t;
  __syncthreads();
  float4 v = *reinterpret_cast<float4*>(scratch + 4 * t);  //!
  out[t] = v.x + v.w;
}
""",
        (1,),
        (32,),
        (floats(128, "empty"), floats(128, "empty")),
        kind="global",
    ),
)

OUTSIDE = (
    Case(
        "one element past the end",
        "memcheck",
        r"""
extern "C" __global__ void kernel(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) x[i] = i;  //!
}
""",
        (9,),
        (128,),
        (floats(1024), count(1024)),
        kind="out-of-bounds write",
    ),
    Case(
        "one element before the start",
        "memcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  int i = threadIdx.x;
  out[i] = in[i - 1];  //!
}
""",
        (1,),
        (128,),
        IN_OUT,
        kind="out-of-bounds read",
    ),
    Case(
        "vector load at an odd element",
        "memcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float4* out) {
  out[threadIdx.x] = *reinterpret_cast<const float4*>(in + 4 * threadIdx.x + 1);  //!
}
""",
        (1,),
        (32,),
        (floats(1024), floats(1024, "empty")),
        kind="misaligned read",
    ),
    Case(
        "shared array overrun",
        "memcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out, int n) {
  __shared__ float tile[128];
  for (int i = threadIdx.x; i < n; i += 128) tile[i] = in[i];  //!
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}
""",
        (1,),
        (128,),
        (*IN_OUT, count(129)),
        kind="out-of-bounds write of shared",
    ),
    Case(
        "dynamic shared memory that was not asked for",
        "memcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  extern __shared__ float tile[];
  tile[threadIdx.x] = in[threadIdx.x];  //!
  __syncthreads();
  out[threadIdx.x] = tile[127 - threadIdx.x];
}
""",
        (1,),
        (128,),
        IN_OUT,
        256,
        kind="out-of-bounds write of shared",
    ),
    Case(
        "local array overrun",
        "memcheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  int kept[8];
  for (int i = 0; i < 8; ++i) kept[i] = in[i];
  out[threadIdx.x] = kept[in[threadIdx.x] + 64];  //!
}
""",
        (1,),
        (32,),
        (ints(32, "arange"), ints(32, "empty")),
        kind="out-of-bounds read of local",
    ),
    Case(
        "null pointer",
        "memcheck",
        r"""
extern "C" __global__ void kernel(float** table, float* out) {
  out[threadIdx.x] = table[0][threadIdx.x];  //!
}
""",
        (1,),
        (32,),
        (Array("uint64", 4, "zeros"), floats(32, "empty")),
        kind="out-of-bounds read",
    ),
    Case(
        "index that wraps below zero",
        "memcheck",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  unsigned int i = threadIdx.x - 1u;
  out[threadIdx.x] = in[i];  //!
}
""",
        (1,),
        (32,),
        (floats(32), floats(32, "empty")),
        kind="out-of-bounds read",
    ),
    Case(
        "atomic past the end",
        "memcheck",
        r"""
extern "C" __global__ void kernel(const int* in, int* bins) {
  atomicAdd(&bins[in[threadIdx.x]], 1);  //!
}
""",
        (1,),
        (32,),
        (ints(32, "arange"), ints(16)),
        kind="out-of-bounds",
    ),
    Case(
        "shared memory of another block",
        "memcheck",
        r"""
__device__ float* theirs;
extern "C" __global__ void kernel(float* out, volatile int* flag) {
  __shared__ float mine[32];
  mine[threadIdx.x] = threadIdx.x;
  __syncthreads();
  if (blockIdx.x == 0) {
    theirs = mine;
    __threadfence();
    *flag = 1;
    while (*flag != 2) { }
  } else {
    while (*flag != 1) { }
    out[threadIdx.x] = *(volatile float*)(theirs + threadIdx.x);  //!
    *flag = 2;
  }
}
""",
        (2,),
        (32,),
        (floats(32, "empty"), ints(1)),
        sanitizer=False,
        kind="out-of-bounds read",
    ),
)

BUGS = (*SHARED_RACES, *COPIES, *GLOBAL_RACES, *UNINITIALISED, *OUTSIDE)

CORRECT = (
    Case(
        "reversal",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[256];
  int i = blockIdx.x * 256 + threadIdx.x;
  tile[threadIdx.x] = in[i];
  __syncthreads();
  out[i] = tile[255 - threadIdx.x];
}
""",
        (4,),
        (256,),
        IN_OUT,
    ),
    Case(
        "tiled matrix product",
        "",
        r"""
extern "C" __global__ void kernel(const float* a, const float* b, float* c, int n) {
  __shared__ float at[16][16], bt[16][16];
  int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
  float sum = 0;
  for (int k = 0; k < n; k += 16) {
    at[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
    bt[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + col];
    __syncthreads();
    for (int j = 0; j < 16; ++j) sum += at[threadIdx.y][j] * bt[j][threadIdx.x];
    __syncthreads();
  }
  c[row * n + col] = sum;
}
""",
        (2, 2),
        (16, 16),
        (floats(1024), floats(1024), floats(1024, "empty"), count(32)),
    ),
    Case(
        "tree reduction",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float part[256];
  int t = threadIdx.x;
  part[t] = in[blockIdx.x * 256 + t];
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) part[t] += part[t + half];
  }
  if (t == 0) out[blockIdx.x] = part[0];
}
""",
        (4,),
        (256,),
        IN_OUT,
    ),
    Case(
        "tree reduction that ends within a warp",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float part[256];
  int t = threadIdx.x;
  part[t] = in[blockIdx.x * 256 + t];
  for (int half = 128; half >= 32; half /= 2) {
    __syncthreads();
    if (t < half) part[t] += part[t + half];
  }
  if (t < 32) {
    __syncwarp();
    for (int half = 16; half > 0; half /= 2) {
      float other = part[t + half];
      __syncwarp();
      part[t] += other;
      __syncwarp();
    }
  }
  if (t == 0) out[blockIdx.x] = part[0];
}
""",
        (4,),
        (256,),
        IN_OUT,
    ),
    Case(
        "transposition with padding",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[32][33];
  tile[threadIdx.y][threadIdx.x] = in[threadIdx.y * 32 + threadIdx.x];
  __syncthreads();
  out[threadIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}
""",
        (1,),
        (32, 32),
        IN_OUT,
    ),
    Case(
        "histogram with shared atomics",
        "",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int bins[64];
  if (threadIdx.x < 64) bins[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&bins[in[blockIdx.x * 128 + threadIdx.x] % 64], 1);
  __syncthreads();
  if (threadIdx.x < 64) atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
}
""",
        (4,),
        (128,),
        (ints(512, "arange"), ints(64)),
    ),
    Case(
        "double-buffered scan",
        "",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int sums[2][128];
  int t = threadIdx.x, now = 0;
  sums[0][t] = in[t];
  __syncthreads();
  for (int step = 1; step < 128; step *= 2) {
    sums[1 - now][t] = sums[now][t] + (t >= step ? sums[now][t - step] : 0);
    now = 1 - now;
    __syncthreads();
  }
  out[t] = sums[now][t];
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(128, "empty")),
    ),
    Case(
        "stencil with a loaded halo",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out, int n) {
  __shared__ float tile[130];
  int t = threadIdx.x, i = blockIdx.x * 128 + t;
  tile[t + 1] = in[i];
  if (t == 0) tile[0] = i ? in[i - 1] : 0;
  if (t == 127) tile[129] = i + 1 < n ? in[i + 1] : 0;
  __syncthreads();
  out[i] = tile[t] + tile[t + 1] + tile[t + 2];
}
""",
        (8,),
        (128,),
        (*IN_OUT, count(1024)),
    ),
    Case(
        "one barrier a step, two buffers",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float buffer[2][128];
  int t = threadIdx.x;
  float sum = 0;
  for (int step = 0; step < 8; ++step) {
    buffer[step % 2][t] = in[step * 128 + t];
    __syncthreads();
    sum += buffer[step % 2][127 - t];
  }
  out[t] = sum;
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "shuffles only",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float sums[8];
  float x = in[threadIdx.x];
  for (int step = 16; step > 0; step /= 2) x += __shfl_down_sync(~0u, x, step);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x < 32) {
    x = threadIdx.x < 8 ? sums[threadIdx.x] : 0;
    for (int step = 4; step > 0; step /= 2) x += __shfl_down_sync(~0u, x, step);
    if (threadIdx.x == 0) out[0] = x;
  }
}
""",
        (1,),
        (256,),
        IN_OUT,
    ),
    Case(
        "half-warps that keep to themselves",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float box[32];
  int lane = threadIdx.x;
  unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  box[lane] = in[lane];
  __syncwarp(half);
  float other = box[lane ^ 8];
  __syncwarp(half);
  box[lane ^ 4] = other;
  __syncwarp();
  out[lane] = box[31 - lane];
}
""",
        (1,),
        (32,),
        IN_OUT,
    ),
    Case(
        "lanes that part and meet",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float box[32];
  int lane = threadIdx.x;
  if (lane % 2) box[lane] = in[lane]; else box[lane] = -in[lane];
  __syncwarp();
  if (lane < 16) out[lane] = box[lane + 16]; else out[lane] = box[lane - 16];
}
""",
        (1,),
        (32,),
        IN_OUT,
    ),
    Case(
        "producer and consumer warps, named barriers",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float box[32];
  int lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    for (int step = 0; step < 4; ++step) {
      asm volatile("bar.sync 2, 64;" ::: "memory");
      box[lane] = in[step * 32 + lane];
      asm volatile("bar.arrive 1, 64;" ::: "memory");
    }
  } else {
    for (int step = 0; step < 4; ++step) {
      asm volatile("bar.arrive 2, 64;" ::: "memory");
      asm volatile("bar.sync 1, 64;" ::: "memory");
      out[step * 32 + lane] = box[31 - lane];
    }
  }
}
""",
        (1,),
        (64,),
        IN_OUT,
    ),
    Case(
        "bytes of one word, each its thread's own",
        "",
        r"""
extern "C" __global__ void kernel(const unsigned char* in, unsigned char* out) {
  __shared__ unsigned char text[128];
  text[threadIdx.x] = in[threadIdx.x] + 1;
  out[threadIdx.x] = text[threadIdx.x];
}
""",
        (1,),
        (128,),
        (Array("uint8", 128, "arange"), Array("uint8", 128, "empty")),
    ),
    Case(
        "atomics of every kind on one counter",
        "",
        r"""
extern "C" __global__ void kernel(int* total, int* out) {
  atomicAdd(total, 1);
  atomicMax(total + 1, (int)threadIdx.x);
  int old = atomicCAS(total + 2, 0, (int)blockIdx.x);
  out[blockIdx.x * 64 + threadIdx.x] = old;
}
""",
        (4,),
        (64,),
        (ints(4), ints(256, "empty")),
    ),
    Case(
        "last block",
        "",
        r"""
__device__ unsigned int done;
extern "C" __global__ void kernel(const float* in, float* parts, float* out) {
  __shared__ bool last;
  __shared__ float part[64];
  int t = threadIdx.x;
  part[t] = in[blockIdx.x * 64 + t];
  for (int half = 32; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) part[t] += part[t + half];
  }
  if (t == 0) {
    parts[blockIdx.x] = part[0];
    __threadfence();
    last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && t == 0) {
    float sum = 0;
    for (int b = 0; b < gridDim.x; ++b) sum += parts[b];
    out[0] = sum;
  }
}
""",
        (8,),
        (64,),
        (floats(512), floats(8, "empty"), floats(1, "empty")),
    ),
    Case(
        "last block, every thread fences before the barrier",
        "",
        r"""
__device__ unsigned int done;
extern "C" __global__ void kernel(const float* in, float* parts, float* out) {
  __shared__ bool last;
  int i = blockIdx.x * 64 + threadIdx.x;
  parts[i] = in[i];
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
  __syncthreads();
  if (last) {
    float sum = 0;
    for (int b = threadIdx.x; b < gridDim.x * 64; b += 64) sum += parts[b];
    out[threadIdx.x] = sum;
  }
}
""",
        (8,),
        (64,),
        (floats(512), floats(512, "empty"), floats(64, "empty")),
    ),
    Case(
        "flag raised after a fence",
        "",
        r"""
extern "C" __global__ void kernel(float* box, volatile int* flag, float* out) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    *box = 42;
    __threadfence();
    *flag = 1;
  } else {
    while (*flag == 0) { }
    __threadfence();
    *out = *box;
  }
}
""",
        (2,),
        (32,),
        (floats(1, "zeros"), ints(1), floats(1, "empty")),
    ),
    Case(
        "decoupled look-back",
        "",
        r"""
__device__ unsigned int ticket;
extern "C" __global__ void kernel(const int* in, int* out, int* sums, volatile int* state) {
  __shared__ int block, before;
  __shared__ int part[64];
  int t = threadIdx.x;
  if (t == 0) block = atomicAdd(&ticket, 1);
  __syncthreads();
  part[t] = in[block * 64 + t];
  __syncthreads();
  for (int step = 1; step < 64; step *= 2) {
    int x = t >= step ? part[t - step] : 0;
    __syncthreads();
    part[t] += x;
    __syncthreads();
  }
  if (t == 0) {
    sums[2 * block] = part[63];
    __threadfence();
    state[block] = 1;
    int sum = 0;
    for (int b = block - 1; b >= 0; --b) {
      int ready;
      do { ready = state[b]; } while (ready == 0);
      __threadfence();
      if (ready == 2) { sum += sums[2 * b + 1]; break; }
      sum += sums[2 * b];
    }
    sums[2 * block + 1] = sum + part[63];
    __threadfence();
    state[block] = 2;
    before = sum;
  }
  __syncthreads();
  out[block * 64 + t] = part[t] + before;
}
""",
        (8,),
        (64,),
        (ints(512, "arange"), ints(512, "empty"), ints(16, "empty"), ints(8)),
    ),
    Case(
        "lock around a plain sum",
        "",
        r"""
__device__ int lock;
extern "C" __global__ void kernel(int* total) {
  if (threadIdx.x == 0) {
    while (atomicCAS(&lock, 0, 1) != 0) { }
    __threadfence();
    *total += 1;
    __threadfence();
    atomicExch(&lock, 0);
  }
}
""",
        (8,),
        (32,),
        (ints(1),),
    ),
    Case(
        "lock that lanes of a warp contend for",
        "",
        r"""
__device__ int lock;
extern "C" __global__ void kernel(int* total) {
  bool held = false;
  while (!held) {
    if (atomicCAS(&lock, 0, 1) == 0) {
      __threadfence();
      *(volatile int*)total += 1;
      __threadfence();
      atomicExch(&lock, 0);
      held = true;
    }
  }
}
""",
        (2,),
        (64,),
        (ints(1),),
    ),
    Case(
        "acquire and release of libcu++",
        "",
        r"""
#include <cuda/atomic>
extern "C" __global__ void kernel(float* box, int* flag, float* out) {
  cuda::atomic_ref<int, cuda::thread_scope_device> ready(*flag);
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    *box = 42;
    ready.store(1, cuda::memory_order_release);
  } else {
    while (ready.load(cuda::memory_order_acquire) == 0) { }
    *out = *box;
  }
}
""",
        (2,),
        (32,),
        (floats(1, "zeros"), ints(1), floats(1, "empty")),
    ),
    Case(
        "warps hand over through a flag in shared memory",
        "",
        r"""
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float box[32];
  __shared__ volatile int ready;
  int lane = threadIdx.x % 32;
  if (threadIdx.x == 0) ready = 0;
  __syncthreads();
  if (threadIdx.x < 32) {
    box[lane] = in[lane];
    __syncwarp();
    if (lane == 0) { __threadfence_block(); ready = 1; }
  } else {
    while (ready == 0) { }
    __threadfence_block();
    out[lane] = box[31 - lane];
  }
}
""",
        (1,),
        (64,),
        IN_OUT,
    ),
    Case(
        "grid-wide barrier",
        "",
        r"""
#include <cooperative_groups.h>
extern "C" __global__ void kernel(const float* in, float* scratch, float* out) {
  int i = blockIdx.x * 64 + threadIdx.x;
  scratch[i] = in[i];
  cooperative_groups::this_grid().sync();
  out[i] = scratch[gridDim.x * 64 - 1 - i];
}
""",
        (8,),
        (64,),
        (floats(512), floats(512, "empty"), floats(512, "empty")),
        cooperative=True,
    ),
    Case(
        "grid-wide barrier by hand",
        "",
        r"""
__device__ unsigned int arrived;
extern "C" __global__ void kernel(const float* in, float* scratch, float* out) {
  int i = blockIdx.x * 64 + threadIdx.x;
  scratch[i] = in[i];
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(&arrived, 1);
    while (atomicAdd(&arrived, 0) < gridDim.x) { }
    __threadfence();
  }
  __syncthreads();
  out[i] = scratch[gridDim.x * 64 - 1 - i];
}
""",
        (8,),
        (64,),
        (floats(512), floats(512, "empty"), floats(512, "empty")),
    ),
    Case(
        "cooperative groups of sixteen",
        "",
        r"""
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float box[128];
  auto block = cg::this_thread_block();
  auto tile = cg::tiled_partition<16>(block);
  box[threadIdx.x] = in[threadIdx.x];
  tile.sync();
  float x = box[tile.meta_group_rank() * 16 + 15 - tile.thread_rank()];
  x = cg::reduce(tile, x, cg::plus<float>());
  block.sync();
  if (tile.thread_rank() == 0) out[tile.meta_group_rank()] = x;
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "copies in two groups, each waited for",
        "",
        r"""
#include <cuda_pipeline.h>
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[2][128];
  int t = threadIdx.x;
  float sum = 0;
  __pipeline_memcpy_async(&tile[0][t], &in[t], 4);
  __pipeline_commit();
  for (int step = 1; step <= 4; ++step) {
    __pipeline_memcpy_async(&tile[step % 2][t], &in[step * 128 + t], 4);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    sum += tile[(step - 1) % 2][127 - t];
    __syncthreads();
  }
  out[t] = sum;
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "warps meet at an mbarrier",
        "",
        r"""
#include <cuda/barrier>
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[128];
  __shared__ cuda::barrier<cuda::thread_scope_block> meeting;
  int t = threadIdx.x;
  if (t == 0) init(&meeting, 128);
  __syncthreads();
  tile[t] = in[t];
  meeting.arrive_and_wait();
  out[t] = tile[127 - t];
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "copies that arrive at an mbarrier",
        "",
        r"""
#include <cuda/barrier>
extern "C" __global__ void kernel(const float* in, float* out) {
  __shared__ float tile[128];
  __shared__ cuda::barrier<cuda::thread_scope_block> meeting;
  int t = threadIdx.x;
  if (t == 0) init(&meeting, 128);
  __syncthreads();
  cuda::memcpy_async(&tile[t], &in[t], 4, meeting);
  meeting.arrive_and_wait();
  out[t] = tile[127 - t];
}
""",
        (1,),
        (128,),
        IN_OUT,
    ),
    Case(
        "local array",
        "",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  int kept[16];
  for (int i = 0; i < 16; ++i) kept[i] = in[i];
  out[threadIdx.x] = kept[in[threadIdx.x] % 16];
}
""",
        (1,),
        (32,),
        (ints(32, "arange"), ints(32, "empty")),
    ),
    Case(
        "barrier that counts",
        "",
        r"""
extern "C" __global__ void kernel(const int* in, int* out) {
  __shared__ int box[128];
  box[threadIdx.x] = in[threadIdx.x];
  int odd = __syncthreads_count(in[threadIdx.x] % 2);
  out[threadIdx.x] = box[127 - threadIdx.x] + odd;
}
""",
        (1,),
        (128,),
        (ints(128, "arange"), ints(128, "empty")),
    ),
    Case(
        "-1 written, then read",
        "",
        r"""
extern "C" __global__ void kernel(int* parent, int* out) {
  parent[threadIdx.x] = -1;
  __syncthreads();
  out[threadIdx.x] = parent[127 - threadIdx.x];
}
""",
        (1,),
        (128,),
        (ints(128, "empty"), ints(128, "empty")),
    ),
)

# Unordered, and yet the result is the same: mentioned, not called an error.
HARMLESS = (
    Case(
        "every thread raises the same flag",
        "racecheck",
        r"""
extern "C" __global__ void kernel(const float* in, int* found) {
  if (in[blockIdx.x * 128 + threadIdx.x] > 0.5f) *found = 1;  //!
}
""",
        (4,),
        (128,),
        (floats(512), ints(1)),
        sanitizer=False,
        kind="of equal values",
    ),
    Case(
        "every thread writes the same size",
        "racecheck",
        r"""
extern "C" __global__ void kernel(int* out) {
  __shared__ int size;
  size = blockDim.x;  //!
  __syncthreads();
  out[threadIdx.x] = size;
}
""",
        (1,),
        (128,),
        (ints(128, "empty"),),
        kind="of equal values",
    ),
)
