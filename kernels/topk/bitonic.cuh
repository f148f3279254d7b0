// Bitonic networks on entries that a warp holds in registers.
//
// Lane l of a warp has N entries, of which number i is at place 32 * i + l of a list. Places that
// differ by 32 or more are registers of one lane; others are lanes, and meet by shuffles. Which two
// places meet never depends on the data, so that all lanes do the same and nothing diverges.
// Lists are sorted from the best entry to the worst.
#pragma once

#include "keys.cuh"

// Sorts what rises and then falls, or falls and then rises, in runs of SIZE places: the places of a
// run at a distance of half of it meet, then of a quarter, and so on. With ALTERNATE every second
// run is sorted the other way, so that two of them are again what this can sort.
template <int SIZE, bool ALTERNATE, int N>
__device__ void bitonic_merge(Entry (&list)[N]) {
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int d = SIZE / 2; d > 0; d /= 2) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      bool falls = !ALTERNATE || ((32 * i + lane) & SIZE) == 0;
      if (d >= 32) {
        int j = i ^ d / 32;
        if (j < i) continue;
        Entry better = max(list[i], list[j]), worse = min(list[i], list[j]);
        list[i] = falls ? better : worse;
        list[j] = falls ? worse : better;
      } else {
        Entry other = __shfl_xor_sync(~0u, list[i], d);
        bool first = (lane & d) == 0;
        list[i] = first == falls ? max(list[i], other) : min(list[i], other);
      }
    }
  }
}

// Sorts a list of 32 * N places; SIZE runs are sorted already. N is a power of two.
template <int SIZE = 2, int N>
__device__ void bitonic_sort(Entry (&list)[N]) {
  if constexpr (SIZE < 32 * N) {
    bitonic_merge<SIZE, true>(list);
    bitonic_sort<2 * SIZE>(list);
  } else {
    bitonic_merge<SIZE, false>(list);
  }
}

// `list` becomes the best of itself and of `more`, which is no longer. Both are sorted.
// The last of one beside the first of the other, and so on: the better of each two are the best of
// all, and they fall and then rise.
template <int N, int M>
__device__ void keep_best(Entry (&list)[N], const Entry (&more)[M]) {
  static_assert(M <= N);
#pragma unroll
  for (int i = 0; i < M; ++i) {
    Entry other = __shfl_xor_sync(~0u, more[M - 1 - i], 31);
    list[N - M + i] = max(list[N - M + i], other);
  }
  bitonic_merge<32 * N, false>(list);
}

// The entry at one place of a list, for all lanes. Were it chosen by a condition, the compiler would
// choose an address, and the list would have to lie in memory.
template <int N>
__device__ Entry at_place(const Entry (&list)[N], int place) {
  Entry found = 0;
#pragma unroll
  for (int i = 0; i < N; ++i)
    found |= list[i] & -Entry(place / 32 == i);
  return __shfl_sync(~0u, found, place % 32);
}
