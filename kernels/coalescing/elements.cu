// One kernel an element size: lane i reads element offset + stride * i. Both are arguments, so
// that moving a slider compiles nothing.

template <class Element>
__device__ void copy_elements(const Element* in, Element* out, int n, int offset, int stride) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[offset + stride * i];
}

// 1 byte a lane: an aligned warp fits one sector.
extern "C" __global__ void copy_elements_1(const unsigned char* __restrict__ in,
                                           unsigned char* __restrict__ out, int n, int offset,
                                           int stride) {
  copy_elements(in, out, n, offset, stride);
}

// 2 bytes a lane: 2 sectors.
extern "C" __global__ void copy_elements_2(const unsigned short* __restrict__ in,
                                           unsigned short* __restrict__ out, int n, int offset,
                                           int stride) {
  copy_elements(in, out, n, offset, stride);
}

// 4 bytes a lane: 4 sectors.
extern "C" __global__ void copy_elements_4(const float* __restrict__ in, float* __restrict__ out,
                                           int n, int offset, int stride) {
  copy_elements(in, out, n, offset, stride);
}

// 8 bytes a lane: 8 sectors.
extern "C" __global__ void copy_elements_8(const float2* __restrict__ in,
                                           float2* __restrict__ out, int n, int offset,
                                           int stride) {
  copy_elements(in, out, n, offset, stride);
}

// 16 bytes a lane, the widest access there is: 16 sectors.
extern "C" __global__ void copy_elements_16(const float4* __restrict__ in,
                                            float4* __restrict__ out, int n, int offset,
                                            int stride) {
  copy_elements(in, out, n, offset, stride);
}
