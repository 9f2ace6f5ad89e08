"""`kol serve` under a mixed load: no races (ThreadSanitizer), no growth, and none is slowed by others.

KOL_LOAD_SECONDS says how long the long tests load the server: 600 for the soak unless it is set, 60
under ThreadSanitizer. The quick test of `make test` does the same for a few seconds, in every build.
"""

import os
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from load import Load, descriptors_of, disturb, memory_of
from served import Served
from support import ROOT, Kol, wait_until


def seconds_of(fallback):
    return float(os.environ.get("KOL_LOAD_SECONDS") or fallback)


def swapper(kol):
    """Makes the next online copy of the served folder, as `kol etl` would behind new rows."""

    def swap():
        kol("online", "build", "--force")

    return swap


def ready_lake(kol):
    """A copied folder whose lake knows where it is now."""
    kol("maintain", "--relocate", "--dry-run")
    return kol


def mixed(kol, beside, seconds, clients, **more):
    """A server under load for a while, then its orderly end; the counts of answers. `beside` is the
    program that makes new copies meanwhile."""
    ready_lake(beside)
    served = Served(kol, "--serve-deadline", "20s")
    load = Load(served, clients, **more)
    try:
        disturb(served, load, seconds, swapper(beside))
    finally:
        load.stop()
    status, took = served.stop(timeout=120)
    assert status == 0 and took < 60, (status, took)
    assert load.answers[200] > 20, load.answers
    return load.answers


def copied(binary, source, tmp_path):
    shutil.copytree(source, tmp_path / "data")
    return Kol(binary, tmp_path / "data")


def test_mixed_load_for_a_moment(kol_bin, demo_data, tmp_path):
    """Under the sanitizers' builds this is where a race of ends, a leak or a late use shows first."""
    kol = copied(kol_bin, demo_data, tmp_path)
    try:
        mixed(kol, kol, 4, 6)
    finally:
        kol.close()


@pytest.mark.long
def test_mixed_load_under_thread_sanitizer(kol_bin, demo_data, tmp_path):
    binary = Path(os.environ.get("KOL_TSAN_BIN") or ROOT / "build/tsan/src/kol").resolve()
    if not binary.is_file():
        pytest.skip(f"no program in {binary}: run `make tsan`")
    kol = copied(binary, demo_data, tmp_path)
    try:
        mixed(kol, Kol(kol_bin, kol.data), seconds_of(60), 8)
    finally:
        kol.close()


# ---- growth ----


@pytest.mark.long
@pytest.mark.release_only
@pytest.mark.timeout(3600)
def test_memory_stays_flat(kol_bin, demo_data, tmp_path):
    """From the end of the first fifth on, a tenth and 16 MiB is all that memory may grow by, and 8
    the descriptors: older copies come and go meanwhile, and allocators keep what was freed."""
    kol = ready_lake(copied(kol_bin, demo_data, tmp_path))
    served = Served(kol, "--serve-deadline", "20s", "--serve-cache", "16MiB")
    seconds = seconds_of(600)
    load = Load(served, 4)
    pid = served.running.pid
    try:
        disturb(served, load, seconds / 5, swapper(kol), every=10)
        begin, files = memory_of(pid), descriptors_of(pid)
        peaks = []
        for _ in range(8):
            disturb(served, load, seconds / 10, swapper(kol), every=10)
            peaks.append(memory_of(pid))
    finally:
        load.stop()
    wait_until(lambda: descriptors_of(pid) <= files + 8, "the descriptors", timeout=60)
    shown = f"{begin >> 20} MiB after the warm-up, then {[peak >> 20 for peak in peaks]} MiB"
    print(f"{shown}; descriptors {files}, then {descriptors_of(pid)}; {dict(load.answers)}")
    assert sorted(peaks)[len(peaks) // 2] < begin * 1.1 + (16 << 20), shown
    assert peaks[-1] < begin * 1.1 + (16 << 20), shown
    assert served.stop()[0] == 0
    kol.close()


# ---- slow clients ----


def times_of_others(served, seconds):
    """How long requests of one well-behaved client took."""
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert served.ask("/api/v1/kols/ly.sport").status == 200
        took.append(time.monotonic() - began)
        time.sleep(0.002)
    return took


def p99(times):
    return sorted(times)[len(times) * 99 // 100]


def drip(address, count, ending, opened):
    """Connections that send a byte a second of a head that never ends; closed ones come again.
    opened: how many are open, and how many the server has closed."""
    host, port = address.rsplit(":", 1)
    socks = [None] * count
    text = b"GET /api/v1/kols HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 4000
    turn = 0
    while not ending.is_set():
        for i, sock in enumerate(socks):
            try:
                if sock is None:
                    socks[i] = sock = socket.create_connection((host, int(port)), timeout=10)
                    sock.setblocking(False)
                sock.send(text[turn % len(text) : turn % len(text) + 1])
            except BlockingIOError:
                pass
            except OSError:
                opened[1] += sock is not None
                sock and sock.close()
                socks[i] = None
        opened[0] = sum(sock is not None for sock in socks)
        turn += 1
        ending.wait(1.0)
    for sock in socks:
        sock and sock.close()


@pytest.mark.long
@pytest.mark.release_only
def test_500_slow_clients_slow_nobody(serve):
    """The others' p99 stays under 3 times what it was (and 5 ms, which is noise of a busy machine);
    the slow ones are closed when the time for a head is over, and come again."""
    served = serve("--serve-head-time", "5s")
    seconds = min(20.0, seconds_of(20))
    times_of_others(served, 1)
    before = times_of_others(served, seconds)
    ending, opened = threading.Event(), [0, 0]
    thread = threading.Thread(target=drip, args=(served.address, 500, ending, opened))
    thread.start()
    try:
        wait_until(lambda: opened[0] == 500, "500 slow connections")
        during = times_of_others(served, seconds)
        wait_until(lambda: opened[1] >= 500, "the slow ones to be closed")
    finally:
        ending.set()
        thread.join()
    shown = f"p99 {p99(before) * 1e3:.2f} ms before, {p99(during) * 1e3:.2f} ms with 500 slow clients"
    print(shown)
    assert p99(during) < 3 * max(p99(before), 0.005), shown
    pid = served.running.pid
    wait_until(lambda: descriptors_of(pid) < 200, "the slow connections to be closed")
    assert served.stop()[0] == 0
