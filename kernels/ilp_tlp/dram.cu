// The talk's DRAM experiment: a fixed grid walks the array, and each thread has LOADS independent
// loads of a Vector (float or float4) in flight before it needs the first value. Warps a block are
// the experiment's other axis.

template <class Vector, int LOADS>
__device__ void copy_in_flight(const Vector* in, Vector* out, int n) {
  constexpr int LANES = sizeof(Vector) / sizeof(float);
  int vectors = n / LANES;
  int step = gridDim.x * blockDim.x;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll 1  // left alone, the compiler would put more loads in flight
  for (; (LOADS - 1) * step < vectors - i; i += LOADS * step) {
    Vector item[LOADS];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) item[k] = in[i + k * step];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) out[i + k * step] = item[k];
  }
  // what is left is less than LOADS vectors a thread, and less than one vector
  constexpr int FEWER = LOADS < 8 ? LOADS : 8;  // guards take registers, too
#pragma unroll 1
  for (; i < vectors; i += FEWER * step) {
    Vector item[FEWER];
#pragma unroll
    for (int k = 0; k < FEWER; ++k)
      if (k * step < vectors - i) item[k] = in[i + k * step];
#pragma unroll
    for (int k = 0; k < FEWER; ++k)
      if (k * step < vectors - i) out[i + k * step] = item[k];
  }
  int rest = vectors * LANES + threadIdx.x;
  if (blockIdx.x == 0 && rest < n)
    reinterpret_cast<float*>(out)[rest] = reinterpret_cast<const float*>(in)[rest];
}
