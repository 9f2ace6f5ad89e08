"""kol on a Redis Cluster of three primaries and their replicas: the same keys, changes told by every
node, and a primary that dies or gives a slot away."""

import pytest

from asking import Asker
from support import wait_until
from test_redis_coherence import (
    CHANNEL, Profiles, Scores, change_all, slack_of, wait_kept, wait_purged, wait_told,
)  # fmt: skip
from test_redis_outage import reached

pytestmark = pytest.mark.release_only  # under sanitizers the shapes and broken values are read


@pytest.fixture
def two(serve, redis_cluster):
    """Two servers that are told of changes: two(first)."""

    def start(first):
        flags = [*redis_cluster.flags, f"--redis-first={str(first).lower()}", "--warm-interval", "0s"]
        servers = [serve(*flags) for _ in range(2)]
        for server in servers:
            wait_told(server, redis_cluster.nodes[0])
        return servers

    return start


def test_a_warm_fills_all_nodes_and_its_keys_are_served(two, redis_cluster):
    servers = two(True)
    servers[0].kol("warm", *redis_cluster.flags)
    sizes = [node.redis.dbsize() for node in redis_cluster.primaries()]
    assert min(sizes) > 100, sizes
    for node in redis_cluster.primaries():
        for key in node.keys():
            assert node.redis.pttl(key) > 0, key
    fields = redis_cluster.client.hgetall("kol:profile:tiktok:ly.sport")
    assert fields["username"] == "ly.sport"
    names = [name for name, _ in redis_cluster.client.zrevrange("kol:top:followers:tiktok:100", 0, -1, withscores=True)]
    asker = Asker(servers[1])
    rows = asker.get("/api/v1/kols/top/tiktok?limit=100").json()["data"]
    assert sorted(row["kol_id"] for row in rows) == sorted(names)
    hits = servers[1].metric('kol_cache_reads_total{tier="redis",result="hit"}')
    assert hits > 50, "the hashes of a list come from Redis"
    asker.close()


def test_a_warm_stops_before_any_of_the_nodes_is_full(demo_kol, redis_cluster):
    """Each has room of its own: the one that is asked for anything else may have plenty."""
    holder = redis_cluster.client.get_node_from_key("memory").port
    small = next(node for node in redis_cluster.primaries() if node.port != holder)
    used = small.redis.info("memory")["used_memory"]
    small.redis.config_set("maxmemory", used + 500_000)
    small.redis.config_set("maxmemory-policy", "noeviction")
    done = demo_kol("warm", "--warm-fill", 95, "--format", "json", *redis_cluster.flags)
    rows = done.json()
    assert sum(row["refused"] for row in rows) == 0, rows
    assert sum(row["left_out"] for row in rows) > 0 and sum(row["written"] for row in rows) > 0
    assert "a server of Redis has" in done.errors and "(maxmemory)" in done.errors
    memory = small.redis.info("memory")
    assert memory["used_memory"] < memory["maxmemory"]


@pytest.mark.parametrize("kind, first", [(Profiles, True), (Scores, False)])
def test_readers_see_changes_of_all_nodes(two, redis_cluster, kind, first, sanitized):
    change_all(kind, two(first), redis_cluster.client, 400, 0.003, slack_of(sanitized))


def test_changes_are_told_behind_a_failover(two, redis_cluster):
    """The replica that took over tells of changes like the primary before it."""
    servers = two(True)
    kols = [f"{row['platform']}:{row['kol_id']}" for row in servers[0].get("/api/v1/kols", limit=30)["data"]]
    values = Profiles(servers[0], kols)
    for place in range(len(kols)):
        values.write(redis_cluster.client, 1, place)
    redis_cluster.primaries()[1].kill()
    wait_until(redis_cluster.whole, "a replica to take over")
    for server in servers:
        wait_told(server, redis_cluster.up()[0])

    def written(place, number):
        try:
            values.write(redis_cluster.client, number, place)
        except Exception:  # the client has not heard of the new primary yet
            return False
        return True

    for place in range(len(kols)):
        wait_until(lambda at=place: written(at, 2), "the client to find the new primary")
    for place in range(len(kols)):
        for server in servers:
            path = values.paths[place]
            wait_until(lambda s=server, p=path: values.number(s.get(p)) == 2, f"the change of {path}", timeout=10)


def test_a_slot_moves_while_it_is_read(two, redis_cluster):
    """MOVED and ASK on the way: no reader notices."""
    server = two(True)[0]
    server.kol("warm", *redis_cluster.flags)
    key = "kol:profile:tiktok:ly.sport"
    slot = redis_cluster.client.keyslot(key)
    owner = next(n for n in redis_cluster.primaries()
                 if any(first <= slot <= last for first, last in owned(n)))  # fmt: skip
    target = next(node for node in redis_cluster.primaries() if node is not owner)
    own, other = (node.text.execute_command("CLUSTER", "MYID") for node in (owner, target))
    asker = Asker(server)

    def reads():
        for _ in range(20):
            server.ask("/admin/cache/purge", "POST", {"all": True})
            reply = asker.get("/api/v1/kols/tiktok:ly.sport")
            assert reply.status == 200 and reply.json()["username"] == "ly.sport"

    reads()
    target.redis.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", own)
    owner.redis.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", other)
    reads()
    for name in owner.redis.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000):
        owner.redis.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
    before = reached(server)
    reads()
    assert reached(server) > before
    for node in redis_cluster.primaries():
        node.redis.execute_command("CLUSTER", "SETSLOT", slot, "NODE", other)
    reads()
    asker.close()


def owned(node):
    """The ranges of slots of a node."""
    rows = node.text.execute_command("CLUSTER", "SLOTS")
    if isinstance(rows, dict):
        return [span for span, row in rows.items() if row["primary"][1] == node.port]
    return [(row[0], row[1]) for row in rows if row[2][1] == node.port]


def test_a_purge_reaches_all_whichever_node_it_is_told_to(two, redis_cluster):
    servers, path = two(True), "/api/v1/kols/tiktok:ly.sport"
    for node in redis_cluster.primaries():
        for server in servers:
            wait_kept(server, path)
        node.text.publish(CHANNEL, "all")
        for server in servers:
            wait_purged(server, path)
