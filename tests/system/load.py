"""A crowd of clients on a running server: every GET route, posts, purges, and what happens around it.

Each client keeps a connection, asks as fast as it is answered, now and then leaves in the middle of
an answer, and notes every answer that it should not have got.
"""

import collections
import http.client
import json
import os
import random
import signal
import threading
import time

from served import path_of

# Routes that take no KOL; {page} and {word} are filled in.
PLAIN = [
    "/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/api/v1/usage", "/predict/health",
    "/predict/trust/model-info", "/predict/success/model-info", "/api/v1/stats/platform",
    "/api/v1/stats/summary", "/api/v1/stats/cache", "/api/v1/stats/daily/2025-06-28",
    "/api/v1/kols?limit=20&offset={page}", "/api/v1/kols?limit=5&include=scores&sort_by=trust_score",
    "/api/v1/kols?tier=Micro,Nano&min_followers={page}&format=csv", "/api/v1/kols?q={word}",
    "/api/v1/kols/top/all?limit=10", "/api/v1/export/kols?format=ndjson&platform=twitter",
    "/api/v1/export/kols?format=parquet&platform=youtube", "/api/v1/trending/tiktok",
    "/api/v1/trending/kols/all", "/api/v1/search?q={word}", "/api/v1/search/suggest?prefix={word}",
    "/api/v1/search/recent/user_{page}", "/api/v1/kols/nobody.{page}", "/nowhere", "/api/v1/kols?limit=0",
]
OF_A_KOL = ["", "/scores", "/history", "/similar", "/content", "/explain"]
POSTS = [
    ("/predict/trust", {"followers_count": 1000, "following_count": 90, "post_count": 7,
                        "account_age_days": None}),
    ("/predict/success", {"video_views": 10000, "est_ctr": 0.02, "price": 50000}),
    ("/predict/trending", {"velocity": 10, "baseline": 2, "market": 3, "momentum": 0.5}),
    ("/admin/cache/purge", {"all": True}),
    ("/admin/reload", {}),
]
# What a server may say to requests like these while its copy and its models change.
FINE = {200, 202, 304, 404, 410, 422, 429, 503, 504}


class Load:
    """Clients that ask until stop(). answers: how many by status; wrong: what nobody should get."""

    def __init__(self, served, clients, posts=True, leave=0.02):
        self.served, self.posts, self.leave = served, posts, leave
        self.host, port = served.address.rsplit(":", 1)
        self.port = int(port)
        rows = served.get("/api/v1/kols", limit=100)["data"]
        self.kols = [f"{row['platform']}:{row['kol_id']}" for row in rows]
        self.answers, self.wrong = collections.Counter(), []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def request(self, source):
        """(method, path, body) of the next request."""
        dice = source.random()
        if dice < 0.5:
            kol = source.choice(self.kols)
            return "GET", path_of("/api/v1/kols/" + kol) + source.choice(OF_A_KOL), None
        if dice < 0.9 or not self.posts:
            path = source.choice(PLAIN)
            return "GET", path.format(page=source.randrange(300), word=source.choice("abclmnt") + "a"), None
        if dice < 0.95:
            event = {"event_type": "profile", "platform": "tiktok", "event_time": "2025-06-29T23:00:00Z",
                     "username": f"load.{source.randrange(50)}", "followers_count": source.randrange(10**6)}
            return "POST", "/api/v1/events/kol.profiles.raw", event
        path, body = source.choice(POSTS)
        return "POST", path, body

    def client(self, number):
        source = random.Random(number)
        connection = None
        while not self.ending.is_set():
            method, path, body = self.request(source)
            headers = {"Accept-Encoding": source.choice(["gzip", "br", "identity"])}
            if body is not None:
                headers["Content-Type"] = "application/json"
            try:
                connection = connection or http.client.HTTPConnection(self.host, self.port, timeout=60)
                connection.request(method, path, json.dumps(body) if body is not None else None, headers)
                if source.random() < self.leave:
                    connection.close()
                    continue
                reply = connection.getresponse()
                reply.read()
            except (OSError, http.client.HTTPException) as problem:
                connection and connection.close()
                connection = None
                self.answers["broken"] += 1
                if not self.ending.is_set() and self.served.running.process.poll() is not None:
                    self.wrong.append(f"{method} {path}: the server ended: {problem!r}")
                    return
                continue
            self.answers[reply.status] += 1
            if reply.status not in FINE:
                self.wrong.append(f"{method} {path}: {reply.status}")
        connection and connection.close()

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:5]


def disturb(served, load, seconds, swap=None, every=2.0):
    """Until the time is over: SIGHUP, and now and then another online copy by swap()."""
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end and not load.wrong:
        served.running.signal(signal.SIGHUP)
        turn += 1
        if swap and turn % 5 == 0:
            swap()
        load.ending.wait(min(every, max(0.0, end - time.monotonic())))


def memory_of(pid):
    """Bytes that the process itself holds: anonymous and shared memory, without mapped files."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        rows = dict(line.split(":", 1) for line in file)
    return sum(int(rows[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
