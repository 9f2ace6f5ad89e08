#!/usr/bin/env python3
"""bench_l1_policy: which keys the cache in the process keeps, beside LRU, SIEVE and W-TinyLFU.

    bench_l1_policy.py [--requests N] [--only TRACE...]

Each trace is given to the real cache (l1_trace) and to simulators of the peers, with room for the
same number of entries; the hit ratio of all requests, the first ones included, is shown in per cent.
Fails where the cache is below SIEVE, or more than half a point below W-TinyLFU, for a trace that is judged.

W-TinyLFU is that of the paper (Einziger, Friedman, Manes, 2017): a window of 1 %, an SLRU of which 80 % is
protected, a count-min sketch of four rows with counters to 15, halved after ten additions an entry. The
window does not adapt itself, as Caffeine's does. SIEVE is that of Zhang et al., 2024.

`drift` (the popular keys change all the time) is shown and not judged: there W-TinyLFU is not at its best.
"""

import argparse
import os
import random
import subprocess
import sys
from array import array
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("KOL_BIN", ROOT / "build/release/src/kol")).resolve().parents[1] / "bench"


# ---- traces ----


def zipf(chance, exponent, keys, count):
    sums = list(accumulate((rank + 1) ** -exponent for rank in range(keys)))
    return chance.choices(range(keys), cum_weights=sums, k=count)


def zipf_with_scans(chance, count):
    """Zipf 1.0; every 20,000 requests a scan of 5,000 keys that nobody asks for again."""
    trace, fresh = [], 10_000_000
    while len(trace) < count:
        trace += zipf(chance, 1.0, 50_000, 20_000)
        trace += range(fresh, fresh + 5_000)
        fresh += 5_000
    return trace[:count]


def loop(_chance, count):
    return [i % 7_500 for i in range(count)]


def drift(chance, count):
    """Zipf 1.0 whose ranks move on by one key every ten requests."""
    return [(rank + i // 10) % 1_000_000 for i, rank in enumerate(zipf(chance, 1.0, 50_000, count))]


# name -> (trace, entries, judged)
TRACES = {
    "zipf 0.8": (lambda chance, count: zipf(chance, 0.8, 50_000, count), 5_000, True),
    "zipf 1.0": (lambda chance, count: zipf(chance, 1.0, 50_000, count), 5_000, True),
    "zipf 1.2": (lambda chance, count: zipf(chance, 1.2, 50_000, count), 5_000, True),
    "zipf 1.0, little room": (lambda chance, count: zipf(chance, 1.0, 50_000, count), 500, True),
    "zipf with scans": (zipf_with_scans, 5_000, True),
    "loop": (loop, 5_000, True),
    "drift": (drift, 5_000, False),
}


# ---- peers: each returns the number of hits ----


def lru(trace, room):
    kept, hits = OrderedDict(), 0
    for key in trace:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
        else:
            if len(kept) == room:
                kept.popitem(last=False)
            kept[key] = None
    return hits


def sieve(trace, room):
    """The queue is a ring of dictionaries' order: newer[key], older[key]; the hand goes to newer ones."""
    newer, older, visited, hits = {}, {}, {}, 0
    newest = oldest = hand = None
    for key in trace:
        if key in visited:
            visited[key] = True
            hits += 1
            continue
        if len(visited) == room:
            hand = oldest if hand is None else hand
            while visited[hand]:
                visited[hand] = False
                hand = newer[hand] if newer[hand] is not None else oldest
            victim, hand = hand, newer[hand]
            before, behind = newer.pop(victim), older.pop(victim)
            if before is not None:
                older[before] = behind
            else:
                newest = behind
            if behind is not None:
                newer[behind] = before
            else:
                oldest = before
            del visited[victim]
        visited[key] = False
        newer[key], older[key] = None, newest
        if newest is not None:
            newer[newest] = key
        else:
            oldest = key
        newest = key
    return hits


class Sketch:
    """Count-min, four rows, counters to 15."""

    def __init__(self, room):
        self.width = 1 << (4 * room - 1).bit_length()
        self.rows = [bytearray(self.width) for _ in range(4)]
        self.seeds = [random.Random(row).getrandbits(61) | 1 for row in range(4)]
        self.added, self.period = 0, 10 * room

    def places(self, key):
        for row, seed in zip(self.rows, self.seeds):
            yield row, ((key + 1) * seed >> 24) % self.width

    def add(self, key):
        for row, place in self.places(key):
            row[place] = min(15, row[place] + 1)
        self.added += 1
        if self.added == self.period:
            self.rows = [bytearray(row.translate(HALF)) for row in self.rows]
            self.added //= 2

    def count(self, key):
        return min(row[place] for row, place in self.places(key))


HALF = bytes(value // 2 for value in range(256))


def w_tinylfu(trace, room):
    window_room = max(1, room // 100)
    protected_room = (room - window_room) * 8 // 10
    window, probation, protected = OrderedDict(), OrderedDict(), OrderedDict()
    sketch, hits = Sketch(room), 0
    for key in trace:
        sketch.add(key)
        if key in window:
            hits += 1
            window.move_to_end(key)
        elif key in protected:
            hits += 1
            protected.move_to_end(key)
        elif key in probation:
            hits += 1
            del probation[key]
            protected[key] = None
            if len(protected) > protected_room:
                probation[protected.popitem(last=False)[0]] = None
        else:
            window[key] = None
            if len(window) > window_room:
                candidate = window.popitem(last=False)[0]
                if len(probation) + len(protected) < room - window_room:
                    probation[candidate] = None
                else:
                    victim = next(iter(probation))
                    if sketch.count(candidate) > sketch.count(victim):
                        del probation[victim]
                        probation[candidate] = None
    return hits


def ours(trace, room):
    program = BUILD / "l1_trace"
    done = subprocess.run([program, str(room)], input=array("I", trace).tobytes(), stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=500_000)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    failed = []
    print(f"{'hit ratio, %':24}{'cache':>8}{'LRU':>8}{'SIEVE':>8}{'W-TinyLFU':>11}")
    for name, (make, room, judged) in TRACES.items():
        if options.only and name not in options.only:
            continue
        trace = make(random.Random(name), options.requests)
        ratio = [100 * policy(trace, room) / len(trace) for policy in (ours, lru, sieve, w_tinylfu)]
        missed = judged and (ratio[0] < ratio[2] or ratio[0] < ratio[3] - 0.5)
        verdict = "" if judged else "  not judged"
        print(f"{name:24}" + "{:8.2f}{:8.2f}{:8.2f}{:11.2f}".format(*ratio) + ("  MISSED" if missed else verdict))
        failed += [name] * missed
    if failed:
        sys.exit("below SIEVE, or over half a point below W-TinyLFU: " + ", ".join(failed))


if __name__ == "__main__":
    main()
