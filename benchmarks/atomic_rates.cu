// Reductions and atomics on few or many words: how fast an L2 takes them.

// Each thread adds `turns` times; word number i of all additions is i * stride % span.
extern "C" __global__ void reduce(unsigned* words, unsigned span, unsigned stride, int turns) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int turn = 0; turn < turns; ++turn, i += gridDim.x * blockDim.x)
        atomicAdd(words + i * stride % span, 1u);
}

// The same, and somebody wants the old values.
extern "C" __global__ void fetch(unsigned* words, unsigned span, unsigned stride, int turns,
                                 unsigned* out) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, seen = 0;
    for (int turn = 0; turn < turns; ++turn, i += gridDim.x * blockDim.x)
        seen ^= atomicAdd(words + i * stride % span, 1u);
    if (seen == 0x12345678u) out[0] = seen;
}

// As `reduce`, lanes of a warp scattered pseudo-randomly over the span, as a histogram's are.
extern "C" __global__ void scatter(unsigned* words, unsigned span, unsigned stride, int turns) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int turn = 0; turn < turns; ++turn, i += gridDim.x * blockDim.x) {
        unsigned hash = i * 2654435761u;
        atomicAdd(words + ((hash ^ hash >> 15) * stride) % span, 1u);
    }
}
