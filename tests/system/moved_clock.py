"""A clock that a test moves on for kol and redis-server: a day in minutes, TTLs and schedules included.

The programs run with tests/tools/moved_clock.c preloaded, which reads the clock's lead from a file.
Between two moves they rest: a thread that was due at the new time has done its work, so that nothing
meets a deadline that only the move has brought.
"""

import mmap
import struct
import time

from support import program, wait_until

PLACES = 127
PAGE = struct.Struct(f"={2 + 2 * PLACES}q")  # see struct page
RESTS, GONE, RESTS_AT = -1, -2, 1
NS = 10**9


class MovedClock:
    def __init__(self, folder):
        self.library = program().parents[1] / "tests/tools/moved_clock.so"
        assert self.library.is_file(), f"{self.library} is not built: build the target tests/tools/moved_clock.so"
        self.path = folder / "clock"
        self.path.write_bytes(bytes(PAGE.size))
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), PAGE.size)
        self.env = {"LD_PRELOAD": str(self.library), "MOVED_CLOCK": str(self.path)}
        self.ahead_ns, self.began = 0, time.monotonic()

    def seconds(self):
        """How much time has passed for the programs."""
        return time.monotonic() - self.began + self.ahead_ns / NS

    def rests(self):
        """Whether all threads wait that ever waited, each knowing what time it is."""
        _, count, *places = PAGE.unpack(self.page)
        assert 0 < count <= PLACES, f"{count} threads wait"
        return {RESTS, GONE, RESTS_AT + self.ahead_ns}.issuperset(places[: 2 * count : 2])

    def wait(self):
        """Until what is due, and what was asked for, is done."""
        wait_until(self.rests, "the threads to rest", timeout=120, pause=0.0005)

    def move(self, seconds):
        """Moves the clock on, when nobody is busy, and comes back when what was due then is done."""
        self.wait()
        self.ahead_ns += int(seconds * NS)
        struct.pack_into("=q", self.page, 0, self.ahead_ns)
        self.wait()

    def close(self):
        self.page.close()
