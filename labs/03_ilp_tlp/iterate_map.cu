// x -> p(x), `rounds` times, with p of degree 15. The task is described in iterate_map.py.

constexpr int DEGREE = 15;

// FILL ME IN: one kernel for few x, one for many (about 50 lines)
// Correct, but twice the instructions that a polynomial needs, and a chain of them.
extern "C" __global__ void __launch_bounds__(128, 1)
one_each(const float* x, const float* coefficients, float* y, int n, int rounds)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float c[DEGREE + 1];
#pragma unroll
    for (int j = 0; j <= DEGREE; ++j) c[j] = coefficients[j];
    float at = x[i];
    for (int round = 0; round < rounds; ++round) {
        float p = c[0], power = at;
#pragma unroll
        for (int j = 1; j <= DEGREE; ++j) {
            p = fmaf(c[j], power, p);
            power *= at;
        }
        at = p;
    }
    y[i] = at;
}
// Generated from solutions/03_ilp_tlp/iterate_map.cu by `make generate`; 994a5ac04cd60bc4
