// The fastest copy: one 16-byte load a thread, full blocks, a block for every tile. On an H100 the
// search (benchmarks/copy_search.py) found nothing better: enough threads are in flight without
// several loads in each, and cache hints buy nothing.

constexpr int THREADS = 1024;  // a block copies 16 KiB

// 16 bytes from an address that is a multiple of sizeof(Part) only. Neighbouring lanes' parts
// share sectors, which L1 keeps meanwhile.
template <class Part>
__device__ uint4 load_in_parts(const unsigned char* at) {
  union {
    Part part[16 / sizeof(Part)];
    uint4 whole;
  } v;
#pragma unroll
  for (int k = 0; k < 16 / int(sizeof(Part)); ++k)
    v.part[k] = reinterpret_cast<const Part*>(at)[k];
  return v.whole;
}

template <class Part>
__device__ void copy_in_parts(const unsigned char* in, uint4* out, size_t vectors) {
  size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x;
  if (i < vectors) out[i] = load_in_parts<Part>(in + 16 * i);
}

// Any length, any alignment; full speed when `in` and `out` are equally far from a 16-byte
// boundary. Stores are always 16 bytes wide, but for the ends.
extern "C" __global__ void __launch_bounds__(THREADS)
copy_best(const void* __restrict__ in, void* __restrict__ out, size_t nbytes) {
  auto from = static_cast<const unsigned char*>(in);
  auto to = static_cast<unsigned char*>(out);

  // the bytes before the first boundary of `out` and after its last
  size_t head = -reinterpret_cast<size_t>(to) & 15;
  if (head > nbytes) head = nbytes;
  size_t vectors = (nbytes - head) / 16;
  size_t tail = head + 16 * vectors;
  if (blockIdx.x == 0) {
    if (threadIdx.x < head) to[threadIdx.x] = from[threadIdx.x];
    if (threadIdx.x < nbytes - tail) to[tail + threadIdx.x] = from[tail + threadIdx.x];
  }
  from += head;
  auto target = reinterpret_cast<uint4*>(to + head);

  int apart = reinterpret_cast<size_t>(from) & 15;
  if (apart == 0) {
    size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i < vectors) target[i] = reinterpret_cast<const uint4*>(from)[i];
  } else if (apart % 8 == 0) {
    copy_in_parts<uint2>(from, target, vectors);
  } else if (apart % 4 == 0) {
    copy_in_parts<unsigned int>(from, target, vectors);
  } else if (apart % 2 == 0) {
    copy_in_parts<unsigned short>(from, target, vectors);
  } else {
    copy_in_parts<unsigned char>(from, target, vectors);
  }
}
