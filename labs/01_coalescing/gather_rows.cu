// Rows of a table by their numbers: out[r] = table[index[r]].
// The task is described in gather_rows.py.

extern "C" __global__ void gather_rows(const float* __restrict__ table,
                                       const int* __restrict__ index, float* __restrict__ out,
                                       int rows, int width)
{
    // FILL ME IN: let the threads of a warp read one row together (about 8 lines)
    // Correct, but each thread walks along a row of its own.
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const float* from = table + (size_t)index[row] * width;
    float* to = out + (size_t)row * width;
    for (int column = 0; column < width; ++column) to[column] = from[column];
}
// Generated from solutions/01_coalescing/gather_rows.cu by `make generate`; df6ad400d714731b
