// Vector types: a thread copies 8 floats as 8 x float, 4 x float2 or 2 x float4. The sectors are
// the same; the instructions that ask for them are fewer.

constexpr int FLOATS = 8;  // a thread; a block of 1024 threads copies 8192

template <class Vector>
__device__ void copy_vectors(const float* in, float* out, int n) {
  constexpr int LANES = sizeof(Vector) / sizeof(float);
  constexpr int ITEMS = FLOATS / LANES;
  int vectors = n / LANES;
  int first = blockIdx.x * blockDim.x * ITEMS + threadIdx.x;
  int step = blockDim.x;
  auto source = reinterpret_cast<const Vector*>(in);
  auto target = reinterpret_cast<Vector*>(out);
  Vector item[ITEMS];
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k * step < vectors) item[k] = source[first + k * step];
#pragma unroll
  for (int k = 0; k < ITEMS; ++k)
    if (first + k * step < vectors) target[first + k * step] = item[k];
  // the floats that do not fill a vector
  int rest = vectors * LANES + threadIdx.x;
  if (blockIdx.x == 0 && rest < n) out[rest] = in[rest];
}

// Step 1. 4 bytes an instruction and lane.
extern "C" __global__ void copy_float(const float* __restrict__ in, float* __restrict__ out,
                                      int n) {
  copy_vectors<float>(in, out, n);
}

// Step 2. 8 bytes: half the instructions. Both arrays must start at a multiple of 8 bytes.
extern "C" __global__ void copy_float2(const float2* __restrict__ in, float2* __restrict__ out,
                                       int n) {
  copy_vectors<float2>(&in->x, &out->x, n);
}

// Step 3. 16 bytes: a quarter. Both arrays must start at a multiple of 16 bytes.
extern "C" __global__ void copy_float4(const float4* __restrict__ in, float4* __restrict__ out,
                                       int n) {
  copy_vectors<float4>(&in->x, &out->x, n);
}
