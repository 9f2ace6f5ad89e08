"""How many answers of a day come out of the caches, by a clock that the test moves on.

Requests follow Zipf's law over all KOLs, contents, lists, rankings and counts of a world, one a
second, day and night. The server keeps Redis warm by its own schedule meanwhile: every 15 minutes,
and each minute what is hot. An answer that Redis is asked for counts as a hit where L1 or Redis had
it, and as none where it was made from the local copy.
"""

import collections
import itertools
import random
import shutil
from datetime import datetime

import pytest

from asking import Asker
from moved_clock import MovedClock
from redis_services import redis_flags, tier_of
from served import Served
from support import Kol, wait_until

pytestmark = pytest.mark.release_only  # a program with sanitizers cannot be given another clock

HOUR = 3600
MINUTE_NS = 60 * 10**9
LEAST = 0.95
STEP = 20.0  # seconds that the clock is moved on at once
PER_STEP = 20  # requests in between
ZIPF = 1.0

# How many of a hundred requests are of a kind.
SHARES = {"profile": 40, "score": 20, "content": 15, "top list": 8, "first page": 4, "trending": 4,
          "ranking": 4, "platform counts": 3, "daily counts": 2}  # fmt: skip


def rows_of(kol, columns, table):
    return kol("sql", f"SELECT {columns} FROM {table}", "--format", "json", "--limit", 1000000).json()


def paths_by_kind(kol):
    """All that can be asked for. Half of the ids are named with their platform, half without."""
    kols = [(row["platform"], row["kol_id"]) for row in rows_of(kol, "platform, kol_id", "silver.kol_profiles")]
    contents = rows_of(kol, "platform, content_id", "silver.kol_content")
    platforms = sorted({platform for platform, _ in kols}) + ["all"]
    days = [row["day"] for row in rows_of(kol, "DISTINCT CAST(day AS VARCHAR) AS day", "gold.agg_platform_kpi")]
    names = [f"{platform}:{kol_id}" if place % 2 else kol_id for place, (platform, kol_id) in enumerate(kols)]
    return {
        "profile": [f"/api/v1/kols/{name}" for name in names],
        "score": [f"/api/v1/kols/{name}/scores" for name in names],
        "content": [f"/api/v1/content/{row['platform']}:{row['content_id']}" for row in contents],
        "top list": [f"/api/v1/kols/top/{platform}?limit={limit}&by={by}" for platform in platforms
                     for limit in (10, 50) for by in ("followers", "engagement")],
        "first page": [f"/api/v1/kols?platform={platform}" for platform in platforms if platform != "all"]
                      + ["/api/v1/kols"],
        "trending": [f"/api/v1/trending/{platform}?limit={limit}" for platform in platforms for limit in (50, 100)],
        "ranking": [f"/api/v1/trending/kols/{platform}?metric={metric}" for platform in platforms
                    for metric in ("trust", "composite")],
        "platform counts": ["/api/v1/stats/platform"],
        "daily counts": [f"/api/v1/stats/daily/{day}" for day in days],
    }  # fmt: skip


class Zipf:
    """The n-th most wanted path is wanted 1/n as often as the first; which that is the seed says."""

    def __init__(self, source, paths):
        self.source, self.paths = source, list(paths)
        source.shuffle(self.paths)
        self.sums = list(itertools.accumulate(1 / (place + 1) ** ZIPF for place in range(len(paths))))

    def next(self):
        return self.source.choices(self.paths, cum_weights=self.sums)[0]


def tier_that_answered(reply):
    """l1, redis, or copy: where the answer was made from."""
    said = reply.headers["cache-status"]
    if said.startswith("kol-l1; hit"):
        return "l1"
    return "redis" if said.startswith("kol-redis; hit") else "copy"


class Day:
    """A server and a Redis on the clock, and what came of each request.

    The server has the online copy alone, no lake: what it answers comes out of the caches and the copy.
    """

    def __init__(self, kol, redis_start, clock, first, warms):
        self.clock, self.first = clock, first
        self.redis = redis_start(env=clock.env)
        flags = redis_flags(self.redis.url, first=first, warm="15m" if warms else "0s")
        kol("warm", *redis_flags(self.redis.url, warm=None))  # it is over before the clock moves
        then = self.last_warm()
        self.server = Served(kol, *flags, env=clock.env)
        self.server.wait_ready()
        if warms:
            wait_until(lambda: self.last_warm() != then, "the server to have warmed Redis", timeout=120)
        wait_until(lambda: tier_of(self.server)["redis"]["channel"], "the server to be told of changes")
        self.answers = collections.Counter()  # (kind, tier)
        self.began, self.reopened, self.warms = clock.seconds(), 0, []
        clock.wait()

    def last_warm(self):
        return self.redis.text.hget("cache:metadata", "last_warm")

    def ask(self, paths, hours):
        source = random.Random(21)
        wanted = {kind: Zipf(source, paths[kind]) for kind in SHARES}
        kinds, asker = source.choices(list(SHARES), list(SHARES.values()), k=1 << 20), Asker(self.server)
        turn = itertools.cycle(kinds)
        while self.clock.seconds() < self.began + hours * HOUR:
            for kind in itertools.islice(turn, PER_STEP):
                reply = self.get(asker, wanted[kind].next())
                assert reply.status == 200, (kind, reply)
                self.answers[kind, tier_that_answered(reply)] += 1
            self.clock.move(STEP)
            if self.clock.ahead_ns % (5 * MINUTE_NS) == 0:
                self.warms.append(datetime.fromisoformat(self.last_warm()))
        self.hours = (self.clock.seconds() - self.began) / HOUR
        asker.close()

    def get(self, asker, path):
        """A connection that was kept for long may be closed just now."""
        try:
            return asker.get(path)
        except ConnectionError:
            self.reopened += 1
            return asker.get(path)

    def longest(self):
        """The longest time between two warms, in seconds."""
        return max((then - before).total_seconds() for before, then in itertools.pairwise(self.warms))

    def kinds(self):
        """Those that Redis is asked for."""
        return list(SHARES) if self.first else ["score"]

    def rows(self, kinds):
        return {tier: sum(n for (kind, by), n in self.answers.items() if by == tier and kind in kinds)
                for tier in ("l1", "redis", "copy")}  # fmt: skip

    def rate(self, kinds):
        """The share of the answers that did not need the copy."""
        rows = self.rows(kinds)
        return 1 - rows["copy"] / sum(rows.values())

    def rate_by_counts(self):
        """The same by the server's own counts, from below: a list reads many keys, and each that Redis
        lacks counts; so does each read for an answer that was given already and is made anew."""
        l1, redis = tier_of(self.server, "l1"), tier_of(self.server)
        assert l1["hits"] + l1["stale"] + l1["misses"] == sum(self.answers.values())
        return 1 - (redis["misses"] + redis["redis"]["skipped"]) / sum(self.rows(self.kinds()).values())

    def tell(self, title):
        print(f"\n{title}: {sum(self.answers.values())} requests in {self.hours:.2f} h, connection opened "
              f"{self.reopened} times more, {len(set(self.warms))} warms, {self.longest():.0f} s apart")  # fmt: skip
        for name, kinds in [*((kind, [kind]) for kind in SHARES), ("all", list(SHARES)), ("of Redis", self.kinds())]:
            print(f"  {name:16} {self.rate(kinds):8.3%}  {self.rows(kinds)}")
        print(f"  by its own counts {self.rate_by_counts():.3%}: {tier_of(self.server)}")


@pytest.fixture
def clock(tmp_path):
    clock = MovedClock(tmp_path)
    yield clock
    clock.close()


@pytest.fixture
def day(kol_bin, redis_start, clock, tmp_path):
    """day(folder, first, warms): the day of a server over a copy of the folder's online copy."""
    kols = []

    def start(folder, first, warms):
        shutil.copytree(folder / "online", tmp_path / f"day{len(kols)}" / "online")
        kols.append(Kol(kol_bin, tmp_path / f"day{len(kols)}"))
        return Day(kols[-1], redis_start, clock, first, warms)

    yield start
    for kol in kols:
        kol.close()


def check(day, kol, hours, enough):
    """After a warm, and warmed: enough. Not warmed: too little, so that this tells the two apart."""
    day.ask(paths_by_kind(kol), hours)
    assert (len(set(day.warms)) > 2 * hours) == enough, "the server warms by its own schedule"
    day.tell(f"{'all keys' if day.first else 'what lives between snapshots'} asked in Redis")
    assert day.hours >= hours
    kept = day.rate(day.kinds()) > LEAST and day.rate_by_counts() > LEAST
    assert kept == enough


@pytest.mark.parametrize("first, warms", [(True, True), (False, True), (True, False)])
def test_two_hours_behind_a_warm(kol_bin, demo_data, day, first, warms):
    check(day(demo_data, first, warms), Kol(kol_bin, demo_data), 2, warms)


@pytest.fixture(scope="module")
def reference(kol_bin, tmp_path_factory):
    """The data folder of the reference world."""
    kol = Kol(kol_bin, tmp_path_factory.mktemp("reference") / "data")
    kol("demo", "--world", "reference")
    kol("ingest")
    kol("etl", timeout=1200)
    return kol.data


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "first, warms, hours", [(True, True, 24), (False, True, 24), (True, False, 4), (False, False, 4)]
)
def test_a_day_behind_a_warm(kol_bin, reference, day, first, warms, hours):
    """Of the reference world."""
    check(day(reference, first, warms), Kol(kol_bin, reference), hours, warms)
