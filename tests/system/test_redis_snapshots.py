"""No answer mixes two snapshots, while the lake is made anew and Redis warmed in a loop."""

import json
import shutil
import threading

import pytest

from asking import Asker
from redis_services import redis_flags
from served import Served
from support import Kol

pytestmark = pytest.mark.release_only  # under sanitizers the shapes and broken values are read

MARKED = 6  # KOLs whose followers tell the round


class Rounds:
    """Changes the lake and makes it anew; in round n the marked KOLs have 10**9 + 10 n + place
    followers. After each round: what its snapshot must say."""

    def __init__(self, kol, folder):
        self.kol, self.folder, self.number = kol, folder, 0
        self.followers = {}  # snapshot: {(platform, kol_id): followers} of the marked
        self.totals = {}  # snapshot: how many KOLs there are
        rows = kol("sql", "SELECT platform, kol_id FROM silver.kol_profiles ORDER BY kol_id", "--format", "json",
                   "--limit", 100_000).json()  # fmt: skip
        self.names = [row["kol_id"] for row in rows if row["platform"] == "tiktok"][:MARKED]
        self.kols = len(rows)

    def expected(self, number):
        return {("tiktok", name): 10**9 + 10 * number + place for place, name in enumerate(self.names)}

    def next(self):
        """A new snapshot, which also has one KOL more."""
        self.number += 1
        time = f"2025-07-01T{self.number // 60 % 24:02d}:{self.number % 60:02d}:00Z"
        rows = [(name, followers) for (_, name), followers in self.expected(self.number).items()]
        rows.append((f"round.{self.number}", 5))
        events = [
            {"event_id": f"r{self.number}-{name}", "event_time": time, "event_type": "profile", "platform": "tiktok",
             "username": name, "followers_count": followers}
            for name, followers in rows
        ]  # fmt: skip
        path = self.folder / "round.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        for command in (("import", "events", path), ("ingest",), ("etl",)):
            self.kol(*command)

    def note(self, snapshot):
        """Whoever asks first after a round learns its number."""
        self.followers.setdefault(snapshot, self.expected(self.number))
        self.totals.setdefault(snapshot, self.kols + self.number)


class Reader:
    """Reads lists and profiles, and keeps what is to be compared once all snapshots are known."""

    def __init__(self, server, names, number, pause):
        self.server, self.names, self.number, self.pause = server, names, number, pause
        self.wrong, self.seen, self.reads = [], set(), 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        asker, turn = Asker(self.server), self.number
        while not self.ending.wait(self.pause):
            turn += 1
            name = self.names[turn % MARKED]
            self.list_of(asker, ("/api/v1/kols/top/tiktok?limit=20", "/api/v1/kols/top/all?limit=12")[turn % 2])
            self.one(asker, f"/api/v1/kols/tiktok:{name}")
            if turn % 5 == 0:
                self.counts(asker)
        asker.close()

    def answer(self, asker, path):
        reply = asker.get(path)
        self.reads += 1
        if reply.status != 200:
            self.wrong.append((path, reply.status, reply.body[:200]))
            return None
        return reply.json()

    def list_of(self, asker, path):
        answer = self.answer(asker, path)
        if not answer:
            return
        strangers = {row["snapshot"] for row in answer["data"]} - {answer["snapshot"]}
        if strangers:
            self.wrong.append((path, answer["snapshot"], strangers))
        times = {row["as_of"] for row in answer["data"]} - {answer["as_of"]}
        if times:
            self.wrong.append((path, answer["as_of"], times))
        counts = [row["followers_count"] for row in answer["data"]]
        if counts != sorted(counts, reverse=True):
            self.wrong.append((path, "not in order", tuple(counts)))
        for row in answer["data"]:
            self.seen.add((answer["snapshot"], row["platform"], row["kol_id"], row["followers_count"]))

    def one(self, asker, path):
        row = self.answer(asker, path)
        if row:
            self.seen.add((row["snapshot"], row["platform"], row["kol_id"], row["followers_count"]))

    def counts(self, asker):
        row = self.answer(asker, "/api/v1/stats/platform")
        if row:
            self.seen.add((row["snapshot"], "", "", row["total_kols"]))


def loop(kol_bin, demo_data, folder, url, first, rounds, reads=0, pause=0.0):
    shutil.copytree(demo_data, folder / "data")
    kol = Kol(kol_bin, folder / "data")
    kol("maintain", "--relocate", "--dry-run")
    flags = redis_flags(url, warm=None)
    world = Rounds(kol, folder)
    world.next()
    kol("warm", *flags)
    readers = []
    try:
        servers = [Served(kol, *redis_flags(url, first=first)) for _ in range(2)]
        plain = Served(kol)  # says which number a round has
        world.note(plain.get("/api/v1/stats/platform")["snapshot"])
        readers = [Reader(servers[number % 2], world.names, number, pause) for number in range(4)]
        while rounds > 0 or sum(reader.reads for reader in readers) < reads:
            rounds -= 1
            world.next()
            kol("warm", *flags)
            plain.ask("/admin/reload", "POST", {})
            world.note(plain.get("/api/v1/stats/platform")["snapshot"])
            for server in servers:
                server.ask("/admin/cache/purge", "POST", {"all": True})
    finally:
        for reader in readers:
            reader.ending.set()
        for reader in readers:
            reader.thread.join()
        kol.close()
    judge(world, readers)


def judge(world, readers):
    wrong = [row for reader in readers for row in reader.wrong]
    assert not wrong, (len(wrong), wrong[:3])
    seen = set().union(*(reader.seen for reader in readers))
    snapshots = {row[0] for row in seen}
    print(f"{sum(reader.reads for reader in readers)} reads of the snapshots {sorted(snapshots)}")
    assert snapshots <= set(world.followers), "an answer names a snapshot that no round made"
    assert len(snapshots) > 1
    for snapshot, platform, name, value in seen:
        if not name:
            assert value == world.totals[snapshot], ("total_kols", snapshot, value)
        elif (platform, name) in world.followers[snapshot]:
            assert value == world.followers[snapshot][platform, name], (snapshot, name, value)


def test_answers_are_of_one_snapshot_behind_a_change(kol_bin, demo_data, tmp_path, redis_server):
    loop(kol_bin, demo_data, tmp_path, redis_server.url, True, 1, pause=0.01)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", [True, False])
def test_100000_reads_while_the_lake_is_made_anew(kol_bin, demo_data, tmp_path, redis_server, first):
    loop(kol_bin, demo_data, tmp_path, redis_server.url, first, 8, reads=100_000)
