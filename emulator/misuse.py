"""Misuse of an mbarrier in words, as compute-sanitizer's synccheck would have found it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from emulator.native.layout import (
    BAD_STATE,
    COMPLETES,
    COUNT_RANGE,
    IN_USE,
    NOT_LIVE,
    NOT_OURS,
    NOT_SHARED,
    TOO_MANY,
    TX_MISMATCH,
    TX_RANGE,
)
from emulator.running import Launch, Slot, peers_of
from emulator.units.word import EXPECTED_AT, PHASE_AT, RECORD

MOST = (1 << 20) - 1
KINDS = {
    NOT_LIVE: "uninitialised mbarrier",
    NOT_SHARED: "mbarrier outside shared memory",
    COUNT_RANGE: "mbarrier count out of range",
    TOO_MANY: "too many arrivals at an mbarrier",
    COMPLETES: "arrive.noComplete that completes a phase",
    TX_RANGE: "mbarrier tx-count out of range",
    BAD_STATE: "wait for an invalid mbarrier state",
    IN_USE: "mbarrier initialised while in use",
    NOT_OURS: "wait for the mbarrier of another block",
    TX_MISMATCH: "transaction count that does not match the bytes",
}


def describe_mbarrier(launch: Launch, slot: Slot) -> tuple[str, str]:
    """What kind of misuse the fault is, and what happened."""
    context = launch.context
    what, count, address = context.fault_bytes, context.fault_store, context.fault_address
    owner, where = _whose(launch, slot, address)
    if what == NOT_LIVE:
        return KINDS[what], (
            f"{where} was not initialised in {owner}, or was invalidated or overwritten since; "
            "one thread must run mbarrier.init, and the others wait for it at a __syncthreads()"
        )
    if what == NOT_SHARED:
        return KINDS[what], f"address {address:#x} is not in the block's shared memory"
    if what == NOT_OURS:
        return KINDS[what], (
            f"a test of {where}: threads wait for mbarriers of their own block only; let the other "
            "block arrive at one of this block's"
        )
    if what == COUNT_RANGE:
        return KINDS[what], f"a count of {count} for {where}; it must be 1 to {MOST:,}"
    if what == TX_RANGE:
        signed = count - (1 << 32) if count >> 31 else count
        return KINDS[what], (
            f"{signed:+} bytes take the tx-count of {where} beyond what it holds, {MOST:,} either "
            "way"
        )
    if what == BAD_STATE:
        return KINDS[what], f"the state given for {where} is none that an arrive returned"
    if what == TX_MISMATCH:
        record = next(r for r in records(slot_of(launch, slot, address)) if r.address == address)
        return KINDS[what], (
            f"a phase of {where} expected {record.last_expected:,} bytes and is complete, and "
            f"{count:,} bytes were to be counted in it: what comes later is in flight while "
            "threads take it for there. expect_tx must say the bytes of all copies, whole boxes "
            "also where they reach out of the array"
        )
    word = ctypes.c_uint64.from_address(address).value
    pending, expected = word & MOST, word >> 20 & MOST
    counts = f"of {expected} arrivals it still waits for {pending}"
    if what == IN_USE:
        return KINDS[what], (
            f"{where} is in the middle of a phase ({counts}), which would be lost; invalidate it "
            "(mbarrier.inval) before memory is used again"
        )
    kept = "must leave at least one of them" if what == COMPLETES else "no more may come"
    return KINDS[what], f"{count} arrivals at {where}, but {counts}: {kept}"


@dataclass(frozen=True)
class Record:
    """What is known of an mbarrier besides its word."""

    address: int
    owner: int
    expected: int  # bytes, in the phase that it is in
    arrived: int
    tested_by: int
    tested_phase: int
    last_expected: int  # bytes, in the phase before


def records(slot: Slot) -> list[Record]:
    """A block's mbarriers that are alive."""
    known = slot.state.mbarriers
    if not known:
        return []
    words = [
        (ctypes.c_int64 * 7).from_address(known + RECORD * (1 + index))
        for index in range(ctypes.c_int64.from_address(known).value)
    ]
    return [Record(*w) for w in words if w[1] == slot.state.index + 1]


def slot_of(launch: Launch, slot: Slot, address: int) -> Slot:
    """The block of a block's cluster that has an mbarrier."""
    return next(
        (p for p in peers_of(launch, slot)
         if 0 <= address - p.state.shared < launch.context.shared_bytes),
        slot,
    )  # fmt: skip


def awaited(slot: Slot) -> list[str]:
    """In words, the mbarriers of a block whose phases threads wait for in vain."""
    found = []
    for record in records(slot):
        word = ctypes.c_int64.from_address(record.address).value
        phase = word >> PHASE_AT & 1
        if not record.tested_by or record.tested_phase != phase:
            continue
        pending, expected = word & MOST, word >> EXPECTED_AT & MOST
        name = f"the mbarrier at shared offset {record.address - slot.state.shared}"
        if pending == expected and not record.expected and not record.arrived:
            found.append(
                f"{name} is at the beginning of the phase of parity {phase}, which threads wait "
                f"for: nobody has arrived in it, and the phase of parity {1 - phase} is the one "
                f"before, to wait for which is to wait with parity {1 - phase}"
            )
            continue
        parts = [f"for {pending} of {expected} arrivals"] if pending else []
        if record.expected != record.arrived:
            parts.append(
                f"for bytes: {record.expected:,} were expected (expect_tx) and "
                f"{record.arrived:,} have arrived"
            )
        found.append(f"{name} waits {', and '.join(parts)}, in its phase of parity {phase}")
    return found


def _whose(launch: Launch, slot: Slot, address: int) -> tuple[str, str]:
    """The block that an mbarrier is of, and the mbarrier, in words."""
    offset = address - slot.state.shared
    if slot.cluster is not None and not 0 <= offset < launch.context.shared_bytes:
        for peer in peers_of(launch, slot):
            away = address - peer.state.shared
            if 0 <= away < launch.context.shared_bytes:
                owner = f"block {tuple(peer.state.ctaid)}"
                return owner, f"the mbarrier at shared offset {away} of {owner}"
    return "this block", f"the mbarrier at shared offset {offset}"
