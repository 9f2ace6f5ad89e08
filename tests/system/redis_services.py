"""Redis for the system tests: servers of their own, a cluster of six, and a proxy that is at fault.

Each server listens on a free port of 127.0.0.1, writes no file that is kept, and dies with the test.
redis-py is imported where it is used: the fixtures are known to all system tests.
"""

import asyncio
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import wait_until

PDEATHSIG = 1
SLOTS = 16384


def free_port(most=65535):
    """A free port; `most` leaves room for the second port of a cluster node."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port <= most:
            return port


def die_with_parent():
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


class Redis:
    """A redis-server. `redis` is a client that gives bytes, `text` one that gives text. `env`: more of
    the server's environment."""

    def __init__(self, folder, *options, port=None, user=None, password=None, env=None):
        import redis

        self.folder, self.options = Path(folder), options
        self.env = {**os.environ, **(env or {})}
        self.port = port or free_port()
        self.login = {"username": user, "password": password}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None
        made = {"host": "127.0.0.1", "port": self.port, "socket_timeout": 30, **self.login}
        # A cluster node cannot be asked like a server of its own for keys, but for all else.
        self.redis = redis.Redis(**made)
        self.text = redis.Redis(**made, decode_responses=True)
        self.start()

    @property
    def url(self):
        return self.url_of(self.port)

    def url_of(self, port):
        who = f"{self.login['username'] or ''}:{self.login['password']}@" if self.login["password"] else ""
        return f"redis://{who}127.0.0.1:{port}"

    def start(self):
        """Starts it (again), empty."""
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--dir", self.folder, "--logfile", self.folder / "redis.log",
                   *self.options]  # fmt: skip
        self.process = subprocess.Popen(
            [str(part) for part in command], preexec_fn=die_with_parent, env=self.env
        )
        wait_until(self.answers, f"redis-server on port {self.port} (see {self.folder}/redis.log)")

    def answers(self):
        import redis

        assert self.process.poll() is None, (self.folder / "redis.log").read_text()[-2000:]
        try:
            return self.redis.ping()
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False
        except redis.ResponseError:
            return True

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        """It keeps its connections, takes what is sent, and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.redis.close()
        self.text.close()
        if self.process.poll() is None:
            self.kill()

    def keys(self, match="*"):
        """All keys as text, sorted."""
        return sorted(key.decode() for key in self.redis.scan_iter(match=match, count=1000))

    def calls(self):
        """How often each command was run: {"hset": 3}; subcommands under their command."""
        counts = {}
        for name, row in self.redis.info("commandstats").items():
            command = name.removeprefix("cmdstat_").split("|")[0].lower()
            counts[command] = counts.get(command, 0) + row["calls"]
        return counts


# Commands that change keys, or may.
WRITES = {
    "append", "copy", "decr", "decrby", "del", "eval", "evalsha", "exec", "expire", "expireat", "fcall", "flushall",
    "flushdb", "getdel", "getex", "getset", "hdel", "hincrby", "hincrbyfloat", "hmset", "hset", "hsetnx", "incr",
    "incrby", "linsert", "lpop", "lpush", "lrem", "lset", "ltrim", "move", "mset", "persist", "pexpire",
    "pexpireat", "psetex", "rename", "renamenx", "restore", "rpop", "rpush", "sadd", "set", "setex", "setnx",
    "setrange", "srem", "unlink", "zadd", "zincrby", "zrangestore", "zrem", "zremrangebyrank", "zremrangebyscore",
    "zunionstore",
}  # fmt: skip


def messages_of(pubsub, quiet=0.3):
    """What was heard, until nothing more comes for a while."""
    rows, end = [], time.monotonic() + quiet
    while time.monotonic() < end:
        row = pubsub.get_message(timeout=0.05)
        if row and row["type"].endswith("message"):
            rows.append(row)
            end = time.monotonic() + quiet
    return rows


# ---- a cluster ----


class Cluster:
    """Three primaries, each with a replica. `nodes` are Redis; `client` follows the slots."""

    def __init__(self, folder, timeout_ms=1000):
        import redis

        self.nodes = [
            Redis(folder / f"node{number}", "--cluster-enabled", "yes", "--cluster-node-timeout", timeout_ms,
                  "--cluster-replica-validity-factor", 0, "--repl-diskless-sync-delay", 0, port=free_port(most=55535))
            for number in range(6)
        ]  # fmt: skip
        self.join()
        self.client = redis.RedisCluster(host="127.0.0.1", port=self.nodes[0].port, decode_responses=True)

    def join(self):
        """What `redis-cli --cluster create` does, in a second in place of ten."""
        for number, node in enumerate(self.nodes):
            # Epochs that differ need not be settled among the nodes first.
            node.redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < 3:
                node.redis.execute_command(
                    "CLUSTER", "ADDSLOTSRANGE", SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
                )
            for other in self.nodes[:number]:
                node.redis.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        for node in self.nodes:
            wait_until(lambda node=node: len(self.known(node)) == 6, "the nodes to know one another")
        for number in range(3, 6):
            primary = self.nodes[number - 3].text.execute_command("CLUSTER", "MYID")
            self.nodes[number].redis.execute_command("CLUSTER", "REPLICATE", primary)
        wait_until(self.whole, "the cluster to be whole")

    @staticmethod
    def known(node):
        rows = node.text.execute_command("CLUSTER", "NODES")
        rows = rows.values() if isinstance(rows, dict) else rows.splitlines()
        return [row for row in rows if "handshake" not in str(row)]

    @staticmethod
    def state(node):
        info = node.text.execute_command("CLUSTER", "INFO")
        return info["cluster_state"] if isinstance(info, dict) else info.split("cluster_state:")[1].split()[0]

    def up(self):
        return [node for node in self.nodes if node.process.poll() is None]

    def whole(self):
        """Whether all slots are served, and all replicas follow."""
        for node in self.up():
            info = node.redis.info("replication")
            if self.state(node) != "ok" or (info["role"] == "slave" and info["master_link_status"] != "up"):
                return False
        return True

    def primaries(self):
        return [node for node in self.up() if node.redis.info("replication")["role"] == "master"]

    @property
    def flags(self):
        return ("--redis-cluster", "--redis-host", "127.0.0.1", "--redis-port", self.nodes[0].port,
                "--redis-hosts", " ".join(f"127.0.0.1:{node.port}" for node in self.nodes[1:]))  # fmt: skip

    def close(self):
        self.client.close()
        for node in self.nodes:
            node.close()


# ---- a proxy ----


class Proxy:
    """A process between clients and a server, which does what it is told:

    pass; delay S (each piece of an answer comes so much later); cut (connections are closed and new
    ones refused); hang (connections stay and are made, nothing comes through).
    """

    def __init__(self, server):
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.port), str(server.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_parent, text=True,
        )  # fmt: skip
        self.url = server.url_of(self.port)
        self.do("pass")

    def do(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Forwarding:
    """What runs in that process."""

    def __init__(self, port, target):
        self.port, self.target = port, target
        self.delay, self.hanging = 0.0, False
        self.listener, self.writers, self.tasks = None, set(), set()

    async def listen(self):
        if not self.listener:
            self.listener = await asyncio.start_server(self.accept, "127.0.0.1", self.port, reuse_address=True)

    async def accept(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self.writers |= {writer, up_writer}
        for task in (self.forward(reader, up_writer), self.answer(up_reader, writer)):
            task = asyncio.ensure_future(task)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def forward(self, reader, writer):
        """What clients send goes on at once."""
        try:
            while (data := await reader.read(65536)):
                await self.until_through()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        self.drop(writer)

    async def answer(self, reader, writer):
        """Answers come when they are due, in their order, however many are on the way."""
        due = asyncio.Queue()
        sending = asyncio.ensure_future(self.send_due(due, writer))
        try:
            while (data := await reader.read(65536)):
                due.put_nowait((asyncio.get_running_loop().time() + self.delay, data))
        except OSError:
            pass
        due.put_nowait((0, b""))
        await sending

    async def send_due(self, due, writer):
        try:
            while True:
                at, data = await due.get()
                if not data:
                    break
                await asyncio.sleep(max(0, at - asyncio.get_running_loop().time()))
                await self.until_through()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        self.drop(writer)

    async def until_through(self):
        while self.hanging:
            await asyncio.sleep(0.02)

    def drop(self, writer):
        writer.transport.abort()
        self.writers.discard(writer)

    async def do(self, word, *rest):
        self.delay = float(rest[0]) if word == "delay" else 0.0
        self.hanging = word == "hang"
        if word == "cut":
            if self.listener:
                self.listener.close()
                self.listener = None
            for writer in list(self.writers):
                self.drop(writer)
        else:
            await self.listen()


async def forward_by_words(port, target):
    forwarding = Forwarding(port, target)
    loop = asyncio.get_running_loop()
    while (line := await loop.run_in_executor(None, sys.stdin.readline)):
        await forwarding.do(*line.split())
        print("done", flush=True)


# ---- kol beside it ----


def redis_flags(url, first=None, warm="0s"):
    """The options of a kol that uses it."""
    flags = ["--redis-url", url]
    if warm is not None:
        flags += ["--warm-interval", warm]
    if first is not None:
        flags += [f"--redis-first={str(first).lower()}"]
    return flags


def fields_of(answer, without=()):
    """An answer of the API as the fields of a hash, as a Python program writes them."""

    def text(value):
        if isinstance(value, (list, dict)):
            return json.dumps(value, ensure_ascii=False)
        return str(value).lower() if isinstance(value, bool) else value

    return {
        name: text(value) for name, value in answer.items() if value is not None and name not in without
    }


def tier_of(served, tier="redis"):
    """The tier's row of /api/v1/stats/cache."""
    rows = {row["tier"]: row for row in served.get("/api/v1/stats/cache")["tiers"]}
    return rows.get(tier)


# ---- fixtures ----


def need_redis():
    if not shutil.which("redis-server"):
        pytest.skip("no redis-server: tools/install.sh test")


@pytest.fixture(scope="session")
def redis_of_worker(tmp_path_factory):
    need_redis()
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture
def redis_server(redis_of_worker):
    """A redis-server that is empty at first, for tests that do it no harm."""
    redis_of_worker.redis.flushall()
    return redis_of_worker


@pytest.fixture
def redis_start(tmp_path):
    """Starts servers of the test's own: redis_start("--maxmemory", "3mb")."""
    need_redis()
    started = []

    def start(*options, **more):
        started.append(Redis(tmp_path / f"redis{len(started)}", *options, **more))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def redis_proxy():
    """Starts proxies: redis_proxy(server)."""
    started = []

    def start(server):
        started.append(Proxy(server))
        return started[-1]

    yield start
    for proxy in started:
        proxy.close()


@pytest.fixture
def redis_cluster(tmp_path):
    """A cluster of six."""
    need_redis()
    cluster = Cluster(tmp_path / "cluster")
    yield cluster
    cluster.close()


if __name__ == "__main__":
    asyncio.run(forward_by_words(int(sys.argv[1]), int(sys.argv[2])))
