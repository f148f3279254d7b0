// The indices of the 32 largest of each row, a warp a row. The task is described in warp_topk.py.

constexpr unsigned ALL = 0xffffffff;
constexpr int WARPS = 4;  // of a block

using Entry = unsigned long long;  // the larger, the better; no two of a row are equal

// A key and its index as one number: above, the key's bits in an order that unsigned numbers have,
// and below what is larger for a lower index.
__device__ Entry entry_of(float key, unsigned index)
{
    unsigned bits = __float_as_uint(key + 0.0f);  // -0 + 0 is 0
    unsigned order = bits & 0x80000000 ? ~bits : bits | 0x80000000;
    if (key != key) order = 0xffffffff;  // NaN, of either sign
    return (Entry)order << 32 | (0xffffffff - index);
}

__device__ unsigned index_of(Entry entry) { return 0xffffffff - (unsigned)entry; }

// BEGIN SOLUTION: what a compare-exchange, a sort and a merge of a warp's entries are (about 25 lines)
// The larger or the smaller of this lane's entry and the entry of the lane that is `distance` away.
__device__ Entry exchanged(Entry mine, int distance, bool larger)
{
    Entry other = __shfl_xor_sync(ALL, mine, distance);
    return larger == (mine > other) ? mine : other;
}

// A bitonic sequence, sorted: the best to lane 0 (or to lane `size` - 1, if not `down`).
__device__ Entry merged(Entry mine, int size, bool down, int lane)
{
#pragma unroll
    for (int distance = size / 2; distance > 0; distance /= 2)
        mine = exchanged(mine, distance, down == !(lane & distance));
    return mine;
}

// Any 32 entries, sorted, the worst to lane 0: pieces of 2, 4, ..., that go up and down in turn.
__device__ Entry sorted_up(Entry mine, int lane)
{
#pragma unroll
    for (int size = 2; size <= 32; size *= 2) mine = merged(mine, size, lane & size, lane);
    return mine;
}
// STARTER
// // The best entry that any lane has, for all lanes.
// __device__ Entry best_of_all(Entry mine)
// {
//     for (int distance = 16; distance > 0; distance /= 2) {
//         Entry other = __shfl_xor_sync(ALL, mine, distance);
//         mine = other > mine ? other : mine;
//     }
//     return mine;
// }
// END SOLUTION

extern "C" __global__ void warp_topk(const float* __restrict__ keys, int* __restrict__ best,
                                     int rows, int n)
{
    int lane = threadIdx.x % 32;
    int row = blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= rows) return;  // a whole warp
    const float* key = keys + (size_t)row * n;

    // BEGIN SOLUTION: go through the row once (about 10 lines)
    // An entry that is worse than any: its index is n.
    Entry kept = 0xffffffff - (unsigned)n;  // lane l has the best but l
    for (int first = 0; first < n; first += 32) {
        int i = first + lane;
        Entry mine = i < n ? entry_of(key[i], i) : 0;
        Entry worst = __shfl_sync(ALL, kept, 31);
        if (!__any_sync(ALL, mine > worst)) continue;  // most often, once much has been seen
        mine = sorted_up(mine, lane);
        // One list goes down and the other up: the better of each pair are the best 32 of the 64,
        // and a bitonic sequence.
        kept = merged(mine > kept ? mine : kept, 32, true, lane);
    }
    // STARTER
    // // Correct, but the row is read 32 times: each time for the best that is worse than the last.
    // Entry last = 0, kept = 0;
    // for (int k = 0; k < 32; ++k) {
    //     Entry mine = 0xffffffff - (unsigned)n;  // worse than any
    //     for (int i = lane; i < n; i += 32) {
    //         Entry entry = entry_of(key[i], i);
    //         if (entry > mine && (k == 0 || entry < last)) mine = entry;
    //     }
    //     last = best_of_all(mine);
    //     if (lane == k) kept = last;
    // }
    // END SOLUTION
    best[(size_t)row * 32 + lane] = index_of(kept);
}
