"""Memory that kernels allocate themselves: malloc and free, new and delete."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import DeviceFault
from tests.emulator.conftest import Card

HEAP = r"""
struct Node { int value; Node* next; };
extern "C" __global__ void lists(int* sums) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  Node* head = nullptr;
  for (int k = 0; k <= i % 37; k++) {
    Node* node = (Node*)malloc(sizeof(Node));
    node->value = k * i; node->next = head; head = node;
  }
  int sum = 0;
  while (head) { Node* next = head->next; sum += head->value; free(head); head = next; }
  sums[i] = sum;
}
extern "C" __global__ void fill(int** kept, int n) {
  int* block = new int[n];
  for (int k = 0; k < n; k++) block[k] = k + threadIdx.x;
  kept[threadIdx.x] = block;
}
extern "C" __global__ void drain(int** kept, int* sums, int n) {
  int sum = 0;
  for (int k = 0; k < n; k++) sum += kept[threadIdx.x][k];
  sums[threadIdx.x] = sum;
  delete[] kept[threadIdx.x];
}
extern "C" __global__ void greedy(int* failed, long long size) {
  void* a = malloc(size);
  void* b = malloc(size);
  failed[0] = a == nullptr; failed[1] = b == nullptr;
  free(a); free(b);
  a = malloc(size);
  failed[2] = a == nullptr;
  free(a);
}
struct alignas(256) Wide { double v[32]; };
extern "C" __global__ void wide(double* sums, unsigned long long* low_bits) {
  Wide* w = new Wide[threadIdx.x + 1];
  for (int k = 0; k < 32; k++) w[threadIdx.x].v[k] = k;
  double sum = 0;
  for (int k = 0; k < 32; k++) sum += w[threadIdx.x].v[k];
  sums[threadIdx.x] = sum;
  low_bits[threadIdx.x] = (unsigned long long)w & 255;
  delete[] w;
}
extern "C" __global__ void wrong(int* x, int what) {
  int* p = (int*)malloc(40);
  if (what == 0) { free(p); free(p); }
  if (what == 1) free(p + 2);
  if (what == 2) free(x);
  if (what == 3) free((void*)0x1230);
  if (what == 4) p[10] = 1;
  if (what == 5) { free(p); x[0] = p[3]; }
  if (what == 6) x[0] = p[3];
  free(p); free(nullptr);
}
"""


def test_linked_lists_of_different_lengths(card):
    used, sums = card.memory.heap.used, np.zeros(128, dtype=np.int32)
    card.run(HEAP, "lists", 2, 64, sums)
    assert sums.tolist() == [i * sum(range(i % 37 + 1)) for i in range(128)]
    assert card.memory.heap.used == used


def test_a_block_lives_until_it_is_freed_in_another_launch(card):
    used = card.memory.heap.used
    kept, sums = np.zeros(40, dtype=np.uint64), np.zeros(40, dtype=np.int32)
    card.run(HEAP, "fill", 1, 40, kept, np.int32(11))
    assert len(set(kept.tolist())) == 40 and not (kept % 16).any()
    assert card.memory.heap.used > used + 40 * 44
    card.run(HEAP, "drain", 1, 40, kept, sums, np.int32(11))
    assert sums.tolist() == [sum(k + t for k in range(11)) for t in range(40)]
    assert card.memory.heap.used == used


@pytest.mark.parametrize(
    ("size", "failed"), [(1 << 20, [0, 0, 0]), (5 << 20, [0, 1, 0]), (9 << 20, [1, 1, 1])]
)
def test_a_full_heap_gives_null_pointers(card, size, failed):
    got = np.full(3, -1, dtype=np.int32)
    card.run(HEAP, "greedy", 1, 1, got, np.int64(size))
    assert got.tolist() == failed


def test_a_larger_heap_can_be_asked_for():
    card, got = Card(), np.full(3, -1, dtype=np.int32)
    card.memory.heap.limit = 64 << 20
    card.run(HEAP, "greedy", 1, 1, got, np.int64(9 << 20))
    assert got.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        (0, "double free", r"'malloc\(40\), kernel\.cu:45' at 0x\w+ was freed before"),
        (1, "invalid free", r"8 bytes into 'malloc\(40\), kernel\.cu:45': not what malloc gave"),
        (2, "invalid free", "inside 'argument0', which did not come from malloc"),
        (3, "invalid free", "0x1230 is where nothing is allocated"),
        (4, "out-of-bounds write", r"just past the end of 'malloc"),
        (5, "out-of-bounds read", r"inside 'malloc\(40\), kernel\.cu:45', which was freed\n"),
    ],
)
def test_misuse_is_named(what, kind, message):
    card = Card()
    with pytest.raises(DeviceFault) as caught:
        card.run(HEAP, "wrong", 1, 1, np.zeros(4, dtype=np.int32), np.int32(what))
    finding = caught.value.finding
    assert (finding.kind, finding.line) == (kind, 46 + what)
    assert caught.match(message)


def test_types_that_want_an_alignment_get_it(card):
    sums, low_bits = np.zeros(32), np.ones(32, dtype=np.uint64)
    card.run(HEAP, "wide", 1, 32, sums, low_bits)
    assert sums.tolist() == [sum(range(32))] * 32
    assert not low_bits.any()


def test_a_new_block_is_filled_with_what_stands_out(card):
    x = np.zeros(4, dtype=np.int32)
    card.run(HEAP, "wrong", 1, 1, x, np.int32(6))
    assert x[0] == -1
