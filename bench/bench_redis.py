#!/usr/bin/env python3
"""bench_redis: what the cache between processes costs, beside Python on the same Redis.

    bench_redis.py [--kols N] [--seconds N] [--rounds N] [--folder DIR] [--only PART...]

As in bench_http.py, whose subjects and load these are: CPU of a service (Redis counts apart) divided by
the requests that wrk counted, subjects in turn, the best of all rounds. Parts:

  get   GET by id from Redis (no cache in the process, redis.first), ids at random, beside FastAPI +
        redis.asyncio with HGETALL of the same keys (http_peer.py, tuned: see bench_http.py)
  warm  `kol warm --full --profiles` into an empty Redis: keys a second, beside a redis-py pipeline that
        writes the same keys (HSET and EXPIRE, 500 keys at once, hiredis' parser), and redis-benchmark
        -P 16 with HSET of a value of the same fields
  l1    a hit of the cache in the process: without Redis, told by Redis of changes, and told of 500
        changes a second of other keys

Fails where a limit is missed: see LIMITS.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench_http import MODEL, ROOT, VENV, Figures, Service, free_port, kol_service, load, script_of, uvicorn
from bench_import import KOL
from http_world import make_world, usernames

LIMITS = {
    "FastAPI / kol": 10,  # at least
    "warm / redis-py": 4,
    "warm / redis-benchmark": 0.8,
    "told / hit": 1.1,  # at most
}

# Run by the bench's own Python: reads all hashes first, then writes them by the clock.
WRITER = """
import sys, time, redis
source, target = redis.Redis(port=int(sys.argv[1])), redis.Redis(port=int(sys.argv[2]))
keys = list(source.scan_iter(match="kol:*", count=1000, _type="hash"))
values = []
for begin in range(0, len(keys), 1000):
    with source.pipeline(transaction=False) as pipe:
        for key in keys[begin:begin + 1000]:
            pipe.hgetall(key)
        values += pipe.execute()
target.flushall()
began = time.monotonic()
for begin in range(0, len(keys), 500):
    with target.pipeline(transaction=False) as pipe:
        for key, value in zip(keys[begin:begin + 500], values[begin:begin + 500]):
            pipe.hset(key, mapping=value)
            pipe.expire(key, 3600)
        pipe.execute()
print(len(keys), time.monotonic() - began)
"""


def redis_service(folder):
    port = free_port()
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
               "--dir", folder]  # fmt: skip
    return Service("Redis", port, [(command, port)])


def peer_service(redis_port):
    port = free_port()
    command, env = uvicorn(port, redis_port, tuned=True)
    return Service("FastAPI", port, [(command, port)], env)


def cli(port, *words):
    command = ["redis-cli", "-p", str(port), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def wait_channel(redis):
    """The server is told of changes from here on."""
    for _ in range(200):
        if "flags=" in cli(redis.port, "CLIENT", "LIST") and "__redis__:invalidate" in cli(
            redis.port, "PUBSUB", "CHANNELS", "*"
        ):
            return
        time.sleep(0.05)
    sys.exit("kol does not follow the changes of Redis")


def children_cpu():
    """Seconds of all processes that were run to their end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    def __init__(self, options, folder, data):
        self.options, self.folder, self.data = options, folder, data
        self.failed = False
        self.flags = ("--serve-threads", options.threads)

    def verdict(self, what, value, at_least=False):
        limit = LIMITS[what]
        good = value >= limit if at_least else value <= limit
        self.failed |= not good
        side = "at least" if at_least else "at most"
        print(f"  {what:24}{value:9.2f}   {side} {limit}{'' if good else '   MISSED'}", flush=True)

    def turns(self, rows, redis):
        """{name: Figures} of [(name, service, path, script)]; what Redis spent beside each."""
        print(f"  {'':40}{'CPU us':>10}{'Redis us':>10}{'p99 ms':>10}{'req/s':>10}")
        figures, beside = {name: Figures() for name, *_ in rows}, {name: float("inf") for name, *_ in rows}
        for _ in range(self.options.rounds):
            for name, service, path, script in rows:
                before = redis.cpu()
                cost, p99, rate = load(service, path, 16, self.options.seconds, script)
                figures[name].take(cost, p99, rate)
                asked = max(rate * self.options.seconds, 1)
                beside[name] = min(beside[name], (redis.cpu() - before) / asked * 1e6)
        for name, row in figures.items():
            print(f"  {name:40}{row.cpu_us:10.1f}{beside[name]:10.1f}{row.p99_ms:10.2f}{row.rate:10.0f}", flush=True)
        return figures

    def warm(self, redis, *flags):
        """(keys, seconds) of one run of `kol warm`, the start of the process in it."""
        before = int(cli(redis.port, "DBSIZE"))
        began = time.monotonic()
        command = [KOL, "warm", *flags, "--data", self.data, "--redis-url", f"redis://127.0.0.1:{redis.port}"]
        own = {name: value for name, value in os.environ.items() if not name.startswith("KOL_")}
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, env=own)
        return int(cli(redis.port, "DBSIZE")) - before, time.monotonic() - began

    def part_get(self):
        print("\nGET by id from Redis")
        with contextlib.ExitStack() as stack:

            def running(service):
                stack.callback(service.stop)
                return service

            redis = running(redis_service(self.folder))
            self.warm(redis, "--profiles")
            names = usernames(self.data, 20_000)
            kol = running(kol_service(self.data, self.options.threads, "--serve-cache", 0, "--redis-first=true",
                                      "--warm-interval", "0s", "--redis-url", f"redis://127.0.0.1:{redis.port}"))
            peer = running(peer_service(redis.port))
            ours = script_of(self.folder, "ours", [f"/api/v1/kols/{at}:{name}" for at, name in names])
            keys = [f"kol:profile:{at}:{name}" for at, name in names]
            rows = [("kol", kol, "/", ours)]
            for way in ("typed", "plain"):
                script = script_of(self.folder, way, [f"/hash/{way}/{key}" for key in keys])
                rows.append((f"FastAPI + redis.asyncio, {way}", peer, "/", script))
            before = self.hits_of(redis)
            found = self.turns(rows, redis)
            print(f"  Redis found {self.hits_of(redis) - before} keys meanwhile")
            cost = {name: row.cpu_us for name, row in found.items()}
            self.verdict("FastAPI / kol", cost["FastAPI + redis.asyncio, typed"] / cost["kol"], True)
            print(f"  {'plain FastAPI / kol':24}{cost['FastAPI + redis.asyncio, plain'] / cost['kol']:9.2f}")

    @staticmethod
    def hits_of(redis):
        return int(re.search(r"keyspace_hits:(\d+)", cli(redis.port, "INFO", "stats"))[1])

    def part_warm(self):
        print("\nkeys a second into Redis")
        with contextlib.ExitStack() as stack:
            redis, other = redis_service(self.folder), redis_service(self.folder)
            stack.callback(redis.stop)
            stack.callback(other.stop)
            best, costs = {}, {}
            for _ in range(self.options.rounds):
                cli(redis.port, "FLUSHALL")
                for name, server, run in (
                    ("kol warm", redis, lambda: self.warm(redis, "--full", "--profiles")),
                    ("redis-py pipeline", other, lambda: self.pipeline(redis, other)),
                    ("redis-benchmark -P 16", other, lambda: self.benchmark(redis, other)),
                ):
                    before = children_cpu(), server.cpu()
                    written, seconds = run()
                    spent = [now - then for now, then in zip((children_cpu(), server.cpu()), before)]
                    best[name] = max(best.get(name, 0.0), written / seconds)
                    cost = [part / written * 1e6 for part in spent]
                    costs[name] = [min(pair) for pair in zip(cost, costs.get(name, cost))]
                    keys = written if name == "kol warm" else keys
            each = int(re.search(r"used_memory_dataset:(\d+)", cli(redis.port, "INFO", "memory"))[1]) // keys
            print(f"  {keys} keys of {each} bytes in memory each")
            print(f"  {'':40}{'keys/s':>12}{'CPU us':>10}{'Redis us':>10}")
            for name, rate in best.items():
                print(f"  {name:40}{rate:12.0f}{costs[name][0]:10.1f}{costs[name][1]:10.1f}", flush=True)
            self.verdict("warm / redis-py", best["kol warm"] / best["redis-py pipeline"], True)
            self.verdict("warm / redis-benchmark", best["kol warm"] / best["redis-benchmark -P 16"], True)

    @staticmethod
    def pipeline(redis, other):
        """Its CPU is told with that of reading the values."""
        done = subprocess.run([str(VENV / "bin/python"), "-c", WRITER, str(redis.port), str(other.port)],
                              capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
        return int(done[0]), float(done[1])

    @staticmethod
    def benchmark(redis, other):
        """HSET of the fields of one value, that of the middle by its length of 100, to keys at random."""
        values = []
        while len(values) < 100:
            key = cli(redis.port, "RANDOMKEY")
            if cli(redis.port, "TYPE", key) == "hash":
                values.append(json.loads(cli(redis.port, "--json", "HGETALL", key)))
        values.sort(key=lambda value: sum(map(len, (*value, *value.values()))))
        # Not a byte of it means anything, but to the table that redis-benchmark prints.
        words = [re.sub(r"[^ -~]|[\"_]", "x", word) or "x" for pair in values[50].items() for word in pair]
        command = ["redis-benchmark", "-p", other.port, "-P", 16, "-n", 200_000, "-r", 200_000, "--csv",
                   "HSET", "kol:bench:__rand_int__", *words]  # fmt: skip
        out = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
        print(f"  redis-benchmark wrote {len(words) // 2} fields, {sum(map(len, words))} bytes a key")
        return 200_000, 200_000 / float(out.strip().splitlines()[-1].rsplit('","', 7)[1])

    def part_l1(self):
        print("\na hit of the cache in the process")
        with contextlib.ExitStack() as stack:
            redis = redis_service(self.folder)
            stack.callback(redis.stop)
            self.warm(redis, "--profiles", "--limit", 1000)
            flags = ("--redis-first=true", "--warm-interval", "0s", "--redis-url", f"redis://127.0.0.1:{redis.port}")
            alone = kol_service(self.data, self.options.threads)
            stack.callback(alone.stop)
            told = kol_service(self.data, self.options.threads, *flags)
            stack.callback(told.stop)
            wait_channel(redis)
            (platform, name), *_ = usernames(self.data, 1)
            path = f"/api/v1/kols/{platform}:{name}"
            for service in (alone, told):
                assert service.ask(path)[0] == 200
            rows = [("without Redis", alone, path, None), ("told of changes", told, path, None)]
            found = self.turns(rows, redis)
            self.verdict("told / hit", found["told of changes"].cpu_us / found["without Redis"].cpu_us)
            ending = threading.Event()
            thread = threading.Thread(target=change_others, args=(redis.port, ending))
            thread.start()
            busy = self.turns([("told of 500 changes a second", told, path, None)], redis)
            ending.set()
            thread.join()
            ratio = busy["told of 500 changes a second"].cpu_us / found["without Redis"].cpu_us
            print(f"  {'told of many / hit':24}{ratio:9.2f}")


def change_others(port, ending):
    """500 changes a second of keys that nobody asked for, by redis-cli."""
    with subprocess.Popen(["redis-cli", "-p", str(port)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as cli_:
        number = 0
        while not ending.wait(0.02):
            for _ in range(10):
                number += 1
                cli_.stdin.write(b"HSET kol:profile:tiktok:other.%d followers_count %d\n" % (number % 5000, number))
            cli_.stdin.flush()
        cli_.stdin.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kols", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=4, help="of one run of wrk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="that talk to clients")
    parser.add_argument("--folder", help="where the world is, or is made (default: made anew in build/)")
    parser.add_argument("--only", nargs="+", choices=("get", "warm", "l1"))
    options = parser.parse_args()
    subprocess.run([ROOT / "tools/install.sh", "bench"], check=True)
    subprocess.run([ROOT / "tools/venv.sh", "bench"], check=True)
    os.makedirs(ROOT / "build", exist_ok=True)
    random.seed(1)
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as work:
        world = options.folder or tempfile.mkdtemp(dir=ROOT / "build", prefix="bench-redis-")
        bench = Bench(options, Path(work), make_world(world, options.kols, MODEL))
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        for part in options.only or ("get", "warm", "l1"):
            getattr(bench, f"part_{part}")()
        if not options.folder:
            print(f"the world is left in {world}: give it by --folder, or remove it")
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
