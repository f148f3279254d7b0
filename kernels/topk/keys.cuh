// Keys of any type as numbers that compare as they do: an entry is 64 bits, the key above, and below
// what puts the lower index first. No two entries of a row are equal, so that what the first k of
// them are never depends on who came first.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using Entry = unsigned long long;

// NaN is larger than all numbers, and -0 equals 0.
__device__ unsigned ordered(float x) {
  unsigned bits = __float_as_uint(x);
  if (x != x) return 0xFFFFFFFFu;
  if (x == 0.0f) return 0x80000000u;
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ unsigned ordered(__half x) { return ordered(__half2float(x)); }
__device__ unsigned ordered(__nv_bfloat16 x) { return ordered(__bfloat162float(x)); }
__device__ unsigned ordered(int x) { return unsigned(x) ^ 0x80000000u; }
__device__ unsigned ordered(unsigned x) { return x; }

// The rank of a key: larger is better.
template <bool LARGEST, class Key>
__device__ unsigned rank_of(Key x) {
  return LARGEST ? ordered(x) : ~ordered(x);
}

// Whether a key may have at least the rank `bar`, at the price of one comparison: never no where the
// rank says yes. NaN compares as nothing does, and may.
template <bool LARGEST>
struct Bar {
  unsigned bits;  // of the rank, as `ordered` numbers have them
  __device__ explicit Bar(unsigned rank) : bits(LARGEST ? rank : ~rank) {}
  __device__ float real() const {
    return __uint_as_float(bits & 0x80000000u ? bits & 0x7FFFFFFFu : ~bits);
  }
  __device__ bool passes(float x) const { return LARGEST ? !(x < real()) : !(x > real()); }
  __device__ bool passes(__half x) const { return passes(__half2float(x)); }
  __device__ bool passes(__nv_bfloat16 x) const { return passes(__bfloat162float(x)); }
  __device__ bool passes(unsigned x) const { return LARGEST ? x >= bits : x <= bits; }
  __device__ bool passes(int x) const { return passes(unsigned(x) ^ 0x80000000u); }
};

// Never 0: no index is so large.
__device__ Entry entry_of(unsigned rank, unsigned index) {
  return Entry(rank) << 32 | (0xFFFFFFFFu - index);
}
__device__ unsigned index_of(Entry entry) { return 0xFFFFFFFFu - unsigned(entry); }

// One row of a matrix, as a list of entries.
template <bool LARGEST, class Key>
struct Row {
  const Key* keys;
  unsigned length;
  __device__ Entry operator[](unsigned i) const {
    return entry_of(rank_of<LARGEST>(keys[i]), i);
  }
};

// Row r of a matrix, whose rows are n elements apart; `lengths`, where there are any, say how many of
// each count.
template <bool LARGEST, class Key, class Number>
__device__ Row<LARGEST, Key> row_of(const Key* keys, const int* lengths, unsigned n, Number r) {
  return {keys + size_t(r) * n, lengths ? min(unsigned(max(lengths[r], 0)), n) : n};
}
