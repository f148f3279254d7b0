"""Cheat: look through the device's memory for the answer."""
# task: gather_rows
# refused: kernel-fault
# says: out-of-bounds read

from kernels.runtime import cuda_program

program = cuda_program("""
extern "C" __global__ void gather_rows(const float* table, const int* index, float* out, int rows,
                                       int width)
{
    int lane = threadIdx.x % 32;
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= rows) return;
    const float* from = table + (size_t)index[row] * width;
    float* to = out + (size_t)row * width;
    for (int column = lane; column < width; column += 32) to[column] = to[column + (1 << 20)];
}
""")


def solve(device, table, index):
    rows, width = index.shape[0], table.shape[1]
    out = device.empty((rows, width), "float32")
    if rows > 0:
        device.launch(program["gather_rows"], -(-rows // 8), 256, (table, index, out, rows, width))
    return out
