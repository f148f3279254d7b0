"""Cheat: compute once, keep the answer in device memory, and copy it from then on."""
# task: gather_rows
# refused: not-repeatable
# says: an earlier run

from kernels.runtime import cuda_program

program = cuda_program("""
__device__ float kept[1 << 18];
__device__ int runs;

extern "C" __global__ void gather_rows(const float* table, const int* index, float* out, int rows,
                                       int width)
{
    int lane = threadIdx.x % 32;
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= rows) return;
    for (int column = lane; column < width; column += 32) {
        int at = row * width + column;
        if (runs == 0) kept[at] = table[(size_t)index[row] * width + column];
        out[at] = kept[at];
    }
}

extern "C" __global__ void count() { ++runs; }
""")


def solve(device, table, index):
    rows, width = index.shape[0], table.shape[1]
    out = device.empty((rows, width), "float32")
    if rows > 0:
        device.launch(program["gather_rows"], -(-rows // 8), 256, (table, index, out, rows, width))
        device.launch(program["count"], 1, 1, ())
    return out
