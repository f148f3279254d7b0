"""Functions that call themselves or one another, through names, pointers and tables."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import DeviceFault, LaunchTimeout, UnsupportedInstruction

RECURSION = r"""
__device__ int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
extern "C" __global__ void fibs(const int* n, int* out) { out[threadIdx.x] = fib(n[threadIdx.x]); }

__device__ unsigned ackermann(unsigned m, unsigned n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}
extern "C" __global__ void ackermanns(const int* n, unsigned* out) {
  out[threadIdx.x] = ackermann(n[threadIdx.x] % 3, n[threadIdx.x] / 3);
}

__device__ void quicksort(int* a, int low, int high) {
  if (low >= high) return;
  int pivot = a[(low + high) / 2], i = low, j = high;
  while (i <= j) {
    while (a[i] < pivot) i++;
    while (a[j] > pivot) j--;
    if (i <= j) { int t = a[i]; a[i] = a[j]; a[j] = t; i++; j--; }
  }
  quicksort(a, low, j);
  quicksort(a, i, high);
}
extern "C" __global__ void sorts(int* a, const int* lengths, int width) {
  quicksort(a + threadIdx.x * width, 0, lengths[threadIdx.x] - 1);
}

__device__ bool odd(unsigned n);
__device__ __noinline__ bool even(unsigned n) { return n == 0 || odd(n - 1); }
__device__ __noinline__ bool odd(unsigned n) { return n != 0 && even(n - 1); }
extern "C" __global__ void parity(const int* n, int* out) {
  out[threadIdx.x] = even(n[threadIdx.x]) + 2 * odd(n[threadIdx.x]);
}

struct Board { int queens[8]; double weight; };
__device__ int place(Board board, int row, Board* caller) {
  if (row == 8) return 1;
  int found = 0;
  Board mine = board;
  for (int column = 0; column < 8; column++) {
    bool free = true;
    for (int r = 0; r < row; r++) {
      int d = mine.queens[r] - column;
      free = free && d != 0 && d != row - r && d != r - row;
    }
    mine.queens[row] = column;
    if (free) found += place(mine, row + 1, &mine);
  }
  if (caller) caller->weight += found;  // a local variable of whoever called
  return found;
}
extern "C" __global__ void queens(int* out, double* weight) {
  Board board = {};
  board.queens[0] = threadIdx.x;
  out[threadIdx.x] = place(board, 1, &board);
  weight[threadIdx.x] = board.weight;
}

__device__ __noinline__ int sum_digits(int n, int* digits) {
  if (n == 0) return 0;
  digits[0] = n % 10;
  int rest[4] = {0, 0, 0, 0};
  int below = sum_digits(n / 10, rest);
  return digits[0] + below + rest[3];
}
extern "C" __global__ void digits(const int* n, int* out) {
  int mine[4] = {0, 0, 0, 0};
  out[threadIdx.x] = sum_digits(n[threadIdx.x], mine) * 100 + mine[0];
}

__device__ __noinline__ float together(float x, int depth) {
  if (depth == 0) return x;
  float other = __shfl_xor_sync(0xFFFFFFFF, x, depth);
  __shared__ float box[32];
  box[threadIdx.x] = together(other + x, depth - 1);
  __syncthreads();
  return box[31 - threadIdx.x];
}
extern "C" __global__ void together_all(float* x) {
  x[threadIdx.x] = together(x[threadIdx.x], 5);
}
extern "C" __global__ void leave_early(const int* n, int* out);
__device__ __noinline__ int until(int n, int* out) {
  if (n == 3) { *out = -3; asm volatile("exit;"); }
  return n <= 0 ? 0 : 1 + until(n - 1, out) * 2;
}
extern "C" __global__ void leave_early(const int* n, int* out) {
  out[threadIdx.x] = until(n[threadIdx.x], out + threadIdx.x);
}
__device__ __noinline__ int runaway(int n, int* a) {
  int mine[2] = {n, a[0]};
  return n < 0 ? a[1] : 1 + runaway(n + 1, mine) * 3;
}
extern "C" __global__ void endless(int* x) { x[threadIdx.x] = runaway(1, x); }
__device__ __noinline__ void tick(int n) {
  asm volatile("");  // its callers' counters are all that changes
  if (n > 0) for (int i = 0; i < 4; i++) tick(n - 1);
}
extern "C" __global__ void clockwork(int* x) { tick(11 + x[0]); x[0] = 1; }
__device__ int slow(int n) { return n < 2 ? n : slow(n - 1) + slow(n - 2) + slow(n - 3); }
extern "C" __global__ void long_one(int* x) { x[0] = slow(60); }
"""


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def test_every_lane_recurses_as_deep_as_it_must(card):
    n = np.random.default_rng(1).integers(0, 14, 96).astype(np.int32)
    out = np.zeros(96, dtype=np.int32)
    card.run(RECURSION, "fibs", 1, 96, n, out)
    assert out.tolist() == [fib(v) for v in n.tolist()]


def test_a_call_within_a_call_s_argument(card):
    n = np.arange(15, dtype=np.int32)
    out = np.zeros(15, dtype=np.uint32)
    card.run(RECURSION, "ackermanns", 1, 15, n, out)
    closed = {0: lambda n: n + 1, 1: lambda n: n + 2, 2: lambda n: 2 * n + 3}
    assert out.tolist() == [closed[v % 3](v // 3) for v in range(15)]


def test_quicksort_of_rows_of_different_lengths(card):
    random = np.random.default_rng(2)
    rows = random.integers(-99, 99, (40, 50), dtype=np.int32)
    lengths = random.integers(0, 51, 40, dtype=np.int32)
    expected = [sorted(r[:n].tolist()) + r[n:].tolist() for r, n in zip(rows, lengths, strict=True)]
    card.run(RECURSION, "sorts", 1, 40, rows, lengths, np.int32(50))
    assert rows.tolist() == expected


def test_functions_that_call_each_other(card):
    n = np.arange(64, dtype=np.int32)
    out = np.zeros(64, dtype=np.int32)
    card.run(RECURSION, "parity", 1, 64, n, out)
    assert out.tolist() == [1 if v % 2 == 0 else 2 for v in range(64)]


def test_structures_by_value_and_pointers_to_a_caller_s_variables(card):
    out, weight = np.zeros(8, dtype=np.int32), np.zeros(8)
    card.run(RECURSION, "queens", 1, 8, out, weight)
    assert out.tolist() == [4, 8, 16, 18, 18, 16, 8, 4]  # of 92 solutions
    assert weight.tolist() == out.tolist()


def test_local_arrays_of_every_activation_are_its_own(card):
    n = np.array([0, 7, 1234, 99999, 1000000001, 50505], dtype=np.int32)
    out = np.zeros(6, dtype=np.int32)
    card.run(RECURSION, "digits", 1, 6, n, out)
    assert out.tolist() == [sum(map(int, str(v))) * 100 + v % 10 for v in n.tolist()]


def test_lanes_meet_at_every_depth(card):
    x = np.arange(32, dtype=np.float32)
    expected = x.copy()
    for depth in (5, 4, 3, 2, 1):
        expected = expected + expected[np.arange(32) ^ depth]
    card.run(RECURSION, "together_all", 1, 32, x)
    assert x.tolist() == expected[::-1].tolist()  # five times turned round


def test_a_thread_may_end_deep_in_a_recursion(card):
    n = np.array([0, 1, 2, 3, 4, 9, 1, 0], dtype=np.int32)
    out = np.full(8, 77, dtype=np.int32)
    card.run(RECURSION, "leave_early", 1, 8, n, out)
    assert out.tolist() == [0, 1, 3, -3, -3, -3, 1, 0]


def test_a_recursion_without_an_end_is_a_stack_overflow(card):
    with pytest.raises(DeviceFault, match=r"a thread's stack has 65,536") as caught:
        card.run(RECURSION, "endless", 4, 128, np.zeros(512, dtype=np.int32))
    assert caught.value.finding.kind == "stack overflow"
    assert "runaway(n + 1, mine)" in caught.value.finding.source_text


def test_a_long_recursion_is_no_deadlock(card):
    x = np.zeros(1, dtype=np.int32)
    card.run(RECURSION, "clockwork", 1, 1, x)
    assert x[0] == 1


def test_a_recursion_that_takes_too_long_is_stopped(card):
    with pytest.raises(LaunchTimeout, match="long_one"):
        card.run(RECURSION, "long_one", 1, 1, np.zeros(1, dtype=np.int32), timeout_s=0.2)


POINTERS = r"""
struct Shape {
  __device__ virtual float area(float k) const = 0;
  __device__ virtual int corners() const { return 0; }
  __device__ virtual ~Shape() {}
};
struct Square : Shape {
  float side;
  __device__ Square(float s) : side(s) {}
  __device__ float area(float k) const override { return side * side * k; }
  __device__ int corners() const override { return 4; }
};
struct Disc : Shape {
  float radius;
  __device__ Disc(float r) : radius(r) {}
  __device__ float area(float k) const override { return 3 * radius * radius * k; }
};
struct Many : Shape {
  Shape* parts[3];
  __device__ float area(float k) const override {
    float sum = 0;
    for (int i = 0; i < 3; i++) if (parts[i]) sum += parts[i]->area(k);
    return sum;
  }
  __device__ ~Many() { for (int i = 0; i < 3; i++) delete parts[i]; }
};
__device__ Shape* make(int i, int depth) {
  if (i % 3 == 0) return new Square(i);
  if (i % 3 == 1 || depth == 0) return new Disc(i);
  Many* many = new Many;
  for (int k = 0; k < 3; k++) many->parts[k] = k < 2 ? make(i + k, depth - 1) : nullptr;
  return many;
}
extern "C" __global__ void create(Shape** shapes) {
  shapes[threadIdx.x] = make(threadIdx.x, 3);
}
extern "C" __global__ void measure(Shape** shapes, float* areas, int* corners) {
  areas[threadIdx.x] = shapes[threadIdx.x]->area(2.f);
  corners[threadIdx.x] = shapes[threadIdx.x]->corners();
  delete shapes[threadIdx.x];
}

typedef int (*Operation)(int, int);
__device__ int add(int a, int b) { return a + b; }
__device__ int sub(int a, int b) { return a - b; }
__device__ int mul(int a, int b) { return a * b; }
__device__ int power(int a, int b) { return b == 0 ? 1 : a * power(a, b - 1); }
__device__ Operation table[4] = {add, sub, mul, power};
__constant__ Operation constant_table[2] = {mul, sub};
extern "C" __global__ void apply(const int* which, int* out) {
  int i = threadIdx.x;
  Operation f = table[which[i]], g = constant_table[i & 1];
  out[i] = f(i, 3) + 1000 * g(i, 2);
}
__device__ __noinline__ int fold(Operation f, int n, int start) {
  for (int i = 1; i <= n; i++) start = f(start, i);
  return start;
}
extern "C" __global__ void folds(int* out) {
  int i = threadIdx.x;
  out[i] = fold(i & 1 ? add : mul, i % 7, 1);
}
extern "C" __global__ void keep_pointer(Operation* out) { out[0] = power; out[1] = nullptr; }
extern "C" __global__ void use_pointer(Operation* f, int* out, int which) {
  out[threadIdx.x] = f[which](threadIdx.x, 2);
}
typedef double (*Other)(double);
extern "C" __global__ void wrong_kind(Operation* f, double* out) { out[0] = ((Other)f[0])(2.0); }

template <class F> __device__ __noinline__ int twice(F f, int x) { return f(f(x)); }
extern "C" __global__ void lambdas(int* out) {
  int k = out[threadIdx.x];
  out[threadIdx.x] = twice([=](int x) { return x * k + 1; }, threadIdx.x);
}
"""


def area(i: int, depth: int = 3) -> float:
    if i % 3 == 0:
        return 2.0 * i * i
    if i % 3 == 1 or depth == 0:
        return 6.0 * i * i
    return area(i, depth - 1) + area(i + 1, depth - 1)


def test_virtual_functions_over_launches(card):
    used = card.memory.heap.used
    shapes, areas = np.zeros(64, dtype=np.uint64), np.zeros(64, dtype=np.float32)
    corners = np.zeros(64, dtype=np.int32)
    card.run(POINTERS, "create", 1, 64, shapes)
    card.run(POINTERS, "measure", 1, 64, shapes, areas, corners)
    assert areas.tolist() == [area(i) for i in range(64)]
    assert corners.tolist() == [4 if i % 3 == 0 else 0 for i in range(64)]
    assert card.memory.heap.used == used


def test_lanes_call_different_functions_of_a_table(card):
    which = np.random.default_rng(3).integers(0, 4, 64, dtype=np.int32)
    out = np.zeros(64, dtype=np.int32)
    card.run(POINTERS, "apply", 1, 64, which, out)
    functions = [lambda i: i + 3, lambda i: i - 3, lambda i: i * 3, lambda i: i**3]
    other = [lambda i: i * 2, lambda i: i - 2]
    expected = [functions[w](i) + 1000 * other[i & 1](i) for i, w in enumerate(which.tolist())]
    assert out.tolist() == expected


def test_a_function_that_is_handed_a_function(card):
    out = np.zeros(40, dtype=np.int32)
    card.run(POINTERS, "folds", 1, 40, out)

    def fold(add: bool, n: int) -> int:
        value = 1
        for i in range(1, n + 1):
            value = value + i if add else value * i
        return value

    assert out.tolist() == [fold(bool(i & 1), i % 7) for i in range(40)]


def test_function_objects(card):
    out = np.arange(5, 37, dtype=np.int32)
    card.run(POINTERS, "lambdas", 1, 32, out)
    assert out.tolist() == [(i * k + 1) * k + 1 for i, k in enumerate(range(5, 37))]


def test_a_pointer_to_a_function_outlives_its_launch(card):
    pointers, out = np.zeros(2, dtype=np.uint64), np.zeros(32, dtype=np.int32)
    card.run(POINTERS, "keep_pointer", 1, 1, pointers)
    card.run(POINTERS, "use_pointer", 1, 32, pointers, out, np.int32(0))
    assert out.tolist() == [i * i for i in range(32)]
    with pytest.raises(DeviceFault, match="the kernel called a null pointer") as caught:
        card.run(POINTERS, "use_pointer", 1, 32, pointers, out, np.int32(1))
    assert caught.value.finding.kind == "bad call"
    with pytest.raises(DeviceFault, match="called through a pointer to another kind of function"):
        card.run(POINTERS, "wrong_kind", 1, 1, pointers, np.zeros(1))
    pointers[0] += 8
    with pytest.raises(DeviceFault, match=r"called 0x\w+, where there is no function"):
        card.run(POINTERS, "use_pointer", 1, 32, pointers, out, np.int32(0))


INHERITANCE = r"""
struct A {
  int a;
  __device__ A(int v) : a(v) {}
  __device__ virtual int f(int x) { return a + x; }
  __device__ virtual int g() { return 1; }
};
struct B {
  int b;
  __device__ B(int v) : b(v) {}
  __device__ virtual int h(int x) { return b * x; }
  __device__ virtual int g() { return 2; }
};
struct C : A, B {
  __device__ C(int v) : A(v), B(v + 1) {}
  __device__ int h(int x) override { return a - x; }  // called through B: "this" is adjusted
  __device__ int g() override { return a + b; }
};
__device__ __noinline__ int ask(A* a, B* b, int x) {
  int (A::*member)(int) = &A::f;  // virtual, so found through the object
  return (a->*member)(x) * 100 + b->h(x) * 10 + b->g();
}
extern "C" __global__ void inherit(int* out) {
  int i = threadIdx.x;
  A a(i);
  B b(2 * i);
  C c(3 * i);
  out[i] = ask(i & 1 ? &c : &a, i & 2 ? static_cast<B*>(&c) : &b, i);
}

extern __shared__ int dynamic[];
__device__ int visits;
__constant__ int factors[3] = {2, 5, 9};
__device__ __noinline__ int total(int v) {
  __shared__ int box[64];
  box[threadIdx.x] = v;
  dynamic[threadIdx.x] = factors[threadIdx.x % 3];
  atomicAdd(&visits, 1);
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < 64; i++) sum += box[i] * dynamic[i];
  __syncthreads();
  return sum;
}
extern "C" __global__ void totals(int* out) {
  if (threadIdx.x == 0) visits = 0;
  __syncthreads();
  int first = total(threadIdx.x);
  out[threadIdx.x] = first - total(2) + visits * 1000000;
}

__device__ __noinline__ bool any_of(char a, unsigned char b, short c, bool d, float e, double f) {
  return d ? a + b > c : e > f;
}
__device__ short shrink(short x, unsigned char n) {
  return n == 0 ? x : shrink(x * 3 + 1, n - 1) ^ shrink(-x, n / 3);
}
extern "C" __global__ void narrow(int* out) {
  int i = threadIdx.x;
  out[i] = shrink(i * 1000, i % 7) * 2 + any_of(-i, 250 + i, i * 40, i & 1, i / 2, 3.25);
}
"""


def test_several_base_classes(card):
    out = np.zeros(16, dtype=np.int32)
    card.run(INHERITANCE, "inherit", 1, 16, out)

    def expected(i: int) -> int:
        first = (3 * i if i & 1 else i) + i
        second = (3 * i - i) if i & 2 else 2 * i * i
        return first * 100 + second * 10 + (6 * i + 1 if i & 2 else 2)

    assert out.tolist() == [expected(i) for i in range(16)]


def test_variables_of_every_space_in_a_called_function(card):
    out = np.zeros(64, dtype=np.int32)
    card.run(INHERITANCE, "totals", 1, 64, out, shared_bytes=256)
    factors = [(2, 5, 9)[i % 3] for i in range(64)]
    difference = sum(i * f for i, f in enumerate(factors)) - sum(2 * f for f in factors)
    assert out.tolist() == [difference + 128 * 1000000] * 64


def test_narrow_arguments_and_results(card):
    out = np.zeros(32, dtype=np.int32)
    card.run(INHERITANCE, "narrow", 1, 32, out)

    def short(x: int) -> int:
        return (x + 2**15) % 2**16 - 2**15

    def shrink(x: int, n: int) -> int:
        return x if n == 0 else shrink(short(x * 3 + 1), n - 1) ^ shrink(short(-x), n // 3)

    def any_of(i: int) -> bool:
        return -i + (250 + i) % 256 > i * 40 if i & 1 else i // 2 > 3.25

    assert out.tolist() == [shrink(short(i * 1000), i % 7) * 2 + any_of(i) for i in range(32)]


EXTERN = r"""
extern __device__ int elsewhere(int);
extern "C" __global__ void maybe(int* x) {
  if (x[threadIdx.x] < 0) x[threadIdx.x] = elsewhere(x[threadIdx.x]);
}
"""


def test_a_function_that_is_missing_is_refused_when_it_is_called(card):
    x = np.arange(32, dtype=np.int32)
    card.run(EXTERN, "maybe", 1, 32, x)
    x[9] = -1
    with pytest.raises(UnsupportedInstruction, match=r"called '_Z9elsewherei'.*kernel\.cu:4"):
        card.run(EXTERN, "maybe", 1, 32, x)


PTX = """
.version 8.0
.target sm_90
.address_size 64
.weak .func (.param .b32 r) scale(.param .b32 a, .param .b32 k) {
  .reg .b32 %a<4>;
  ld.param.b32 %a1, [a];
  ld.param.b32 %a2, [k];
  mul.lo.s32 %a3, %a1, %a2;
  st.param.b32 [r], %a3;
  ret;
}
.func (.param .b32 r) multiply(.param .b32 a, .param .b32 k);
.func (.param .b32 r) shift(.param .b32 a, .param .b32 k) {
  .reg .b32 %a<4>;
  ld.param.b32 %a1, [a];
  ld.param.b32 %a2, [k];
  add.s32 %a3, %a1, %a2;
  st.param.b32 [r], %a3;
  ret;
}
.func (.param .b32 r) spread(.param .b32 n) {
  .reg .b32 %n<8>;
  .reg .b64 %d<8>;
  .reg .pred %p<3>;
  ld.param.b32 %n1, [n];
  cvt.u64.u32 %d1, %n1;
  shl.b64 %d1, %d1, 2;
  stacksave.u64 %d5;
  alloca.u64 %d2, %d1, 16;
  mov.u32 %n2, 0;
  mov.u32 %n4, 0;
FILL:
  setp.ge.u32 %p1, %n2, %n1;
  @%p1 bra SUM;
  mul.wide.u32 %d3, %n2, 4;
  add.u64 %d4, %d2, %d3;
  st.local.u32 [%d4], %n2;
  add.u32 %n2, %n2, 1;
  bra FILL;
SUM:
  setp.eq.u32 %p2, %n2, 0;
  @%p2 bra DONE;
  sub.u32 %n2, %n2, 1;
  mul.wide.u32 %d3, %n2, 4;
  add.u64 %d4, %d2, %d3;
  ld.local.u32 %n3, [%d4];
  add.u32 %n4, %n4, %n3;
  bra SUM;
DONE:
  stackrestore.u64 %d5;
  st.param.b32 [r], %n4;
  ret;
}
.visible .entry shared_variables(.param .u64 x) {
  .reg .b32 %r<4>;
  .reg .b64 %d<4>;
  .param .b32 value;
  .param .b32 by;
  .param .b32 result;
  ld.param.u64 %d1, [x];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %d2, %r1, 4;
  add.u64 %d3, %d1, %d2;
  st.param.b32 [value], %r1;
  st.param.b32 [by], 5;
  call (result), scale, (value, by);
  ld.param.b32 %r2, [result];
  call (result), shift, (value, by);
  ld.param.b32 %r3, [result];
  mad.lo.s32 %r3, %r3, 1000, %r2;
  st.global.u32 [%d3], %r3;
  ret;
}
.visible .entry pick(.param .u64 x) {
  .reg .b32 %r<4>;
  .reg .b64 %d<4>;
  ld.param.u64 %d1, [x];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %d2, %r1, 4;
  add.u64 %d3, %d1, %d2;
  ld.global.u32 %r2, [%d3];
  mov.u32 %r3, 0;
  bra.uni START;
AGAIN:
  add.u32 %r3, %r3, 100;
  sub.u32 %r2, %r2, 3;
START:
targets: .branchtargets ONE, TWO, THREE, AGAIN, AGAIN, AGAIN, AGAIN, AGAIN;
  brx.idx %r2, targets;
ONE:
  add.u32 %r3, %r3, 1;
  bra END;
TWO:
  add.u32 %r3, %r3, 2;
  bra END;
THREE:
  add.u32 %r3, %r3, 3;
END:
  st.global.u32 [%d3], %r3;
  ret;
}
.alias multiply, scale;
.func stop() .noreturn { exit; }
.visible .entry pointers(.param .u64 x) {
  .reg .b32 %r<4>;
  .reg .b64 %d<7>;
  .reg .pred %p<4>;
  ld.param.u64 %d1, [x];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %d2, %r1, 4;
  add.u64 %d3, %d1, %d2;
  setp.gt.u32 %p1, %r1, 20;
  @%p1 call stop;
  and.b32 %r3, %r1, 1;
  setp.eq.u32 %p2, %r3, 0;
  mov.u64 %d4, multiply;
  mov.u64 %d5, shift;
  selp.b64 %d6, %d4, %d5, %p2;
  setp.gt.u32 %p3, %r1, 3;
  .param .b32 value;
  .param .b32 by;
  .param .b32 result;
  st.param.b32 [value], %r1;
  st.param.b32 [by], 5;
  st.param.b32 [result], -9;
  kind: .callprototype (.param .b32 _) _ (.param .b32 _, .param .b32 _);
  @%p3 call (result), %d6, (value, by), kind;
  ld.param.b32 %r2, [result];
  st.global.u32 [%d3], %r2;
  ret;
}
.visible .entry spreads(.param .u64 x) {
  .reg .b32 %r<4>;
  .reg .b64 %d<4>;
  .reg .pred %p;
  ld.param.u64 %d1, [x];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %d2, %r1, 4;
  add.u64 %d3, %d1, %d2;
  ld.global.u32 %r2, [%d3];
  mov.u32 %r1, 0;
TWICE:
  {
    .param .b32 in;
    .param .b32 out;
    st.param.b32 [in], %r2;
    call (out), spread, (in);
    ld.param.b32 %r3, [out];
    bra INNER;
    add.u32 %r1, %r1, 77;
  INNER:
    add.u32 %r1, %r1, 1;
  }
  setp.lt.u32 %p, %r1, 2;
  @%p bra TWICE;
  mul.lo.u32 %r3, %r3, %r1;
  st.global.u32 [%d3], %r3;
  ret;
}
"""


def test_two_calls_may_use_the_same_variables(card):
    x = np.zeros(32, dtype=np.int32)
    card.run(PTX, "shared_variables", 1, 32, x)
    assert x.tolist() == [1000 * (i + 5) + 5 * i for i in range(32)]


def test_some_lanes_call_what_they_point_at_and_some_never_return(card):
    x = np.full(32, 77, dtype=np.int32)
    card.run(PTX, "pointers", 1, 32, x)
    called = [i + 5 if i & 1 else 5 * i for i in range(4, 21)]
    assert x.tolist() == [-9] * 4 + called + [77] * 11


def test_a_branch_by_a_table(card):
    x = np.arange(64, dtype=np.int32) % 8
    picked = x.tolist()
    card.run(PTX, "pick", 1, 64, x)
    assert x.tolist() == [v // 3 * 100 + v % 3 + 1 for v in picked]
    x[:] = 1
    x[35] = 8
    with pytest.raises(DeviceFault, match="index 8 is not in the branch's table") as caught:
        card.run(PTX, "pick", 1, 64, x)
    assert caught.value.finding.thread == (35, 0, 0)


def test_local_memory_by_need(card):
    x = np.array([0, 1, 2, 50, 7, 1000, 3], dtype=np.int32)
    expected = [2 * sum(range(n)) for n in x.tolist()]
    card.run(PTX, "spreads", 1, 7, x)
    assert x.tolist() == expected
    x[3] = 1 << 20
    with pytest.raises(DeviceFault, match="stack overflow"):
        card.run(PTX, "spreads", 1, 7, x)


CASES = "\n".join(
    f"case {i}: a = a * {i + 3} + (a >> {i % 5 + 1}); out[a & 31] ^= 0; break;" for i in range(40)
)
SWITCH = rf"""
extern "C" __global__ void run(int* code, int* out, int n) {{
  int a = threadIdx.x;
  for (int pc = 0; pc < n; pc++) {{
    switch (code[pc * 32 + threadIdx.x]) {{ {CASES} default: a = -a; }}
  }}
  out[threadIdx.x] = a;
}}
"""


def test_an_interpreter_s_big_switch(card):
    code = np.random.default_rng(4).integers(0, 44, (20, 32), dtype=np.int32)
    out = np.zeros(32, dtype=np.int32)
    card.run(SWITCH, "run", 1, 32, code, out, np.int32(20))
    for lane in range(32):
        a = np.int32(lane)
        with np.errstate(over="ignore"):
            for op in code[:, lane].tolist():
                a = a * np.int32(op + 3) + (a >> np.int32(op % 5 + 1)) if op < 40 else -a
        assert out[lane] == a
