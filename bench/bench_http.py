#!/usr/bin/env python3
"""bench_http: what an answer of the API costs, beside nginx, the bare library and a Python service.

    bench_http.py [--kols N] [--seconds N] [--rounds N] [--folder DIR] [--threads N] [--only PART...]

CPU is that of the whole service (user and system time of all its processes, from /proc) divided by the
requests that wrk counted; the subjects take turns, and the best of all rounds counts, because the machine
is shared. p99 is wrk's, best of all rounds. Parts:

  hit      cached GET /api/v1/kols/{id}, 16 and 1,000 connections, beside nginx with the same bytes as a
           file, as many workers as kol has threads and about the same headers; libmicrohttpd alone, which
           makes a response for each request (http_bare.c); one read and one write a request (http_floor.c:
           nothing that answers over TCP costs less here); FastAPI + uvicorn + redis.asyncio with the same
           JSON in Redis (http_peer.py)
  cold     GET by id without a cache, ids at random, beside hits of the same ids (a hit of one KOL alone,
           whose bytes are in the processor's cache, is told beside); top 100, lists with filters, suggest
  predict  POST /predict/trust beside FastAPI + lightgbm: first the same answers, then the costs
  idle     memory of 10,000 idle connections

The Python service is run in two ways. As it comes: uvicorn with the event loop and the parser that are
its own, LightGBM with as many threads as it likes; that is what the limits name. Tuned: uvloop, httptools,
LightGBM kept to one thread; its ratios are told beside.

The world of a million KOLs takes some minutes to make; --folder keeps it for the next run. Fails where a
limit is missed: see LIMITS.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_import import KOL, ROOT
from http_world import make_world, usernames

VENV = ROOT / ".deps/bench-venv"
BUILD = Path(KOL).resolve().parents[1] / "bench"
MODEL = Path(os.environ.get("KOL_SHARED_DATA", ROOT.parent / "shared/data")).parent / "models/trust_lgbm_494_trees.txt"

LIMITS = {
    "hit / nginx": 0.85,  # at most
    "FastAPI / hit": 35,  # at least
    "cold / hit": 2.0,
    "cold p99 ms": 2.0,
    "list p99 ms": 50.0,
    "suggest p99 ms": 2.0,
    "predict ratio": 40,
    "idle MiB": 150,
}
TICK = os.sysconf("SC_CLK_TCK")


# ---- processes ----


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_open(port, process):
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"{process.args[0]} does not listen on port {port}")


class Service:
    """Processes that answer together, the last of them on `port`; their CPU counts together."""

    def __init__(self, name, port, commands, env=None):
        self.name, self.port, self.processes = name, port, []
        own = {key: value for key, value in os.environ.items() if not key.startswith("KOL_")}
        for command, where in commands:
            process = subprocess.Popen(
                [str(part) for part in command], env={**own, **(env or {})},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.processes.append(process)
            wait_open(where, process)

    def pids(self):
        """The processes and their children (nginx's workers)."""
        own = [process.pid for process in self.processes]
        children = [
            int(child)
            for pid in own
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
        return own + children

    def cpu(self):
        """Seconds so far."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def memory(self):
        status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in self.pids())
        return sum(int(kb) << 10 for kb in re.findall(r"^Rss(?:Anon|Shmem):\s*(\d+) kB", status, re.M))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=60)

    def ask(self, path, body=None):
        """(status, headers, body) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request("POST" if body else "GET", path, body, headers)
        reply = connection.getresponse()
        answer = reply.status, dict(reply.getheaders()), reply.read()
        connection.close()
        return answer


def kol_service(data, threads, *options):
    port = free_port()
    command = [KOL, "serve", "--data", data, "--serve-port", port, "--serve-threads", threads, *options]
    return Service("kol", port, [(command, port)])


NGINX = """
daemon off; worker_processes {threads}; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 8000; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 75;
    open_file_cache max=100; open_file_cache_valid 1h; default_type application/json; server_tokens off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} backlog=1024; root {folder}/files;
        add_header Cache-Control "public, max-age=60"; add_header Cache-Status "kol-l1; hit; ttl=60";
        add_header Age "1"; add_header Vary "Accept-Encoding"; add_header X-Request-Id $request_id;
        add_header X-Content-Type-Options nosniff;
    }}
}}
"""


def nginx_service(folder, threads, body):
    port = free_port()
    os.makedirs(folder / "files", exist_ok=True)
    (folder / "files/one").write_bytes(body)
    (folder / "nginx.conf").write_text(NGINX.format(threads=threads, folder=folder, port=port))
    os.chmod(folder, 0o755)  # the workers are another user where root starts them
    command = ["nginx", "-c", folder / "nginx.conf", "-p", folder]
    return Service("nginx", port, [(command, port)])


def bare_service(folder, threads):
    port = free_port()
    return Service("bare", port, [([BUILD / "http_bare", port, threads, folder / "files/one"], port)])


def floor_service(folder, threads):
    port = free_port()
    return Service("floor", port, [([BUILD / "http_floor", port, threads, folder / "files/one"], port)])


def uvicorn(port, redis_port, tuned):
    """(command, environment) of http_peer.py."""
    loop, parser = ("uvloop", "httptools") if tuned else ("asyncio", "h11")
    command = [VENV / "bin/python", "-m", "uvicorn", "--app-dir", ROOT / "bench", "--port", port, "--loop", loop,
               "--http", parser, "--no-access-log", "--log-level", "warning", "http_peer:app"]  # fmt: skip
    env = {"REDIS_PORT": str(redis_port), "MODEL": str(MODEL), "PREDICT_THREADS": "1" if tuned else ""}
    return command, env


def python_service(folder, tuned):
    redis_port, port = free_port(), free_port()
    redis = ["redis-server", "--port", redis_port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    command, env = uvicorn(port, redis_port, tuned)
    service = Service("FastAPI", port, [(redis, redis_port), (command, port)], env)
    service.redis_port = redis_port
    return service


def put_in_redis(port, key, value):
    with socket.create_connection(("127.0.0.1", port)) as redis:
        words = [b"SET", key.encode(), value]
        redis.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        assert redis.recv(100) == b"+OK\r\n"


# ---- load ----

SCRIPT = """
local requests, at, post = {{}}, {start}, "{post}"
function init(args)
    for line in io.lines("{file}") do
        local body = post ~= "" and line or nil
        local headers = body and {{["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/json"}} or nil
        requests[#requests + 1] = wrk.format(body and "POST" or "GET", body and post or line, headers, body)
    end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
"""


class Figures:
    """The best of several rounds."""

    def __init__(self):
        self.cpu_us = self.p99_ms = float("inf")
        self.rate = 0.0

    def take(self, cpu_us, p99_ms, rate):
        self.cpu_us = min(self.cpu_us, cpu_us)
        self.p99_ms = min(self.p99_ms, p99_ms or self.p99_ms)  # wrk says 0 or nan where its sums went wrong
        self.rate = max(self.rate, rate)


def milliseconds(text):
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not found:
        return 0.0  # "-nan"
    number, unit = found.groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def load(service, path, connections, seconds, script=None):
    """One run of wrk: (CPU microseconds a request, p99 in ms, requests a second)."""
    before = service.cpu()
    command = ["wrk", "-t", "2" if connections >= 2 else "1", "-c", connections, "-d", f"{seconds}s", "--latency"]
    command += ["-s", script] if script else []
    url = f"http://127.0.0.1:{service.port}{path}"
    out = subprocess.run([str(part) for part in [*command, url]], capture_output=True, text=True, check=True).stdout
    spent = service.cpu() - before
    requests = int(re.search(r"(\d+) requests in", out)[1])
    p99 = milliseconds(re.search(r"99%\s+(\S+)", out)[1])
    wrong = re.search(r"Non-2xx.*|Socket errors.*", out)
    if wrong:
        print(f"  {service.name} {path}: {wrong[0]}", flush=True)
    return spent / max(requests, 1) * 1e6, p99, requests / seconds


def script_of(folder, name, lines, post=""):
    """A script of wrk that asks for each line: a path, or a body for the path `post`."""
    rows, script = folder / f"{name}.txt", folder / f"{name}.lua"
    rows.write_text("".join(line + "\n" for line in lines))
    script.write_text(
        SCRIPT.format(file=rows, post=post, start=random.randrange(len(lines)))
    )
    return script


# ---- parts ----


class Bench:
    def __init__(self, options, folder, data):
        self.options, self.folder, self.data = options, folder, data
        self.names = usernames(data, 100_000)
        self.kept, self.failed = {}, False

    def verdict(self, what, value, at_least=False):
        limit = LIMITS[what]
        good = value >= limit if at_least else value <= limit
        self.failed |= not good
        side = "at least" if at_least else "at most"
        print(f"  {what:20}{value:9.2f}   {side} {limit}{'' if good else '   MISSED'}", flush=True)

    def turns(self, rows, connections):
        """{name: Figures} of [(name, service, path, script)] that take turns; prints them."""
        figures = {name: Figures() for name, *_ in rows}
        for _ in range(self.options.rounds):
            for name, service, path, script in rows:
                figures[name].take(*load(service, path, connections, self.options.seconds, script))
        for name, row in figures.items():
            print(f"  {name:44}{connections:6}{row.cpu_us:10.1f}{row.p99_ms:10.2f}{row.rate:10.0f}", flush=True)
        return figures

    def head(self, title):
        print(f"\n{title}\n  {'':44}{'conns':>6}{'CPU us':>10}{'p99 ms':>10}{'req/s':>10}")

    def hit(self):
        self.head("cached GET /api/v1/kols/{id}")
        platform, name = self.names[0]
        threads, path = self.options.threads, f"/api/v1/kols/{platform}:{name}"
        with contextlib.ExitStack() as stack:

            def running(service):
                stack.callback(service.stop)
                return service

            kol = running(kol_service(self.data, threads))
            status, headers, body = kol.ask(path)
            assert status == 200, body
            rows = [
                ("kol", kol, path, None),
                ("nginx, the same bytes", running(nginx_service(self.folder, threads, body)), "/one", None),
                ("libmicrohttpd alone", running(bare_service(self.folder, threads)), "/one", None),
                ("one read, one write", running(floor_service(self.folder, threads)), "/one", None),
            ]
            for how in ("as it comes", "tuned"):
                python = running(python_service(self.folder, how == "tuned"))
                put_in_redis(python.redis_port, "kol:one", body)
                for way in ("plain", "typed"):
                    answer = json.loads(python.ask(f"/{way}/one")[2])
                    assert answer == json.loads(body), answer
                    rows.append((f"FastAPI + redis, {how}, {way}", python, f"/{way}/one", None))
            print(f"  {len(body)} bytes, {len(headers)} headers, {threads} threads", flush=True)
            for connections in (16, 1000):
                found = self.turns(rows if connections == 16 else rows[:4], connections)
                self.kept.setdefault("hit", found["kol"].cpu_us)
                self.verdict("hit / nginx", found["kol"].cpu_us / found["nginx, the same bytes"].cpu_us)
                if connections == 16:
                    self.beside_python({name: row.cpu_us for name, row in found.items()})

    def beside_python(self, cost):
        self.verdict("FastAPI / hit", cost["FastAPI + redis, as it comes, typed"] / cost["kol"], True)
        for how in ("as it comes, plain", "tuned, typed", "tuned, plain"):
            python = cost[f"FastAPI + redis, {how}"]
            floor = cost["one read, one write"]
            print(f"  {how:20}{python / cost['kol']:9.2f}   (the socket alone: {python / floor:.2f})", flush=True)

    def cold_paths(self):
        """{row: paths}: what a row asks for is different each time."""
        rng = random.Random(5)
        topics, tiers = ["beauty", "food", "gym", "travel", "tech", "sport"], ["Nano", "Micro", "Mid", "Macro", "Mega"]

        def filtered(sort):
            return [
                f"/api/v1/kols?sort_by={sort}&limit=100&category={rng.choice(topics)}&tier={rng.choice(tiers)}"
                f"&lang={rng.choice(['vi', 'en', 'th'])}&min_followers={rng.randrange(1000)}"
                for _ in range(500)
            ]

        names = [name for _, name in self.names[:20_000]]
        return {
            "GET by id": [f"/api/v1/kols/{platform}:{name}" for platform, name in self.names],
            "suggest": [f"/api/v1/search/suggest?prefix={name[: rng.randrange(1, 9)]}" for name in names],
            "top 100": [f"/api/v1/kols/top/{at}?by={by}" for at in ("tiktok", "twitter", "all")
                        for by in ("followers", "engagement")],
            **{f"100 by {sort}, four filters": filtered(sort)
               for sort in ("followers", "engagement", "trust_score", "trending", "success", "composite")},
        }  # fmt: skip

    def cold(self):
        self.head(f"without a cache, {self.options.kols} KOLs")
        platform, name = self.names[0]
        path, threads = f"/api/v1/kols/{platform}:{name}", self.options.threads
        with contextlib.ExitStack() as stack:
            warm = kol_service(self.data, threads, "--serve-cache", "1GiB")
            kol = kol_service(self.data, threads, "--serve-cache", 0)
            stack.callback(warm.stop)
            stack.callback(kol.stop)
            for what, paths in self.cold_paths().items():
                script = script_of(self.folder, "cold", paths)
                load(kol, "/", 2, 1, script)  # pages of the copy come into memory
                # Times are those of a server with room left, costs those of a busy one.
                rows = [(what, kol, "/", script)]
                if what == "GET by id":
                    load(warm, "/", 16, 5, script)  # all of them into the cache
                    hits, one = "hits of the cache, as many KOLs", "hits of the cache, one KOL"
                    found = self.turns([(one, warm, path, None), (hits, warm, "/", script), *rows], 16)
                    self.verdict("cold / hit", found[what].cpu_us / found[hits].cpu_us)
                    print(f"  {'cold / hit of one KOL':22}{found[what].cpu_us / found[one].cpu_us:7.2f}")
                p99 = self.turns(rows, 2)[what].p99_ms
                self.verdict(
                    {"GET by id": "cold p99 ms", "suggest": "suggest p99 ms"}.get(what, "list p99 ms"), p99
                )

    def accounts(self):
        rng = random.Random(9)
        names = ("has_bio", "has_url", "has_profile_image", "verified", "default_profile", "default_profile_image")
        return [
            {
                "kol_id": f"kol-{i}",
                "followers_count": int(rng.lognormvariate(7, 3)),
                "following_count": int(rng.lognormvariate(6, 2)),
                "post_count": rng.randrange(20_000),
                "account_age_days": rng.randrange(4000),
                "favorites_count": rng.randrange(50_000),
                "bio_length": rng.randrange(160),
                **{name: rng.random() < 0.5 for name in names},
            }
            for i in range(1000)
        ]

    def predict(self):
        self.head("POST /predict/trust")
        accounts = self.accounts()
        script = script_of(self.folder, "predict", [json.dumps(account) for account in accounts], "/predict/trust")
        with contextlib.ExitStack() as stack:
            kol = kol_service(self.data, self.options.threads)
            stack.callback(kol.stop)
            rows = [("kol", kol, "/", script)]
            for how in ("as it comes", "tuned"):
                python = python_service(self.folder, how == "tuned")
                stack.callback(python.stop)
                self.assert_same(kol, python, accounts[:300])
                rows.append((f"FastAPI + lightgbm, {how}", python, "/", script))
            print("  300 accounts: the same scores", flush=True)
            cost = {name: row.cpu_us for name, row in self.turns(rows, 16).items()}
            self.verdict("predict ratio", cost["FastAPI + lightgbm, as it comes"] / cost["kol"], True)
            print(f"  {'tuned':20}{cost['FastAPI + lightgbm, tuned'] / cost['kol']:9.2f}", flush=True)

    @staticmethod
    def assert_same(kol, python, accounts):
        for account in accounts:
            ours, theirs = (
                json.loads(one.ask("/predict/trust", json.dumps(account).encode())[2]) for one in (kol, python)
            )
            for member in ("kol_id", "trust_score", "trust_label", "is_trustworthy", "confidence"):
                same = ours[member] == theirs[member]
                if isinstance(ours[member], float):
                    same = abs(ours[member] - theirs[member]) < 0.0101
                assert same, (member, ours, theirs)

    def idle(self):
        print("\n10,000 idle connections")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 12_000), hard))
        platform, name = self.names[0]
        head = f"GET /api/v1/kols/{platform}:{name} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        kol = kol_service(self.data, self.options.threads)
        load(kol, f"/api/v1/kols/{platform}:{name}", 16, 1)
        before, open_ones = kol.memory(), []
        for _ in range(10_000):
            one = socket.create_connection(("127.0.0.1", kol.port))
            one.sendall(head)
            assert one.recv(9) == b"HTTP/1.1 "
            open_ones.append(one)
        more = (kol.memory() - before) / (1 << 20)
        for one in open_ones:
            one.close()
        kol.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.verdict("idle MiB", more)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kols", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=4, help="of one run of wrk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="that talk to clients")
    parser.add_argument("--folder", help="where the world is, or is made (default: made anew in build/)")
    parser.add_argument("--only", nargs="+", choices=("hit", "cold", "predict", "idle"))
    options = parser.parse_args()
    subprocess.run([ROOT / "tools/install.sh", "bench"], check=True)
    subprocess.run([ROOT / "tools/venv.sh", "bench"], check=True)
    if not MODEL.is_file():
        sys.exit(f"the model is not there: {MODEL}; set KOL_SHARED_DATA to the folder of the data sets")
    os.makedirs(ROOT / "build", exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-http-") as work:
        world = options.folder or tempfile.mkdtemp(dir=ROOT / "build", prefix="bench-http-")
        bench = Bench(options, Path(work), make_world(world, options.kols, MODEL))
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        for part in options.only or ("hit", "cold", "predict", "idle"):
            getattr(bench, part)()
        print(f"\nload average {os.getloadavg()[0]:.1f}")
        if not options.folder:
            print(f"the world is left in {world}: give it by --folder, or remove it")
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
