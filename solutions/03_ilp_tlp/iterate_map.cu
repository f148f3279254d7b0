// x -> p(x), `rounds` times, with p of degree 15. The task is described in iterate_map.py.

constexpr int DEGREE = 15;

// BEGIN SOLUTION: one kernel for few x, one for many (about 50 lines)
// Few x: one a thread. The FFMAs that can be issued side by side have to come out of one x: pairs,
// then pairs of pairs. 18 instructions, 5 of them one after another.
extern "C" __global__ void __launch_bounds__(128, 1)
one_each(const float* x, const float* coefficients, float* y, int n, int rounds)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float c[DEGREE + 1];
#pragma unroll
    for (int j = 0; j <= DEGREE; ++j) c[j] = coefficients[j];
    float at = x[i];
#pragma unroll 4
    for (int round = 0; round < rounds; ++round) {
        float at2 = at * at, at4 = at2 * at2, at8 = at4 * at4;
        float p[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) p[j] = fmaf(c[2 * j + 1], at, c[2 * j]);
#pragma unroll
        for (int j = 0; j < 4; ++j) p[j] = fmaf(p[2 * j + 1], at2, p[2 * j]);
        p[0] = fmaf(p[1], at4, p[0]);
        p[1] = fmaf(p[3], at4, p[2]);
        at = fmaf(p[1], at8, p[0]);
    }
    y[i] = at;
}

// Many x: 4 a thread, each by Horner's 15 FFMAs. No instruction more than that, and 4 chains.
constexpr int ELEMENTS = 4;

extern "C" __global__ void __launch_bounds__(128, 1)
several_each(const float* x, const float* coefficients, float* y, int n, int rounds)
{
    int first = blockIdx.x * blockDim.x * ELEMENTS + threadIdx.x;
    float c[DEGREE + 1], at[ELEMENTS];
#pragma unroll
    for (int j = 0; j <= DEGREE; ++j) c[j] = coefficients[j];
#pragma unroll
    for (int k = 0; k < ELEMENTS; ++k) {
        int i = first + k * blockDim.x;
        at[k] = i < n ? x[i] : 0.0f;
    }
#pragma unroll 4
    for (int round = 0; round < rounds; ++round) {
        float p[ELEMENTS];
#pragma unroll
        for (int k = 0; k < ELEMENTS; ++k) p[k] = c[DEGREE];
#pragma unroll
        for (int j = DEGREE - 1; j >= 0; --j)
#pragma unroll
            for (int k = 0; k < ELEMENTS; ++k) p[k] = fmaf(p[k], at[k], c[j]);
#pragma unroll
        for (int k = 0; k < ELEMENTS; ++k) at[k] = p[k];
    }
#pragma unroll
    for (int k = 0; k < ELEMENTS; ++k) {
        int i = first + k * blockDim.x;
        if (i < n) y[i] = at[k];
    }
}
// STARTER
// // Correct, but twice the instructions that a polynomial needs, and a chain of them.
// extern "C" __global__ void __launch_bounds__(128, 1)
// one_each(const float* x, const float* coefficients, float* y, int n, int rounds)
// {
//     int i = blockIdx.x * blockDim.x + threadIdx.x;
//     if (i >= n) return;
//     float c[DEGREE + 1];
// #pragma unroll
//     for (int j = 0; j <= DEGREE; ++j) c[j] = coefficients[j];
//     float at = x[i];
//     for (int round = 0; round < rounds; ++round) {
//         float p = c[0], power = at;
// #pragma unroll
//         for (int j = 1; j <= DEGREE; ++j) {
//             p = fmaf(c[j], power, p);
//             power *= at;
//         }
//         at = p;
//     }
//     y[i] = at;
// }
// END SOLUTION
